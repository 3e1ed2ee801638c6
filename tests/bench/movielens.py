"""Recommenders on MovieLens small beside those of other libraries, split, tuned and judged alike in one run.

    python -m tests.bench.movielens [--trials N] [--model NAME]... [--json]

80/20 per interaction, seed 42; relevant >= 4; every item that the user has not rated in training competes. Each model
with parameters to tune gets the same number of Optuna trials, its defaults first, on a tenth of the training set; the
test set is looked at once a model. Lists are tuned for NDCG@10, rating predictions for RMSE. The data are not part of
the project and are looked for in ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evaluation import ranking_at
from models.fusion import Items, centre_items
from models.interactions import Interactions
from models.leak_guard import refuse_leaks
from models.metrics import floor_metrics, rating_errors
from models.recommender import RatingPredictor
from models.registry import MODELS
from models.splits import Split, random_split
from sim.evaluate import BY_CONTENT
from sim.ratings_file import read_ratings
from sim.spaces import SPACES
from sim.tuning import Params, Space, tune
from sim.validation import make_model
from tests.bench.others import OTHERS
from tests.bench.row import Row

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "movielens_small" / "ratings.csv"
K, LIKED, SEED, TRIALS = 10, 4.0, 42, 6
Floats = npt.NDArray[np.float32]
#: Ours and the other library's of the same kind; and the figure that is compared.
PAIRS = (
    ("als", "implicit als", "ndcg", ">= 0.98"),
    ("bpr", "implicit bpr", "ndcg", ">= 0.98"),
    ("item_knn", "implicit item-knn", "ndcg", None),
    ("ease", "ease by definition", "ndcg", None),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a fitted model says: scores float32 [users, items] and the predicted ratings of given pairs, if any."""

    scores_UI: Floats | None
    predicted: Floats | None


# (parameters, training, pairs to predict) -> answer, and the seconds that fitting took
Fit = Callable[[Params, Interactions, Interactions], tuple[Answer, float]]


@dataclass(frozen=True, slots=True)
class Result:
    """One model's figures on the test set."""

    model: str
    rmse: float
    mae: float
    ndcg: float
    precision: float
    recall: float
    fit_s: float
    trials: int
    params: Params


def movielens() -> Interactions:
    """Items in a drawn order, so that ties tell nothing (docs/evaluation.md)."""
    file = read_ratings(DATA)
    users, items = (np.unique(column, return_inverse=True)[1] for column in (file.users, file.items))
    drawn_I = np.random.default_rng(0).permutation(items.max() + 1)
    return Interactions(users, drawn_I[items], file.values, users.max() + 1, len(drawn_I), file.at, (0.5, 5.0))


def our_fit(name: str, items: Items) -> Fit:
    def fit(params: Params, train: Interactions, asked: Interactions) -> tuple[Answer, float]:
        model = make_model(name, SEED, LIKED, **params)
        start = time.perf_counter()
        model.fit(train, items)
        seconds = time.perf_counter() - start
        histories = train.histories()
        predicted = None
        if isinstance(model, RatingPredictor):
            predicted = model.predict(histories)[asked.users, asked.items]
        return Answer(model.scores(histories), predicted), seconds

    return fit


def figures_of(answer: Answer, split: Split) -> dict[str, float]:
    """NaN where the model does not answer."""
    shape = (split.train.n_users, split.train.n_items)
    found = dict.fromkeys(("rmse", "mae", "ndcg", "precision", "recall"), float("nan"))
    if answer.predicted is not None:
        found["rmse"], found["mae"] = rating_errors(split.test.values, answer.predicted)
    if answer.scores_UI is not None:
        candidates_UI, relevant_UI = np.ones(shape, bool), np.zeros(shape, bool)
        candidates_UI[split.train.users, split.train.items] = False
        liked = split.test.values >= LIKED
        relevant_UI[split.test.users[liked], split.test.items[liked]] = True
        for name, figure_U in ranking_at(answer.scores_UI, relevant_UI, candidates_UI, K).items():
            if name in found:
                found[name] = float(np.nanmean(figure_U))
    return found


def measure(name: str, fit: Fit, tuning: tuple[Space, Params, str], split: Split, inner: Split, trials: int) -> Result:
    """Tune on `inner` (space, first trial, figure), fit on the whole training set, and look at the test set once."""

    space, start, by = tuning

    def score(params: Params) -> float:
        figure = figures_of(fit(params, inner.train, inner.test)[0], inner)[by]
        return -figure if by == "rmse" else figure

    tuned = tune(score, space, start, trials, SEED) if space else None
    params = tuned.params if tuned else start
    answer, seconds = fit(params, split.train, split.test)
    found = figures_of(answer, split)
    return Result(name, fit_s=seconds, trials=len(tuned.trials) if tuned else 1, params=params, **found)


