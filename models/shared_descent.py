"""The projection W and the two towers as nodes learn them together: a few steps of Adam a period, on one's own users.

Values of a block are its weights, one array after the other. What Adam remembers of past gradients stays at home, and
goes on from period to period. The rate falls with the age of the block, so that the network settles: the age travels
with the block, and a late joiner takes over both.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np

from models.aggregation import Rule, Values
from models.episodes import Batch, train, usable
from models.fusion import Vectors
from models.interactions import History
from models.linear_taste import posterior
from models.projection import LOG_RIDGE_MAX, LOG_RIDGE_MIN, Projection, ProjectionBlock, ProjectionLearner
from models.recommender import Recommender
from models.shared_model import NO_MOMENTS, Crowd, DenseModel, Exam, InvalidBlockError, Moments, spare_variance
from models.two_tower import NAMES, TowerBlock, TowerLearner, TwoTower

# The rate falls evenly with age to this share of the model's own.
RATE_MIN = 0.05
# A node alone takes so many periods.
ALONE_PERIODS = 20
# Beyond any weight of use, and small enough that scores stay finite.
WEIGHT_MAX = 100.0


class ResumingLearner(Protocol):
    """A learner (models.episodes) whose optimizer can be put down and taken up again."""

    def step(self, batch: Batch) -> None: ...
    def loss(self, batch: Batch) -> float: ...
    def moments(self) -> Moments: ...
    def resume(self, moments: Moments, rate: float) -> None: ...


class SharedDescent(DenseModel):
    """What both have in common. `steps` a period; chance is drawn anew for each age from `seed`."""

    periods: ClassVar[int]
    """How many periods the rate takes to fall."""
    steps: ClassVar[int]

    def __init__(self, histories: Sequence[History], seed: int) -> None:
        self._histories = usable(histories)
        self._seed = seed

    def improve(self, values_V: Values, moments: Moments, age: int, crowd: Crowd) -> tuple[Values, Moments]:
        if not self._histories:
            return values_V, moments
        learner = self._learner(values_V)
        learner.resume(moments, max(RATE_MIN, 1 - age / self.periods))
        train(learner, self._histories, self.steps, np.random.default_rng([self._seed, age]))
        return self._learned(learner), learner.moments()

    def alone(self) -> tuple[Values, Crowd]:
        values_V, moments, crowd = self.start(), NO_MOMENTS, Crowd(len(self._histories))
        for age in range(ALONE_PERIODS):
            values_V, moments = self.improve(values_V, moments, age, crowd)
        return values_V, crowd

    def check(self, values_V: Values) -> None:
        if np.abs(values_V).max(initial=0) > WEIGHT_MAX:
            raise InvalidBlockError(f"a weight beyond {WEIGHT_MAX:g}")

    @abstractmethod
    def _learner(self, values_V: Values) -> ResumingLearner:
        """A learner that starts with these values."""

    @abstractmethod
    def _learned(self, learner: ResumingLearner) -> Values:
        """A learner's weights as values."""


class SharedProjection(SharedDescent):
    """W [rank, K], m [rank] and the log of the ridge [1], over a prepared Projection."""

    called: ClassVar[str] = "projection"
    rule: ClassVar[Rule] = "median"
    periods: ClassVar[int] = 30
    steps: ClassVar[int] = 4

    def __init__(self, model: Projection, histories: Sequence[History], seed: int) -> None:
        super().__init__(histories, seed)
        self._model = model
        self._start = model.block

    @property
    def sections(self) -> tuple[int, ...]:
        return self._start.w_RK.size, len(self._start.mean_R), 1

    def start(self) -> Values:
        return _values_of(self._start)

    def take(self, values_V: Values, crowd: Crowd) -> Recommender:
        self._model.take(self._block(values_V))
        return self._model

    def losses(self, values_V: Values, crowd: Crowd, exams: Sequence[Exam]) -> Values:
        self.take(values_V, crowd)
        model, prior = self._model, self._model.prior
        loss_E = np.empty(len(exams))
        for place, exam in enumerate(exams):
            score_Q = model.z_IK[exam.query.items] @ posterior(model.told(exam.support), prior).mean_K
            loss_E[place] = spare_variance(score_Q - exam.query.values / model.spread)
        return loss_E

    def _learner(self, values_V: Values) -> ResumingLearner:
        return ProjectionLearner(self._block(values_V), self._model)

    def _learned(self, learner: ResumingLearner) -> Values:
        assert isinstance(learner, ProjectionLearner)
        return _values_of(learner.block())

    def _block(self, values_V: Values) -> ProjectionBlock:
        w, mean_R, log_ridge = np.split(values_V.astype(np.float32), np.cumsum(self.sections)[:-1])
        ridge = float(np.clip(log_ridge[0], LOG_RIDGE_MIN, LOG_RIDGE_MAX))
        return ProjectionBlock(w.reshape(self._start.w_RK.shape), mean_R, ridge)


def _values_of(block: ProjectionBlock) -> Values:
    return np.concatenate([block.w_RK.ravel(), block.mean_R, [block.log_ridge]]).astype(np.float64)


class SharedTowers(SharedDescent):
    """All weights of both towers in the order of their fields, over a prepared TwoTower."""

    called: ClassVar[str] = "two_tower"
    rule: ClassVar[Rule] = "mean"
    periods: ClassVar[int] = 40
    steps: ClassVar[int] = 8

    def __init__(self, model: TwoTower, histories: Sequence[History], seed: int) -> None:
        super().__init__(histories, seed)
        self._model = model
        self._start = model.block

    @property
    def sections(self) -> tuple[int, ...]:
        return tuple(getattr(self._start, name).size for name in NAMES)

    def start(self) -> Values:
        return np.concatenate([getattr(self._start, name).ravel() for name in NAMES]).astype(np.float64)

    def take(self, values_V: Values, crowd: Crowd) -> Recommender:
        self._model.take(self._block(values_V))
        return self._model

    def losses(self, values_V: Values, crowd: Crowd, exams: Sequence[Exam]) -> Values:
        self.take(values_V, crowd)
        model, loss_E = self._model, np.empty(len(exams))
        for place, exam in enumerate(exams):
            pooled_K, rows = model.pooled(exam.support), exam.query.items
            score_Q = model.item_IO[rows] @ model.user_tower(pooled_K[None])[0]
            score_Q = score_Q + model.phi_IK[rows] @ (model.block.skip * pooled_K)
            loss_E[place] = spare_variance(score_Q - exam.query.values / model.spread)
        return loss_E

    def _learner(self, values_V: Values) -> ResumingLearner:
        return TowerLearner(self._block(values_V), self._model)

    def _learned(self, learner: ResumingLearner) -> Values:
        assert isinstance(learner, TowerLearner)
        block = learner.block()
        return np.concatenate([getattr(block, name).ravel() for name in NAMES]).astype(np.float64)

    def _block(self, values_V: Values) -> TowerBlock:
        parts = np.split(values_V.astype(np.float32), np.cumsum(self.sections)[:-1])
        shaped: dict[str, Vectors] = {
            name: part.reshape(getattr(self._start, name).shape) for name, part in zip(NAMES, parts, strict=True)
        }
        return TowerBlock(**shaped)
