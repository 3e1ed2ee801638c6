"""`p2prec sim evaluate`: recommenders judged honestly on anybody's ratings.

Reads files (sim.evaluation_data), cuts them (models.splits), fits each model, and judges it over the full catalog
(models.evaluation), with the floor (chance) and the ceiling (a perfect order) beside. docs/evaluation.md is its manual.
"""

from __future__ import annotations

import inspect
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from models import metrics, splits
from models.evaluation import ALL, PerUser, Verdict, interval, judge, paired_difference
from models.leak_guard import LeakError, twin_groups
from models.recommender import Recommender
from models.registry import MODELS, model_class
from models.splits import Split
from node.errors import UserError
from node.report import Report
from sim.evaluation_data import World, liked_from, read_world

#: Models that see items by their vectors alone: without --vectors they can say nothing.
BY_CONTENT = frozenset(
    {"content", "delta", "projection", "projection_fixed", "ridge", "taste_prior", "two_tower", "two_tower_seed"}
)
#: Models that hold a dense table of items x items, or train long: left out of big data unless asked for by name.
BY_ITEM_PAIRS = frozenset({"ease", "item_knn", "item_knn_ratings", "hybrid"})
ITEM_PAIRS_MAX = 12_000**2
"""0.6 GB of float32, and a few times that while EASE inverts it."""
SLOW = frozenset({"delta", "lightgcn", "sasrec", "two_tower"})
SLOW_CELLS_MAX = 200_000
"""Ratings beyond which an untuned default run would take tens of minutes on one core."""
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """One model on one split."""

    split: Split
    verdict: Verdict
    fit_s: float
    score_s: float


def run_evaluate(options: Namespace) -> Report:
    """The command. Raises: UserError that says what to change."""
    _check(options)
    world = read_world(options)
    liked, why = (options.relevant, "as asked") if options.relevant is not None else liked_from(world)
    notes = [*world.notes, f"relevant: {liked:g} or more ({why})"]
    names = _names(options, world, notes)
    cuts = _splits(options, world)
    _refuse_nothing_relevant(cuts, liked)
    items, runs = world.model_items(), {name: list[Run]() for name in names}
    with tqdm(total=len(cuts) * len(names), unit=" fits", disable=None, file=sys.stderr) as bar:
        for name in names:
            for seed, split in cuts:
                bar.set_description(name)
                try:
                    runs[name].append(_run(make_model(name, seed, liked), items, world, split, liked, options.k))
                except LeakError as leak:
                    raise UserError(str(leak)) from None
                except MemoryError:
                    notes.append(f"{name} is left out: its tables do not fit into memory")
                    del runs[name]
                    break
                bar.update()
    if not runs:
        raise UserError("no model is left to be judged; name smaller ones with --model")
    return _report(options, world, liked, runs, notes)


def make_model(name: str, seed: int, relevant: float | None = None, **params: Any) -> Recommender:
    """A model by name, seeded where it takes a seed, and told what is relevant (when given) where it asks.

    Raises: ValueError for an unknown name.
    """
    kind = model_class(name)
    takes = inspect.signature(kind.__init__).parameters
    known = {"seed": seed, "relevant": relevant}
    return kind(**{key: value for key, value in known.items() if key in takes}, **params)


def _check(options: Namespace) -> None:
    if options.k < 1:
        raise UserError("-k must be at least 1")
    if options.seeds < 1:
        raise UserError("--seeds must be at least 1")
    if options.test and options.split:
        raise UserError("give --test or --split, not both: a test file is the split")
    if options.split and options.split not in splits.NAMES:
        raise UserError(f"no split {options.split!r}; there are: {', '.join(splits.NAMES)}")
    unknown = [name for name in options.model if name not in MODELS]
    if unknown:
        raise UserError(f"no model {unknown[0]!r}; there are: {', '.join(sorted(MODELS))}")


def _names(options: Namespace, world: World, notes: list[str]) -> list[str]:
    """What will be judged, and in `notes` what not and why."""
    blind = world.vectors_ID is None
    if options.model:
        chosen = list(dict.fromkeys(options.model))
        if blind and set(chosen) <= BY_CONTENT:
            raise UserError(f"{chosen[0]} sees items by their vectors: give --vectors NPY (and --items CSV)")
        left_out = {name: "needs --vectors" for name in chosen if blind and name in BY_CONTENT}
    else:
        chosen = list(MODELS)
        left_out = {name: "needs --vectors" for name in chosen if blind and name in BY_CONTENT}
        if len(world.items) ** 2 > ITEM_PAIRS_MAX:
            why = f"a table of {len(world.items)} x {len(world.items)} items is large; ask for it with --model"
            left_out |= {name: why for name in chosen if name in BY_ITEM_PAIRS}
        if len(world.ratings) > SLOW_CELLS_MAX:
            why = f"training on {len(world.ratings)} ratings takes long; ask for it with --model"
            left_out |= {name: why for name in chosen if name in SLOW and name not in left_out}
    for why in dict.fromkeys(left_out.values()):
        notes.append(f"left out: {', '.join(name for name, reason in left_out.items() if reason == why)} ({why})")
    return [name for name in chosen if name not in left_out]


