"""The gate: a block is let in when it does one's own users no harm.

Each judge is a user of this node whose ratings are cut in two: rebuilt from one part, the other must come out. Judged
against the start that all nodes have in common, which needs no network. Judging against the node's present block would
refuse everybody: that one was fitted to the very users that judge. Warm judges have half of their ratings known, cold
ones a handful. Both must be served: a user of many ratings overrides a wrong prior, and only the newcomer shows what is
wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.aggregation import Values
from models.interactions import History
from models.shared_model import Crowd, Exam, SharedModel

# Users who judge: more make a surer verdict, at a solve each for every block.
JUDGES_MAX = 40
# A cold user has said so much.
COLD_RATINGS = 5
# Fewer queries tell nothing of a variance.
QUERIES_MIN = 2
# A block may be worse than the start by so much of its loss: among few judges chance is as large.
SLACK = 0.02


@dataclass(frozen=True, slots=True)
class Verdict:
    """`warm` and `cold`: by how much of the start's loss the block is better (+) or worse (-)."""

    accepted: bool
    warm: float
    cold: float


def draw_exams(histories: Sequence[History], rng: np.random.Generator, support: int | None = None) -> list[Exam]:
    """One exam of each of up to JUDGES_MAX users, drawn by chance: half of the ratings known, or `support` of them."""
    # Who rates everything alike tells no good block from a bad one.
    able = [one for one in histories if len(one) >= QUERIES_MIN + 2 and np.ptp(one.values) > 0]
    chosen = rng.permutation(len(able))[:JUDGES_MAX]
    exams = []
    for one in (able[place] for place in chosen.tolist()):
        order = rng.permutation(len(one))
        cut = len(one) // 2 if support is None else min(support, len(one) // 2)
        exams.append(Exam(*(History(one.items[part], one.values[part]) for part in (order[:cut], order[cut:]))))
    return exams


class Gate:
    """The judges of one node for one period."""

    def __init__(self, model: SharedModel, histories: Sequence[History], rng: np.random.Generator) -> None:
        self._model = model
        self.warm = draw_exams(histories, rng)
        self.cold = draw_exams(histories, rng, COLD_RATINGS)
        self._start_warm, self._start_cold = self._losses(model.start(), Crowd())

    @property
    def start_loss(self) -> float:
        """Of the common start: mean over the warm judges."""
        return float(self._start_warm.mean()) if self.warm else 0.0

    def judge(self, values_V: Values, crowd: Crowd) -> Verdict:
        """Nobody to judge accepts everything, and passes it on: others judge, and nothing ranks here by it."""
        if not self.warm:
            return Verdict(True, 0.0, 0.0)
        warm_E, cold_E = self._losses(values_V, crowd)
        warm, cold = self._gain(warm_E, self._start_warm), self._gain(cold_E, self._start_cold)
        return Verdict(bool(min(warm, cold) >= -SLACK), warm, cold)

    def loss(self, values_V: Values, crowd: Crowd) -> float:
        """Mean over the warm judges."""
        return float(self._model.losses(values_V, crowd, self.warm).mean()) if self.warm else 0.0

    def _losses(self, values_V: Values, crowd: Crowd) -> tuple[Values, Values]:
        """Of the warm judges and of the cold ones; together, for making a model of the values is most of the work."""
        loss_E = self._model.losses(values_V, crowd, [*self.warm, *self.cold])
        return loss_E[: len(self.warm)], loss_E[len(self.warm) :]

    @staticmethod
    def _gain(loss_E: Values, start_E: Values) -> float:
        return float((start_E - loss_E).mean() / max(start_E.mean(), 1e-12))
