"""The taste prior as nodes learn it together: what travels are averages over users, what ranks is the prior they give.

Values of a block, in order: the average of mu [K], the average of mu mu' + V, its upper triangle [K (K + 1) / 2], and
the noise [1]; see models.taste_prior. The averages of all users are the averages of nodes of equal size, so the mean of
such nodes' blocks is the step that one machine with all users would have made. Blocks are means of second moments, and
so is every weighted mean of them: a covariance stays one.

People may judge one shop's things by other tastes than another's, and a merged block knows only what is common.
`OwnTaste` is what a node's own users make of the merged block: it is published beside it and merged by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from models.aggregation import Rule, Values
from models.interactions import History
from models.linear_taste import Floats, posterior
from models.recommender import Recommender
from models.shared_model import Crowd, DenseModel, Exam, InvalidBlockError, Moments, spare_variance
from models.taste_prior import (
    ITERATIONS,
    NOISE_MIN,
    START_NOISE,
    START_VARIANCE,
    TasteBlock,
    TastePrior,
    TasteSums,
    e_step,
    m_step,
)

# What one's own users count beside the merged block, on a node of average size: less from period to period, so that
# nodes come to agree, as the steps of online EM do (Cappe and Moulines 2009); and less on a node of a handful of users,
# who are explained all too well by what they taught themselves. A constant .45, on tuning world 100 after 16 and 48
# periods, came to NDCG .999 and 1.000 with RMSE 1.006 and 1.004 of one machine on 10 nodes; this to 1.002 and 1.000
# with 1.003 and 1.003. On 100 nodes of three a constant .45 let covariances grow until nobody took them. Slowing by .6
# agreed no better, and took longer to learn again what came back with nodes that were away.
OWN_SHARE, OWN_SHARE_MIN = 0.9, 0.09
FEW_USERS = 3.0
SLOWS_AT, SLOWS_BY = 8.0, 0.4
# In units of the ratings' spread, an eigenvalue, the mean's square, and the noise. Honest ones of 300 users came to 20,
# 60 and .5, and were still growing after 16 periods; what is large and wrong is for the gate to see.
EIGENVALUE_MAX, MEAN_SQUARE_MAX, NOISE_MAX = 500.0, 1_000.0, 4.0
EIGENVALUE_MIN = 1e-6
# A release has at least this much variance in every direction, or rounding could take it away.
SPARE_MIN = 1e-3
# What is sent keeps to this part of the bounds, and to this ratio of its largest variance to its smallest: rounding to
# 255 steps moves the ones, and takes away deviations below a 254th of the largest.
TAKEABLE, FLATTEST = 0.9, 4e4
# Rounding moves the eigenvalues of a correlation matrix by up to a twentieth; what is below this is no accident.
ROUNDED_MIN = -0.2
# What is below is lifted to this: directions that nobody tells apart.
CORRELATION_MIN = 0.01


class SharedTaste(DenseModel):
    """Over a prepared TastePrior and the users that it was prepared with."""

    called: ClassVar[str] = "taste_prior"
    rule: ClassVar[Rule] = "mean"

    def __init__(self, model: TastePrior, histories: Sequence[History]) -> None:
        self._model = model
        self._size = model.z_IK.shape[1]
        self._triangle = np.triu_indices(self._size)
        self._above = self._triangle[0] != self._triangle[1]
        self._told = [model.told(one) for one in histories if len(one)]

    @property
    def sections(self) -> tuple[int, ...]:
        size = self._size
        return size, size, size * (size - 1) // 2, 1

    def start(self) -> Values:
        return self.averages(TasteSums(np.zeros(self._size), START_VARIANCE * np.eye(self._size), START_NOISE, 1, 1))

    def improve(self, values_V: Values, moments: Moments, age: int, crowd: Crowd) -> tuple[Values, Moments]:
        if not self._told:
            return values_V, moments
        users = len(self._told)
        share = max(OWN_SHARE * (1 + age / SLOWS_AT) ** -SLOWS_BY, OWN_SHARE_MIN) * users / (users + FEW_USERS)
        # More on a larger node than on others, for each user is to count alike.
        share = min(share * users * crowd.nodes / max(crowd.users, 1), OWN_SHARE)
        return self.takeable((1 - share) * values_V + share * self.told_by(values_V, crowd)), moments

    def told_by(self, values_V: Values, crowd: Crowd) -> Values:
        """What this node's users say under the prior of a block: the averages of one E step."""
        return self.averages(e_step(self.block(values_V, crowd), self._told))

    def alone(self) -> tuple[Values, Crowd]:
        values_V, crowd = self.start(), Crowd(len(self._told))
        for _ in range(ITERATIONS if self._told else 0):
            values_V = self.told_by(values_V, crowd)
        return values_V, crowd

    def take(self, values_V: Values, crowd: Crowd) -> Recommender:
        self._model.take(self.block(values_V, crowd))
        return self._model

    def block(self, values_V: Values, crowd: Crowd) -> TasteBlock:
        """The prior that averages over so many users give."""
        mean_K, outer_KK, noise = self._parts(values_V)
        users = max(crowd.users, 1.0)
        return m_step(TasteSums(mean_K * users, outer_KK * users, noise * users, users, users))

    def losses(self, values_V: Values, crowd: Crowd, exams: Sequence[Exam]) -> Values:
        prior, model = self.block(values_V, crowd).prior, self._model
        loss_E = np.empty(len(exams))
        for place, exam in enumerate(exams):
            found = posterior(model.told(exam.support), prior)
            score_Q = model.z_IK[exam.query.items].astype(np.float64) @ found.mean_K
            loss_E[place] = spare_variance(score_Q - exam.query.values / model.spread)
        return loss_E

    # -- as sent -----------------------------------------------------------------------------------------------------

    def send(self, values_V: Values) -> list[Values]:
        """Mean, deviations, correlations and noise: each of one order, so that they round well."""
        mean_K, outer_KK, noise = self._parts(values_V)
        covariance_KK = outer_KK - np.outer(mean_K, mean_K)
        deviation_K = np.sqrt(np.diag(covariance_KK))
        correlation_KK = covariance_KK / np.outer(deviation_K, deviation_K)
        return [mean_K, deviation_K, correlation_KK[self._triangle][self._above], np.array([noise])]

    def receive(self, sections: Sequence[Values]) -> Values:
        if tuple(map(len, sections)) != self.sections or not all(np.isfinite(one).all() for one in sections):
            raise InvalidBlockError("a taste block of other sections, or with a number that is not finite")
        mean_K, deviation_K, above, noise = (one.astype(np.float64) for one in sections)
        if np.abs(above).max(initial=0) > 1 or deviation_K.min(initial=1) <= 0:
            raise InvalidBlockError("a taste block with a correlation beyond 1 or a deviation that is not above 0")
        correlation_KK = np.eye(self._size)
        rows, columns = (axis[self._above] for axis in self._triangle)
        correlation_KK[rows, columns] = correlation_KK[columns, rows] = above
        if not exceeds(correlation_KK, CORRELATION_MIN):
            eigenvalues_K, vectors_KK = np.linalg.eigh(correlation_KK)
            if eigenvalues_K[0] < ROUNDED_MIN:
                raise InvalidBlockError(f"correlations with an eigenvalue of {eigenvalues_K[0]:.3g}")
            correlation_KK = (vectors_KK * np.maximum(eigenvalues_K, CORRELATION_MIN)) @ vectors_KK.T
        outer_KK = correlation_KK * np.outer(deviation_K, deviation_K) + np.outer(mean_K, mean_K)
        values_V = self.averages(TasteSums(mean_K, outer_KK, float(noise[0]), 1, 1))
        self.check(values_V)
        return values_V

    def check(self, values_V: Values, part: float = 1.0) -> None:
        """Raises: InvalidBlockError. `part`: of the bounds above, where more room is wanted."""
        mean_K, outer_KK, noise = self._parts(values_V)
        covariance_KK = outer_KK - np.outer(mean_K, mean_K)
        # No eigenvalue is above the trace: what is plainly right costs no eigenvalues, which take longer.
        if not (np.trace(covariance_KK) <= part * EIGENVALUE_MAX and exceeds(covariance_KK, EIGENVALUE_MIN)):
            eigenvalues_K = np.linalg.eigvalsh(covariance_KK)
            if not EIGENVALUE_MIN <= eigenvalues_K[0] <= eigenvalues_K[-1] <= part * EIGENVALUE_MAX:
                raise InvalidBlockError(
                    f"a covariance with eigenvalues {eigenvalues_K[0]:.3g} to {eigenvalues_K[-1]:.3g}"
                )
        if not 0 < noise <= part * NOISE_MAX or mean_K @ mean_K > part * MEAN_SQUARE_MAX:
            raise InvalidBlockError("a taste block with a noise or a mean beyond all tastes")

    def takeable(self, values_V: Values) -> Values:
        """These, or the nearest that others take: what they refuse must not be sent, however it came about."""
        mean_K, outer_KK, noise = self._parts(values_V)
        variance_K = np.diag(outer_KK) - mean_K**2
        if variance_K.min() * FLATTEST >= variance_K.max() and noise >= NOISE_MIN:
            try:
                self.check(values_V, TAKEABLE)
            except InvalidBlockError:
                return self.within_bounds(values_V, TAKEABLE)
            return values_V
        return self.within_bounds(values_V, TAKEABLE)

    def within_bounds(self, values_V: Values, part: float = 0.5) -> Values:
        """The nearest values within that part of the bounds: of averages with noise, which need not be anybody's."""
        mean_K, outer_KK, noise = self._parts(values_V)
        mean_K = mean_K * min(1.0, (part * MEAN_SQUARE_MAX / max(float(mean_K @ mean_K), 1e-300)) ** 0.5)
        eigenvalues_K, vectors_KK = np.linalg.eigh(outer_KK - np.outer(mean_K, mean_K))
        eigenvalues_K = np.minimum(eigenvalues_K, part * EIGENVALUE_MAX)
        eigenvalues_K = np.maximum(eigenvalues_K, max(SPARE_MIN, float(eigenvalues_K[-1]) / FLATTEST))
        covariance_KK = (vectors_KK * eigenvalues_K) @ vectors_KK.T
        noise = float(np.clip(noise, NOISE_MIN, part * NOISE_MAX))
        return self.averages(TasteSums(mean_K, covariance_KK + np.outer(mean_K, mean_K), noise, 1, 1))

    # -- values ------------------------------------------------------------------------------------------------------

    def averages(self, sums: TasteSums) -> Values:
        """The values of a block from an E step's sums."""
        users, ratings = max(sums.n_users, 1), max(sums.n_ratings, 1)
        return np.concatenate([sums.mean_K / users, sums.outer_KK[self._triangle] / users, [sums.error / ratings]])

    def _parts(self, values_V: Values) -> tuple[Floats, Floats, float]:
        """Averages of mu [K] and of mu mu' + V [K, K], and the noise."""
        size = self._size
        outer_KK = np.empty((size, size))
        outer_KK[self._triangle] = values_V[size:-1]
        outer_KK.T[self._triangle] = values_V[size:-1]
        return values_V[:size], outer_KK, float(values_V[-1])


