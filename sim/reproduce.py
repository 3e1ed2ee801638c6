"""`p2prec sim reproduce`: the seed's table in three columns: published, as published (run again with its mistakes), and
honest (p2prec's models, one split that trains, masks and judges, every rating counted).

The seed's CLIP vectors were never published. Models that need vectors are given random ones with one direction in
common, as CLIP's have; their rows show what the protocol does, not what CLIP is worth.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from tqdm import tqdm

from models.evaluation import ALL
from models.evaluation import judge as judge_honestly
from models.fusion import Items, centre_items
from models.interactions import Interactions
from models.leak_guard import LeakError, refuse_leaks
from models.splits import Split
from node.errors import UserError
from node.report import Report
from sim import as_published as published
from sim import as_published_learned as learned
from sim.as_published import Cut, Figures, Matrix, Triples
from sim.validation import make_model

METRICS = ("rmse", "mae", "precision", "recall")
#: model -> ratings -> the four published figures (slides of April 2025).
PUBLISHED: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "collaborative": {"full": (3.2663, 2.6129, 0.0167, 0.0042), "binary": (1.5316, 1.1729, 0.9667, 0.2426)},
    "content": {"full": (3.1535, 2.5099, 0.0367, 0.0093), "binary": (1.5474, 1.1972, 1.0000, 0.2510)},
    "low-rank": {"full": (3.4647, 2.8413, 0.0367, 0.0099), "binary": (1.0942, 1.0094, 0.0333, 0.0086)},
    "projection": {"full": (2.6131, 2.1946, 0.0133, 0.0030), "binary": (0.9809, 0.9639, 0.0133, 0.0030)},
    "bpr": {"full": (5.6161, 5.0515, 0.0367, 0.0092), "binary": (0.9998, 0.9989, 0.0333, 0.0084)},
    "two-tower": {"full": (2.8050, 2.2545, 0.0333, 0.0076), "binary": (1.1365, 0.9426, 0.0133, 0.0030)},
}
RANKS = {
    "low-rank": {"full": 22, "binary": 27},
    "bpr": {"full": 11, "binary": 5},
    "projection": {"full": 20, "binary": 16},
}
#: Which of p2prec's models stands in the honest column.
HONEST = {
    "collaborative": "user_knn_ratings",
    "content": "content",
    "low-rank": "low_rank",
    "projection": "projection",
    "bpr": "bpr",
    "two-tower": "two_tower",
}
NEEDS_VECTORS = ("content", "projection", "two-tower")
RANDOM_DIM, COMMON, LENGTH = 1024, 0.6, 14.0
"""Width of the seed's joined halves, about the mean cosine of two of CLIP's garments, and the length of two halves as
they come out of it (the slides show numbers of about 0.3).
"""
SEARCHES = {"low-rank": 3, "bpr": 3, "projection": 1}
"""Seeds whose ranks are searched: 29 trainings each."""
TOWER_RUNS = 1
"""A run takes a quarter of a minute; and the seed's own weights differ from any rerun's anyway."""
WHY_BINARY_IS_PERFECT = (
    "binary content has P@10 1.0000 and R@10 0.2510 with random vectors too: four fifths of the items it is judged "
    "by were in its training set and are copied through as exactly +1, which no prediction reaches"
)


@dataclass(slots=True)
class Bench:
    """What every row is made from, and what the plots want to know."""

    ratings_IU: Matrix
    vectors_ID: Matrix
    cuts: dict[str, Cut]
    seeds: int
    note: str
    shape: tuple[int, int]
    vectors: str = "random"
    """What stands for the items' embeddings: random, or their true attributes."""
    curves: dict[str, list[float]] = field(default_factory=dict)
    ranks: dict[str, dict[int, float]] = field(default_factory=dict)


