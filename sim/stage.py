"""A town put into a world: who has which catalog and which people, and how well each node then recommends.

Quality is judged by people who are in no store, on the complete truth: what each would rate every item. *Warm*: from
half of their ratings at a shop, the rest of that shop. *Discover*: from their ratings at a shop, everything that the
others sell. Floor and ceiling stand beside every figure. Content and ridge learn from nobody else, over the catalogs
that the network brought.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.content import Content
from models.evaluation import Flags, PerUser, ndcg_at, precision_at
from models.interactions import History, interactions_of
from models.recommender import Scores
from models.ridge import Ridge
from models.shared_models import BESIDE
from node.errors import UserError
from node.fits import everybody
from node.index import Index
from node.learned import Learned
from node.learning_service import NO_LEARNING, LearningPlan
from node.taught import taught_by, taught_model, taught_scores
from sim.checkers import all_checkers
from sim.network import Link
from sim.outcome import Outcome, Row, Traffic
from sim.referee import P2P, POOLED, pooled
from sim.seat import Plan, Seat
from sim.town import FEATURES, SPACE, Town, build_town, platform_of
from sim.world import World, address_of

K, ASKED, JUDGED_MAX = 10, 40, 8
FLOOR, CEILING, CONTENT, RIDGE, TASTE = "floor: random", "ceiling: all but noise", "content", "ridge", "taste_prior"
VISITED = 2  # shops that somebody rates at
TRAFFIC_MAX = 2_000
#: Checkers look at every step of every node up to so many nodes; at larger worlds nobody looks.
CHECKED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for. `nodes` None: the scenario's own number."""

    seed: int
    nodes: int | None = None
    parameters: Mapping[str, float | int | str] = field(default_factory=dict)
    progress: Callable[[World], object] = lambda world: None
    used: set[str] = field(default_factory=set)
    """Parameters that the scenario asked for: others are mistakes."""

    def word(self, name: str, default: str, allowed: Sequence[str] = ()) -> str:
        """A parameter. Raises: UserError."""
        self.used.add(name)
        value = str(self.parameters.get(name, default))
        if allowed and value not in allowed:
            raise UserError(f"{name} must be {' or '.join(allowed)}, not {value!r}")
        return value

    def number(self, name: str, default: float, low: float = 0.0, high: float = 1e9) -> float:
        """A parameter. Raises: UserError."""
        self.used.add(name)
        value = self.parameters.get(name, default)
        if not isinstance(value, int | float) or not low <= value <= high:
            raise UserError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
        return value

    def refuse_others(self) -> None:
        """Every parameter was asked for by now. Raises: UserError for one that nobody wants."""
        unknown = sorted(set(self.parameters) - self.used)
        if unknown:
            known = ", ".join(sorted(self.used)) or "none"
            raise UserError(f"this scenario has no parameter {unknown[0]!r}; it has: {known}")

    def nodes_or(self, default: int, low: int = 2, high: int = 20_000) -> int:
        """How many nodes. Raises: UserError."""
        nodes = self.nodes if self.nodes is not None else default
        if not low <= nodes <= high:
            raise UserError(f"--nodes must be {low} to {high} in this scenario, not {nodes}")
        return nodes

    def link(self, latency_ms: int = 50, loss: float = 0.0, broken: float = 0.0, doubled: float = 0.0) -> Link:
        """Every link of the network, with the parameters latency_ms, loss, broken, doubled and mbit_second."""
        mbit = self.number("mbit_second", 100.0, 0.01)
        return Link(
            round(self.number("latency_ms", latency_ms, 0, 10_000)),
            1.5,
            self.number("loss", loss, 0, 0.9),
            self.number("broken", broken, 0, 1),
            self.number("doubled", doubled, 0, 1),
            round(125_000 * mbit),
        )


@dataclass(frozen=True, slots=True)
class Cast:
    """How a town is put into a world. `persons`: nodes of one user and no catalog, beside the shops."""

    shops: int
    items: int
    people: int
    persons: int = 0
    degree: int = 3
    period_s: float = 60.0
    learning: bool = True
    clocks_ms: int = 0
    epsilon: float | None = None
    models: tuple[str, ...] = (TASTE,)
    """What is learned together; what is learned beside these comes along."""


