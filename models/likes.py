"""What the models know that look at likes alone: who liked what, and what is liked most.

A rating is a like when it is at least `relevant`, or, where no threshold is given, when it lies above the user's own
reference (models.reference: their mean, damped, between the middle of the scale and just below "liked"). Of purchases,
on the scale (0, 1), each is a like. Whoever has no likes yet is served what most people like.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.interactions import History, Interactions, Values
from models.matrix import matrix_of, matrix_of_histories
from models.recommender import Recommender, Scores
from models.reference import overall_mean, reference_of, user_references

LIKING = ("mean", "scale_low", "scale_high", "popular_I")


class LikesRecommender(Recommender):
    """Base of models that learn from likes. Subclasses list LIKING among what they learned."""

    relevant: float | None
    mean: float
    scale_low: float
    scale_high: float
    """Everybody's mean rating and the scale: what a user's reference is drawn from."""
    popular_I: Scores
    """Share of users who like the item, float32 [items]."""

    def learn_likes(self, ratings: Interactions) -> sparse.csr_matrix:
        """All likes as ones, [users, items]; remembers what tells likes in histories later."""
        self.mean, (self.scale_low, self.scale_high) = overall_mean(ratings), ratings.scale
        if self.relevant is None:
            liked = ratings.values > user_references(ratings)[ratings.users]
        else:
            liked = ratings.values >= self.relevant
        table = matrix_of(ratings)
        order = np.lexsort((ratings.items, ratings.users))
        likes = _ones_where(table, liked[order])
        count_I = np.bincount(likes.indices, minlength=ratings.n_items)
        self.popular_I = (count_I / max(ratings.n_users, 1)).astype(np.float32)
        return likes

    def is_like(self, history: History) -> npt.NDArray[np.bool_]:
        """Which ratings of a history are likes: bool [ratings]."""
        if self.relevant is not None:
            return np.asarray(history.values >= self.relevant)
        return np.asarray(history.values > reference_of(history.values, self.mean, (self.scale_low, self.scale_high)))

    def likes_of(self, histories: Sequence[History]) -> sparse.csr_matrix:
        """The likes of each history as ones, [histories, items]."""
        table = matrix_of_histories(histories, len(self.popular_I))
        return _ones_where(table, np.concatenate([np.empty(0, bool), *(self.is_like(one) for one in histories)]))

    def or_popular(self, scores_UI: Scores, likes_UI: sparse.csr_matrix) -> Scores:
        """The scores, with popularity in the rows of those who like nothing yet."""
        scores_UI[np.diff(likes_UI.indptr) == 0] = self.popular_I
        return scores_UI

    def spread(self, parts_L: Values, history: History) -> Values:
        """Contributions of a history's likes, in their order, as contributions of all its ratings (others 0)."""
        parts = np.zeros(len(history), np.float32)
        parts[self.is_like(history)] = parts_L
        return parts


def _ones_where(table: sparse.csr_matrix, keep: npt.NDArray[np.bool_]) -> sparse.csr_matrix:
    """The stored entries where `keep` (in stored order), as ones."""
    ends = np.concatenate([[0], np.cumsum(keep)])[table.indptr]
    return sparse.csr_matrix((np.ones(ends[-1], np.float32), table.indices[keep], ends), table.shape)
