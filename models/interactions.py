"""Who rated what, as arrays: the only form in which the recommenders see users.

Both types check themselves when made, so that a model never meets a rating that is not a number, an item that does
not exist, or columns of unequal length. Times are optional: only sequence models and splits by time read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]
Times = npt.NDArray[np.int64]
# The lowest and the highest rating that can be given.
Scale = tuple[float, float]

# p2prec's own.
SCALE: Scale = (-1.0, 10.0)
#: On any scale. Sums of squares of far larger ones overflow float32, and what is larger is a time, an id or a slip.
RATING_MAX = 1e9


@dataclass(frozen=True, slots=True)
class History:
    """One user's ratings: item rows int64 [n], each at most once, and values float32 [n].

    `at` int64 [n]: when each was given, Unix seconds; None when unknown. Raises: ValueError for unequal lengths, values
    that are not finite, or negative rows.
    """

    items: Rows
    values: Values
    at: Times | None = None

    def __post_init__(self) -> None:
        _check_columns(len(self.items), self.values, self.at)
        if len(self.items) and self.items.min() < 0:
            raise ValueError("a history speaks of a negative item row")

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Interactions:
    """All known ratings: parallel arrays user row, item row, value, time; [ratings]. A pair occurs at most once.

    `scale` is what could have been given, not what was: it decides where liking begins (models.reference). Purchases,
    all of value 1, have the scale (0, 1). Raises: ValueError for unequal lengths, values that are not finite, rows
    outside the sizes, or a scale without width.
    """

    users: Rows
    items: Rows
    values: Values
    n_users: int
    n_items: int
    at: Times | None = None
    scale: Scale = SCALE

    def __post_init__(self) -> None:
        if len(self.users) != len(self.items):
            raise ValueError(f"{len(self.users)} user rows stand beside {len(self.items)} item rows")
        _check_columns(len(self.items), self.values, self.at)
        for noun, rows, size in (("users", self.users, self.n_users), ("items", self.items, self.n_items)):
            if len(rows) and not (rows.min() >= 0 and rows.max() < size):
                raise ValueError(f"ratings speak of {noun} outside the {size} that there are")
        if not self.scale[0] < self.scale[1]:
            raise ValueError(f"the scale {self.scale} has no width")

    def __len__(self) -> int:
        return len(self.users)

    def history(self, user: int) -> History:
        """The ratings of one user row, in their order here. For all users, `histories` is far faster."""
        return self._history(np.flatnonzero(self.users == user))

    def histories(self) -> list[History]:
        """Everybody's ratings, in the order of the user rows; each in its order here."""
        order = np.argsort(self.users, kind="stable")
        ends = np.bincount(self.users, minlength=self.n_users).cumsum()
        return [self._history(places) for places in np.split(order, ends[:-1])] if self.n_users else []

    def _history(self, places: Rows) -> History:
        return History(self.items[places], self.values[places], None if self.at is None else self.at[places])


def interactions_of(histories: Sequence[History], n_items: int, scale: Scale = SCALE) -> Interactions:
    """Join one history a user into one table; user row = position in the list. Times are kept if all have them."""
    users = np.repeat(np.arange(len(histories), dtype=np.int64), [len(history) for history in histories])
    items = np.concatenate([np.empty(0, np.int64), *(history.items for history in histories)])
    values = np.concatenate([np.empty(0, np.float32), *(history.values for history in histories)])
    times = [history.at for history in histories if history.at is not None]
    known = sum(map(len, times)) == len(items)
    at = np.concatenate([np.empty(0, np.int64), *times]) if times and known else None
    return Interactions(users, items, values, len(histories), n_items, at, scale)


def scale_of(values: Values) -> Scale:
    """The scale of ratings whose scale nobody stated: from the lowest to the highest value seen.

    Where all are the same they are taken for purchases: each counts as liked.
    """
    if not len(values):
        return SCALE
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 1, low)


def _check_columns(n: int, values: Values, at: Times | None) -> None:
    if len(values) != n or (at is not None and len(at) != n):
        raise ValueError(f"{n} item rows stand beside {len(values)} values" + ("" if at is None else " and times"))
    if not np.isfinite(values).all():
        raise ValueError("a rating is not a finite number")