def results(trials: int, names: list[str]) -> list[Result]:
    """Ours, then theirs. Libraries that are not installed are left out, with a sentence."""
    split = random_split(movielens(), SEED)
    inner = random_split(split.train, SEED + 1, 0.1)
    for one in (split, inner):
        refuse_leaks(one)
    nothing_ID = np.zeros((split.train.n_items, 1), np.float32)
    items = centre_items(nothing_ID, nothing_ID, 1.0)
    found = []
    for name in MODELS:
        if name in BY_CONTENT or (names and name not in names):
            continue
        by = "rmse" if issubclass(type(make_model(name, SEED)), RatingPredictor) else "ndcg"
        found.append(measure(name, our_fit(name, items), (SPACES.get(name, {}), {}, by), split, inner, trials))
        print_row(found[-1])
    for name, other in OTHERS.items():
        if names and name not in names:
            continue
        try:
            found.append(measure(name, wrapped(other.fit), (other.space, other.start, other.by), split, inner, trials))
        except ImportError as error:
            print(f"{name} is left out: {error}")
        else:
            print_row(found[-1])
    return found


def wrapped(fit: Callable[[Params, Interactions, Interactions], tuple[Any, Any, float]]) -> Fit:
    def answer(params: Params, train: Interactions, asked: Interactions) -> tuple[Answer, float]:
        scores_UI, predicted, seconds = fit(params, train, asked)
        return Answer(scores_UI, predicted), seconds

    return answer


def print_row(one: Result) -> None:
    cells = " ".join(f"{value:8.4f}" for value in (one.ndcg, one.precision, one.recall, one.rmse, one.mae))
    tuned = {name: round(value, 4) if isinstance(value, float) else value for name, value in one.params.items()}
    print(f"{one.model:20} {cells} {one.fit_s:8.2f} s {one.trials:3} trials {tuned or ''}", flush=True)


def compared(found: list[Result]) -> list[Row]:
    """Our best beside their best, and like beside like."""
    by_name = {one.model: one for one in found}
    ours, theirs = ([one for one in found if (one.model in OTHERS) == other] for other in (False, True))
    rows = []
    lists = [
        max((one for one in side if one.ndcg == one.ndcg), key=lambda one: one.ndcg, default=None)
        for side in (ours, theirs)
    ]
    if lists[0] and lists[1]:
        name = f"NDCG@10 {lists[0].model} / {lists[1].model}"
        rows.append(Row(name, lists[0].ndcg, lists[1].ndcg, lists[0].ndcg / lists[1].ndcg, "NDCG@10", ">= 1.0"))
    errors = min((one for one in ours if one.rmse == one.rmse), key=lambda one: one.rmse, default=None)
    if errors and (svd := by_name.get("surprise svd")):
        rows.append(Row(f"RMSE {errors.model} / svd", errors.rmse, svd.rmse, errors.rmse / svd.rmse, "RMSE", "<= 1.0"))
    for mine, other, figure, goal in PAIRS:
        if mine in by_name and other in by_name:
            one, two = by_name[mine], by_name[other]
            values = getattr(one, figure), getattr(two, figure)
            rows.append(Row(f"NDCG@10 {mine} / {other}", *values, values[0] / values[1], "NDCG@10", goal))
            rows.append(Row(f"fit time {mine} / {other}", one.fit_s, two.fit_s, one.fit_s / two.fit_s, "s"))
    return rows


def run(trials: int = TRIALS, names: list[str] | None = None) -> list[Row]:
    """For tests.bench. Without the data: nothing, and a sentence."""
    if not DATA.is_file():
        print(f"movielens is left out: {DATA} is not there")
        return []
    split = random_split(movielens(), SEED)
    relevant_U = np.bincount(split.test.users[split.test.values >= LIKED], minlength=split.test.n_users)
    candidates_U = split.train.n_items - np.bincount(split.train.users, minlength=split.train.n_users)
    floor = floor_metrics(relevant_U, candidates_U, K)
    print(f"{'model':20} {'NDCG@10':>8} {'P@10':>8} {'R@10':>8} {'RMSE':>8} {'MAE':>8} {'fit':>8}")
    print(f"{'(floor)':20} " + " ".join(f"{np.nanmean(floor[name]):8.4f}" for name in ("ndcg", "precision", "recall")))
    return compared(results(trials, names or []))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.movielens")
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"for each model (default {TRIALS})")
    parser.add_argument("--model", action="append", default=[], help="ours or theirs; may be repeated (default: all)")
    parser.add_argument("--json", action="store_true", help="the comparison as JSON, after the table")
    options = parser.parse_args()
    rows = run(options.trials, options.model)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
    else:
        for row in rows:
            print(f"{row.name:44} {row.ours:9.4f} / {row.yardstick:9.4f} = {row.ratio:7.3f}   {row.goal or ''}")


if __name__ == "__main__":
    main()
