"""What a node may publish of its users' tastes: the E step's sums under user-level differential privacy.

Neighbours differ by one user, added or removed, with all of that user's ratings. A user is one vector

    v = [COUNT, d, triangle of d d' + V - S]        d = mu - m, off-diagonals times sqrt 2

where N(m, S) is the block that everybody knows already and N(mu, V) what it makes of the user. Beside COUNT, which is
the same for all, v is clipped to a length; |v| <= CLIP for any user whatever, so Gaussian noise of deviation
z * CLIP on the sum of all v makes one release of noise multiplier z (Dwork et al. 2006; the exact epsilon: Balle and
Wang 2018, Improving the Gaussian Mechanism). Everything after the noise is post-processing and costs nothing.

Protected: user count (in v), mean, covariance. Replaced by constants: the noise s2 (NOISE; from 300 users it is learned
to within a tenth of that), and the rating count, which is stated as one a user, since no formula needs it.

Two conditions that no code here can check:
- The block is public: `start_block`, or one received or released before. One's own unreleased block tells of users.
- `users` were told on a fixed scale. A model fitted or prepared with ratings learns its scale from all of them, so each
  user's numbers would depend on the others'. One that is prepared with *no* ratings takes the rating scale's own
  middle and quarter: `TastePrior(...).prepare(interactions_of([], n_items, scale), items)`.

Epsilon 8 is a promise about the worst case, and a weak one: by `membership_auc_max` somebody who knows all other users
may be right with an AUC of .88, and the attack of models.audit, which knows less, reaches .70 to .81.

Demo worlds 100 and 101, K = 130, 300 users, epsilon 8 once, NDCG@10 with an EDGE_SHARE of .5: CLIP 16 / 22 / 28 gave
.857 / .860 / .862; the mean weighing half to twice as much in v, or COUNT a sixth to a half of CLIP, changed .001; 66
of the 130 dimensions, the start kept elsewhere: .855 (30 users: .845 beside .842); d d' without V - S: .858; no
sharing: .836.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import erf
from typing import Any

import numpy as np

from models.linear_taste import Floats, Posterior, Prior, Told, posterior
from models.taste_prior import MEAN_SHRINK, TasteBlock, TasteSums

#: The most that one user adds to the sum, in units of the ratings' spread squared. People of 500 ratings have 22 to 33
#: (K = 130): being clipped alike they lose nothing but a little size; people of few ratings have less.
CLIP = 24.0
#: What every user adds to the count; the rest of CLIP is for tastes. At epsilon 8 the count is off by 2.4 users.
COUNT = 6.0
#: Stands for the noise variance of a rating.
NOISE = 0.4
#: Eigenvalues move towards the known block's by this share of the largest that noise alone would have. On the tuning
#: worlds .25 / .4 / .5 / .6 gave .864 / .862 / .860 / .859 with 300 users, and no difference with 30.
EDGE_SHARE = 0.3
#: Less noise than this in one release protects nobody (epsilon 90), and takes minutes to account for.
NOISE_MULTIPLIER_MIN = 0.1
#: Beyond this, epsilon is a number and not a promise; `noise_multiplier_for` refuses it.
EPSILON_MAX = 20.0
# In the units of epsilon: how finely the library rounds losses, always to the safe side.
_LOSS_STEP = 1e-4


class BudgetSpentError(Exception):
    """A release would go beyond what users were promised. One sentence."""


# -- one user ----------------------------------------------------------------------------------------------------------


def contribution(told: Told, prior: Prior) -> Floats:
    """What one user adds to the sum before noise: float64 [1 + K + K (K + 1) / 2], no longer than CLIP.

    All zeros for a user without ratings, or with numbers so large that they overflow.
    """
    size = len(prior.mean_K)
    empty = np.zeros(1 + size + size * (size + 1) // 2)
    if not len(told.y_R):
        return empty
    with np.errstate(over="ignore", invalid="ignore"):
        found = posterior(told, prior)
        away_K = found.mean_K - prior.mean_K
        taste = np.concatenate([away_K, _triangle(np.outer(away_K, away_K) - _learned(found))])
        length = float(np.linalg.norm(taste))
    if not np.isfinite(length):
        return empty
    limit = (CLIP**2 - COUNT**2) ** 0.5
    return np.concatenate([[COUNT], taste * min(1.0, limit / max(length, 1e-300))])


def _learned(found: Posterior) -> Floats:
    """S - V, the variance that the ratings took away: float64 [K, K]."""
    if found.reached_RK is None:
        return found.prior.covariance_KK - found.inverse
    return np.asarray(found.reached_RK.T @ found.inverse @ found.reached_RK)


def _triangle(square_KK: Floats) -> Floats:
    """The upper triangle, its length the Frobenius norm of the (symmetric) whole: float64 [K (K + 1) / 2]."""
    rows, columns = np.triu_indices(len(square_KK))
    return np.asarray(square_KK[rows, columns] * np.where(rows == columns, 1.0, 2**0.5))


def _square(triangle: Floats, size: int) -> Floats:
    """`_triangle` undone: float64 [K, K]."""
    rows, columns = np.triu_indices(size)
    square_KK = np.empty((size, size))
    square_KK[rows, columns] = square_KK[columns, rows] = triangle / np.where(rows == columns, 1.0, 2**0.5)
    return square_KK


# -- all users ---------------------------------------------------------------------------------------------------------


def clipped_sum(block: TasteBlock, users: Iterable[Told]) -> Floats:
    """The sum of all contributions, before noise: this must not leave the node."""
    prior, size = block.prior, len(block.mean_K)
    total = np.zeros(1 + size + size * (size + 1) // 2)
    for told in users:
        total += contribution(told, prior)
    return total


def private_sums(
    block: TasteBlock, users: Iterable[Told], noise_multiplier: float, rng: np.random.Generator
) -> TasteSums:
    """The E step as it may be published, its `n_users` included; `m_step` of it is a valid block.

    Spend it in an `Accountant` first. The seed of `rng` is as secret as the ratings. Raises: ValueError when the noise
    is too little to protect anybody.
    """
    _check_noise(noise_multiplier)
    total = clipped_sum(block, users)
    return repaired(block, total + noise_multiplier * CLIP * rng.normal(size=len(total)), noise_multiplier)


def repaired(block: TasteBlock, noisy: Floats, noise_multiplier: float) -> TasteSums:
    """The sums that a noisy sum most likely stands for, of which `m_step` makes a positive definite covariance.

    The mean is shrunk as James and Stein (1961) do; the covariance's difference from the known one loses what noise
    alone may have made of it, and then every negative eigenvalue.
    """
    size, deviation = len(block.mean_K), noise_multiplier * CLIP
    users = max(float(noisy[0]) / COUNT, 1.0)
    away_K = noisy[1 : 1 + size]
    away_K = away_K * max(0.0, 1 - size * deviation**2 / max(float(away_K @ away_K), 1e-300))
    mean_K = away_K + users * block.mean_K
    centre_K = mean_K / (users + MEAN_SHRINK)
    # Second moments about the centre that m_step will find, less those of the known block.
    step_K = centre_K - block.mean_K
    cross_KK = np.outer(away_K, step_K)
    change_KK = _square(noisy[1 + size :], size) - cross_KK - cross_KK.T + users * np.outer(step_K, step_K)
    # A symmetric matrix of such noise, off-diagonals of deviation / sqrt 2, has eigenvalues up to here (Wigner 1958).
    edge = (2 * size) ** 0.5 * deviation
    values_K, vectors_KK = np.linalg.eigh(change_KK)
    values_K = np.sign(values_K) * np.maximum(np.abs(values_K) - EDGE_SHARE * edge, 0)
    centred_KK = _positive((vectors_KK * values_K) @ vectors_KK.T + users * block.covariance_KK)
    cross_KK = np.outer(mean_K, centre_K)
    outer_KK = centred_KK + cross_KK + cross_KK.T - users * np.outer(centre_K, centre_K)
    return TasteSums(mean_K, outer_KK, NOISE * users, users, users)


def _positive(square_KK: Floats) -> Floats:
    """The nearest matrix without negative eigenvalues: float64 [K, K]."""
    values_K, vectors_KK = np.linalg.eigh(square_KK)
    return np.asarray((vectors_KK * np.maximum(values_K, 0)) @ vectors_KK.T)


# -- the budget --------------------------------------------------------------------------------------------------------


def epsilon_of(released: Iterable[float], delta: float) -> float:
    """What releases of these noise multipliers cost a user together; never less than the truth.

    By privacy loss distributions (Koskela, Jalkoe and Honkela 2020), which compose exactly where moments (Mironov 2017)
    give a bound. Raises: ValueError when the noise of one is too little to protect anybody.
    """
    from dp_accounting.pld import PLDAccountant

    counts = Counter(released)
    accountant = PLDAccountant(value_discretization_interval=_LOSS_STEP)
    for noise_multiplier, count in sorted(counts.items()):
        _check_noise(noise_multiplier)
        accountant.compose(_gaussian(noise_multiplier), count)
    return float(accountant.get_epsilon(delta)) if counts else 0.0


def membership_auc_max(released: Iterable[float]) -> float:
    """The best AUC of any test whether one user was there, by somebody who knows all the others: Phi(mu / sqrt 2).

    Gaussian releases compose to one of mu^2 = sum 1 / z^2 (Dong, Roth and Su 2022, Gaussian Differential Privacy).
    """
    mu = float(np.linalg.norm([1 / one for one in released]))
    return (1 + erf(mu / 2)) / 2


@lru_cache(maxsize=64)
def noise_multiplier_for(epsilon: float, delta: float, releases: int) -> float:
    """The least noise at which so many releases cost no more than epsilon together, to four digits.

    Raises: ValueError for a budget that is not in (0, EPSILON_MAX], or for less than one release.
    """
    if not 0 < epsilon <= EPSILON_MAX or releases < 1:
        raise ValueError(f"a budget is an epsilon up to {EPSILON_MAX:g} and at least one release")
    # At a quarter epsilon is above 20; sqrt(releases) because that many cost what one of less noise costs.
    high = float(np.sqrt(releases))
    low = high / 4
    while epsilon_of([high] * releases, delta) > epsilon:
        low, high = high, 2 * high
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        if epsilon_of([middle] * releases, delta) > epsilon:
            low = middle
        else:
            high = middle
    return high


def noise_multiplier_left(epsilon: float, delta: float, spent: Iterable[float]) -> float | None:
    """The least noise at which one more release stays within epsilon, `spent` being out; None where nothing is left.

    Gaussian releases of 1 / z^2 add up (Dong, Roth and Su 2022).
    """
    left = noise_multiplier_for(epsilon, delta, 1) ** -2 - sum(one**-2 for one in spent)
    # What four digits leave over is nothing.
    return float(left**-0.5) * (1 + 1e-4) if left > 1e-2 * noise_multiplier_for(epsilon, delta, 1) ** -2 else None


@dataclass(slots=True)
class Accountant:
    """What has been released, and the most that may be. `released` are noise multipliers: plain numbers to be stored.

    Persist, then speak: store `released` after `spend` and before the block leaves, or a crash makes a release free.
    """

    epsilon_max: float
    delta: float
    released: list[float] = field(default_factory=list)

    @property
    def epsilon(self) -> float:
        """Spent so far."""
        return epsilon_of(self.released, self.delta)

    def spend(self, noise_multiplier: float) -> float:
        """Enter one release and return the epsilon spent with it. Raises: BudgetSpentError, entering nothing."""
        epsilon = epsilon_of([*self.released, noise_multiplier], self.delta)
        if not epsilon <= self.epsilon_max:
            raise BudgetSpentError(
                f"publishing once more would bring each user's privacy loss (epsilon) to {epsilon:.2f}, beyond the "
                f"budget of {self.epsilon_max:g}"
            )
        self.released.append(noise_multiplier)
        return epsilon


def _gaussian(noise_multiplier: float) -> Any:
    from dp_accounting import GaussianDpEvent

    return GaussianDpEvent(noise_multiplier)


def _check_noise(noise_multiplier: float) -> None:
    if not noise_multiplier >= NOISE_MULTIPLIER_MIN or not np.isfinite(noise_multiplier):
        raise ValueError(f"a noise multiplier of {noise_multiplier:g} is not a number from {NOISE_MULTIPLIER_MIN:g} on")
