"""Discover: at shop A, recommend shop B's items to people of whom only their ratings at A are known.

    python -m tests.bench.discover [--worlds N] [--first SEED] [--personas 30|300] [--folder DIR] [--json]

On demo worlds (design, section 9), seeds 0, 1, ... Models that learn from others are fitted on *other* people, who
rated at both shops (three folds by user: of each third, the rest); the person asked is folded in from the history at A.
All of B competes (*complete* truth: the generator's own rating of every item) or the person's rated items of B alone
(*rated-only*). Declared before: the floor is chance, the baselines are popularity among the others, the mean of what
was liked (centred), and ridge, which needs nobody else; its strength 1 is the best of six for this question on the
tuning worlds. Intervals are paired bootstraps over the people of one world, who share one trained model: they are
narrower than the truth, so each world has its own and what counts is in how many of them it lies above zero.
Popularity and delta need B's own ratings at hand, which a node at A has not; they show what such ratings are worth.

Everything that was chosen by looking (features, ranks, rates, strengths) was chosen on seeds 100 and 101; the shipped
basis is of seed 1000. With more than 30 people, the demo's thirty are joined by others of the same six styles.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.evaluation import ndcg_at, paired_difference, precision_at
from models.features import basis_of
from models.interactions import interactions_of
from models.recommender import Scores
from models.registry import model_class
from sim.cross_platform import (
    CEILINGS,
    LIKED_MEAN,
    POPULARITY,
    RANDOM,
    RIDGE,
    World,
    history_of,
    liked_mean,
    load_world,
)
from sim.tastes import LIKED
from tests.bench.row import Row

K = 10
WORLDS = 8
FOLDS = 3
SHARED = ("taste_prior", "projection", "two_tower")
TRUTHS = ("complete", "rated-only")
#: What is compared in each world; the goals speak of these.
PAIRS = (
    *((ours, LIKED_MEAN) for ours in SHARED),
    *((ours, RIDGE) for ours in SHARED),
    ("two_tower", "taste_prior"),
    ("two_tower", "projection"),
)


def scores_of(world: World, basis: str) -> Iterator[tuple[str, Scores]]:
    """Every line of the table: its name and float32 [people, items of B], floor first, ceilings last."""
    people = len(world.ratings.complete_UI)
    rng = np.random.default_rng([world.seed, people, 1])
    everything = [history_of(world, user, slice(0, len(world.items))) for user in range(people)]
    at_home = [history_of(world, user, world.home) for user in range(people)]
    order = rng.permutation(people)
    yield RANDOM, rng.random((people, world.away.stop - world.away.start)).astype(np.float32)
    yield LIKED_MEAN, liked_mean(world.items, at_home)[:, world.away]
    for name in (POPULARITY, "content", RIDGE, "ridge, strength chosen", *SHARED, "delta"):
        scores_UI = np.empty((people, world.away.stop - world.away.start), np.float32)
        for fold in range(FOLDS):
            asked = order[fold::FOLDS]
            others = [everything[user] for user in np.setdiff1d(order, asked).tolist()]
            params: dict[str, Any] = {"basis": basis} if name in (*SHARED, "delta") or name.startswith(RIDGE) else {}
            if name == RIDGE:
                params["strength"] = 1.0
            model = model_class(name.partition(",")[0])(**params)
            model.fit(interactions_of(others, len(world.items)), world.items)
            scores_UI[asked] = model.scores([at_home[user] for user in asked.tolist()])[:, world.away]
        yield name, scores_UI
    yield CEILINGS[0], world.seen_UI[:, world.away]
    yield CEILINGS[1], world.ratings.ideal_UI[:, world.away].astype(np.float32)


Figures = dict[tuple[str, str, str], list[np.ndarray[Any, np.dtype[np.float64]]]]


def measure(worlds: Sequence[World], basis: str) -> Figures:
    """(line, truth, metric) -> one array of people's figures a world."""
    figures: Figures = {}
    for world in worlds:
        liked_UI = world.ratings.complete_UI[:, world.away] >= LIKED
        rated_UI = world.ratings.present_UI[:, world.away]
        for name, scores_UI in scores_of(world, basis):
            for truth, candidates_UI in zip(TRUTHS, (np.ones_like(rated_UI), rated_UI), strict=True):
                for metric, function in (("P@10", precision_at), ("NDCG@10", ndcg_at)):
                    figures.setdefault((name, truth, metric), []).append(
                        function(scores_UI, liked_UI, candidates_UI, K)
                    )
    return figures


