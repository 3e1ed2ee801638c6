"""The index of a running node: one in memory for everybody who asks, read again when a catalog changed.

Peers' queries and the shop's own people are answered in two threads over the same matrices; a large catalog must not be
held twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from node.config import Home
from node.database import Database
from node.index import Index, Remembered
from node.replicas import HeldCatalog, Replicas
from node.session import home_index
from node.store import Store

# An index is read again at most this often, however fast catalogs change.
RELOAD_SECONDS = 2.0
Thing = TypeVar("Thing")


class Once(Generic[Thing]):
    """A thing that is made when first asked for, once, however many threads ask: an encoder takes a gigabyte."""

    def __init__(self, make: Callable[[], Thing]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: list[Thing] = []

    def __call__(self) -> Thing:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]


@dataclass(frozen=True, slots=True)
class Held:
    """An index, the catalogs that it was read from, and which rows are of a signed version: bool [items]."""

    index: Index
    catalogs: list[HeldCatalog]
    signed_I: npt.NDArray[np.bool_]


class LiveIndex:
    """`load` makes the index of a store; `open_database` is called once, when first needed; `clock` counts seconds."""

    def __init__(
        self,
        open_database: Callable[[], Database],
        load: Callable[[Store], Index],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_database = open_database
        self._load = load
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: object = None
        self._loaded = 0.0
        self._held: Held | None = None

    @cached_property
    def _database(self) -> Database:
        return self._open_database()

    def current(self) -> Held:
        """Over the catalogs as they are, or were a moment ago. Raises: UserError when something stored is damaged."""
        with self._lock:
            replicas = Replicas(self._database)
            catalogs = replicas.held()
            seen = (catalogs, replicas.forks())
            if self._held is None or (seen != self._seen and self._clock() - self._loaded > RELOAD_SECONDS):
                index = self._load(Store(self._database))
                signed = [one.catalog for one in catalogs if one.head is not None]
                self._held = Held(index, catalogs, np.isin(index.catalog_I, signed))
                self._seen, self._loaded = seen, self._clock()
            return self._held


def home_live_index(home: Home) -> LiveIndex:
    """The index of this home."""
    return LiveIndex(partial(Database, home.database), partial(home_index, home, known=Remembered()))
