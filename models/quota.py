"""No publisher takes a whole list: at most so many places for one group, while others have something to show.

Items whose vectors lie may be near everybody's taste; a quota bounds what that earns, found out or not. Its price: of a
list that is honestly one foreign publisher's, the rest gives way to others' items.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.fusion import Flags
from models.interactions import Rows

# Half: a person in front of two shops still sees the better one first, and one shop alone never fills the page.
QUOTA_SHARE = 0.5
# The group of rows that are never limited.
FREE = -1


def quota_of(k: int, share: float = QUOTA_SHARE) -> int:
    """Places of k that one group may take: its share, rounded up."""
    return int(np.ceil(k * share))


def within_quota(pick: Callable[[Flags], Rows], group_of: Callable[[Rows], Rows], allowed_I: Flags, quota: int) -> Rows:
    """What `pick` chooses among the allowed, with at most `quota` rows of one group while other rows are at hand.

    `pick(allowed bool [items])` gives rows in their order, as many as it can up to its own k. `group_of(rows)` gives
    their groups' numbers, FREE has no limit; it is asked about all items only when a group is over its quota. The list
    is as long as without a quota, and in `pick`'s order.
    """
    rows = full = pick(allowed_I)
    open_I = allowed_I.copy()
    while len(over := _groups_over(group_of(rows), quota)):
        picked_R, candidates = group_of(rows), np.flatnonzero(open_I)
        open_I[candidates[np.isin(group_of(candidates), over)]] = False
        for group in over:
            open_I[rows[picked_R == group][:quota]] = True
        rows = pick(open_I)
    missing = len(full) - len(rows)
    if missing > 0:
        # The others have nothing more to show: the best of what was held back fills up.
        open_I[pick(allowed_I & ~open_I)[:missing]] = True
        rows = pick(open_I)
    return rows


def _groups_over(group_R: Rows, quota: int) -> Rows:
    groups, counts = np.unique(group_R[group_R != FREE], return_counts=True)
    return np.asarray(groups[counts > quota], np.int64)
