"""Two shops in two real processes: what the network gives, beside one machine with everybody's ratings.

    python -m tests.bench.two_shops [--worlds N] [--first SEED] [--personas 30|300] [--periods P] [--period SECONDS]
                                    [--folder DIR] [--json]

The cross-platform experiment (design, section 9) on demo worlds. Homes are made by `init`, `catalog import` and `rate
--file`; learners rate at both shops under names that nobody joins; a fifth of B's items are in no catalog or rating.
`node start --learn` runs at both over libp2p until every model is --periods of age; then B imports what is new, and
both are stopped. ASKED others are in no store: a referee opens the homes and folds them in through the functions of
`p2prec recommend` and `card export`, on the scale of the node's own users. Truth is complete: the generator's rating of
every item. In Warm half of the history is known and the rest of A competes.

*isolated*: A's store before it met anybody. *p2p*: the homes as stopped; content or the common start where a gate says
that the network does not help. *pooled*: one machine with both shops' ratings joined, as many periods as A's model has
of age, over A's items. Baselines and ceilings are those of tests.bench.discover, popularity at B is B's own. Intervals
are paired bootstraps over a world's people, who share one network.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.content import Content
from models.evaluation import Flags, PerUser, paired_difference, ranking_at
from models.features import PricedItems, basis_of, features_of
from models.fusion import similarity_sum
from models.interactions import History, interactions_of
from models.popularity import Popularity
from models.recommender import RatingPredictor, Recommender, Scores
from models.ridge import Ridge
from models.shared_model import NO_MOMENTS, Crowd
from models.shared_models import SHARED_MODELS, shared_model
from models.shared_taste import SharedTaste
from node.cards import make_card
from node.commands_node import model_line
from node.config import Home, load_home
from node.index import Index
from node.learned import Learned, LearnedRow
from node.ranking import Recommendation, histories_of, recommend, recommend_visitor
from node.session import home_index, home_taught, open_store
from node.store import Rating
from node.taught import Taught, taught_model, taught_scores
from protocol.card import open_card
from sim.demo import call
from sim.processes import NodeProcess, wait_until
from sim.shops import TRADES
from sim.tastes import LIKED
from tests.bench.discover import CEILINGS, LIKED_MEAN, POPULARITY, RANDOM, RIDGE, World, history_of, load_world

ENCODER, BASIS, K = "tiny", basis_of("tiny"), 10
ASKED, NEW_SHARE, CARD_RATINGS = 200, 0.2, (20, 50, 200)
ISOLATED, P2P, POOLED, AT_B, MERGED = "isolated", "p2p", "pooled", "B's own", "taste_prior, merged only"
METRICS, TASKS = ("ndcg", "precision", "recall"), ("Discover", "Warm", "New item")
Line = tuple[str, str]  # What ranks, and in which setting.
Lines = dict[Line, Scores]
#: Question, ours, theirs: what is compared in each world.
PAIRS: list[tuple[str, Line, Line]] = [
    *((task, (one, P2P), other) for task in TASKS for one in SHARED_MODELS for other in ((one, POOLED), (RIDGE, P2P))),
    *(("Warm", (one, P2P), (one, ISOLATED)) for one in SHARED_MODELS),
    ("Discover", ("taste_prior", P2P), (MERGED, P2P)),
]
GOALS = {("Discover", POOLED): "   goal: ratio >= 0.98", ("Warm", ISOLATED): "   goal: no interval below zero"}


@dataclass(slots=True)
class Outcome:
    """One world: (question, line) -> metric -> float64 [asked]; RMSE in Warm; what was seen of the network."""

    seed: int
    figures: dict[tuple[str, Line], dict[str, PerUser]] = field(default_factory=dict)
    rmse: dict[Line, float] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)

    def mean(self, question: str, line: Line, metric: str = "ndcg") -> float:
        return float(np.nanmean(self.figures[question, line][metric]))


@dataclass(frozen=True, slots=True)
class Shop:
    """What a shop exports: the folder of its catalog and pictures, the catalog's lines, and its items' ids in order."""

    platform: str
    columns: slice
    folder: Path
    lines: list[str]
    ids: list[str]

    def open(self, home: Path, sold_I: Flags, world: World, learners: int) -> Home:
        """A home by the shop's own commands: what is sold, and the learners' ratings under names of this shop's own."""
        call("init", "--home", str(home), "--platform", self.platform, "--encoder", ENCODER)
        catalog, ratings = home / "catalog.csv", home / "ratings.csv"
        catalog.write_text("".join(np.array(self.lines)[[True, *sold_I]].tolist()), "utf-8")
        self.publish(home, catalog)
        rated = np.argwhere(world.ratings.present_UI[:learners, self.columns]).tolist()
        complete_UI = world.ratings.complete_UI[:, self.columns]
        rows = [f"{self.platform} {user},{self.ids[item]},{complete_UI[user, item]}" for user, item in rated]
        ratings.write_text("\n".join(["user,item,rating", *rows]), "utf-8")
        call("rate", "--file", str(ratings), "--home", str(home))
        return load_home(home)

    def publish(self, home: Path, catalog: Path) -> Any:
        """An import, and the report of it."""
        words = ("catalog", "import", str(catalog), "--images", f"{self.folder}/images")
        return call(*words, "--home", str(home)).document


