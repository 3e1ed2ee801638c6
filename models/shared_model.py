"""What nodes learn together: a model whose knowledge has one size, whatever the catalog, and holds no user.

A block is a vector of values, so that blocks can be merged (models.aggregation), judged (models.gate) and sent. All
nodes begin with one start, improve what they have on their own users, and merge with what others sent. Each
subclass stands for one node: it is made with that node's users and is asked what they make of a block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from models.aggregation import Rule, Values, merge
from models.interactions import History
from models.recommender import Recommender

# What an optimizer remembers between rounds: one vector, empty at first. Stays at home.
Moments = npt.NDArray[np.float32]
NO_MOMENTS: Moments = np.zeros(0, np.float32)


class InvalidBlockError(ValueError):
    """Values that no honest node would send: one sentence."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many users, on how many nodes, are thought to be behind a block."""

    users: float = 1.0
    nodes: int = 1


@dataclass(frozen=True, slots=True)
class Backed:
    """A block and who is thought to be behind it."""

    values_V: Values
    crowd: Crowd


@dataclass(frozen=True, slots=True)
class Exam:
    """A user's ratings in two: from `support` the user is rebuilt, `query` is what must come out."""

    support: History
    query: History


class SharedModel(ABC):
    """One model and one node's users."""

    called: ClassVar[str]
    rule: ClassVar[Rule]
    """How blocks of it are merged."""

    @abstractmethod
    def start(self) -> Values:
        """The start that all nodes have in common; ranking with it needs no network."""

    @abstractmethod
    def improve(self, values_V: Values, moments: Moments, age: int, crowd: Crowd) -> tuple[Values, Moments]:
        """One period's learning on this node's users, from a merged block with `age` periods behind it."""

    @abstractmethod
    def alone(self) -> tuple[Values, Crowd]:
        """What this node's users teach without anybody else."""

    @abstractmethod
    def take(self, values_V: Values, crowd: Crowd) -> Recommender:
        """The recommender that ranks by this block."""

    @abstractmethod
    def losses(self, values_V: Values, crowd: Crowd, exams: Sequence[Exam]) -> Values:
        """What each exam's queries cost under the block: the variance of what it gets wrong, float64 [exams].

        In squared spreads of the ratings; what a user rates everything higher by costs nothing, for it ranks nothing.
        """

    @abstractmethod
    def fits(self, values_V: Values) -> bool:
        """Whether stored values have the form of this model's."""

    def merge(
        self, rule: Rule, own_V: Values, others: Sequence[Values], weights_B: Values, own_weight: float
    ) -> Values:
        """One's own block and others' made into one."""
        return merge(rule, own_V, np.array(others).reshape(len(others), len(own_V)), weights_B, own_weight)

    @abstractmethod
    def stand_on(self, values_V: Values) -> None:
        """What this node has, where blocks can only be judged beside it."""


class DenseModel(SharedModel):
    """A model whose block has always the same numbers, in sections of like size."""

    @property
    @abstractmethod
    def sections(self) -> tuple[int, ...]:
        """How many values each part of a block has, as it is sent."""

    def fits(self, values_V: Values) -> bool:
        return len(values_V) == sum(self.sections) and bool(np.isfinite(values_V).all())

    def stand_on(self, values_V: Values) -> None:
        """A block means the same wherever it is."""

    def send(self, values_V: Values) -> list[Values]:
        """The sections to be sent."""
        return np.split(values_V, np.cumsum(self.sections)[:-1])

    def receive(self, sections: Sequence[Values]) -> Values:
        """Values from sections as received. Raises: InvalidBlockError for what no honest node sends."""
        if tuple(map(len, sections)) != self.sections:
            raise InvalidBlockError(f"a block of {self.called} has other sections than {self.sections}")
        values_V = np.concatenate(list(sections)).astype(np.float64)
        if not np.isfinite(values_V).all():
            raise InvalidBlockError("a block holds a number that is not finite")
        self.check(values_V)
        return values_V

    @abstractmethod
    def check(self, values_V: Values) -> None:
        """Raise InvalidBlockError unless the values are in the range of honest ones."""


def spare_variance(error_Q: Values) -> float:
    """The variance of errors, which a constant does not change."""
    return float(np.mean((error_Q - error_Q.mean()) ** 2))
