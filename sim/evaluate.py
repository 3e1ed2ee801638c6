"""`p2prec sim evaluate`: recommenders judged honestly on anybody's ratings.

Reads files (sim.evaluation_data), cuts them (models.splits), fits each model, and judges it over the full catalog
(models.evaluation), with the floor (chance) and the ceiling (a perfect order) beside. docs/evaluation.md is its manual.
"""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from models import splits
from models.evaluation import Verdict, judge
from models.fusion import Items
from models.interactions import RATING_MAX
from models.leak_guard import GIVEN, LeakError, Names, own_twins, refuse_leaks, twin_groups
from models.recommender import Recommender
from models.registry import MODELS
from models.splits import Split
from node.errors import UserError
from node.report import Report
from sim.evaluation_data import World, liked_from, read_world
from sim.evaluation_report import Run, report_of
from sim.validation import Tuner, make_model

# Nobody reads a longer list, and each user's is kept until it is judged.
LIST_MAX = 1000
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


def run_evaluate(options: Namespace) -> Report:
    """The command. Raises: UserError that says what to change."""
    _check(options)
    world = read_world(options)
    liked, why = (options.relevant, "as asked") if options.relevant is not None else liked_from(world)
    notes = [*world.notes, f"relevant: {liked:g} or more ({why})"]
    names = _names(options, world, notes)
    cuts = _splits(options, world)
    _refuse_nothing_relevant(cuts, liked)
    _refuse_leaks(cuts, world, notes)
    items, runs = world.model_items(), {name: list[Run]() for name in names}
    tuner = Tuner(world, items, liked, options.k, options.trials)
    with tqdm(total=len(cuts) * len(names), unit=" fits", disable=None, file=sys.stderr) as bar:
        for name in names:
            for seed, split in cuts:
                bar.set_description(name)
                try:
                    params = tuner.params_for(name, seed, split) if options.trials > 1 else {}
                    model = make_model(name, seed, liked, **params)
                    runs[name].append(_run(model, params, items, world, split, liked, options.k))
                except MemoryError:
                    notes.append(f"{name} is left out: its tables do not fit into memory")
                    del runs[name]
                    break
                bar.update()
    if not runs:
        raise UserError("no model is left to be judged; name smaller ones with --model")
    return report_of(options, world, liked, runs, notes)


def _check(options: Namespace) -> None:
    if not 1 <= options.k <= LIST_MAX:
        raise UserError(f"-k must be 1 to {LIST_MAX}")
    if options.relevant is not None and not abs(options.relevant) <= RATING_MAX:
        raise UserError(f"--relevant must be a number up to {RATING_MAX:g}")
    if options.seed < 0:
        raise UserError("--seed must be 0 or more")
    if options.seeds < 1:
        raise UserError("--seeds must be at least 1")
    if options.trials < 1:
        raise UserError("--trials must be at least 1 (1: every model with its defaults)")
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
        return [(seed, Split(GIVEN, world.ratings, world.ratings, world.test)) for seed in seeds]
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


def _refuse_leaks(cuts: Sequence[tuple[int, Split]], world: World, notes: list[str]) -> None:
    """Before anything is trained, and by the names that are in the files. Twins that no guard refuses are counted."""
    try:
        for _, split in cuts:
            refuse_leaks(split, world.vectors_ID, Names(world.users, world.items))
    except LeakError as leak:
        raise UserError(str(leak)) from None
    if world.vectors_ID is not None:
        count = sum(len(own_twins(split, world.vectors_ID)) for _, split in cuts)
        if count:
            n = sum(len(split.test) for _, split in cuts)
            notes.append(f"{count} of {n} test ratings are of an item all but identical to one in the user's history")


def _run(
    model: Recommender, params: dict[str, Any], items: Items, world: World, split: Split, liked: float, k: int
) -> Run:
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
    return Run(split, verdict, fitted - start, time.perf_counter() - fitted, params)