def open_shop(number: int, world: World, folder: Path) -> Shop:
    """As load_world left it below a world's `folder`."""
    platform, columns = TRADES[number].platform, (world.home, world.away)[number]
    lines = (folder / platform.lower() / "catalog.csv").read_text("utf-8").splitlines(keepends=True)
    return Shop(platform, columns, folder / platform.lower(), lines, [line.partition(",")[0] for line in lines[1:]])


def learn(a: Home, b: Home, shop_b: Shop, periods: int, period_seconds: float) -> dict[str, Any]:
    """Both nodes run until all models are of age, then B publishes what is new. Returns what was seen of it."""
    start = ("--learn", ",".join(SHARED_MODELS), "--epsilon", "none", "--period", str(period_seconds))
    with NodeProcess(a, *start) as one:
        one.ready()
        with NodeProcess(b, *start, "--peer", one.address) as other:
            other.ready()
            while min(model["age"] for node in (one, other) for model in node.status()["models"]) < periods:
                time.sleep(period_seconds)
            imported = shop_b.publish(b.folder, shop_b.folder / "catalog.csv")["seconds"]
            after = wait_until(lambda: len(shop_b.ids) in [here["items_known"] for here in one.status()["catalogs"]])
            lines = [[model_line(model).strip() for model in node.status()["models"]] for node in (one, other)]
            seen = {"A": lines[0], "B": lines[1], "seconds of import": imported, "seconds till A": round(after, 2)}
            return seen | {"exit codes": [node.stop() for node in (one, other)]}


@dataclass(frozen=True, slots=True)
class Place:
    """A home as it was found. The rows of its index are the world's columns, as far as it holds them."""

    home: Home
    index: Index
    ratings: list[Rating]
    histories: list[History]
    taught: Taught | None
    learned: dict[str, LearnedRow]

    def fitted(self, model: Recommender) -> Recommender:
        """On this node's own users."""
        return model.fit(interactions_of(self.histories, len(self.index.items)), self.index.items)

    def taste(self, *, by_source: bool) -> tuple[Callable[[Sequence[History]], Scores], Recommender]:
        """The taste prior as `p2prec recommend` ranks by it, and the model behind; content where it does not help."""
        if self.taught is None:
            content = self.fitted(Content())
            return content.scores, content
        taught = self.taught if by_source else replace(self.taught, by_source={})
        model = taught_model(taught, self.index, self.histories)
        return lambda asked: np.stack([taught_scores(taught, model, self.index, one) for one in asked]), model

    def block(self, name: str) -> Recommender:
        """As stored, or the common start where the node's gate says so; what its own users teach, before any."""
        model, row = shared_model(name, self.index.items, self.histories, BASIS, 0), self.learned.get(name)
        if row is None:
            return model.take(*model.alone())
        return model.take(row.state.values_V if row.report.ranks == "network" else model.start(), row.report.crowd)


