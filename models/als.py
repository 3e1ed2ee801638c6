"""Matrix factorisation by alternating least squares: from likes (`als`) and of ratings (`als_ratings`).

Each half step is exact ridge regression (models.least_squares), and a new user's vector is one more such step, so
people who were there in training and people who were not are served alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from models.fusion import Items
from models.interactions import History, Interactions, Values
from models.least_squares import Factors, solve_rows
from models.likes import LIKING, LikesRecommender
from models.matrix import matrix_of, matrix_of_histories
from models.recommender import RatingPredictor, Scores, check_sizes, rating_range


class ImplicitAls(LikesRecommender):
    """iALS (Hu, Koren and Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets").

    Minimises sum over all pairs of c (p - x.y)^2, with p = 1 and c = 1 + alpha for likes, p = 0 and c = 1 for all
    else, plus reg * n |x|^2 for every user and item of n likes, and `base_reg` |x|^2 for all.
    """

    name: ClassVar[str] = "als"
    learned: ClassVar[tuple[str, ...]] = (*LIKING, "item_IF")
    item_IF: Factors
    """float32 [items, factors]"""

    def __init__(
        self,
        *,
        factors: int = 64,
        alpha: float = 2.0,
        reg: float = 0.3,
        base_reg: float = 10.0,
        sweeps: int = 10,
        relevant: float | None = None,
        seed: int = 0,
    ) -> None:
        self.factors = factors
        self.alpha = alpha
        self.reg = reg
        self.base_reg = base_reg
        self.sweeps = sweeps
        self.relevant = relevant
        self.seed = seed

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        likes_UI = self.learn_likes(ratings)
        likes_IU = likes_UI.T.tocsr()
        draw = np.random.default_rng(self.seed)
        self.item_IF = draw.normal(0, 1 / self.factors, (len(items), self.factors)).astype(np.float32)
        for _ in range(self.sweeps):
            user_UF = self._step(likes_UI, self.item_IF)
            self.item_IF = self._step(likes_IU, user_UF)
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        likes_UI = self.likes_of(histories)
        return self.or_popular(self._step(likes_UI, self.item_IF) @ self.item_IF.T, likes_UI)

    def contributions(self, history: History, item: int) -> Values:
        liked_HF = self.item_IF[history.items[self.is_like(history)]]
        metric = self._metric(self.item_IF) + self.reg * len(liked_HF) * np.eye(self.factors, dtype=np.float32)
        towards_F = np.linalg.solve(metric + self.alpha * liked_HF.T @ liked_HF, self.item_IF[item])
        return self.spread(((1 + self.alpha) * liked_HF @ towards_F).astype(np.float32), history)

    def _step(self, likes: sparse.csr_matrix, factors_CF: Factors) -> Factors:
        # (1 + alpha)(1 - s)^2 - s^2 = alpha ((1 + alpha) / alpha - s)^2 + constant: one weight, one target.
        targets = likes * np.float32((1 + self.alpha) / self.alpha)
        return solve_rows(targets, factors_CF, self._metric(factors_CF), self.reg, self.alpha)

    def _metric(self, factors_CF: Factors) -> Factors:
        """What all pairs, liked or not, contribute, and the penalty."""
        gram: Factors = factors_CF.T @ factors_CF + np.float32(self.base_reg) * np.eye(self.factors, dtype=np.float32)
        return gram


class RatingAls(RatingPredictor):
    """Ratings as mean + biases + x.y (Koren, Bell and Volinsky 2009), by ALS with weighted penalty (Zhou et al. 2008).

    Minimises sum over ratings of (r - mu - b_u - b_i - x.y)^2 + reg n (|x|^2 + b^2) + bias_reg b^2 for every user and
    item of n ratings. The bias is one more factor, whose partner is 1. Ratings are divided by their standard deviation
    first, so that the penalties mean the same on every scale.
    """

    name: ClassVar[str] = "als_ratings"
    learned: ClassVar[tuple[str, ...]] = ("overall", "unit", "item_IF", "bias_I", "low", "high")
    overall: float
    unit: float
    """Mean and standard deviation of the ratings; factors and biases are in units of the latter."""
    item_IF: Factors
    bias_I: Values

    def __init__(
        self,
        *,
        factors: int = 32,
        reg: float = 0.15,
        bias_reg: float = 2.0,
        sweeps: int = 20,
        seed: int = 0,
    ) -> None:
        self.factors = factors
        self.reg = reg
        self.bias_reg = bias_reg
        self.sweeps = sweeps
        self.seed = seed

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.low, self.high = rating_range(ratings)
        self.overall = float(ratings.values.mean(dtype=np.float64)) if len(ratings) else (self.low + self.high) / 2
        self.unit = float(ratings.values.std(dtype=np.float64)) if self.low < self.high and len(ratings) else 1.0
        by_user = matrix_of(ratings)
        by_item = by_user.T.tocsr()
        draw = np.random.default_rng(self.seed)
        self.item_IF = draw.normal(0, 0.1, (len(items), self.factors)).astype(np.float32)
        self.bias_I = np.zeros(len(items), np.float32)
        for _ in range(self.sweeps):
            user_UG = self._step(by_user, self.item_IF, self.bias_I)
            item_IG = self._step(by_item, user_UG[:, 1:], user_UG[:, 0])
            self.item_IF, self.bias_I = np.ascontiguousarray(item_IG[:, 1:]), np.ascontiguousarray(item_IG[:, 0])
        return self

    def expected(self, histories: Sequence[History]) -> Scores:
        user_UG = self._step(matrix_of_histories(histories, len(self.bias_I)), self.item_IF, self.bias_I)
        above = user_UG[:, 1:] @ self.item_IF.T + user_UG[:, :1] + self.bias_I
        return np.asarray(above * np.float32(self.unit) + np.float32(self.overall), np.float32)

    def contributions(self, history: History, item: int) -> Values:
        entries_HG = self._entries(self.item_IF)[history.items]
        metric = self._metric() + self.reg * len(history) * np.eye(self.factors + 1, dtype=np.float32)
        towards_G = np.linalg.solve(metric + entries_HG.T @ entries_HG, self._entries(self.item_IF)[item])
        above = history.values - np.float32(self.overall) - self.unit * self.bias_I[history.items]
        return np.asarray((entries_HG @ towards_G) * above, np.float32)

    def _step(self, table: sparse.csr_matrix, factors_CF: Factors, bias_C: Values) -> Factors:
        """Bias, then factors, of every row of a rating table: float32 [rows, 1 + factors]."""
        above_N = (table.data - np.float32(self.overall)) / np.float32(self.unit) - bias_C[table.indices]
        above = sparse.csr_matrix((above_N, table.indices, table.indptr), table.shape)
        return solve_rows(above, self._entries(factors_CF), self._metric(), self.reg)

    def _entries(self, factors_CF: Factors) -> Factors:
        return np.hstack([np.ones((len(factors_CF), 1), np.float32), factors_CF])

    def _metric(self) -> Factors:
        """The penalty that does not grow with the ratings: on the bias, and a trace on the factors to stay solvable."""
        return np.diag(np.array([self.bias_reg, *[1e-3] * self.factors], np.float32))
