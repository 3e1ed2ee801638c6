"""A list that is good and varied: for people of whom nothing is known yet.

Greedy maximal marginal relevance (Carbonell and Goldstein 1998): each next item maximises
(1 - variety) * score - variety * greatest similarity to those already taken, scores scaled to [0, 1].
"""

from __future__ import annotations

import numpy as np

from models.fusion import Items, similarity
from models.interactions import Rows
from models.recommender import Scores, top_rows

# Half and half: at 0 the ten most popular are ten black t-shirts, at 1 they are ten curiosities.
VARIETY = 0.5
# Only the best are considered, so the cost does not grow with the catalog and nobody gets an unpopular oddity.
POOL_TIMES_K = 20


def diverse_rows(items: Items, scores_I: Scores, k: int, allowed_I: np.typing.NDArray[np.bool_]) -> Rows:
    """k allowed rows, good and unlike each other: int64 [<= k], in the order taken. Ties to the lower row."""
    pool = top_rows(scores_I, k * POOL_TIMES_K, allowed_I)
    if not len(pool):
        return pool
    span = float(np.ptp(scores_I[pool]))
    worth = (scores_I[pool] - scores_I[pool].min()) / (span or 1.0)
    nearest = np.zeros(len(pool), np.float32)
    free = np.ones(len(pool), bool)
    taken: list[int] = []
    for _ in range(min(k, len(pool))):
        marginal = np.where(free, (1 - VARIETY) * worth - VARIETY * nearest, -np.inf)
        best = int(marginal.argmax())
        free[best] = False
        taken.append(best)
        to_best = similarity(items, pool[[best]])[0, pool]
        nearest = to_best if len(taken) == 1 else np.maximum(nearest, to_best)
    return pool[taken]
