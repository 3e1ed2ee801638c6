"""The taste prior: what people's tastes have in common, as one Gaussian; the block that nodes share by default.

w_u ~ N(m, S), learned by EM in closed form (hierarchical Bayes; Yu, Tresp and Schwaighofer 2005, Learning Gaussian
Processes from Multiple Tasks), with an inverse-Wishart pull towards the common start S0 = I / 2:

    E  for each user  V = (x'x / s2 + S^-1)^-1,  mu = V (x'y / s2 + S^-1 m)
    M  m = sum mu / (users + 2),  s2 = sum (|y - x mu|^2 + tr x V x') / ratings,
       S = (sum (mu mu' + V) - M m' - m M' + users m m' + 20 S0) / (users + 20),  M = sum mu.

No learning rate and no chance. The E step of a node's users is a sum (`TasteSums`), so many nodes' sums make the step
that one machine with all users would have made. A block has one size whatever the catalog, and holds no user.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from models.features import BASIS, phi_of
from models.fusion import Items
from models.interactions import Interactions
from models.linear_taste import Floats, LinearTaste, Prior, Told, posterior
from models.recommender import check_sizes

# The start, in units of the ratings' spread: half of what a rating says is taste, half is noise.
START_VARIANCE = START_NOISE = 0.5
# Pseudo-users with the start's covariance, and pseudo-users with mean 0. More (60) cost .02 NDCG in a prototype; fewer
# leave a node of three users with a covariance of rank three.
PRIOR_USERS, MEAN_SHRINK = 20.0, 2.0
# A noise of nothing would make the next solve singular.
NOISE_MIN = 1e-3
ITERATIONS = 8


@dataclass(frozen=True, slots=True)
class TasteBlock:
    """What nodes exchange: mean float64 [K], covariance float64 [K, K] (positive definite), noise s2, and how many
    users and ratings stand behind it. Pure numbers, in units of the ratings' spread."""

    mean_K: Floats
    covariance_KK: Floats
    noise: float
    n_users: float
    n_ratings: float

    @property
    def prior(self) -> Prior:
        """As users are folded in with."""
        return Prior(self.mean_K, self.covariance_KK, self.noise)


@dataclass(frozen=True, slots=True)
class TasteSums:
    """The E step over some users: additive. `outer_KK` sums mu mu' + V; `error` sums expected squared errors."""

    mean_K: Floats
    outer_KK: Floats
    error: float
    n_users: float
    n_ratings: float

    def __add__(self, other: TasteSums) -> TasteSums:
        return TasteSums(
            self.mean_K + other.mean_K,
            self.outer_KK + other.outer_KK,
            self.error + other.error,
            self.n_users + other.n_users,
            self.n_ratings + other.n_ratings,
        )

    def times(self, factor: float) -> TasteSums:
        """The sums of `factor` times as many such users."""
        return TasteSums(
            self.mean_K * factor,
            self.outer_KK * factor,
            self.error * factor,
            self.n_users * factor,
            self.n_ratings * factor,
        )


def start_block(size: int) -> TasteBlock:
    """The start that all nodes have in common; folding in with it is ridge of strength 1."""
    return TasteBlock(np.zeros(size), START_VARIANCE * np.eye(size), START_NOISE, 0, 0)