def _splits(options: Namespace, world: World) -> list[tuple[int, Split]]:
    """A split for every seed; where the split itself knows no chance, only the models differ."""
    seeds = range(options.seed, options.seed + options.seeds)
    if world.test is not None:
        if not len(world.test):
            raise UserError("the test file has no ratings")
        return [(seed, Split("given", world.ratings, world.ratings, world.test)) for seed in seeds]
    name = options.split or "random"
    group_I = twin_groups(world.vectors_ID) if name == "new-item" and world.vectors_ID is not None else None
    try:
        return [
            (seed, splits.make_split(name, world.ratings, seed, group_I=group_I, platform_I=world.platform_I))
            for seed in seeds
        ]
    except ValueError as error:
        hint = " (--items CSV with a platform column)" if name == "cross-platform" and world.platform_I is None else ""
        raise UserError(f"{error}{hint}") from None


def _refuse_nothing_relevant(cuts: Sequence[tuple[int, Split]], liked: float) -> None:
    for _, split in cuts:
        if not (split.test.values >= liked).any():
            best = split.test.values.max()
            raise UserError(f"no test rating is {liked:g} or more, the highest is {best:g}; lower --relevant")


def _run(model: Recommender, items: Any, world: World, split: Split, liked: float, k: int) -> Run:
    start = time.perf_counter()
    model.fit(split.train, items)
    fitted = time.perf_counter()
    rated_I = np.bincount(split.train.items, minlength=len(world.items)) > 0
    slices = {"items rated in training": rated_I, "new items": ~rated_I}
    if world.platform_I is not None:
        slices |= {f"platform {name}": world.platform_I == row for row, name in enumerate(world.platforms)}
    verdict = judge(model, split, liked, k, vectors_ID=world.vectors_ID, slices=slices)
    if world.implicit:
        # A like is no rating that could be missed by half a point.
        verdict = Verdict(verdict.users, verdict.given_U, np.nan, np.nan, verdict.slices)
    return Run(split, verdict, fitted - start, time.perf_counter() - fitted)


def _report(options: Namespace, world: World, liked: float, runs: dict[str, list[Run]], notes: list[str]) -> Report:
    n_users = len(world.users)
    per_user = {name: _ndcg_by_user(found, n_users) for name, found in runs.items()}
    best = max(runs, key=lambda name: _mean(per_user[name]))
    rows = [_row(name, found, per_user[name], per_user[best]) for name, found in runs.items()]
    rows.sort(key=lambda row: -(row["ndcg"] or 0.0))
    first = next(iter(runs.values()))
    floor, ceiling = (_bound(first, lambda one: one.floor), _bound(first, lambda one: one.ceiling))
    floor["rmse"], floor["mae"] = _constant_errors(first) if not world.implicit else (None, None)
    ceiling["rmse"] = ceiling["mae"] = None if world.implicit else 0.0
    document = {
        "k": options.k,
        "relevant": liked,
        "split": first[0].split.name,
        "seeds": list(range(options.seed, options.seed + options.seeds)),
        "users": n_users,
        "items": len(world.items),
        "ratings": len(world.ratings),
        "test_ratings": len(first[0].split.test),
        "judged_users": int((~np.isnan(per_user[best])).sum()),
        "counts": world.counts,
        "floor": floor,
        "ceiling": ceiling,
        "best": best,
        "rows": rows,
        "notes": notes,
    }
    return Report(document, _lines(document))


def _row(name: str, runs: list[Run], ndcg_U: PerUser, best_U: PerUser) -> dict[str, Any]:
    _, low, high = interval(ndcg_U, np.random.default_rng(0), DRAWS)
    difference = paired_difference(ndcg_U, best_U, np.random.default_rng(1), DRAWS)
    whole = [run.verdict.slices[ALL] for run in runs]
    row: dict[str, Any] = {
        "model": name,
        "rmse": _number(np.mean([run.verdict.rmse for run in runs])),
        "mae": _number(np.mean([run.verdict.mae for run in runs])),
    }
    row |= {metric: _number(np.mean([_mean(one.figures[metric]) for one in whole])) for metric in metrics.RANKING}
    row |= {
        "ndcg_low": _number(low),
        "ndcg_high": _number(high),
        "ndcg_seed_sd": _number(np.std([_mean(one.figures["ndcg"]) for one in whole])),
        "ndcg_less_best": _number(difference.mean),
        "p_against_best": _number(difference.p),
        "coverage": _number(np.mean([one.coverage for one in whole])),
        "gini": _number(np.mean([one.gini for one in whole])),
        "novelty": _number(np.mean([_mean(one.novelty_U) for one in whole])),
        "diversity": _number(np.mean([_mean(one.diversity_U) for one in whole])),
        "fit_seconds": float(np.mean([run.fit_s for run in runs])),
        "score_seconds": float(np.mean([run.score_s for run in runs])),
        "slices": _slices(runs),
    }
    return row


