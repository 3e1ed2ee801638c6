"""One simulated node: a production engine over a production store in memory, with its learner and ranker.

The store outlives the engine, as a disk does: a node that is killed starts again from it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.fusion import image_weight_of
from node.engine import ITEMS_MAX, Engine, Settings
from node.index import Index, load_index
from node.jobs import Ranker
from node.learner import Learner, StoreReader
from node.learning_service import NO_LEARNING, LearningPlan
from node.live_index import LiveIndex
from node.query_service import Policy
from node.replicas import Replicas
from node.store import Store, Write
from protocol.identity import Identity
from sim.disk import Disk

if TYPE_CHECKING:
    from models.clip import Encoder

NETWORK = "p2prec"
QUERIES_PER_MINUTE = 600


@dataclass(frozen=True, slots=True)
class Space:
    """What all vectors of a simulation are of: the encoder's name and fingerprint (32 bytes), the size of a half, the
    name of the learners' basis, and who makes vectors of texts, where texts are asked for."""

    encoder: str
    fingerprint: bytes
    dim: int
    basis: str
    open_encoder: Callable[[], Encoder] | None = None


class Indexes:
    """Indexes of stores, remembered: two nodes that hold the same whole catalogs have the same index but for the order
    of rows, which nothing that is learned or ranked depends on."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._known: dict[tuple[tuple[str, bytes], ...], Index] = {}

    def load(self, store: Store) -> Index:
        """Of what is in the store now."""
        held = Replicas(store.database).held()
        edited = store.database.rows("SELECT 1 FROM edit LIMIT 1")
        if edited or any(one.target is not None or one.head is None for one in held if one.head or one.target):
            return self.load_own(store)
        # Whoever forked has no items in an index.
        forked = {publisher for (publisher,) in store.database.rows("SELECT publisher FROM fork")}
        key = tuple(sorted((one.publisher, one.head) for one in held if one.head and one.publisher not in forked))
        if key not in self._known:
            if len(self._known) > 64:
                self._known.clear()
            self._known[key] = self.load_own(store)
        return self._known[key]

    def load_own(self, store: Store) -> Index:
        """With the store's own catalog numbers, as answers to peers need them."""
        space = self._space
        return load_index(store, space.fingerprint.hex(), image_weight_of(space.encoder), space.dim)


@dataclass(slots=True)
class Seat:
    """A node's place in the world. `clock_ms`: how far its clock is ahead. `engine` None: not running."""

    number: int
    identity: Identity
    platform: str
    database: Disk
    settings: Settings
    learner: Learner
    ranker: Ranker
    catalog: int
    clock_ms: int = 0
    engine: Engine | None = None
    start_ms: int = 0
    tick_ms: int | None = None
    power_cut: bool = False
    """What it stored last may be gone."""
    doomed: bool = False
    """Its next step is its last: see World.kill_at_next_step."""
    starts: int = 0
    said: list[tuple[int, str]] = field(default_factory=list)

    @property
    def peer(self) -> str:
        return self.identity.peer_id

    @property
    def store(self) -> Store:
        return Store(self.database)

    @property
    def replicas(self) -> Replicas:
        return Replicas(self.database)

    def make_engine(self, seed: int) -> Engine:
        """As a start of the node makes it; chance is of the seed, the node and the start."""
        self.starts += 1
        chance = random.Random(f"{seed}|{self.number}|{self.starts}")
        return Engine(self.database, self.identity, self.settings, chance)

    def write(self, writes: Sequence[Write]) -> None:
        """Import into the own catalog."""
        self.store.write_items(self.catalog, writes)

    @property
    def unsigned(self) -> bool:
        """Whether the own catalog has items or edits that no head speaks of."""
        return bool(self.database.rows("SELECT 1 FROM edit LIMIT 1"))

    def whole(self) -> dict[str, bytes]:
        """Publisher -> sealed head of what is here whole."""
        return {one.publisher: one.head for one in self.replicas.held() if one.head is not None}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a node's owner chose."""

    platform: str
    named: tuple[str, ...] = ()
    learning: LearningPlan = NO_LEARNING
    items_max: int = ITEMS_MAX
    allow: frozenset[str] | None = None
    clock_ms: int = 0


def make_seat(seed: int, number: int, plan: Plan, space: Space, indexes: Indexes, now: Callable[[], int]) -> Seat:
    """A node that has never run."""
    identity = Identity(random.Random(f"identity|{seed}|{number}").randbytes(32))
    database = Disk()
    settings = Settings(
        plan.platform,
        space.fingerprint,
        2 * space.dim,
        Policy(NETWORK, plan.allow, QUERIES_PER_MINUTE),
        plan.named,
        plan.items_max,
        plan.learning,
    )
    noise = np.random.default_rng([seed, number])
    learner = Learner(StoreReader(lambda: database, indexes.load), space.basis, lambda: noise)
    live = LiveIndex(lambda: database, indexes.load_own, lambda: now() / 1000)
    ranker = Ranker(live, lambda: database, space.open_encoder or _no_texts)
    catalog = Store(database).own_catalog(identity.peer_id, plan.platform, space.fingerprint.hex())
    return Seat(number, identity, plan.platform, database, settings, learner, ranker, catalog, plan.clock_ms)


def _no_texts() -> Encoder:
    raise ValueError("vectors of this simulation are invented, so no text can be asked for")
