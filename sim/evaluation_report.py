"""What `p2prec sim evaluate` says: one row a model, with its interval, its slices, and the bounds beside."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models import metrics
from models.evaluation import ALL, PerUser, Verdict, interval, paired_difference
from models.splits import Split
from node.report import Report
from sim.evaluation_data import World

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """One model on one split."""

    split: Split
    verdict: Verdict
    fit_s: float
    score_s: float
    params: dict[str, Any]
    """Those that were chosen by tuning; empty: the model's own defaults."""


def report_of(options: Namespace, world: World, liked: float, runs: dict[str, list[Run]], notes: list[str]) -> Report:
    """The figures of all models, the best by NDCG first."""
    n_users = len(world.users)
    per_user = {name: _ndcg_by_user(found, n_users) for name, found in runs.items()}
    best = max(runs, key=lambda name: float(np.mean([_mean(ndcg_U) for ndcg_U in per_user[name]])))
    rows = [_row(name, found, per_user[name], per_user[best]) for name, found in runs.items()]
    rows.sort(key=lambda row: -(row["ndcg"] or 0.0))
    first = next(iter(runs.values()))
    floor, ceiling = (_bound(first, lambda one: one.floor), _bound(first, lambda one: one.ceiling))
    floor["rmse"], floor["mae"] = _constant_errors(first) if not world.implicit else (None, None)
    ceiling["rmse"] = ceiling["mae"] = None if world.implicit else 0.0
    document = {
        "k": options.k,
        # Ratings are float32: seven digits are all that was in the file.
        "relevant": float(f"{liked:.7g}"),
        "split": first[0].split.name,
        "seeds": list(range(options.seed, options.seed + options.seeds)),
        "trials": options.trials,
        "users": n_users,
        "items": len(world.items),
        "ratings": len(world.ratings),
        "test_ratings": len(first[0].split.test),
        "judged_users": int((~np.isnan(per_user[best])).any(axis=0).sum()),
        "counts": world.counts,
        "floor": floor,
        "ceiling": ceiling,
        "best": best,
        "rows": rows,
        "notes": notes,
    }
    return Report(document, _lines(document))


def _row(name: str, runs: list[Run], ndcg_SU: PerUser, best_SU: PerUser) -> dict[str, Any]:
    # The mean that is printed, that of which this is the interval, and the difference: one estimator in one row.
    _, low, high = interval(ndcg_SU, np.random.default_rng(0), DRAWS)
    difference = paired_difference(ndcg_SU, best_SU, np.random.default_rng(1), DRAWS)
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
        "params": [run.params for run in runs],
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
    """Each user's NDCG on each split: float64 [splits, users], NaN where a split does not judge a user."""
    ndcg_SU = np.full((len(runs), n_users), np.nan)
    for row, run in enumerate(runs):
        ndcg_SU[row, run.verdict.users] = run.verdict.slices[ALL].figures["ndcg"]
    return ndcg_SU


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
    if document["trials"] > 1:
        lines += [f"{row['model']:22} {_settings(row['params'])}" for row in document["rows"]]
    lines.append("floor: a random order, exactly (errors: the training mean for everything); ceiling: a perfect order")
    return lines


def _settings(params: list[dict[str, Any]]) -> str:
    """What tuning chose on each split."""
    return "; ".join(
        ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in one.items()
        )
        or "its defaults"
        for one in params
    )


def _cell(value: float | None, width: int, digits: int = 4) -> str:
    return f"{'-' if value is None else format(value, f'.{digits}f'):>{width}}"


def _mean(values: PerUser) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def _number(value: Any) -> float | None:
    """JSON knows no NaN."""
    return None if value is None or not np.isfinite(value) else float(value)
