"""Content-based: items like those the user liked, and unlike those disliked.

score(i) = sum over the history of weight(h) * similarity(i, h), with weight = (rating - the user's reference), see
models.reference, scaled to sum to 1 in absolute value. Both signs count: knowing what somebody dislikes is half of
knowing them (Rocchio 1971, with ratings in place of relevance). Similarity is models.fusion's: centred halves, masked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.fusion import Items, similarity_between, similarity_sum
from models.interactions import History, Interactions, Scale, Values
from models.recommender import Arrays, Recommender, Scores, check_axes, check_sizes
from models.reference import overall_mean, reference_of
from models.saving import items_arrays, items_from


class Content(Recommender):
    """Rocchio over fused CLIP vectors."""

    name: ClassVar[str] = "content"
    items: Items
    mean: float
    """Everybody's mean; a user of few ratings is judged by it."""
    scale: Scale

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.items = items
        self.mean = overall_mean(ratings)
        self.scale = ratings.scale
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        scores_UI = np.zeros((len(histories), len(self.items)), np.float32)
        for user, history in enumerate(histories):
            if len(history):
                scores_UI[user] = similarity_sum(self.items, history.items, self.weights(history))
        return scores_UI

    def contributions(self, history: History, item: int) -> Values:
        near_H = similarity_between(self.items, np.array([item]), history.items)[0]
        parts: Values = self.weights(history) * near_H
        return parts

    def weights(self, history: History) -> Values:
        """What each rating counts: float32 [ratings], signed, absolute sum 1 (or all 0 when nothing stands out)."""
        centred = history.values - reference_of(history.values, self.mean, self.scale)
        weights: Values = (centred / max(float(np.abs(centred).sum()), 1e-12)).astype(np.float32)
        return weights

    def arrays(self) -> Arrays:
        return {**items_arrays(self.items), "mean": np.asarray(self.mean), "scale": np.asarray(self.scale)}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        if not {"mean", "scale"} <= set(arrays):
            raise ValueError("a saved content model lacks its mean or its scale")
        check_axes({"mean": arrays["mean"], "scale_E": arrays["scale"]}, lengths={"E": 2})
        self.items = items_from(arrays)
        self.mean = float(arrays["mean"])
        self.scale = (float(arrays["scale"][0]), float(arrays["scale"][1]))
        return self