def open_place(home: Home, columns: Sequence[tuple[str, str]]) -> Place:
    """`columns` are (publisher, item) of each column."""
    with open_store(home) as store:
        index, ratings, taught = home_index(home, store), store.ratings(), home_taught(home, store)
        known = [(name, Learned(store.database).find(name, features_of(ENCODER))) for name in SHARED_MODELS]
    learned = {name: row for name, row in known if row is not None}
    order = np.array([index.rows[one] for one in columns if one in index.rows], np.int64)
    stored, rows = [index.stored[row] for row in order.tolist()], {one: row for row, one in enumerate(columns)}
    index = replace(index, stored=stored, items=index.items.at(order), rows=rows, catalog_I=index.catalog_I[order])
    histories = histories_of(index, ratings, sorted({one.user for one in ratings}))
    return Place(home, index, ratings, histories, taught, learned)


def pooled(name: str, items: PricedItems, learners: Sequence[History], periods: int) -> Recommender:
    """One machine with everybody's joined ratings, as in tests.bench.learning_together."""
    model, crowd = shared_model(name, items, learners, BASIS, 0), Crowd(len(learners), 1)
    values_V, moments = model.start(), NO_MOMENTS
    for age in range(periods):
        if isinstance(model, SharedTaste):
            values_V = model.told_by(values_V, crowd)
        else:
            values_V, moments = model.improve(values_V, moments, age, crowd)
    return model.take(values_V, crowd)


def liked_mean(items: PricedItems, asked: Sequence[History]) -> Scores:
    """Similarity to all that was liked: the order of the mean's, as in tests.bench.discover."""
    liked = [one.items[one.values >= LIKED] for one in asked]
    return np.stack([similarity_sum(items, rows, np.ones(len(rows), np.float32)) for rows in liked])


