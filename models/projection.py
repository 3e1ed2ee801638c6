"""Projection: items seen through a small matrix W over phi; a user is a ridge solve in the small space.

z_i = W phi(i), v_u = m + (z'z + e^l I)^-1 z' (y - z m) on the user's ratings, rating = level + spread * z_i' v_u.
`Projection` learns W, m and l by descending the squared error of episodes (models.episodes) *through* the solve, so W
becomes the directions in which a few ratings tell most about the others (Bertinetto et al. 2019, Meta-learning with
differentiable closed-form solvers). `FixedProjection` leaves W random. All nodes start from one W, because the mean of
two projections that started apart is worse than either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from models.descent import Descent
from models.episodes import Batch, learn
from models.features import BASIS, PRICE_COLUMNS, phi_of
from models.fusion import Items, Vectors
from models.interactions import Interactions
from models.linear_taste import LEVEL_SHRINK, LinearTaste
from models.recommender import check_sizes

if TYPE_CHECKING:
    import torch

# On the tuning worlds ranks 32 / 64 / 100 gave .816 / .849 / .845.
RANK = 64
STEPS_MAX = 300
LEARNING_RATE = 3e-3
# The mean and the ridge have few numbers and can move faster than W.
QUICK_RATE = 0.03
GRADIENT_MAX = 1.0
# exp of these bounds the ridge: beyond, a solve is singular or the user is gone.
LOG_RIDGE_MIN, LOG_RIDGE_MAX = -6.0, 8.0


@dataclass(frozen=True, slots=True)
class ProjectionBlock:
    """What nodes exchange: W float32 [rank, features], m float32 [rank], and l, the log of the ridge."""

    w_RK: Vectors
    mean_R: Vectors
    log_ridge: float


def start_projection(size: int, rank: int = RANK) -> ProjectionBlock:
    """The start that all nodes have in common: the first directions of the basis and the price columns.

    A basis has its best directions first, a random one has none better than others. They are stretched, so that with a
    random one mean |W phi|^2 stays near 1.
    """
    rank = min(rank, size)
    directions = max(rank - PRICE_COLUMNS, 0)
    w_RK = np.zeros((rank, size), np.float32)
    w_RK[:directions, :directions] = np.eye(directions) * ((size - PRICE_COLUMNS) / max(directions, 1)) ** 0.5
    for column in range(1, rank - directions + 1):
        w_RK[-column, -column] = 1
    return ProjectionBlock(w_RK, np.zeros(rank, np.float32), 0.0)


class Projection(LinearTaste):
    """Learned W. At most `steps` steps of Adam, as many of them as held-out users profit from."""

    name: ClassVar[str] = "projection"
    learned: ClassVar[tuple[str, ...]] = (*LinearTaste.learned, "phi_IK", "w_RK")
    # What the other linear models have of features, this one has of W's directions.
    axes: ClassVar[Mapping[str, str]] = {"z_IK": "IR", "mean_K": "R", "covariance_KK": "RR"}
    phi_IK: Vectors
    w_RK: Vectors

    def __init__(
        self,
        *,
        rank: int = RANK,
        steps: int = STEPS_MAX,
        learning_rate: float = LEARNING_RATE,
        warmup: int = 0,
        clip: float | None = None,
        basis: str = BASIS,
        seed: int = 0,
    ) -> None:
        self.rank = rank
        self.steps = steps
        self.learning_rate = learning_rate
        self.warmup = warmup
        self.clip = clip
        self.basis = basis
        self.seed = seed

    def fit(self, ratings: Interactions, items: Items) -> Self:
        self.prepare(ratings, items)
        start = self.block

        def make() -> ProjectionLearner:
            return ProjectionLearner(start, self)

        learner = learn(make, ratings.histories(), self.steps, self.seed)
        assert isinstance(learner, ProjectionLearner)
        self.take(learner.block())
        return self

    def prepare(self, ratings: Interactions, items: Items) -> Self:
        """The scale and the features of these ratings and items, and the common start: all of `fit` but learning."""
        check_sizes(ratings, items)
        self.learn_scale(ratings)
        self.phi_IK = phi_of(items, self.basis)
        self.take(start_projection(self.phi_IK.shape[1], self.rank))
        return self

    @property
    def block(self) -> ProjectionBlock:
        """What the model has learned that others can use."""
        return ProjectionBlock(self.w_RK, self.mean_K.astype(np.float32), float(np.log(self.noise)))

    def take(self, block: ProjectionBlock) -> None:
        """Rank by this block from now on. Raises: ValueError when it is of another size."""
        if block.w_RK.shape[1] != self.phi_IK.shape[1]:
            raise ValueError(f"a projection of {block.w_RK.shape[1]} features does not fit {self.phi_IK.shape[1]}")
        self.w_RK = block.w_RK
        self.z_IK = self.phi_IK @ block.w_RK.T
        self.mean_K = block.mean_R.astype(np.float64)
        self.covariance_KK = np.eye(len(block.mean_R))
        self.noise = float(np.exp(block.log_ridge))


class FixedProjection(LinearTaste):
    """W random and fixed (Glorot's uniform), users solved: the seed project's projection model.

    The seed found its user factors by 500 steps of Adam on the squared error with a penalty on their length; here they
    are that problem's ridge solution, with the same strength for every user.
    """

    name: ClassVar[str] = "projection_fixed"

    def __init__(self, *, rank: int = 20, strength: float = 0.05, basis: str = BASIS, seed: int = 0) -> None:
        self.rank = rank
        self.strength = strength
        self.basis = basis
        self.seed = seed

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.learn_scale(ratings)
        phi_IK = phi_of(items, self.basis)
        bound = (6 / (self.rank + phi_IK.shape[1])) ** 0.5
        w_KR = np.random.default_rng(self.seed).uniform(-bound, bound, (phi_IK.shape[1], self.rank))
        self.z_IK = phi_IK @ w_KR.astype(np.float32)
        self.mean_K, self.covariance_KK = np.zeros(self.rank), np.eye(self.rank)
        self.noise = self.strength
        return self


class ProjectionLearner:
    """W, m and l in training (models.episodes.Learner), over the features and the scale of a prepared model. Levels are
    rebuilt from each episode's support alone.
    """

    def __init__(self, start: ProjectionBlock, model: Projection) -> None:
        import torch

        self._phi_IK, self._overall, self._spread = model.phi_IK, model.overall, model.spread
        self.w_RK = torch.tensor(start.w_RK, requires_grad=True)
        self.mean_R = torch.tensor(start.mean_R, requires_grad=True)
        self.log_ridge = torch.tensor(start.log_ridge, requires_grad=True)
        self._weights = [self.w_RK, self.mean_R, self.log_ridge]
        quick = {"params": self._weights[1:], "lr": QUICK_RATE}
        adam = torch.optim.Adam([{"params": [self.w_RK], "lr": model.learning_rate}, quick])
        self._descent = Descent(adam, warmup=model.warmup, clip=model.clip, longest=GRADIENT_MAX)

    def block(self) -> ProjectionBlock:
        """A copy of the weights as they stand."""
        log_ridge = float(np.clip(self.log_ridge.item(), LOG_RIDGE_MIN, LOG_RIDGE_MAX))
        return ProjectionBlock(self.w_RK.detach().numpy().copy(), self.mean_R.detach().numpy().copy(), log_ridge)

    def step(self, batch: Batch) -> None:
        """One step of Adam."""
        self._descent.step(self.objective(batch))

    def moments(self) -> Vectors:
        """What Adam remembers."""
        return self._descent.moments()

    def resume(self, moments: Vectors, rate: float) -> None:
        """Go on with what Adam remembered, at `rate` times the model's own learning rate."""
        self._descent.resume(moments, rate)

    def loss(self, batch: Batch) -> float:
        """Mean squared error of the queries, in squared spreads; users count alike."""
        import torch

        with torch.no_grad():
            return float(self.objective(batch))

    def objective(self, batch: Batch) -> torch.Tensor:
        """`loss`, with its way back to the weights."""
        import torch

        support_BR, query_BR = torch.from_numpy(batch.support_BR), torch.from_numpy(batch.query_BR)
        y_BR = torch.from_numpy(centred(batch, self._overall, self._spread))
        z_BRK = (torch.from_numpy(self._phi_IK[batch.rows_N]) @ self.w_RK.T)[torch.from_numpy(batch.place_BR)]
        known_BRK = z_BRK * support_BR[:, :, None]
        ridge = self.log_ridge.clamp(LOG_RIDGE_MIN, LOG_RIDGE_MAX).exp()
        gram_BKK = known_BRK.transpose(1, 2) @ known_BRK + ridge * torch.eye(len(self.mean_R))
        right_BK = (known_BRK * (y_BR - z_BRK @ self.mean_R)[:, :, None]).sum(1)
        user_BK = self.mean_R + torch.linalg.solve(gram_BKK, right_BK)
        error_BR = ((z_BRK * user_BK[:, None]).sum(2) - y_BR) ** 2 * query_BR
        loss: torch.Tensor = (error_BR.sum(1) / query_BR.sum(1)).mean()
        return loss


def centred(batch: Batch, overall: float, spread: float) -> Vectors:
    """Ratings less the level that the support alone gives, in spreads: float32 [B, R]."""
    total_B = (batch.rating_BR * batch.support_BR).sum(axis=1) + LEVEL_SHRINK * overall
    level_B = total_B / (batch.support_BR.sum(axis=1) + LEVEL_SHRINK)
    y_BR: Vectors = ((batch.rating_BR - level_B[:, None]) / spread).astype(np.float32)
    return y_BR
