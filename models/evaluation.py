"""How good a ranking is. Full-catalog ranking only: every item that the user has not rated in training competes.

Shapes: scores float32 [users, items]; relevant bool [users, items]; candidates bool [users, items].
A user without a relevant candidate says nothing about a ranking and is left out: the value is NaN, and means skip
it. Ties go to the lower row, as in models.recommender. Precision divides by k even where fewer than k are relevant;
the ceiling (the same metric of the best possible ranking) is therefore always printed beside it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.recommender import Scores, top_rows

Flags = npt.NDArray[np.bool_]
PerUser = npt.NDArray[np.float64]


def hits_at(scores_UI: Scores, relevant_UI: Flags, candidates_UI: Flags, k: int) -> Flags:
    """Which of each user's top k are relevant: bool [users, k]; missing places (too few candidates) are False."""
    hits_UK = np.zeros((len(scores_UI), k), bool)
    for user, scores_I in enumerate(scores_UI):
        rows = top_rows(scores_I, k, candidates_UI[user])
        hits_UK[user, : len(rows)] = relevant_UI[user, rows]
    return hits_UK


def precision_at(scores_UI: Scores, relevant_UI: Flags, candidates_UI: Flags, k: int) -> PerUser:
    """Share of the top k that is relevant: float64 [users], NaN for users without a relevant candidate."""
    hits_UK = hits_at(scores_UI, relevant_UI, candidates_UI, k)
    return np.where(_judged(relevant_UI, candidates_UI) > 0, hits_UK.mean(axis=1), np.nan)


def ndcg_at(scores_UI: Scores, relevant_UI: Flags, candidates_UI: Flags, k: int) -> PerUser:
    """Binary NDCG (Jarvelin and Kekalainen 2002), log2 discount, ideal = min(k, relevant) hits first."""
    hits_UK = hits_at(scores_UI, relevant_UI, candidates_UI, k)
    discount_K = 1 / np.log2(np.arange(2, k + 2))
    relevant_U = _judged(relevant_UI, candidates_UI)
    ideal_U = np.concatenate([[0.0], discount_K.cumsum()])[np.minimum(relevant_U, k)]
    return np.where(relevant_U > 0, (hits_UK @ discount_K) / np.maximum(ideal_U, 1e-12), np.nan)


def interval(values: PerUser, rng: np.random.Generator, draws: int = 2000) -> tuple[float, float, float]:
    """Mean and 95 % bootstrap interval over users (percentile; Efron 1979). NaN users are skipped."""
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan, np.nan
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def _judged(relevant_UI: Flags, candidates_UI: Flags) -> npt.NDArray[np.int64]:
    return np.asarray((relevant_UI & candidates_UI).sum(axis=1))