def exceeds(symmetric_KK: Floats, bound: float) -> bool:
    """Whether every eigenvalue does, but for rounding; of one hardly above the bound it may say no."""
    if not np.isfinite(symmetric_KK).all():
        return False
    try:
        np.linalg.cholesky(symmetric_KK - bound * np.eye(len(symmetric_KK)))
    except np.linalg.LinAlgError:
        return False
    return True


class OwnTaste(SharedTaste):
    """The merged block, refined by this node's users: the EM of one's own, drawn towards `towards`, not the start.

    Few users leave it as it is, many make it their own, so no rule has to say when it is worth having. Its values are
    those averages that give exactly this prior, whatever the crowd.
    """

    called: ClassVar[str] = "taste_prior.own"
    rule: ClassVar[Rule] = "own"

    def __init__(self, model: TastePrior, histories: Sequence[History], towards: TasteBlock) -> None:
        super().__init__(model, histories)
        self._towards = towards

    def improve(self, values_V: Values, moments: Moments, age: int, crowd: Crowd) -> tuple[Values, Moments]:
        return self.takeable(self.told_by(values_V, crowd)), moments

    def told_by(self, values_V: Values, crowd: Crowd) -> Values:
        block = m_step(e_step(self.block(values_V, crowd), self._told), self._towards)
        outer_KK = block.covariance_KK + np.outer(block.mean_K, block.mean_K)
        return self.averages(TasteSums(block.mean_K, outer_KK, block.noise, 1, 1))

    def block(self, values_V: Values, crowd: Crowd) -> TasteBlock:
        """The prior as it is: nothing is left to draw it to."""
        mean_K, outer_KK, noise = self._parts(values_V)
        return TasteBlock(mean_K, outer_KK - np.outer(mean_K, mean_K), noise, crowd.users, crowd.users)
