"""How good recommendations and search are on the demo data, always between a floor and a ceiling.

    python -m tests.bench.quality [--seeds N] [--folder DIR] [--json]

Warm: of each user's ratings at a shop a random fifth is hidden, models are fitted on the rest, and every item of that
shop not rated in training competes. Discover: the history at one shop, every item of the other competes. Two truths:
*complete*, the generator's own rating of every item, and *observed*, where only what the user really rated (and, when
warm, was hidden) can be a hit and its ceiling is therefore low. Search: fifty queries that state two attributes.
Users of one seed share one world, so intervals over users are narrower than the truth; hence several seeds.
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
import numpy.typing as npt

from models.content import Content
from models.evaluation import Flags, interval, ndcg_at, precision_at
from models.fusion import Items, Vectors, centre_items, image_weight_of
from models.interactions import History, Interactions, interactions_of
from models.popularity import Popularity
from models.recommender import Recommender, Scores
from sim.cross_platform import Encodes, encode_demo
from sim.datasets import Demo, write_demo
from sim.tastes import LIKED, VISIBLE
from tests.bench.row import Row
from tests.bench.searches import KINDS, measure_search

K = 10
HIDDEN = 0.2
SEEDS = 3
TRUTHS = ("complete", "observed", "rated-only")


@dataclass(frozen=True, slots=True)
class World:
    """One seed's demo, encoded: halves float32 [items of both shops, dim]."""

    demo: Demo
    image_ID: Vectors
    text_ID: Vectors
    perfect_ID: Vectors
    """What an encoder without error would say: one-hot category, colour, pattern and fit, side by side."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who is asked what. Arrays [users, items of the asked shop] unless `history` says otherwise."""

    task: str
    columns: slice
    """Items that compete."""
    known: slice
    """Items that models see: columns of `histories`."""
    histories: list[History]
    unrated_UI: Flags
    """What competes, but in the rated-only truth."""
    liked_UI: Flags
    judged_UI: Flags
    """Ratings that exist and that no model has seen."""

    def judged_by(self, truth: str) -> tuple[Flags, Flags]:
        """What counts as a hit and what competes under a truth, as models.evaluation wants it."""
        relevant_UI = self.liked_UI if truth == "complete" else self.liked_UI & self.judged_UI
        return relevant_UI, self.judged_UI if truth == "rated-only" else self.unrated_UI


def encoded_world(seed: int, encoder: Encodes, folder: Path) -> World:
    """Render (or reuse) the demo of that seed below `folder` and encode it as an import would."""
    demo = write_demo(folder / f"seed-{seed}", seed)
    halves = encode_demo(demo, encoder, folder / f"seed-{seed}")
    perfect_ID = np.concatenate([demo.features.values[block] for block in VISIBLE], axis=1) / len(VISIBLE) ** 0.5
    return World(demo, *halves, perfect_ID.astype(np.float32))


def questions(demo: Demo) -> Iterator[Question]:
    """Warm and Discover, at both shops."""
    rng = np.random.default_rng([demo.seed, 1])
    present_UI, liked_UI = demo.ratings.present_UI, demo.ratings.complete_UI >= LIKED
    hidden_UI = present_UI & (rng.random(present_UI.shape) < HIDDEN)
    names = [shop.trade.platform for shop in demo.shops]
    whole = slice(0, present_UI.shape[1])
    for shop, name in enumerate(names):
        here = demo.columns(shop)
        train_UI = (present_UI & ~hidden_UI)[:, here]
        histories = _histories(demo, train_UI, here)
        judged = (~train_UI, liked_UI[:, here], hidden_UI[:, here])
        yield Question(f"warm at {name}", here, here, histories, *judged)
    for shop, name in enumerate(names):
        here, there = demo.columns(shop), demo.columns(1 - shop)
        histories = _histories(demo, present_UI[:, here], whole, here.start)
        judged = (np.ones_like(present_UI[:, there]), liked_UI[:, there], present_UI[:, there])
        yield Question(f"discover {names[1 - shop]} from {name}", there, whole, histories, *judged)