def run_reproduce(options: Namespace) -> Report:
    """The command. Raises: UserError when the data are not the seed's."""
    if options.seeds < 1:
        raise UserError("--seeds must be at least 1")
    bench = _seed_bench(Path(options.data), options.seeds) if options.data else _demo_bench(options.seeds)
    if options.out:
        _claim_folder(Path(options.out))
    rows: list[dict[str, Any]] = []
    with tqdm(total=2 * len(PUBLISHED), unit=" models", disable=None, file=sys.stderr) as bar:
        for name in PUBLISHED:
            for kind in bench.cuts:
                bar.set_description(f"{name} {kind}")
                rows.append(_row(name, kind, "published", dict(zip(METRICS, PUBLISHED[name][kind], strict=True))))
                rows.append(_again(bench, name, kind))
                rows.append(_honest(bench, name, kind))
                bar.update()
    why = [WHY_BINARY_IS_PERFECT] if bench.vectors == "random" else []
    notes = [bench.note, *why, _refusal(bench), *_baselines(bench)]
    pictures: list[str] = []
    if options.out:
        from sim.plots import draw_reproduction

        pictures = [
            str(path) for path in draw_reproduction(Path(options.out), rows, bench.curves, bench.ranks, _at_k(bench))
        ]
    document = {"rows": rows, "notes": notes, "mistakes": published.MISTAKES, "plots": pictures, "seeds": bench.seeds}
    return Report(document, [*_lines(rows), "", *notes, *(f"plot: {path}" for path in pictures)])


def _claim_folder(folder: Path) -> None:
    """Make it and write into it: after minutes of training is too late to learn that nobody can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write into the folder {folder}: {error.strerror or error}") from None


def _row(name: str, kind: str, protocol: str, figures: dict[str, float | None], **more: Any) -> dict[str, Any]:
    return {"model": name, "ratings": kind, "protocol": protocol, **figures, **more}


def _seed_bench(folder: Path, seeds: int) -> Bench:
    """The seed's ratings: its file, and of its rows those that its experiments used."""
    try:
        ratings = json.loads((folder / "persona_ratings.json").read_text("utf-8"))
        ranges = json.loads((folder / "row_ranges.json").read_text("utf-8"))["ranges"]
        rows = [row for one in ranges if one["relevant"] for row in range(one["rows"][0], one["rows"][1] + 1)]
        ratings_IU = np.array(list(ratings.values()), np.float64).T[rows]
    except OSError as error:
        raise UserError(f"--data must be a folder with persona_ratings.json and row_ranges.json: {error}") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UserError(f"the files in {folder} are not the seed's: {error}") from None
    vectors_ID = _random_vectors(len(ratings_IU))
    return _bench(
        ratings_IU, vectors_ID, seeds, "vectors: random with one common direction; the seed's were not published"
    )


def _demo_bench(seeds: int) -> Bench:
    """The demo's ratings; items as what an encoder without error would say of them."""
    from sim.datasets import build_demo
    from sim.tastes import VISIBLE

    demo = build_demo(0)
    complete_IU, present_IU = demo.ratings.complete_UI.T.astype(np.float64), demo.ratings.present_UI.T
    vectors_ID = np.concatenate([demo.features.values[block] for block in VISIBLE], axis=1)
    note = (
        "no --data: these are the demo's ratings, not the seed's, so the published column cannot be met; vectors: the "
        "items' true attributes"
    )
    return replace(_bench(np.where(present_IU, complete_IU, 0.0), vectors_ID, seeds, note), vectors="attributes")


def _bench(ratings_IU: Matrix, vectors_ID: Matrix, seeds: int, note: str) -> Bench:
    full, binary = published.seed_cuts(ratings_IU)
    return Bench(ratings_IU, vectors_ID, {"full": full, "binary": binary}, seeds, note, ratings_IU.shape)


def _random_vectors(n: int) -> Matrix:
    """float64 [n, RANDOM_DIM], rows of about LENGTH whose cosines are about COMMON."""
    vectors_ID = np.random.default_rng(0).normal(size=(n, RANDOM_DIM)) / RANDOM_DIM**0.5
    vectors_ID *= (1 - COMMON) ** 0.5
    vectors_ID[:, 0] += COMMON**0.5
    return np.asarray(vectors_ID * LENGTH, np.float64)


