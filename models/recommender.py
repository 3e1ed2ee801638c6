"""The one interface of every recommender.

`fit` learns from everybody's ratings; `scores` answers for *histories*, never for user numbers, so a user who was
not there at fit time is served like any other. A model keeps no state but what `fit` gave it: the same fit and the
same history give the same scores. Scores rank and nothing else; their unit is the model's own. A model that predicts
ratings is a `RatingPredictor`.

A new model: hyper-parameters are keyword-only arguments of the constructor, each with a default, kept under its own
name (`seed: int = 0` where chance takes part); what `fit` learns are the attributes listed in `learned`, or
`arrays`/`with_arrays` say how it becomes arrays; one line in models.registry; one test class of conformance.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.fusion import Items
from models.interactions import History, Interactions, Rows, Values

Scores = npt.NDArray[np.float32]
# Hyper-parameters by name: JSON values only, so that they can be saved as they are.
Params = dict[str, Any]
Arrays = dict[str, npt.NDArray[Any]]


class TooLargeError(ValueError):
    """The data are beyond the limit that a model states. One sentence that says what to use instead."""


class Recommender(ABC):
    """What every model can do."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Of what `arrays` gives: raise it when older saved models can no longer be read."""
    uses_order: ClassVar[bool] = False
    """Whether the order (or the times) of a history's ratings matter."""
    learned: ClassVar[tuple[str, ...]] = ()
    """The attributes that `fit` sets, each an array or a number. An array's name ends in its axes (item_IF is [items,
    factors]), and one letter is one length in all of them; a name without is that of a number.
    """
    axes: ClassVar[Mapping[str, str]] = {}
    """The axes of learned arrays whose names do not say them so."""
    sized_by: ClassVar[Mapping[str, str]] = {"F": "factors"}
    """Axes whose length is a parameter."""

    def params(self) -> Params:
        """The hyper-parameters as the constructor was given them: `type(model)(**model.params())` is its twin."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: getattr(self, name) for name in names if name not in ("args", "kwargs")}

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

    def arrays(self) -> Arrays:
        """What `fit` learned, by name, for models.saving. Scalars are arrays without axes."""
        return {name: np.asarray(getattr(self, name)) for name in self.learned}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Take over what another model of the same parameters learned; returns the model.

        Raises: ValueError when an array is missing, unknown or of another shape.
        """
        if set(arrays) != set(self.learned):
            raise ValueError(f"model {self.name!r} needs the arrays {sorted(self.learned)}, not {sorted(arrays)}")
        lengths = {axis: getattr(self, name) for axis, name in self.sized_by.items() if hasattr(self, name)}
        check_axes(arrays, self.axes, lengths)
        for name, array in arrays.items():
            setattr(self, name, array if array.ndim else array.item())
        return self

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


class RatingPredictor(Recommender):
    """A model that also says which rating a user would give.

    Works on any scale: what it learns of the scale are the ratings themselves. Subclasses set `low` and `high` in
    `fit` from `rating_range` and list them in `learned`.
    """

    low: float
    high: float
    """The lowest and highest rating seen in training; no prediction lies outside."""

    def predict(self, histories: Sequence[History]) -> Scores:
        """Expected ratings, float32 [histories, items], in the ratings' own unit, within [low, high]."""
        return np.clip(self.expected(histories), np.float32(self.low), np.float32(self.high))

    @abstractmethod
    def expected(self, histories: Sequence[History]) -> Scores:
        """As `predict`, before it is cut to the range: float32 [histories, items], finite."""

    def scores(self, histories: Sequence[History]) -> Scores:
        """Ranked by what the user is expected to give."""
        return self.expected(histories)


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


def check_axes(
    arrays: Mapping[str, npt.NDArray[Any]],
    axes: Mapping[str, str] | None = None,
    lengths: Mapping[str, int] | None = None,
) -> None:
    """Raise ValueError unless each array has the axes that its name ends in (or `axes` says), a letter always of one
    length: that in `lengths`, or the first met.
    """
    known = dict(lengths or {})
    for name, array in arrays.items():
        found = re.search("_([A-Z]+)$", name)
        letters = (axes or {}).get(name) or (found[1] if found else "")
        expected = tuple(known.setdefault(axis, size) for axis, size in zip(letters, array.shape, strict=False))
        if len(letters) != array.ndim or expected != array.shape:
            raise ValueError(f"the array {name} has the shape {array.shape}, which does not fit the others")


def check_sizes(ratings: Interactions, items: Items) -> None:
    """Raise ValueError unless the ratings speak of these items."""
    if ratings.n_items != len(items):
        raise ValueError(f"ratings speak of {ratings.n_items} items, but there are {len(items)}")


def rating_range(ratings: Interactions) -> tuple[float, float]:
    """The lowest and the highest rating given; the ends of the scale where there is none."""
    return (float(ratings.values.min()), float(ratings.values.max())) if len(ratings) else ratings.scale