def table_lines(figures: Figures) -> Iterator[str]:
    """Means over all people, and the spread of the worlds' means of NDCG on the complete truth."""
    columns = [(truth, metric) for truth in TRUTHS for metric in ("P@10", "NDCG@10")]
    yield f"{'':26}" + " ".join(f"{f'{truth} {metric}':>18}" for truth, metric in columns) + "   worlds"
    for name in dict.fromkeys(key[0] for key in figures):
        means = [np.nanmean(np.concatenate(figures[name, *column])) for column in columns]
        worlds = [np.nanmean(values) for values in figures[name, "complete", "NDCG@10"]]
        yield f"{name:26}" + " ".join(f"{mean:18.3f}" for mean in means) + f"   {min(worlds):.3f}..{max(worlds):.3f}"


@dataclass(frozen=True, slots=True)
class Duel:
    """NDCG@10 of one line less another's: the mean over worlds, the worst, and where the interval is above zero."""

    ours: str
    theirs: str
    truth: str
    mean: float
    worst: float
    above: int
    below: int
    worlds: int
    intervals: list[tuple[float, float, float]]


def duels(figures: Figures) -> list[Duel]:
    """All PAIRS on both truths."""
    found = []
    for truth in TRUTHS:
        for ours, theirs in PAIRS:
            columns = [figures[name, truth, "NDCG@10"] for name in (ours, theirs)]
            rng = np.random.default_rng(0)
            results = [paired_difference(mine, their, rng) for mine, their in zip(*columns, strict=True)]
            means = [one.mean for one in results]
            above, below = sum(one.low > 0 for one in results), sum(one.high < 0 for one in results)
            intervals = [(one.mean, one.low, one.high) for one in results]
            found.append(
                Duel(ours, theirs, truth, float(np.mean(means)), min(means), above, below, len(means), intervals)
            )
    return found


def run_bench(seeds: range, people: int, folder: Path, say: Callable[[str], object]) -> tuple[Figures, list[Duel]]:
    """All of it; `say` hears the tables line by line."""
    from models.clip import Encoder

    encoder = Encoder.load("tiny")
    loaded = [load_world(seed, people, encoder, "tiny", folder) for seed in seeds]
    figures = measure(loaded, basis_of("tiny"))
    say(
        f"Discover B from A: {len(loaded)} worlds (seeds {seeds.start} on), {people} people each, {FOLDS} folds by user"
    )
    for line in table_lines(figures):
        say(line)
    found = duels(figures)
    say("")
    say(f"NDCG@10 of one less the other{'':25} mean    worst   intervals above / below zero")
    for duel in found:
        name = f"{duel.truth:11} {duel.ours} - {duel.theirs}"
        say(f"{name:52} {duel.mean:+.3f}  {duel.worst:+.3f}   {duel.above} / {duel.below} of {duel.worlds}")
    return figures, found


def run() -> list[Row]:
    """The short form: one world of 30 people; each shared model over the ceiling, and beside ridge."""
    with tempfile.TemporaryDirectory() as temporary:
        figures, _ = run_bench(range(1), 30, Path(temporary), lambda line: None)
    mean = {name: float(np.nanmean(figures[name, "complete", "NDCG@10"][0])) for name, _, _ in figures}
    rows = []
    for name in SHARED:
        for other, goal in ((CEILINGS[1], None), (RIDGE, None), (LIKED_MEAN, "> 1")):
            rows.append(
                Row(f"discover: {name} / {other}", mean[name], mean[other], mean[name] / mean[other], "NDCG", goal)
            )
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.discover", description=str(__doc__).split("\n")[0])
    parser.add_argument("--worlds", type=int, default=WORLDS, help=f"how many (default {WORLDS})")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world (default 0)")
    parser.add_argument("--personas", type=int, default=30, help="people a world, 30 or more (default 30)")
    parser.add_argument("--folder", type=Path, help="keep the demos and their vectors here, and reuse those there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.personas < 30 or options.worlds < 1:
        parser.error("there are at least 30 people in a world, and at least one world")
    say: Callable[[str], object] = (lambda line: None) if options.json else print
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        figures, found = run_bench(range(options.first, options.first + options.worlds), options.personas, folder, say)
    if options.json:
        means = {" | ".join(key): [float(np.nanmean(one)) for one in values] for key, values in figures.items()}
        print(json.dumps({"worlds": means, "duels": [asdict(one) for one in found]}))


if __name__ == "__main__":
    main()