def _again(bench: Bench, name: str, kind: str) -> dict[str, Any]:
    """The row as published, run again. Stochastic ones: the mean over seeds, and the range over every run made."""
    cut, train_IU = bench.cuts[kind], bench.cuts[kind].train.matrix(bench.shape)
    if name == "collaborative":
        return _certain(
            name, kind, published.judge_neighbours(published.user_neighbours(train_IU), cut, bench.cuts["full"])
        )
    if name == "content":
        found = published.item_neighbours(train_IU, bench.vectors_ID)
        return _certain(name, kind, published.judge_neighbours(found, cut, bench.cuts["full"]), vectors=bench.vectors)
    if name == "two-tower":
        runs = []
        for seed in range(min(bench.seeds, TOWER_RUNS)):
            found, losses = learned.two_tower(cut, bench.vectors_ID, bench.shape[1], seed)
            bench.curves.setdefault(f"{name}, {kind}", losses)
            runs.append(published.judge(found, cut, None, cut.held, cut.liked, only_above_0=False))
        return _spread(name, kind, runs, runs, vectors=bench.vectors)
    trainer = _trainer(bench, name, cut)
    runs = []
    for seed in range(bench.seeds):
        found, losses = trainer(RANKS[name][kind], seed)
        bench.curves.setdefault(f"{name}, {kind}", losses)
        runs.append(published.judge_on_own_split(found, cut))
    searches = [
        {rank: published.judge_on_own_split(trainer(rank, seed)[0], cut) for rank in learned.RANKS}
        for seed in range(min(bench.seeds, SEARCHES[name]))
    ]
    bench.ranks[f"{name}, {kind}"] = {rank: one.precision for rank, one in searches[0].items()}
    # MISTAKE chosen-on-validation: the published P@10 is the best of these.
    more = {"vectors": bench.vectors} if name == "projection" else {}
    best = [_best_rank(search) for search in searches]
    every = [*runs, *(one for search in searches for one in search.values())]
    return _spread(name, kind, runs, every, rank=RANKS[name][kind], best_ranks=best, **more)


def _best_rank(search: dict[int, Figures]) -> int:
    return max(search, key=lambda rank: search[rank].precision)


def _trainer(bench: Bench, name: str, cut: Cut) -> Callable[[int, int], tuple[Matrix, list[float]]]:
    """(rank, seed) -> predictions and losses."""
    if name == "projection":
        return lambda rank, seed: learned.projection(cut, bench.vectors_ID, bench.shape[1], rank, seed)
    train = learned.classic if name == "low-rank" else learned.bpr
    return lambda rank, seed: train(cut, bench.shape, rank, seed)


def _certain(name: str, kind: str, one: Figures, **more: Any) -> dict[str, Any]:
    return _row(
        name, kind, "as-published", {key: _number(getattr(one, key)) for key in METRICS}, pairs=one.pairs, **more
    )


def _spread(name: str, kind: str, runs: Sequence[Figures], every: Sequence[Figures], **more: Any) -> dict[str, Any]:
    """Errors: over seeds at the published rank. Lists: over the search too, by which they were chosen."""
    means = {key: _number(np.mean([getattr(one, key) for one in runs])) for key in METRICS}
    ranges, within = {}, {}
    for key, value in zip(METRICS, PUBLISHED[name][kind], strict=True):
        found = [getattr(one, key) for one in (runs if key in ("rmse", "mae") else every)]
        ranges[key] = [min(found), max(found)]
        # Published figures have four digits.
        within[key] = min(found) - 5e-5 <= value <= max(found) + 5e-5
    return _row(name, kind, "as-published", means, runs=len(runs), ranges=ranges, published_within=within, **more)


def _honest(bench: Bench, name: str, kind: str) -> dict[str, Any]:
    """p2prec's model on the cut's own training set, judged by the cut's own validation set, all of it."""
    return _row(name, kind, "honest", _honest_figures(bench, kind, HONEST[name]), p2prec_model=HONEST[name])


def _honest_figures(bench: Bench, kind: str, model_name: str, k: int = published.TOP) -> dict[str, float | None]:
    cut = bench.cuts[kind]
    split = honest_split(cut, bench.shape)
    verdict = judge_honestly(make_model(model_name, 0).fit(split.train, _items(bench)), split, cut.liked, k)
    whole = verdict.slices[ALL].figures
    return {
        "rmse": _number(verdict.rmse),
        "mae": _number(verdict.mae),
        "precision": _number(np.nanmean(whole["precision"])),
        "recall": _number(np.nanmean(whole["recall"])),
    }


def honest_split(cut: Cut, shape: tuple[int, int]) -> Split:
    """A cut as models.evaluation wants it: one split that trains, masks and judges."""
    train = _interactions(cut.train, shape, cut.liked)
    return Split("random", train, train, _interactions(cut.held, shape, cut.liked))


