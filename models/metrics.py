"""The metrics, as formulas over what a ranking hit. Who competes and who is judged is decided in models.evaluation.

Shapes: hits bool [users, k], place 0 first; relevant int64 [users], how many relevant items each user has among the
candidates; candidates int64 [users]. Every figure is per user, float64 [users], NaN for a user without a relevant
candidate, who says nothing about a ranking. Places beyond the last candidate are misses.

As trec_eval has them, so that others' figures compare: precision divides by k even where fewer than k are relevant, and
average precision by *all* relevant items even where they are more than k. Both have a ceiling below 1, which is
therefore always computed beside them, as is the floor: what a random order is worth, exactly and not by drawing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Flags = npt.NDArray[np.bool_]
PerUser = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

#: In the order in which they are printed.
RANKING = ("precision", "recall", "ndcg", "map", "mrr", "hit_rate")


def discounts(k: int) -> PerUser:
    """What a hit at each place is worth to NDCG (Jarvelin and Kekalainen 2002): float64 [k]."""
    return np.asarray(1 / np.log2(np.arange(2, k + 2)))


def ranking_metrics(hits_UK: Flags, relevant_U: Counts) -> dict[str, PerUser]:
    """Every figure of RANKING, per user."""
    k = hits_UK.shape[1]
    places_K = np.arange(1, k + 1)
    found_U = hits_UK.sum(axis=1)
    some_U = np.maximum(relevant_U, 1)
    first_U = np.where(found_U > 0, hits_UK.argmax(axis=1) + 1, np.inf)
    ideal_U = np.concatenate([[0.0], discounts(k).cumsum()])[np.minimum(relevant_U, k)]
    figures = {
        "precision": found_U / k,
        "recall": found_U / some_U,
        "ndcg": hits_UK @ discounts(k) / np.maximum(ideal_U, 1e-12),
        "map": (hits_UK * hits_UK.cumsum(axis=1) / places_K).sum(axis=1) / some_U,
        "mrr": 1 / first_U,
        "hit_rate": (found_U > 0).astype(np.float64),
    }
    return {name: np.where(relevant_U > 0, figure, np.nan) for name, figure in figures.items()}


def ceiling_metrics(relevant_U: Counts, k: int) -> dict[str, PerUser]:
    """The same figures of the best possible ranking, which has all relevant items first."""
    return ranking_metrics(np.arange(k) < relevant_U[:, None], relevant_U)


def floor_metrics(relevant_U: Counts, candidates_U: Counts, k: int) -> dict[str, PerUser]:
    """Their expectation when each order of the candidates is equally likely: what chance gives.

    With r relevant among n, a place is a hit with r / n, and two places both with r (r - 1) / (n (n - 1)).
    """
    n_U1 = np.maximum(candidates_U, 1).astype(np.float64)[:, None]
    r_U1 = relevant_U.astype(np.float64)[:, None]
    places_K = np.arange(1, k + 1)
    filled_UK = places_K <= n_U1
    rate_UK = filled_UK * (r_U1 / n_U1)
    # The chance that no place up to here is a hit: a falling product.
    missed_UK = np.cumprod(np.clip((n_U1 - r_U1 - places_K + 1) / np.maximum(n_U1 - places_K + 1, 1), 0, 1), axis=1)
    before_UK = np.concatenate([np.ones_like(n_U1), missed_UK[:, :-1]], axis=1)
    pairs_UK = 1 + (places_K - 1) * (r_U1 - 1) / np.maximum(n_U1 - 1, 1)
    some_U, ideal_U = np.maximum(relevant_U, 1), np.append(0.0, discounts(k).cumsum())[np.minimum(relevant_U, k)]
    figures = {
        "precision": rate_UK.sum(axis=1) / k,
        "recall": rate_UK.sum(axis=1) / some_U,
        "ndcg": rate_UK @ discounts(k) / np.maximum(ideal_U, 1e-12),
        "map": (rate_UK * pairs_UK / places_K).sum(axis=1) / some_U,
        "mrr": ((before_UK - missed_UK) * filled_UK / places_K).sum(axis=1),
        "hit_rate": 1 - missed_UK[:, -1],
    }
    return {name: np.where(relevant_U > 0, figure, np.nan) for name, figure in figures.items()}


def coverage(lists_UK: Counts, n_items: int) -> float:
    """Share of the catalog that is in at least one list. `lists_UK` are rows, -1 where a place stayed empty."""
    return len(np.unique(lists_UK[lists_UK >= 0])) / max(n_items, 1)


def gini(lists_UK: Counts, n_items: int) -> float:
    """How unequally items are shown: 0 when all equally often, near 1 when one has all places. NaN without lists."""
    shown_I = np.sort(np.bincount(lists_UK[lists_UK >= 0], minlength=n_items)).astype(np.float64)
    if not shown_I.sum():
        return float("nan")
    ranks_I = np.arange(1, n_items + 1)
    return float((2 * ranks_I - n_items - 1) @ shown_I / (n_items * shown_I.sum()))


def novelty(lists_UK: Counts, raters_I: Counts, n_users: int) -> PerUser:
    """Mean self-information of what is shown, in bits (Zhou et al. 2010): -log2 of the share of users who rated it.

    One rater more and two users more than there are, so that an item that nobody rated is finite. NaN: empty list.
    """
    bits_I = -np.log2((raters_I + 1) / (n_users + 2))
    shown_UK = lists_UK >= 0
    total_U = np.where(shown_UK, bits_I[lists_UK], 0.0).sum(axis=1)
    return np.where(shown_UK.any(axis=1), total_U / np.maximum(shown_UK.sum(axis=1), 1), np.nan)


def list_diversity(lists_UK: Counts, vectors_ID: npt.NDArray[np.float32]) -> PerUser:
    """Mean of 1 - cosine over all pairs in a list. `vectors_ID`: unit rows. NaN for lists of less than two items."""
    shown_UK = lists_UK >= 0
    rows_UKD = vectors_ID[lists_UK] * shown_UK[:, :, None]
    count_U = shown_UK.sum(axis=1).astype(np.float64)
    # The sum over ordered pairs is the squared length of the sum, less each item with itself.
    total_U = (rows_UKD.sum(axis=1, dtype=np.float64) ** 2).sum(axis=1)
    own_U = (rows_UKD.astype(np.float64) ** 2).sum(axis=(1, 2))
    pairs_U = count_U * (count_U - 1)
    return np.where(pairs_U > 0, 1 - (total_U - own_U) / np.maximum(pairs_U, 1), np.nan)


def rating_errors(truth: npt.NDArray[np.float32], predicted: npt.NDArray[np.float32]) -> tuple[float, float]:
    """RMSE and MAE in the ratings' own unit, every rating alike; NaN where there is none."""
    if not len(truth):
        return float("nan"), float("nan")
    errors = truth.astype(np.float64) - predicted.astype(np.float64)
    return float(np.sqrt((errors**2).mean())), float(np.abs(errors).mean())
