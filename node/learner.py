"""A period of learning, done where it keeps nobody waiting: this node's users, the blocks heard, and what came of it.

Only rated items are needed, so a period costs the same whatever the catalogs; they are read again when a version of a
catalog is whole. A `Learner` belongs to one worker thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from models.factor_table import Keys
from models.features import PricedItems, basis_of
from models.gate import Verdict
from models.interactions import History, interactions_of
from models.learning_round import Block, State, run_round
from models.privacy import Accountant, BudgetSpentError, noise_multiplier_left, private_sums
from models.shared_factors import SharedFactors
from models.shared_model import NO_MOMENTS, Crowd, SharedModel
from models.shared_models import shared_model
from models.shared_taste import SharedTaste
from models.taste_prior import TastePrior, start_block
from node.blocks import pack_block, parse_block
from node.config import Home
from node.database import MEMORY, Database
from node.errors import UserError
from node.events import Heard, Released, Spending, Train, Trained
from node.fits import everybody
from node.index import Index, Remembered
from node.replicas import Replicas
from node.session import home_index
from node.store import Rating, Store
from protocol.factor_rows import row_key
from protocol.weights import pack_weights

# What is promised with an epsilon: the chance that it does not hold.
DELTA = 1e-5
# Fewer users leave nothing but noise, and a release can't be taken back: a shop that opens waits.
RELEASE_USERS_MIN = 20
# A row of fewer people would be nearly their own ratings: such a shop only listens to the item-factor table.
TABLE_USERS_MIN = 20
Noise: TypeAlias = Callable[[], np.random.Generator]


@dataclass(frozen=True, slots=True)
class LearningSet:
    """The items that somebody here rated, and everybody's ratings of them, by row.

    `names`: publisher and id of each item, which only the item-factor table asks for.
    """

    items: PricedItems
    histories: list[History]
    names: Sequence[tuple[str, str]] = ()

    def keys(self) -> Keys:
        """What the item-factor table calls them: uint64 [items]."""
        return np.array([row_key(*name) for name in self.names], np.uint64)


class Learner:
    """Does `Train` jobs. `read` gives the learning set as it is now.

    `noise` is what hides users in a release: the system's, for whoever knew its seed could take it off again.
    """

    def __init__(self, read: Callable[[], LearningSet], basis: str, noise: Noise = np.random.default_rng) -> None:
        self._read = read
        self._basis = basis
        self._noise = noise

    def run(self, job: Train) -> Trained:
        """One period. Raises: UserError when the store is damaged, or its vectors are not what the basis is for."""
        known = self._read()
        try:
            keys_I = known.keys() if job.model == SharedFactors.called else None
            model = shared_model(job.model, known.items, known.histories, self._basis, job.chance, job.merged, keys_I)
        except ValueError as error:
            raise UserError(str(error)) from error
        state = job.state
        if state is None or not model.fits(state.values_V):
            state = State(model.start(), NO_MOMENTS, 0)
        blocks, places = opened(model, job.heard)
        users = sum(len(one) > 0 for one in known.histories)
        crowd = Crowd(max(users + job.others.users, 1), job.others.nodes + (users > 0))
        outcome = run_round(model, known.histories, state, blocks, crowd, np.random.default_rng(job.chance))
        verdicts: list[Verdict | None] = [None] * len(job.heard)
        for place, verdict in zip(places, outcome.verdicts, strict=True):
            verdicts[place] = verdict
        released = None
        if job.spending is not None and users >= RELEASE_USERS_MIN:
            released = release(known, self._basis, job.spending, self._noise())
        few = job.model == SharedFactors.called and users < TABLE_USERS_MIN
        values = b"" if few else pack_block(model, outcome.state.values_V, job.chance)
        return Trained(outcome, tuple(verdicts), users, crowd, values, released)


def opened(model: SharedModel, heard: Sequence[Heard]) -> tuple[list[Block], list[int]]:
    """The blocks among what was heard, and their places in it."""
    blocks, places = [], []
    for place, one in enumerate(heard):
        values_V = parse_block(model, one.values)
        if values_V is not None:
            blocks.append(Block(one.source, values_V, one.age))
            places.append(place)
    return blocks, places


def release(known: LearningSet, basis: str, spending: Spending, noise: np.random.Generator) -> Released | str:
    """What the users taught the common start, with noise, as others may have it; a sentence when too much is out.

    The common start is public and the scale is the ratings' own, so each user's part is that user's alone.
    """
    noise_multiplier = noise_multiplier_left(spending.epsilon_max, DELTA, spending.spent)
    if noise_multiplier is None:
        return f"what was published before has spent the budget (epsilon) of {spending.epsilon_max:g}"
    try:
        epsilon = Accountant(spending.epsilon_max, DELTA, list(spending.spent)).spend(noise_multiplier)
    except BudgetSpentError as error:
        return str(error)
    prepared = TastePrior(basis=basis).prepare(interactions_of([], len(known.items)), known.items)
    shared = SharedTaste(prepared, known.histories)
    told = [prepared.told(one) for one in known.histories if len(one)]
    sums = private_sums(start_block(prepared.z_IK.shape[1]), told, noise_multiplier, noise)
    values_V = shared.within_bounds(shared.averages(sums))
    return Released(pack_weights(shared.send(values_V)), noise_multiplier, epsilon, max(round(sums.n_users), 1))


def learning_set(index: Index, ratings: Sequence[Rating]) -> LearningSet:
    """Only what was rated of an index, by publisher and id, and all local users' ratings of it.

    Rows of an index are in the order in which items came here, and what is learned must not depend on that.
    """
    histories = everybody(index, ratings)
    named = sorted({(rating.publisher, rating.item) for rating in ratings} & index.rows.keys())
    rated = np.array([index.rows[name] for name in named], np.int64)
    place_I = np.empty(len(index.items), np.int64)
    place_I[rated] = np.arange(len(rated))
    moved = [History(place_I[one.items], one.values) for one in histories]
    return LearningSet(index.items.at(rated), moved, named)


class StoreReader:
    """The learning set of a store, its index kept until a version of a catalog is whole.

    `open_database` is called once, in the thread that reads; `load` makes the index of a store. A store without
    ratings is not read: making an index of many items takes time that the network needs.
    """

    def __init__(self, open_database: Callable[[], Database], load: Callable[[Store], Index]) -> None:
        self._open_database = open_database
        self._load = load
        self._seen: object = None
        self._index: Index | None = None

    @cached_property
    def _store(self) -> Store:
        return Store(self._database)

    @cached_property
    def _database(self) -> Database:
        return self._open_database()

    @cached_property
    def _nothing(self) -> Index:
        return self._load(Store(Database(Path(MEMORY))))

    def __call__(self) -> LearningSet:
        """Raises: UserError when something stored is damaged."""
        ratings = self._store.ratings()
        if not ratings:
            return learning_set(self._nothing, [])
        replicas = Replicas(self._database)
        # Also how many there are of a catalog that nothing is on its way of: one may have been given up half-way.
        seen = (
            [
                (one.catalog, one.head, None if one.own or one.target else replicas.count(one.catalog))
                for one in replicas.held()
            ],
            replicas.forks(),
        )
        if self._index is None or seen != self._seen:
            self._index, self._seen = self._load(self._store), seen
        return learning_set(self._index, ratings)


def home_learner(home: Home, dim: int) -> Learner:
    """Learns from this home's users; `dim`: the size of its encoder's halves."""
    reader = StoreReader(partial(Database, home.database), partial(home_index, home, known=Remembered(), dim=dim))
    return Learner(reader, basis_of(home.config.encoder))