def e_step(block: TasteBlock, users: Iterable[Told]) -> TasteSums:
    """What the block makes of these users; users without ratings are passed over."""
    size = len(block.mean_K)
    prior = block.prior
    mean_K, outer_KK, known_KK = np.zeros(size), *np.zeros((2, size, size))
    error, n_users, n_ratings, n_short = 0.0, 0, 0, 0
    for told in users:
        if not len(told.y_R):
            continue
        found = posterior(told, prior)
        mean_K += found.mean_K
        outer_KK += np.outer(found.mean_K, found.mean_K)
        error += float(((told.y_R - told.x_RK @ found.mean_K) ** 2).sum())
        # To the error comes tr x V x', in a form that each has at hand: s2 (n - s2 tr G^-1), or s2 tr V (V^-1 - S^-1).
        if found.reached_RK is not None:
            known_KK += told.x_RK.T @ found.inverse @ told.x_RK
            n_short += 1
            error += block.noise * (len(told.y_R) - block.noise * float(np.trace(found.inverse)))
        else:
            outer_KK += found.inverse
            error += block.noise * (size - float(np.vdot(prior.precision, found.inverse)))
        n_users, n_ratings = n_users + 1, n_ratings + len(told.y_R)
    # The variances of users with few ratings, S - S x' G^-1 x S, all at once.
    outer_KK += n_short * block.covariance_KK - block.covariance_KK @ known_KK @ block.covariance_KK
    return TasteSums(mean_K, outer_KK, error, n_users, n_ratings)


def m_step(sums: TasteSums, towards: TasteBlock | None = None) -> TasteBlock:
    """The block that explains the sums best, with the pull towards another: None is the common start."""
    size, users = len(sums.mean_K), sums.n_users
    towards = towards or start_block(size)
    mean_K = (sums.mean_K + MEAN_SHRINK * towards.mean_K) / (users + MEAN_SHRINK)
    cross_KK = np.outer(sums.mean_K, mean_K)
    centred_KK = sums.outer_KK - cross_KK - cross_KK.T + users * np.outer(mean_K, mean_K)
    covariance_KK = (centred_KK + PRIOR_USERS * towards.covariance_KK) / (users + PRIOR_USERS)
    noise = max(sums.error / sums.n_ratings, NOISE_MIN) if sums.n_ratings else towards.noise
    return TasteBlock(mean_K, (covariance_KK + covariance_KK.T) / 2, noise, users, sums.n_ratings)


def improve(block: TasteBlock, users: Iterable[Told]) -> TasteBlock:
    """One EM iteration on these users."""
    return m_step(e_step(block, users))


class TastePrior(LinearTaste):
    """The Gaussian multi-task model. `iterations` of EM: 1 / 3 / 8 gave .671 / .716 / .733 in a prototype."""

    name: ClassVar[str] = "taste_prior"
    learned: ClassVar[tuple[str, ...]] = (*LinearTaste.learned, "n_users", "n_ratings")
    n_users: float
    n_ratings: float

    def __init__(self, *, iterations: int = ITERATIONS, basis: str = BASIS) -> None:
        self.iterations = iterations
        self.basis = basis

    def fit(self, ratings: Interactions, items: Items) -> Self:
        self.prepare(ratings, items)
        # Made anew each time, because everybody's rows at once would be as many numbers as ratings times K.
        histories = ratings.histories()
        for _ in range(self.iterations):
            self.take(improve(self.block, (self.told(one) for one in histories)))
        return self

    def prepare(self, ratings: Interactions, items: Items) -> Self:
        """The scale and the features of these ratings and items, and the common start: all of `fit` but learning."""
        check_sizes(ratings, items)
        self.learn_scale(ratings)
        self.z_IK = phi_of(items, self.basis)
        self.take(start_block(self.z_IK.shape[1]))
        return self

    @property
    def block(self) -> TasteBlock:
        """What the model knows of tastes in general."""
        return TasteBlock(self.mean_K, self.covariance_KK, self.noise, self.n_users, self.n_ratings)

    def take(self, block: TasteBlock) -> None:
        """Rank by this block from now on, wherever it was learned. Raises: ValueError when it has another size."""
        size = self.z_IK.shape[1]
        if block.mean_K.shape != (size,) or block.covariance_KK.shape != (size, size):
            raise ValueError(f"a taste block over {len(block.mean_K)} features does not fit features of {size}")
        self.mean_K, self.covariance_KK = block.mean_K, block.covariance_KK
        self.noise, self.n_users, self.n_ratings = block.noise, block.n_users, block.n_ratings
