"""What any model must beat: chance, what is liked most, and the means.

The means are the biased baseline of Koren 2010 ("Factor in the Neighbors", section 2.1):

    r_ui = mu + b_u + b_i,  minimising sum (r_ui - mu - b_u - b_i)^2 + item_damping sum b_i^2 + user_damping sum b_u^2

by alternating sweeps, each of which is a damped mean; the last one is the users', so a new user's b_u is found in the
same way from their history. The global, user and item means are the same with one or both biases left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.fusion import Items
from models.interactions import History, Interactions, Values
from models.likes import LIKING, LikesRecommender
from models.recommender import RatingPredictor, Recommender, Scores, check_sizes, rating_range

Sums = npt.NDArray[np.float64]

# The biases move by less than a thousandth of a rating after the fifth.
SWEEPS = 10


class Random(Recommender):
    """The floor: every item gets a random score, the same for everybody with the same history."""

    name: ClassVar[str] = "random"
    learned: ClassVar[tuple[str, ...]] = ("n_items",)
    n_items: int

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.n_items = ratings.n_items
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        # Seeded by the rated items too: one order for all users would make the floor depend on a single draw.
        draws = [np.random.default_rng([self.seed, *np.sort(history.items)]) for history in histories]
        rows = [draw.random(self.n_items, np.float32) for draw in draws]
        return np.stack(rows) if rows else np.empty((0, self.n_items), np.float32)

    def contributions(self, history: History, item: int) -> Values:
        return np.zeros(len(history), np.float32)


class MostLiked(LikesRecommender):
    """How many users like an item: the popularity of most papers. `relevant` as in models.likes."""

    name: ClassVar[str] = "most_liked"
    learned: ClassVar[tuple[str, ...]] = LIKING

    def __init__(self, *, relevant: float | None = None) -> None:
        self.relevant = relevant

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.learn_likes(ratings)
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        return np.repeat(self.popular_I[None], len(histories), axis=0)

    def contributions(self, history: History, item: int) -> Values:
        return np.zeros(len(history), np.float32)


class Biases(RatingPredictor):
    """Mean, user bias and item bias. `user_damping` and `item_damping` in pseudo-ratings at the mean."""

    name: ClassVar[str] = "biases"
    learned: ClassVar[tuple[str, ...]] = ("overall", "bias_I", "low", "high")
    by_user: ClassVar[bool] = True
    by_item: ClassVar[bool] = True
    overall: float
    """The mean of all ratings; the middle of the scale when there are none."""
    bias_I: Values
    """float32 [items]"""

    def __init__(self, *, user_damping: float = 5.0, item_damping: float = 5.0) -> None:
        self.user_damping = user_damping
        self.item_damping = item_damping

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.low, self.high = rating_range(ratings)
        self.overall = float(ratings.values.mean(dtype=np.float64)) if len(ratings) else (self.low + self.high) / 2
        users, rows = ratings.users, ratings.items
        above = ratings.values - self.overall
        bias_U, bias_I = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
        for _ in range(SWEEPS if self.by_item else 0):
            bias_I = _damped_mean(rows, above - bias_U[users], ratings.n_items, self.item_damping)
            if self.by_user:
                bias_U = _damped_mean(users, above - bias_I[rows], ratings.n_users, self.user_damping)
        self.bias_I = bias_I.astype(np.float32)
        return self

    def expected(self, histories: Sequence[History]) -> Scores:
        bias_U = np.array([self.user_bias(history) for history in histories], np.float32).reshape(-1, 1)
        return (np.float32(self.overall) + bias_U + self.bias_I).astype(np.float32)

    def user_bias(self, history: History) -> float:
        """How much higher than others this user rates, damped; in the ratings' unit."""
        if not self.by_user:
            return 0.0
        above = history.values - self.overall - self.bias_I[history.items]
        return float(above.sum(dtype=np.float64) / max(len(history) + self.user_damping, 1e-12))

    def residuals(self, history: History) -> Values:
        """What the biases leave unexplained of each rating: float32 [ratings]."""
        expected = self.overall + self.user_bias(history) + self.bias_I[history.items]
        return (history.values - expected).astype(np.float32)

    def contributions(self, history: History, item: int) -> Values:
        """A rating moves all of the user's predictions alike."""
        above = history.values - self.overall - self.bias_I[history.items]
        parts = above / max(len(history) + self.user_damping, 1e-12) * self.by_user
        return np.asarray(parts, np.float32)


class GlobalMean(Biases):
    """The same rating for all."""

    name: ClassVar[str] = "global_mean"
    by_user: ClassVar[bool] = False
    by_item: ClassVar[bool] = False


class UserMean(Biases):
    """Each user's damped mean, whatever the item."""

    name: ClassVar[str] = "user_mean"
    by_item: ClassVar[bool] = False


class ItemMean(Biases):
    """Each item's damped mean, whoever the user."""

    name: ClassVar[str] = "item_mean"
    by_user: ClassVar[bool] = False


def _damped_mean(rows: npt.NDArray[np.int64], values: npt.NDArray[np.floating], size: int, damping: float) -> Sums:
    """Mean of the values at each row, with `damping` more of 0: float64 [size]."""
    total, count = np.bincount(rows, values, size), np.bincount(rows, minlength=size)
    return np.asarray(total / np.maximum(count + damping, 1e-12))
