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
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

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


@dataclass(frozen=True)
class Prior:
    """What is known of any user's w before they say a word: N(m, S), S float64 [K, K], and the noise variance s2 of a
    rating."""

    mean_K: Floats
    covariance_KK: Floats
    noise: float

    @cached_property
    def precision(self) -> Floats:
        """S^-1: the cheaper way to the posterior of a user with more ratings than features."""
        return np.asarray(np.linalg.inv(self.covariance_KK))


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of one user's w: its mean float64 [K], and its covariance V in one of two forms.

    With fewer ratings than features, V = S - S x' G^-1 x S with G = x S x' + s2 I [ratings, ratings] (Woodbury 1950),
    and `inverse` is G^-1; else V = (x'x / s2 + S^-1)^-1 [K, K], and `inverse` is V.
    """

    mean_K: Floats
    inverse: Floats
    reached_RK: Floats | None
    """x S where the first form is used."""
    prior: Prior

    def solve(self, right_KN: Floats) -> Floats:
        """V right: float64, like `right`."""
        if self.reached_RK is None:
            return self.inverse @ right_KN
        taken = self.inverse @ (self.reached_RK @ right_KN)
        return np.asarray(self.prior.covariance_KK @ right_KN - self.reached_RK.T @ taken)


def posterior(told: Told, prior: Prior) -> Posterior:
    """Fold a user in: one inverse, as large as the lesser of ratings and features.

    numpy's alone: its threads and those of scipy's own BLAS, called by turns, fight for the cores (30 times as slow).
    """
    rest_R = told.y_R - told.x_RK @ prior.mean_K
    if len(rest_R) < len(prior.mean_K):
        reached_RK = told.x_RK @ prior.covariance_KK
        inverse = np.asarray(np.linalg.inv(reached_RK @ told.x_RK.T + prior.noise * np.eye(len(rest_R))), np.float64)
        return Posterior(prior.mean_K + reached_RK.T @ (inverse @ rest_R), inverse, reached_RK, prior)
    inverse = np.asarray(np.linalg.inv(told.x_RK.T @ told.x_RK / prior.noise + prior.precision), np.float64)
    return Posterior(prior.mean_K + inverse @ (told.x_RK.T @ rest_R / prior.noise), inverse, None, prior)


class LinearTaste(RatingPredictor):
    """A model whose users are vectors; see the file's head for the arithmetic."""

    version: ClassVar[int] = 2
    learned: ClassVar[tuple[str, ...]] = (
        "z_IK",
        "mean_K",
        "covariance_KK",
        "noise",
        "overall",
        "spread",
        "low",
        "high",
    )
    z_IK: Vectors
    """float32 [items, K]"""
    mean_K: Floats
    covariance_KK: Floats
    noise: float
    overall: float
    """Everybody's mean rating."""
    spread: float
    _prior: Prior | None = None
    _folded: tuple[History, Posterior] | None = None

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

    @property
    def prior(self) -> Prior:
        """What the model holds of users in general; kept, for its inverse is every user's."""
        held = self._prior
        if (
            held is None
            or held.mean_K is not self.mean_K
            or held.covariance_KK is not self.covariance_KK
            or held.noise != self.noise
        ):
            self._prior = held = Prior(self.mean_K, self.covariance_KK, self.noise)
        return held

    def posterior(self, history: History) -> Posterior:
        """What the history says about its user."""
        return posterior(self.told(history), self.prior)

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
        held = self._folded
        # Whoever explains a list asks for one item after the other, of one user.
        if held is None or held[0] is not history or held[1].prior is not self.prior:
            self._folded = held = (history, posterior(told, self.prior))
        weight_K = held[1].solve(self.z_IK[item].astype(np.float64))
        return (self.spread * (told.x_RK @ weight_K) * told.y_R / self.noise).astype(np.float32)