def _slices(runs: list[Run]) -> list[dict[str, Any]]:
    """Slices of items (only they compete) and of users (by the length of their history), where anybody is judged."""
    found = []
    for name in runs[0].verdict.slices:
        if name != ALL:
            figures = [run.verdict.slices[name].figures for run in runs]
            found.append(_slice(name, [(one, np.ones(len(one["ndcg"]), bool)) for one in figures]))
    for name, low, high in (
        ("new users", 0, 0),
        ("users with 1 to 9 ratings", 1, 9),
        ("users with 10 or more", 10, None),
    ):
        chosen = []
        for run in runs:
            given_U = run.verdict.given_U
            flags_U = (given_U >= low) & (given_U <= (given_U.max() if high is None else high))
            chosen.append((run.verdict.slices[ALL].figures, flags_U))
        found.append(_slice(name, chosen))
    return [one for one in found if one["users"]]


def _slice(name: str, chosen: Sequence[tuple[dict[str, PerUser], Any]]) -> dict[str, Any]:
    users = np.mean([(~np.isnan(figures["ndcg"][flags_U])).sum() for figures, flags_U in chosen])
    means = {
        metric: _number(_mean(np.array([_mean(figures[metric][flags_U]) for figures, flags_U in chosen])))
        for metric in metrics.RANKING
    }
    return {"slice": name, "users": float(users), **means}


def _ndcg_by_user(runs: list[Run], n_users: int) -> PerUser:
    """Each user's mean over the splits that judged them: float64 [users], NaN for the rest."""
    total_U, times_U = np.zeros(n_users), np.zeros(n_users)
    for run in runs:
        ndcg_U = run.verdict.slices[ALL].figures["ndcg"]
        judged_U = ~np.isnan(ndcg_U)
        total_U[run.verdict.users[judged_U]] += ndcg_U[judged_U]
        times_U[run.verdict.users[judged_U]] += 1
    return np.where(times_U > 0, total_U / np.maximum(times_U, 1), np.nan)


def _bound(runs: list[Run], which: Callable[[Any], dict[str, PerUser]]) -> dict[str, Any]:
    return {
        metric: _number(np.mean([_mean(which(run.verdict.slices[ALL])[metric]) for run in runs]))
        for metric in metrics.RANKING
    }


def _constant_errors(runs: list[Run]) -> tuple[float | None, float | None]:
    """RMSE and MAE of saying the training mean to everything: who is above has learned nothing about ratings."""
    errors = []
    for run in runs:
        truth = run.split.test.values
        errors.append(metrics.rating_errors(truth, np.full_like(truth, run.split.train.values.mean(dtype=np.float64))))
    rmse, mae = np.mean(errors, axis=0)
    return _number(rmse), _number(mae)


def _lines(document: dict[str, Any]) -> list[str]:
    k = document["k"]
    head = f"{'model':22} {'RMSE':>7} {'MAE':>7} {f'P@{k}':>7} {f'R@{k}':>7} {f'NDCG@{k}':>8} {'95 %':>15} "
    lines = [
        f"{document['users']} users, {document['items']} items, {document['ratings']} ratings; split "
        f"{document['split']}, seeds {document['seeds']}; {document['judged_users']} users are judged",
        *document["notes"],
        "",
        head + f"{f'MAP@{k}':>7} {'MRR':>7} {'cover':>6} {'fit s':>8}",
    ]
    for row in (
        {"model": "(ceiling)", **document["ceiling"]},
        *document["rows"],
        {"model": "(floor)", **document["floor"]},
    ):
        spread = f"{row['ndcg_low']:.4f}..{row['ndcg_high']:.4f}" if row.get("ndcg_low") is not None else ""
        cells = [
            _cell(row.get(name), width) for name, width in (("rmse", 7), ("mae", 7), ("precision", 7), ("recall", 7))
        ]
        cells += [_cell(row["ndcg"], 8), f"{spread:>15}", _cell(row["map"], 7), _cell(row["mrr"], 7)]
        cells += [_cell(row.get("coverage"), 6, 3), _cell(row.get("fit_seconds"), 8, 2)]
        lines.append(" ".join([f"{row['model']:22}", *cells]))
    lines.append("floor: a random order, exactly (errors: the training mean for everything); ceiling: a perfect order")
    return lines


def _cell(value: float | None, width: int, digits: int = 4) -> str:
    return f"{'-' if value is None else format(value, f'.{digits}f'):>{width}}"


def _mean(values: PerUser) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def _number(value: Any) -> float | None:
    """JSON knows no NaN."""
    return None if value is None or not np.isfinite(value) else float(value)