class Referee:
    """Of one world, without ratings of new items. `alone` is A before it met B. Scores are float32 [asked, columns]."""

    def __init__(self, world: World, learners: int, alone: Place, a: Place, b: Place) -> None:
        self._world, self._alone, self._a, self._b = world, alone, a, b
        self._rng, self._asked = np.random.default_rng([world.seed, 3]), slice(learners, learners + ASKED)
        self._at_a = [history_of(world, user, world.home) for user in range(learners, learners + ASKED)]
        joined = [history_of(world, user, slice(0, len(world.items))) for user in range(learners)]
        self._models: dict[Line, Recommender] = {(RIDGE, P2P): a.fitted(Ridge(strength=1.0, basis=BASIS))}
        for name, row in a.learned.items():
            self._models[name, POOLED] = pooled(name, a.index.items, joined, row.state.age)
            self._models[name, P2P] = a.block(name)

    def ask(self, outcome: Outcome, new_B: Flags) -> None:
        """All four."""
        away, all_UB = self._world.away, np.ones((ASKED, len(new_B)), bool)
        lines = self._bounds(away) | {line: model.scores(self._at_a)[:, away] for line, model in self._models.items()}
        lines[LIKED_MEAN, P2P] = liked_mean(self._a.index.items, self._at_a)[:, away]
        for name, by_source in ((MERGED, False), ("taste_prior", True)):
            lines[name, P2P] = self._a.taste(by_source=by_source)[0](self._at_a)[:, away]
        self._judge(outcome, "New item", lines, all_UB & new_B, away)
        popular = {(POPULARITY, AT_B): self._b.fitted(Popularity()).scores(self._at_a)[:, away]}
        self._judge(outcome, "Discover", lines | popular, all_UB, away)
        with_history = {line: scores_UI for line, scores_UI in lines.items() if line[1] in ("", POOLED)}
        self._judge(outcome, "Newcomer", with_history | popular | self._cards(), all_UB, away)
        self._warm(outcome)

    def _judge(self, into: Outcome, question: str, lines: Lines, among_UI: Flags, columns: slice) -> None:
        liked_UI = self._world.ratings.complete_UI[self._asked, columns] >= LIKED
        for line, scores_UI in lines.items():
            into.figures[question, line] = ranking_at(scores_UI, liked_UI, among_UI, K)

    def _bounds(self, columns: slice) -> Lines:
        """Chance and the ceilings."""
        seen_UI = self._world.seen_UI[self._asked, columns]
        ideal_UI = self._world.ratings.ideal_UI[self._asked, columns].astype(np.float32)
        scores = (self._rng.random(seen_UI.shape, np.float32), seen_UI, ideal_UI)
        return {(name, ""): one for name, one in zip((RANDOM, *CEILINGS), scores, strict=True)}

    def _cards(self) -> Lines:
        """At B, of whom B knows nothing, or a card that A made of the first so many of somebody's ratings."""
        a, b, shop = self._a, self._b, TRADES[1].platform
        nothing_I = self._listed(recommend(b.index, b.ratings, "newcomer", K, platform=shop))
        lines: Lines = {("nothing, as recommend", P2P): np.repeat(nothing_I[None], ASKED, axis=0)}
        # Of A's other users a card takes only the scale: those of some ten people give it.
        beside, own, now_ms = a.ratings[:3000], a.home.identity.peer_id, time.time_ns() // 10**6
        orders = [self._rng.permutation(len(one)) for one in self._at_a]
        for count in CARD_RATINGS:
            lists = []
            for history, order in zip(self._at_a, orders, strict=True):
                given = zip(history.items[order[:count]].tolist(), history.values[order[:count]].tolist(), strict=True)
                ratings = [Rating("asked", own, a.index.stored[row].item.item, value, 1) for row, value in given]
                _, card = open_card(make_card(a.home, a.index, [*beside, *ratings], "asked", a.taught, now_ms, 1))
                lists.append(self._listed(recommend_visitor(b.index, card.vector, [], "asked", K, shop)))
            lines[f"card of {count} ratings", P2P] = np.stack(lists)
        return lines

    def _listed(self, answer: Recommendation) -> Scores:
        """B's list as scores: float32 [items of B], 0 for what is not on it."""
        scores_I = np.zeros(len(self._world.items), np.float32)
        for place, one in enumerate(answer.results):
            scores_I[self._b.index.rows[one.publisher, one.item.item]] = K - place
        return scores_I[self._world.away]

    def _warm(self, outcome: Outcome) -> None:
        """From half of the ratings at A, the rest of A, where no other source has a say; errors on the other half."""
        here, alone, ratings = self._world.home, self._alone, self._world.ratings
        half_UI = ratings.present_UI & (self._rng.random(ratings.present_UI.shape) < 0.5)
        half = replace(self._world, ratings=replace(ratings, present_UI=half_UI))
        histories = [history_of(half, user, here) for user in range(self._asked.start, self._asked.stop)]
        models = self._models | {("taste_prior", P2P): self._a.taste(by_source=False)[1]}
        models |= {(name, ISOLATED): alone.block(name) for name in SHARED_MODELS}
        models[RIDGE, ISOLATED] = alone.fitted(Ridge(strength=1.0, basis=BASIS))
        models[POPULARITY, ISOLATED] = alone.fitted(Popularity())
        lines = self._bounds(here) | {line: model.scores(histories)[:, here] for line, model in models.items()}
        lines[LIKED_MEAN, ISOLATED] = liked_mean(alone.index.items, histories)
        self._judge(outcome, "Warm", lines, ~half_UI[self._asked, here], here)
        hidden_UI = (ratings.present_UI & ~half_UI)[self._asked, here]
        for line, model in models.items():
            if isinstance(model, RatingPredictor):
                error_UI = model.predict(histories)[:, here] - ratings.complete_UI[self._asked, here]
                outcome.rmse[line] = float(np.sqrt((error_UI[hidden_UI] ** 2).mean()))


