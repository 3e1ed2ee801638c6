"""The index that search, similarity and answers work on: read anew, and read again after a price or a look changed."""

from __future__ import annotations

import random
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

from node.database import Database
from node.index import Remembered, load_index
from node.store import Store, Write
from tests.bench.catalog_sync import item_of, source_home
from tests.bench.row import Row, alternate, seconds_of
from tests.node.network.homes import ENCODER

ITEMS, DIM, RUNS = 50_000, 512, 5


class Edited:
    """A catalog of which one item changes before each reading."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.catalog = store.catalogs()[0].catalog
        self.known = Remembered()
        self.vector = store.find_vector(store.find_items("item-0")[0].slot) or b""
        self.price = 100

    def anew(self, known: Remembered | None = None) -> float:
        return seconds_of(partial(load_index, self.store, ENCODER.hex(), 0.5, DIM, known))

    def after_a_price(self) -> float:
        self.price += 1
        self.store.write_items(self.catalog, [Write("item-0", item_of(0, self.price), self.vector, b"")])
        return self.anew(self.known)

    def after_a_look(self) -> float:
        self.vector = random.Random(self.price).randbytes(2 * DIM)
        return self.after_a_price()

    def vectors(self) -> float:
        """Only reading them from SQLite."""
        return seconds_of(partial(self.store.vectors, ENCODER.hex()))


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        home = source_home(Path(folder) / "a", ITEMS, DIM)
        with closing(Store(Database(home.database))) as store:
            edited = Edited(store)
            edited.anew(edited.known)
            name = f"index of {ITEMS:,} items"
            return [
                Row(f"{name}: anew / vectors out of SQLite", *alternate(edited.anew, edited.vectors, RUNS), "s"),
                Row(f"{name}: after one price / anew", *alternate(edited.after_a_price, edited.anew, RUNS), "s"),
                Row(f"{name}: after one look / anew", *alternate(edited.after_a_look, edited.anew, RUNS), "s"),
            ]
