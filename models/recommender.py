"""The one interface of every recommender.

`fit` learns from everybody's ratings; `scores` answers for *histories*, never for user numbers, so a user who was
not there at fit time is served like any other. A model keeps no state but what `fit` gave it: the same fit and the
same history give the same scores. Scores rank and nothing else; their unit is the model's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.fusion import Items
from models.interactions import History, Interactions, Rows, Values

Scores = npt.NDArray[np.float32]


class Recommender(ABC):
    """What every model can do."""

    name: ClassVar[str]

    @abstractmethod
    def fit(self, ratings: Interactions, items: Items) -> Self:
        """Learn from ratings over items; returns the model. Raises: ValueError when their sizes differ."""

    @abstractmethod
    def scores(self, histories: Sequence[History]) -> Scores:
        """float32 [histories, items], finite; higher is better."""

    @abstractmethod
    def contributions(self, history: History, item: int) -> Values:
        """How much each rating in the history raised (or lowered) the item's score: float32 [ratings].

        All zeros when the model does not look at the history.
        """

    def recommend(self, history: History, k: int, exclude: Rows | None = None) -> tuple[Rows, Values]:
        """The k best items that the user has not rated: rows int64 [<= k] and scores, best first.

        Ties go to the lower row, so a list repeats. `exclude` are further rows that must not appear.
        """
        scores_I = self.scores([history])[0]
        allowed_I = np.ones(len(scores_I), bool)
        allowed_I[history.items] = False
        if exclude is not None:
            allowed_I[exclude] = False
        rows = top_rows(scores_I, k, allowed_I)
        return rows, scores_I[rows]


def top_rows(scores_I: Scores, k: int, allowed_I: npt.NDArray[np.bool_] | None = None) -> Rows:
    """Rows of the k best scores among the allowed, best first, ties to the lower row: int64 [<= k]."""
    candidates = np.arange(len(scores_I)) if allowed_I is None else np.flatnonzero(allowed_I)
    if k <= 0 or not len(candidates):
        return np.empty(0, np.int64)
    values = scores_I[candidates]
    if k < len(candidates):
        # Everything at or above the k-th best, so that a tie at the border is decided by row and not by chance.
        border = -np.partition(-values, k - 1)[k - 1]
        candidates, values = candidates[values >= border], values[values >= border]
    rows: Rows = candidates[np.argsort(-values, kind="stable")][:k].astype(np.int64)
    return rows


def check_sizes(ratings: Interactions, items: Items) -> None:
    """Raise ValueError unless the ratings speak of these items."""
    if ratings.n_items != len(items):
        raise ValueError(f"ratings speak of {ratings.n_items} items, but there are {len(items)}")