def play(world: World, learners: int, folder: Path, periods: int, period_seconds: float) -> Outcome:
    """Two shops from nothing to the answers."""
    outcome, (shop_a, shop_b) = Outcome(world.seed), (open_shop(number, world, folder) for number in (0, 1))
    new_B = np.zeros(len(shop_b.ids), bool)
    new_B[np.random.default_rng([world.seed, 2]).permutation(len(new_B))[: round(NEW_SHARE * len(new_B))]] = True
    present_UI = world.ratings.present_UI & np.concatenate([np.ones(len(shop_a.ids), bool), ~new_B])
    world = replace(world, ratings=replace(world.ratings, present_UI=present_UI))
    with tempfile.TemporaryDirectory() as temporary:
        a = shop_a.open(Path(temporary, "a"), np.ones(len(shop_a.ids), bool), world, learners)
        b = shop_b.open(Path(temporary, "b"), ~new_B, world, learners)
        columns = [(home.identity.peer_id, item) for home, shop in ((a, shop_a), (b, shop_b)) for item in shop.ids]
        alone = open_place(a, columns)
        outcome.network = learn(a, b, shop_b, periods, period_seconds)
        Referee(world, learners, alone, open_place(a, columns), open_place(b, columns)).ask(outcome, new_B)
    return outcome


def report(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Means over worlds, differences in each world, and the goals."""
    yield f"{'isolated: Warm only, A knows none of B':46}{'NDCG@10':>8}{'P@10':>8}{'R@10':>8}{'RMSE':>8}   worlds' NDCG"
    for question, line in outcomes[0].figures:
        means = [np.mean([one.mean(question, line, metric) for one in outcomes]) for metric in METRICS]
        worlds = [one.mean(question, line) for one in outcomes]
        errors = [one.rmse[line] for one in outcomes if question == "Warm" and line in one.rmse] or [np.nan]
        figures = "".join(f"{mean:8.3f}" for mean in (*means, np.mean(errors))).replace("nan", "  -")
        yield f"{question:9}{line[0]:27}{line[1]:10}{figures}   {min(worlds):.3f}..{max(worlds):.3f}"
    for question, ours, theirs in PAIRS:
        pairs = [[one.figures[question, line]["ndcg"] for line in (ours, theirs)] for one in outcomes]
        found = [paired_difference(mine, their, np.random.default_rng(0)) for mine, their in pairs]
        ratio = np.mean([one.mean(question, ours) / one.mean(question, theirs) for one in outcomes])
        above, below = sum(one.low > 0 for one in found), sum(one.high < 0 for one in found)
        signs = f"ratio {ratio:.3f}, above zero in {above}, below in {below}{GOALS.get((question, theirs[1]), '')}"
        yield f"{question}: {' '.join(ours)} - {' '.join(theirs)}: {signs}"
        yield "".join(f"   {one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" for one in found)
    yield from (f"seed {one.seed}, {key}: {seen}" for one in outcomes for key, seen in one.network.items())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    from models.clip import Encoder

    parser = argparse.ArgumentParser(prog="python -m tests.bench.two_shops", description=str(__doc__).split("\n")[0])
    parser.add_argument("--worlds", type=int, default=5, help="how many (default 5)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world (default 0)")
    parser.add_argument("--personas", type=int, default=30, help="learners a world (default 30)")
    parser.add_argument("--periods", type=int, default=40, help="age to reach; two_tower settles at 40 (default 40)")
    parser.add_argument("--period", type=float, default=1.0, help="seconds between two periods (default 1)")
    parser.add_argument("--folder", type=Path, help="keep the demos and their vectors here, and reuse those there")
    parser.add_argument("--json", action="store_true")
    options, outcomes, encoder = parser.parse_args(arguments), [], Encoder.load(ENCODER)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for seed in range(options.first, options.first + options.worlds):
            world = load_world(seed, options.personas + ASKED, encoder, ENCODER, folder)
            outcomes.append(play(world, options.personas, folder / f"seed-{seed}", options.periods, options.period))
    if options.json:
        ndcg = [{" | ".join((task, *line)): one.mean(task, line) for task, line in one.figures} for one in outcomes]
        print(json.dumps({"seeds": {one.seed: one.network for one in outcomes}, "ndcg": ndcg}))
    else:
        print(*report(outcomes), sep="\n")


if __name__ == "__main__":
    main()
