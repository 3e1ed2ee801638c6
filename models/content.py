"""Content-based: items like those the user liked, and unlike those disliked.

score(i) = sum over the history of weight(h) * similarity(i, h), with weight = (rating - the user's reference), see
models.reference, scaled to sum to 1 in absolute value. Both signs count: knowing what somebody dislikes is half of
knowing them (Rocchio 1971, with ratings in place of relevance). Similarity is models.fusion's: centred halves, masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from models.fusion import Items, similarity, similarity_sum
from models.interactions import History, Interactions, Values
from models.recommender import Recommender, Scores, check_sizes
from models.reference import overall_mean, reference_of


class Content(Recommender):
    """Rocchio over fused CLIP vectors."""

    name: ClassVar[str] = "content"
    items: Items
    mean: float
    """Everybody's mean; a user of few ratings is judged by it."""

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.items = items
        self.mean = overall_mean(ratings)
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        scores_UI = np.zeros((len(histories), len(self.items)), np.float32)
        for user, history in enumerate(histories):
            if len(history):
                scores_UI[user] = similarity_sum(self.items, history.items, self.weights(history))
        return scores_UI

    def contributions(self, history: History, item: int) -> Values:
        parts: Values = self.weights(history) * similarity(self.items, np.array([item]))[0, history.items]
        return parts

    def weights(self, history: History) -> Values:
        """What each rating counts: float32 [ratings], signed, absolute sum 1 (or all 0 when nothing stands out)."""
        centred = history.values - reference_of(history.values, self.mean)
        weights: Values = (centred / max(float(np.abs(centred).sum()), 1e-12)).astype(np.float32)
        return weights
