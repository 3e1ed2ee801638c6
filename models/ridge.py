"""Ridge: each user's taste from their own ratings alone. What any sharing between users must beat.

w_u = argmin |y - x w|^2 + strength * |w|^2 over phi (Hoerl and Kennard 1970), y in deviations about the user's level:
the posterior of models.linear_taste under N(0, I), s2 = strength. Nothing is learned from others but the ratings'
scale and, unless it is given, the strength.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np

from models.features import BASIS, phi_of
from models.fusion import Items
from models.interactions import Interactions
from models.linear_taste import LinearTaste, Told, posterior
from models.recommender import check_sizes

# Tried by held-out ratings: a factor of three apart, from hardly any shrinkage to almost nothing left.
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# Where there is too little to choose by.
STRENGTH = 1.0
# Users that the choice is made on: enough for one number, and a bounded time.
CHOOSERS = 100


class Ridge(LinearTaste):
    """Per-user ridge. `strength` None: chosen from STRENGTHS by a held-out fifth of the training ratings."""

    name: ClassVar[str] = "ridge"

    def __init__(self, *, strength: float | None = None, basis: str = BASIS) -> None:
        self.strength = strength
        self.basis = basis

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.learn_scale(ratings)
        self.z_IK = phi_of(items, self.basis)
        self.mean_K = np.zeros(self.z_IK.shape[1])
        self.covariance_KK = np.eye(self.z_IK.shape[1])
        self.noise = self._chosen(ratings) if self.strength is None else self.strength
        return self

    def _chosen(self, ratings: Interactions) -> float:
        """The strength whose predictions of held-out ratings err least, in squares."""
        # Always the same draw: the choice is between six numbers, and a seed would only make it look like chance.
        rng = np.random.default_rng(0)
        histories = [one for one in ratings.histories() if len(one) >= 5]
        chosen = rng.permutation(len(histories))[:CHOOSERS]
        self.noise = STRENGTH
        priors = [replace(self.prior, noise=strength) for strength in STRENGTHS]
        error = np.zeros(len(STRENGTHS))
        for user in chosen.tolist():
            told = self.told(histories[user])
            order = rng.permutation(len(told.y_R))
            test, train = order[: len(order) // 5], order[len(order) // 5 :]
            part = Told(told.x_RK[train], told.y_R[train])
            for place, prior in enumerate(priors):
                taste_K = posterior(part, prior).mean_K
                error[place] += ((told.y_R[test] - told.x_RK[test] @ taste_K) ** 2).sum()
        return STRENGTHS[int(error.argmin())] if error.any() else STRENGTH