def leaking_split(full: Cut, binary: Cut, shape: tuple[int, int]) -> Split:
    """The seed's binary protocol, to be refused: trained on one cut, masked with and judged by the other."""
    train, given, test = (_interactions(one, shape, 1) for one in (binary.train, full.train, full.held))
    return Split("seed", train, given, test)


def _interactions(triples: Triples, shape: tuple[int, int], liked: float) -> Interactions:
    scale = (-1.0, 1.0) if liked == 1 else (-1.0, 10.0)
    values = triples.values.astype(np.float32)
    return Interactions(triples.users, triples.items, values, shape[1], shape[0], None, scale)


def _items(bench: Bench) -> Items:
    length_I1 = np.linalg.norm(bench.vectors_ID, axis=1, keepdims=True)
    one_ID = (bench.vectors_ID / np.maximum(length_I1, 1e-12)).astype(np.float32)
    return centre_items(one_ID, np.zeros_like(one_ID), 1.0)


def _refusal(bench: Bench) -> str:
    try:
        refuse_leaks(leaking_split(bench.cuts["full"], bench.cuts["binary"], bench.shape))
    except LeakError as leak:
        return f"the leak guard on the binary rows: {leak}"
    raise AssertionError("the leak guard let the seed's binary protocol pass")


def _baselines(bench: Bench) -> list[str]:
    """What any of this has to beat: chance, and each user's mean."""
    notes = []
    for kind, cut in bench.cuts.items():
        split = honest_split(cut, bench.shape)
        verdict = judge_honestly(
            make_model("user_mean", 0).fit(split.train, _items(bench)), split, cut.liked, published.TOP
        )
        whole = verdict.slices[ALL]
        counts = np.bincount(split.train.users, minlength=bench.shape[1])
        mean_U = np.bincount(split.train.users, split.train.values, bench.shape[1]) / np.maximum(counts, 1)
        rmse = np.sqrt(((split.test.values - mean_U[split.test.users]) ** 2).mean())
        notes.append(
            f"{kind} ratings: a random order has P@10 {np.nanmean(whole.floor['precision']):.4f}, R@10 "
            f"{np.nanmean(whole.floor['recall']):.4f}; each user's training mean has RMSE {rmse:.4f}"
        )
    return notes


def _at_k(bench: Bench) -> dict[str, dict[int, float]]:
    """P@k of the as-published and the honest collaborative model on binary ratings, beside chance: for the plot."""
    cut, train_IU = bench.cuts["binary"], bench.cuts["binary"].train.matrix(bench.shape)
    curves: dict[str, dict[int, float]] = {"as published": {}, "honest": {}, "chance": {}}
    split = honest_split(cut, bench.shape)
    fitted = make_model("user_knn_ratings", 0).fit(split.train, _items(bench))
    for k in (1, 2, 5, 10, 20, 50):
        again = published.judge_neighbours(published.user_neighbours(train_IU), cut, bench.cuts["full"], top=k)
        verdict = judge_honestly(fitted, split, cut.liked, k).slices[ALL]
        curves["as published"][k] = again.precision
        curves["honest"][k] = float(np.nanmean(verdict.figures["precision"]))
        curves["chance"][k] = float(np.nanmean(verdict.floor["precision"]))
    return curves


def _lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = [f"{'model':14} {'ratings':8} {'':14} {'RMSE':>8} {'MAE':>8} {'P@10':>8} {'R@10':>8}"]
    for row in rows:
        cells = [f"{'-' if row[key] is None else format(row[key], '.4f'):>8}" for key in METRICS]
        lines.append(f"{row['model']:14} {row['ratings']:8} {row['protocol']:14} {' '.join(cells)}{_remark(row)}")
    return lines


def _remark(row: dict[str, Any]) -> str:
    if "ranges" in row:
        missed = [key for key, within in row["published_within"].items() if not within]
        spread = ", ".join(f"{key} {low:.4f}..{high:.4f}" for key, (low, high) in row["ranges"].items())
        return f"  {row['runs']} seeds; {spread}; published {'outside: ' + ', '.join(missed) if missed else 'within'}"
    return f"  {row.get('p2prec_model', '')}".rstrip()


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
