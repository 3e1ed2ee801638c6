"""The item-factor table as nodes learn it together: what travels are averages over users, a part of the table a time.

Unlike the other shared models it knows nothing of what an item looks like, and grows with the items that anybody rated.
It also tells more: a row is an item that somebody behind the sender has rated. Values are, in order: the Gram matrix's
upper triangle, what the table speaks of (low, high, least), then the rows, each its key and its sums. Keys have 48
bits, which a float64 holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from models.aggregation import Rule, Values
from models.factor_table import (
    FACTORS,
    FIRST,
    KEYS,
    FactorTable,
    Floats,
    Keys,
    bounded,
    merge_tables,
    mistake_in,
    no_table,
    part_of,
    places_of,
)
from models.interactions import History, Rows
from models.item_factors import ALPHA, ItemFactors, Solved, solve_table, users_table, vector_of
from models.recommender import Recommender
from models.shared_model import Crowd, Exam, InvalidBlockError, Moments, SharedModel

# What one's own users count beside the merged table, on a node of average size: as much as any period before, so that
# the table is the average over all periods, until it may forget the first, whose vectors were poor. With one user a
# node .05 / always .1 came to NDCG@10 .103 / .095 and RMSE .892 / .909 after 40 rounds, on a validation part of
# MovieLens and without engines.
OWN_SHARE, OWN_SHARE_MAX = 0.05, 0.5
# A node alone takes so many periods.
ALONE_PERIODS = 10
TRIANGLE = np.triu_indices(FACTORS)
HEAD = len(TRIANGLE[0]) + 3
WIDTH = 1 + FIRST + FACTORS


class SharedFactors(SharedModel):
    """Over a prepared ItemFactors, the keys of its items, and this node's users."""

    called: ClassVar[str] = ItemFactors.name
    rule: ClassVar[Rule] = "mean"

    def __init__(self, model: ItemFactors, keys_I: Keys, histories: Sequence[History]) -> None:
        self._model = model
        self._keys_I = keys_I
        self._histories = [one for one in histories if len(one)]
        self._beside: Solved | None = None

    def start(self) -> Values:
        return values_of(no_table())

    def fits(self, values_V: Values) -> bool:
        if len(values_V) < HEAD or (len(values_V) - HEAD) % WIDTH or not np.isfinite(values_V).all():
            return False
        keys_R = values_V[HEAD:].reshape(-1, WIDTH)[:, 0]
        ascending = (np.diff(keys_R) > 0).all() and (keys_R >= 0).all() and (keys_R < KEYS).all()
        return bool(ascending) and mistake_in(table_of(values_V)) is None

    def stand_on(self, values_V: Values) -> None:
        table = table_of(values_V)
        self._beside = None if table.empty else solve_table(table, 1)

    def merge(
        self, rule: Rule, own_V: Values, others: Sequence[Values], weights_B: Values, own_weight: float
    ) -> Values:
        """By their weights, whatever the rule: blocks speak of different items."""
        tables = [table_of(one) for one in (own_V, *others)]
        return values_of(merge_tables(tables, np.concatenate([[own_weight], weights_B])))

    def improve(self, values_V: Values, moments: Moments, age: int, crowd: Crowd) -> tuple[Values, Moments]:
        merged = table_of(values_V)
        if not self._histories:
            return values_of(bounded(merged)), moments
        own = self._taught(merged, crowd)
        usual = max(OWN_SHARE, 1 / (age + 1))
        share = min(usual * len(self._histories) * crowd.nodes / max(crowd.users, 1), OWN_SHARE_MAX)
        return values_of(bounded(merge_tables([merged, own], np.array([1 - share, share])))), moments

    def alone(self) -> tuple[Values, Crowd]:
        table, crowd = no_table(), Crowd(len(self._histories))
        for _ in range(ALONE_PERIODS):
            table = self._taught(table, crowd)
        return values_of(table), crowd

    def told_by(self, values_V: Values, crowd: Crowd) -> Values:
        """What this node's users alone make of a table."""
        return values_of(self._taught(table_of(values_V), crowd))

    def _taught(self, table: FactorTable, crowd: Crowd) -> FactorTable:
        model = self._model
        return users_table(table, crowd.users, self._keys_I, self._histories, model.liked, model.overall)

    def take(self, values_V: Values, crowd: Crowd) -> Recommender:
        self._model.take(table_of(values_V), crowd.users, self._keys_I)
        return self._model

    def losses(self, values_V: Values, crowd: Crowd, exams: Sequence[Exam]) -> Values:
        """What is left of the objective when scores are stretched as serves them best: 1 where they say nothing, and
        above it where they say the contrary. Vectors of users are made by this node's own table: a table turned round
        ranks alike by its own, and spoils every average.
        """
        table = table_of(values_V)
        if table.empty:
            return np.ones(len(exams))
        judged = solve_table(table, 1)
        own = self._beside or judged
        own_I, judged_I = (places_of(one.keys_R, self._keys_I) for one in (own, judged))
        loss_E = np.ones(len(exams))
        for place, exam in enumerate(exams):
            known, asked = own_I[self._liked(exam.support)], judged_I[self._liked(exam.query)]
            known, asked = known[known >= 0], asked[asked >= 0]
            if len(known) and len(asked):
                # What the user is known to have rated does not compete.
                rated = judged_I[exam.support.items]
                loss_E[place] -= _explained(judged, vector_of(own.metric_FF, own.item_RF[known]), asked, rated)
        return loss_E

    def _liked(self, history: History) -> Rows:
        return history.items[history.values >= self._model.liked]

    # -- as sent -----------------------------------------------------------------------------------------------------

    def part(self, values_V: Values, rows_max: int, chance: int) -> FactorTable:
        """Of a table, as many rows as may be sent."""
        return part_of(table_of(values_V), rows_max, chance)

    def receive_part(self, part: FactorTable) -> Values:
        """Values of a part as received. Raises: InvalidBlockError for what no honest node sends."""
        mistake = mistake_in(part)
        if mistake is not None:
            raise InvalidBlockError(f"an item-factor table with {mistake}")
        return values_of(part)


def _explained(judged: Solved, vector_F: Floats, asked: Rows, rated: Rows) -> float:
    """Of the objective of rows liked, the share that scores explain at their best stretch; below 0 for the contrary."""
    score_R = judged.item_RF @ vector_F
    score_R[rated[rated >= 0]] = 0
    score_L = score_R[asked]
    total = float(score_L.sum())
    spent = float(score_R @ score_R + ALPHA * score_L @ score_L)
    return float(np.sign(total)) * (1 + ALPHA) * total**2 / (spent * len(asked)) if spent > 0 else 0.0


def values_of(table: FactorTable) -> Values:
    """See the file's head."""
    rows_RW = np.column_stack([table.keys_R.astype(np.float64), table.sums_RC])
    return np.concatenate([table.gram_FF[TRIANGLE], [table.low, table.high, table.least], rows_RW.ravel()])


def table_of(values_V: Values) -> FactorTable:
    """The contrary of `values_of`."""
    gram_FF = np.zeros((FACTORS, FACTORS))
    gram_FF[TRIANGLE] = values_V[: HEAD - 3]
    gram_FF = gram_FF + np.triu(gram_FF, 1).T
    rows_RW = values_V[HEAD:].reshape(-1, WIDTH)
    low, high, least = values_V[HEAD - 3 : HEAD].tolist()
    return FactorTable(rows_RW[:, 0].astype(np.uint64), rows_RW[:, 1:], gram_FF, int(low), int(high), least)
