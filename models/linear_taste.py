"""What ridge, the taste prior and the projection share: a user is a vector w, and likes item i by z_i' w.

rating(u, i) = level_u + spread * z_i' w_u + noise, w_u ~ N(m, S), noise variance s2 * spread^2. `level_u` is the user's
mean rating, drawn towards everybody's; `spread` is the ratings' deviation about the levels, so that m, S and s2 are
pure numbers and mean the same on any scale. Given a history with rows x and centred ratings y (Rasmussen and Williams
2006, Gaussian Processes for Machine Learning, section 2.1),

    A = x'x / s2 + S^-1,    w = m + A^-1 x' (y - x m) / s2,    variance of z'w = z' A^-1 z.

A new user is one solve and no training; the rating expected is linear in the ratings given, so a rating's share of a
score is exact. Subclasses learn z, m, S and s2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from models.fusion import Vectors
from models.interactions import History, Interactions, Values
from models.recommender import RatingPredictor, Scores, rating_range

Floats = npt.NDArray[np.float64]

# Pseudo-ratings at the overall mean, in a user's level; and, at the middle and a quarter of the scale, in the overall
# mean and spread of a node that has few ratings.
LEVEL_SHRINK = 5.0
SPREAD_SHRINK = 20.0


@dataclass(frozen=True, slots=True)
class Told:
    """One user's ratings as a model of tastes sees them: rows x float64 [ratings, K], and y float64 [ratings]."""

    x_RK: Floats
    y_R: Floats


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of one user's w: mean float64 [K], and the Cholesky factor of its precision A (scipy's form)."""

    mean_K: Floats
    factor: tuple[Floats, bool]

    def solve(self, right_KN: Floats) -> Floats:
        """A^-1 right."""
        solved: Floats = cho_solve(self.factor, right_KN, check_finite=False)
        return solved


def posterior(told: Told, mean_K: Floats, precision_KK: Floats, noise: float) -> Posterior:
    """Fold a user in: one K x K solve. `precision_KK` is S^-1, `noise` s2."""
    factor = cho_factor(told.x_RK.T @ told.x_RK / noise + precision_KK, check_finite=False, overwrite_a=True)
    shift_K = cho_solve(factor, told.x_RK.T @ (told.y_R - told.x_RK @ mean_K) / noise, check_finite=False)
    return Posterior(mean_K + shift_K, factor)


class LinearTaste(RatingPredictor):
    """A model whose users are vectors; see the file's head for the arithmetic."""

    learned: ClassVar[tuple[str, ...]] = (
        "z_IK",
        "mean_K",
        "precision_KK",
        "noise",
        "overall",
        "spread",
        "low",
        "high",
    )
    z_IK: Vectors
    """float32 [items, K]"""
    mean_K: Floats
    precision_KK: Floats
    noise: float
    overall: float
    """Everybody's mean rating."""
    spread: float

    def learn_scale(self, ratings: Interactions) -> None:
        """Set low, high, overall and spread."""
        self.low, self.high = rating_range(ratings)
        bottom, top = ratings.scale
        total = float(ratings.values.sum(dtype=np.float64))
        self.overall = (total + SPREAD_SHRINK * (bottom + top) / 2) / (len(ratings) + SPREAD_SHRINK)
        sum_U = np.bincount(ratings.users, ratings.values, ratings.n_users)
        count_U = np.bincount(ratings.users, minlength=ratings.n_users)
        level_U = (sum_U + LEVEL_SHRINK * self.overall) / (count_U + LEVEL_SHRINK)
        squares = float(((ratings.values - level_U[ratings.users]) ** 2).sum())
        squares += SPREAD_SHRINK * ((top - bottom) / 4) ** 2
        self.spread = float(np.sqrt(squares / (len(ratings) + SPREAD_SHRINK)))

    def level(self, history: History) -> float:
        """The user's mean, drawn towards everybody's."""
        total = float(history.values.sum(dtype=np.float64)) + LEVEL_SHRINK * self.overall
        return total / (len(history) + LEVEL_SHRINK)

    def told(self, history: History) -> Told:
        """A history in the model's own terms. Raises: IndexError for items that the model does not know."""
        y_R = (history.values.astype(np.float64) - self.level(history)) / self.spread
        return Told(self.z_IK[history.items].astype(np.float64), y_R)

    def posterior(self, history: History) -> Posterior:
        """What the history says about its user."""
        return posterior(self.told(history), self.mean_K, self.precision_KK, self.noise)

    def taste(self, history: History) -> Floats:
        """The user's fitted vector: float64 [K]."""
        return self.posterior(history).mean_K

    def expected(self, histories: Sequence[History]) -> Scores:
        expected_UI = np.empty((len(histories), len(self.z_IK)), np.float32)
        # One user at a time: a product of many rows may round otherwise than one of few.
        for row, one in enumerate(histories):
            expected_UI[row] = self.level(one) + self.spread * (self.z_IK @ self.taste(one).astype(np.float32))
        return expected_UI

    def deviations(self, history: History) -> Values:
        """How unsure the expected ratings are, without the noise of a single rating: float32 [items], rating points."""
        spread_KI = self.posterior(history).solve(np.asarray(self.z_IK.T, np.float64))
        variance_I = np.einsum("ik,ki->i", self.z_IK, spread_KI)
        deviation_I: Values = (self.spread * np.sqrt(np.maximum(variance_I, 0))).astype(np.float32)
        return deviation_I

    def contributions(self, history: History, item: int) -> Values:
        """Exact: expected(item) = level + prior part + their sum, and each is proportional to (rating - level)."""
        if not len(history):
            return np.zeros(0, np.float32)
        told = self.told(history)
        weight_K = self.posterior(history).solve(self.z_IK[item].astype(np.float64))
        return (self.spread * (told.x_RK @ weight_K) * told.y_R / self.noise).astype(np.float32)