def _histories(demo: Demo, rated_UI: Flags, known: slice, first: int = 0) -> list[History]:
    """One history a user; item rows count from the first known column."""
    complete_UI = demo.ratings.complete_UI[:, known]
    rows = [np.flatnonzero(rated_I).astype(np.int64) + first for rated_I in rated_UI]
    return [History(mine, complete_UI[user, mine].astype(np.float32)) for user, mine in enumerate(rows)]


def contenders(world: World, question: Question, image_weight: float) -> Iterator[tuple[str, Scores]]:
    """Every row of the table: its name and float32 [users, competing items], floor first, ceilings last."""
    demo, columns, known = world.demo, question.columns, question.known
    shape = question.unrated_UI.shape
    yield "floor: random", np.random.default_rng([demo.seed, 2]).random(shape).astype(np.float32)
    yield "popularity", _popularity(demo, question)
    ratings = interactions_of(question.histories, known.stop - known.start)
    image_ID, text_ID, perfect_ID = world.image_ID[known], world.text_ID[known], world.perfect_ID[known]
    offset = columns.start - known.start
    competing = slice(offset, offset + shape[1])

    def ranked(items: Items) -> Scores:
        model: Recommender = Content().fit(ratings, items)
        scores: Scores = model.scores(question.histories)[:, competing]
        return scores

    yield "content", ranked(centre_items(image_ID, text_ID, image_weight))
    yield "content, pictures only", ranked(centre_items(image_ID, np.zeros_like(text_ID), 1.0))
    yield "content, texts only", ranked(centre_items(np.zeros_like(image_ID), text_ID, 0.0))
    yield "content, perfect encoder", ranked(centre_items(np.zeros_like(perfect_ID), perfect_ID, 0.0))
    yield "ceiling: what can be seen", demo.ratings.visible_UI[:, columns].astype(np.float32)
    yield "ceiling: all but noise", demo.ratings.ideal_UI[:, columns].astype(np.float32)


def _popularity(demo: Demo, question: Question) -> Scores:
    """Popularity where the items are sold. Discovering, it hears only the *other* users of that shop."""
    if not question.task.startswith("discover"):
        ratings = interactions_of(question.histories, question.columns.stop - question.columns.start)
        return Popularity().fit(ratings, _no_vectors(ratings)).scores(question.histories)
    there = _histories(demo, demo.ratings.present_UI[:, question.columns], question.columns)
    rows = []
    for user in range(len(there)):
        ratings = interactions_of([*there[:user], *there[user + 1 :]], question.unrated_UI.shape[1])
        rows.append(Popularity().fit(ratings, _no_vectors(ratings)).scores([there[user]])[0])
    return np.stack(rows)


