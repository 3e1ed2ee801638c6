"""Popularity: what the users here like, the same for everybody.

score(i) = sum over ratings of i of (rating - the rater's reference) / (n_i + shrink). Centring (models.reference) keeps
generous raters from deciding; shrinking keeps an item with one enthusiast below one with twenty friends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from models.fusion import Items
from models.interactions import History, Interactions, Values
from models.recommender import Recommender, Scores, check_sizes
from models.reference import user_references

# Pseudo-ratings at the rater's reference. Below 1 a single rating wins the list; above 10 fresh items never rise.
SHRINK = 3.0


class Popularity(Recommender):
    """Damped mean of centred ratings. `shrink` in pseudo-ratings."""

    name: ClassVar[str] = "popularity"
    learned: ClassVar[tuple[str, ...]] = ("score_I",)
    score_I: Scores
    """float32 [items]"""

    def __init__(self, *, shrink: float = SHRINK) -> None:
        self.shrink = shrink

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        centred = ratings.values - user_references(ratings)[ratings.users]
        total_I = np.bincount(ratings.items, centred, ratings.n_items)
        count_I = np.bincount(ratings.items, minlength=ratings.n_items)
        self.score_I = (total_I / (count_I + self.shrink)).astype(np.float32)
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        return np.repeat(self.score_I[None], len(histories), axis=0)

    def contributions(self, history: History, item: int) -> Values:
        return np.zeros(len(history), np.float32)
