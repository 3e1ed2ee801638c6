"""Who rated what, as arrays: the only form in which the recommenders see users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class History:
    """One user's ratings: item rows int64 [n], each at most once, and values float32 [n], -1..10."""

    items: Rows
    values: Values

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Interactions:
    """All known ratings: parallel arrays user row, item row, value; [ratings]. A pair occurs at most once."""

    users: Rows
    items: Rows
    values: Values
    n_users: int
    n_items: int

    def __len__(self) -> int:
        return len(self.users)

    def history(self, user: int) -> History:
        """The ratings of one user row, in their order here."""
        mine = self.users == user
        return History(self.items[mine], self.values[mine])


def interactions_of(histories: list[History], n_items: int) -> Interactions:
    """Join one history a user into one table; user row = position in the list."""
    users = np.repeat(np.arange(len(histories), dtype=np.int64), [len(history) for history in histories])
    items = np.concatenate([np.empty(0, np.int64), *(history.items for history in histories)])
    values = np.concatenate([np.empty(0, np.float32), *(history.values for history in histories)])
    return Interactions(users, items, values, len(histories), n_items)