def _no_vectors(ratings: Interactions) -> Items:
    empty = np.zeros((ratings.n_items, 1), np.float32)
    return centre_items(empty, empty, 0.5)


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table: mean and 95 % interval over users of all seeds."""

    task: str
    model: str
    truth: str
    precision: tuple[float, float, float]
    ndcg: tuple[float, float, float]


Values = npt.NDArray[np.float64]


def measure_models(worlds: Sequence[World], image_weight: float) -> list[Measured]:
    """Every task, model and truth, pooled over the seeds."""
    found: dict[tuple[str, str, str], list[tuple[Values, Values]]] = {}
    for world in worlds:
        for question in questions(world.demo):
            for model, scores_UI in contenders(world, question, image_weight):
                for truth in TRUTHS:
                    asked = (scores_UI, *question.judged_by(truth), K)
                    values = (precision_at(*asked), ndcg_at(*asked))
                    found.setdefault((question.task, model, truth), []).append(values)
    rng = np.random.default_rng(0)
    return [
        Measured(
            *key,
            interval(np.concatenate([precision for precision, _ in runs]), rng),
            interval(np.concatenate([ndcg for _, ndcg in runs]), rng),
        )
        for key, runs in found.items()
    ]


def model_lines(measured: Sequence[Measured]) -> Iterator[str]:
    """The table of one task after another, the truths side by side."""
    by_key = {(one.task, one.model, one.truth): one for one in measured}
    for task in dict.fromkeys(one.task for one in measured):
        yield ""
        yield f"{task:31}" + " ".join(f"{truth + ' P@10':21} {'NDCG@10':21}" for truth in TRUTHS).rstrip()
        for model in dict.fromkeys(one.model for one in measured):
            lines = [by_key[task, model, truth] for truth in TRUTHS]
            cells = [_cell(value) for line in lines for value in (line.precision, line.ndcg)]
            yield f"  {model:29}" + " ".join(f"{cell:21}" for cell in cells).rstrip()


def _cell(value: tuple[float, float, float]) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*value)


def run_bench(seeds: int, folder: Path, encoder: Encodes, name: str, say: Callable[[str], object]) -> dict[str, Any]:
    """All of it. Returns one document; `say` hears the tables line by line."""
    weight = image_weight_of(name)
    worlds = [encoded_world(seed, encoder, folder) for seed in range(seeds)]
    measured = measure_models(worlds, weight)
    say(f"Recommendations: {seeds} seeds, 30 users each, encoder {name}, image weight {weight:g}")
    for line in model_lines(measured):
        say(line)
    searched = []
    for label, image_weight in {"both": weight, "pictures only": 1.0, "texts only": 0.0, "half and half": 0.5}.items():
        runs = [
            measure_search(world.demo, centre_items(world.image_ID, world.text_ID, image_weight), encoder)
            for world in worlds
        ]
        searched.append({"weights": label, **{kind: float(np.mean([run[kind] for run in runs])) for kind in KINDS}})
    say("")
    say("Search: share of the top 10 that match both stated attributes (goal 0.8; 50 queries a seed)")
    say("  " + " ".join(f"{head:18}" for head in ("weights", *KINDS)))
    for row in searched:
        say("  " + " ".join(f"{row[head]:<18.3f}" if head != "weights" else f"{row[head]:18}" for head in row))
    return {"seeds": seeds, "encoder": name, "models": [asdict(one) for one in measured], "search": searched}


def run() -> list[Row]:
    """The short form, beside the benches of speed: NDCG@10 over its ceiling, and search over a perfect one."""
    from models.clip import Encoder

    with tempfile.TemporaryDirectory() as temporary:
        document = run_bench(SEEDS, Path(temporary), Encoder.load("tiny"), "tiny", lambda line: None)
    ndcg = {(one["task"], one["model"]): one["ndcg"][0] for one in document["models"] if one["truth"] == TRUTHS[0]}
    rows = []
    for (task, model), ours in ndcg.items():
        if model in ("popularity", "content"):
            ceiling = ndcg[task, "ceiling: all but noise"]
            rows.append(Row(f"{task}: {model} / ceiling", ours, ceiling, ours / ceiling, "NDCG@10"))
    for row in document["search"]:
        goal = ">= 0.8" if row["weights"] == "both" else None
        rows.append(Row(f"search by two attributes, {row['weights']}", row["all"], 1.0, row["all"], "P@10", goal))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.quality", description=str(__doc__).split("\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many worlds (default {SEEDS})")
    parser.add_argument("--folder", type=Path, help="keep the rendered demos here, and reuse those that are there")
    parser.add_argument("--encoder", default="tiny")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    from models.clip import Encoder

    encoder = Encoder.load(options.encoder)
    say: Callable[[str], object] = (lambda line: None) if options.json else print
    with tempfile.TemporaryDirectory() as temporary:
        document = run_bench(options.seeds, options.folder or Path(temporary), encoder, options.encoder, say)
    if options.json:
        print(json.dumps(document))


if __name__ == "__main__":
    main()