class Stage:
    """See the file's head. `people[n]`: rows of the town whose ratings node n has; the last ASKED rows are nobody's."""

    def __init__(self, options: Options, cast: Cast, link: Link, *, checked: bool = True) -> None:
        self.options, self.cast = options, cast
        learners = cast.people + cast.persons
        self.town: Town = build_town(options.seed, cast.shops, cast.items, learners + ASKED)
        nodes = cast.shops + cast.persons
        checkers = all_checkers() if checked and nodes <= CHECKED_MAX else ()
        self.world = World(options.seed, SPACE, link, checkers)
        self.plan = self._plan()
        self.chance = random.Random(f"stage|{options.seed}")
        self.people: list[list[int]] = [[] for _ in range(nodes)]
        self.parts: list[list[tuple[int, slice]]] = [[] for _ in range(nodes)]
        for number in range(nodes):
            self._add(number)
        self.publishers = [seat.peer for seat in self.shops]
        for shop in range(cast.shops):
            self.shops[shop].write(self.town.writes_of(shop))
        self._share_out()

    @property
    def shops(self) -> list[Seat]:
        return self.world.seats[: self.cast.shops]

    @property
    def seats(self) -> list[Seat]:
        return self.world.seats

    def start(self) -> None:
        """Everybody at once. Scenarios have read their options by now. Raises: UserError."""
        self.options.refuse_others()
        for seat in self.seats:
            if seat.engine is None:
                self.world.start(seat)

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass, telling whoever waits how far it is."""
        left_ms = round(1000 * seconds)
        while left_ms > 0:
            some_ms, left_ms = min(10_000, left_ms), left_ms - 10_000
            if self.world.run(some_ms / 1000, until):
                return True
            self.options.progress(self.world)
        return False

    def periods(self, count: float) -> None:
        """So many periods of learning."""
        self.run(count * self.cast.period_s)

    def publisher_of(self, column: int) -> str:
        return self.publishers[column // self.cast.items]

    # -- making ------------------------------------------------------------------------------------------------------

    def _plan(self) -> LearningPlan:
        if not self.cast.learning:
            return NO_LEARNING
        models = tuple(one for model in self.cast.models for one in (model, *BESIDE.get(model, ())))
        return LearningPlan(models, FEATURES, round(1000 * self.cast.period_s), self.cast.epsilon)

    def _add(self, number: int) -> None:
        """Each knows a few who came before, as the owner of a node would name them."""
        known = self.chance.sample(self.seats, min(self.cast.degree, len(self.seats)))
        shop = number < self.cast.shops
        platform = platform_of(number) if shop else f"person {number - self.cast.shops}"
        skew_ms = self.chance.randint(-self.cast.clocks_ms, self.cast.clocks_ms)
        named = tuple(address_of(one.peer) for one in known)
        self.world.add(Plan(platform, named, self.plan, clock_ms=skew_ms))

    def _share_out(self) -> None:
        """Somebody rates at a few shops, and each shop has what was rated there; a person's node has all of it."""
        everything = slice(0, len(self.town.writes))
        for user in range(self.cast.people):
            for shop in self.chance.sample(range(self.cast.shops), min(VISITED, self.cast.shops)):
                self._give(shop, user, self.town.columns(shop))
        for person in range(self.cast.persons):
            self._give(self.cast.shops + person, self.cast.people + person, everything)

    def _give(self, number: int, user: int, columns: slice) -> None:
        self.people[number].append(user)
        self.parts[number].append((user, columns))
        self.seats[number].store.write_ratings(self.town.rated(user, columns, self.publishers))

    # -- judging -----------------------------------------------------------------------------------------------------

    @property
    def asked(self) -> range:
        """People who are in no store."""
        return range(self.cast.people + self.cast.persons, len(self.town.ratings.complete_UI))

    def history(self, user: int, columns: slice, keep: Flags | None = None) -> History:
        """What somebody would tell of these columns, in the town's columns."""
        present_I = self.town.ratings.present_UI[user].copy()
        present_I[: columns.start] = present_I[columns.stop :] = False
        if keep is not None:
            present_I &= keep
        rows = np.flatnonzero(present_I).astype(np.int64)
        return History(rows, self.town.ratings.complete_UI[user, rows].astype(np.float32))

    def ndcg(self, seats: Sequence[Seat] | None = None, question: str = "Discover") -> float:
        """Of what these nodes recommend now, mean over nodes and people asked."""
        chosen = self.judged() if seats is None else seats
        figures = [self._figures(P2P, TASTE, seat, question)["ndcg"] for seat in chosen]
        return float(np.nanmean(np.concatenate(figures))) if figures else float("nan")

    def judged(self) -> list[Seat]:
        """Shops, no more than JUDGED_MAX, that run."""
        return [seat for seat in self.shops if seat.engine is not None][:JUDGED_MAX]

    def rows(self, periods: int) -> list[Row]:
        """Floor, baselines, p2p, pooled, ceiling, for each question; all shops together."""
        found = []
        lines = [("", FLOOR), (P2P, CONTENT), (P2P, RIDGE), (P2P, TASTE), (POOLED, TASTE), ("", CEILING)]
        for question in ("Warm", "Discover"):
            for setting, model in lines:
                figures = [self._figures(setting, model, seat, question, periods) for seat in self.judged()]
                means = {name: float(np.nanmean(np.concatenate([one[name] for one in figures]))) for name in figures[0]}
                found.append({"setting": setting, "model": model, "platform": "all", "slice": question, **means})
        return found

    def _figures(self, setting: str, model: str, seat: Seat, question: str, periods: int = 1) -> dict[str, PerUser]:
        home, items = self.town.columns(seat.number), len(self.town.writes)
        rng = np.random.default_rng([self.options.seed, seat.number])
        half = rng.random(items) < 0.5 if question == "Warm" else None
        asked = [self.history(user, home, half) for user in self.asked]
        among_I = np.zeros(items, bool)
        among_I[home] = True
        among_I = among_I & ~half if half is not None else ~among_I
        users = slice(self.asked.start, self.asked.stop)
        if model == FLOOR:
            scores_UI: Scores = rng.random((len(asked), items), np.float32)
        elif model == CEILING:
            scores_UI = self.town.ratings.ideal_UI[users].astype(np.float32)
        else:
            scores_UI = self.scores(setting, model, seat, asked, periods)
        among_UI = np.broadcast_to(among_I, scores_UI.shape)
        liked_UI = self.town.liked[users]
        return {
            "ndcg": ndcg_at(scores_UI, liked_UI, among_UI, K),
            "precision": precision_at(scores_UI, liked_UI, among_UI, K),
        }

    def scores(self, setting: str, model: str, seat: Seat, asked: Sequence[History], periods: int = 1) -> Scores:
        """float32 [asked, columns], what the node does not know last."""
        index = self.world.indexes.load(seat.store)
        keys = [(self.publisher_of(column), write.item) for column, write in enumerate(self.town.writes)]
        row_I = np.array([index.rows.get(key, -1) for key in keys])
        told = []
        for one in asked:
            known_R = row_I[one.items] >= 0
            told.append(History(row_I[one.items[known_R]], one.values[known_R]))
        known_UR = self._ranker(setting, model, seat, index, periods)(told)
        scores_UI = np.full((len(asked), len(keys)), -np.inf, np.float32)
        scores_UI[:, row_I >= 0] = known_UR[:, row_I[row_I >= 0]]
        return scores_UI

    def _ranker(
        self, setting: str, model: str, seat: Seat, index: Index, periods: int
    ) -> Callable[[Sequence[History]], Scores]:
        ratings = seat.store.ratings()
        own = everybody(index, ratings)
        taught = taught_by(Learned(seat.database), FEATURES, SPACE.basis)
        if setting == POOLED:
            row = Learned(seat.database).find(TASTE, FEATURES)
            rounds = max(periods, row.state.age if row is not None else 0)
            return pooled(TASTE, index.items, SPACE.basis, self._joined(index), rounds).scores
        if model == TASTE and taught is not None:
            learned = taught_model(taught, index, own)
            return lambda asked: np.stack([taught_scores(taught, learned, index, one) for one in asked])
        chosen = Ridge(strength=1.0, basis=SPACE.basis) if model == RIDGE else Content()
        return chosen.fit(interactions_of(own, len(index.items)), index.items).scores

    def _joined(self, index: Index) -> list[History]:
        """What one machine with everybody's ratings knows: each person's, from wherever they were given."""
        everybody: dict[int, list[History]] = {}
        for parts in self.parts:
            for user, part in parts:
                everybody.setdefault(user, []).append(self.history(user, part))
        joined = []
        for _, told in sorted(everybody.items()):
            columns = np.concatenate([one.items for one in told]).tolist()
            keys = [(self.publisher_of(column), self.town.writes[column].item) for column in columns]
            known = np.array([key in index.rows for key in keys], bool)
            rows = np.array([index.rows.get(key, -1) for key in keys], np.int64)[known]
            joined.append(History(rows, np.concatenate([one.values for one in told])[known]))
        return joined

    def top_list(self, seat: Seat, user: int) -> list[int]:
        """The town's columns in the top K that this node would show somebody who rated here, of others' items."""
        home = self.town.columns(seat.number)
        history = self.history(user, home)
        scores_I = self.scores(P2P, TASTE, seat, [history], 1)[0].copy()
        scores_I[home] = -np.inf
        best = np.argsort(-scores_I, kind="stable")[:K]
        return [int(column) for column in best if np.isfinite(scores_I[column])]

    # -- telling -----------------------------------------------------------------------------------------------------

    def outcome(self, scenario: str) -> Outcome:
        """Everything but rows, curves and assertions, which are the scenario's."""
        told = world_outcome(self.world, scenario, self.options.seed)
        judged = self.judged() if self.cast.learning else []
        alone = [seat for seat in judged if taught_by(Learned(seat.database), FEATURES, SPACE.basis) is None]
        if alone:
            told.notes.append(
                f"{len(alone)} of {len(judged)} shops judged recommend by content: what was learned does not help them"
            )
        return told


def world_outcome(world: World, scenario: str, seed: int) -> Outcome:
    """What a world has seen so far."""
    told = Outcome(scenario, seed, world.digest, len(world.seats), world.events, world.seconds)
    # As sent by all lives of all nodes, gossip once for each copy.
    told.bytes_by_kind, told.frames_by_kind = dict(world.network.bytes_by_kind), dict(world.network.frames_by_kind)
    told.names = [seat.platform for seat in world.seats]
    busiest = sorted(world.network.sent.items(), key=lambda one: (-one[1][1], one[0]))[:TRAFFIC_MAX]
    told.traffic = [Traffic(*ends, *count) for ends, count in sorted(busiest)]
    if world.checkers:
        told.notes.append(
            "after every step of every node: only verified records, users stay, promises and budgets kept"
        )
    else:
        told.notes.append(f"no checkers looked: the world has more than {CHECKED_MAX} nodes")
    told.notes.append("a signature that was good once was not verified again by the other nodes of this process")
    return told
