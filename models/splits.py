"""Who sees what: ratings cut into what a model learns from, what it is told when asked, and what it is judged by.

The same table of ratings and the same seed give the same split, in whatever process; the same ratings in another order
give another, as another seed would (sim.evaluation_data puts those with times in one order first). A split says nothing
about quality; models.leak_guard refuses those that would let a model see what it is judged by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.interactions import Interactions, Rows

Flags = npt.NDArray[np.bool_]

SHARE = 0.2
"""What is held out, of whatever is cut: the usual fifth."""
NAMES = ("random", "per-user", "timeline", "new-user", "new-item", "cross-platform")


@dataclass(frozen=True, slots=True)
class Split:
    """One cut. User and item rows mean the same in all three tables.

    `train` is what models are fitted on; `given` is each user's history when asked, whose items do not compete; `test`
    is what they are judged by. `train` and `given` differ only for users who were not there at fit time.
    `asked_U` int64 [users]: only items of that platform (`platform_I`, int64 [items]) compete; None: all items do.
    """

    name: str
    train: Interactions
    given: Interactions
    test: Interactions
    platform_I: Rows | None = None
    asked_U: Rows | None = None


def taken(ratings: Interactions, chosen: Flags | Rows) -> Interactions:
    """Some of the ratings, over the same users, items and scale."""
    at = None if ratings.at is None else ratings.at[chosen]
    return replace(
        ratings, users=ratings.users[chosen], items=ratings.items[chosen], values=ratings.values[chosen], at=at
    )


def cut(name: str, ratings: Interactions, held: Flags) -> Split:
    """A split whose test ratings are those flagged; histories are the rest. Raises: ValueError if a side is empty."""
    if held.all() or not held.any():
        side = "training" if held.all() else "test"
        raise ValueError(f"the split {name!r} of {len(ratings)} ratings leaves none for {side}")
    train = taken(ratings, ~held)
    return Split(name, train, train, taken(ratings, held))


def random_split(ratings: Interactions, seed: int, share: float = SHARE) -> Split:
    """A random share of all ratings, rounded up."""
    order = np.random.default_rng([seed, 1]).permutation(len(ratings))
    held = np.zeros(len(ratings), bool)
    held[order[int((1 - share) * len(ratings)) :]] = True
    return cut("random", ratings, held)


def per_user_split(ratings: Interactions, seed: int, share: float = SHARE) -> Split:
    """A random share of each user's ratings, at least one of those who have two; an only rating stays in training."""
    place, count = _place_in_group(ratings.users, np.random.default_rng([seed, 2]).random(len(ratings)))
    wanted = np.where(count >= 2, np.maximum(np.rint(share * count), 1), 0)
    return cut("per-user", ratings, place < wanted)


def timeline_split(ratings: Interactions, share: float = SHARE) -> Split:
    """The latest share, by one clock for everybody; ratings of the very moment of the cut are all test.

    The only split in which no model knows the future. Raises: ValueError without times, or when all are equal.
    """
    if ratings.at is None:
        raise ValueError("a split by time needs a timestamp with every rating")
    border = np.sort(ratings.at)[int((1 - share) * len(ratings))] if len(ratings) else 0
    return cut("timeline", ratings, ratings.at >= border)


def new_user_split(ratings: Interactions, seed: int, share: float = SHARE) -> Split:
    """A share of the users is not there at fit time. When asked, half of each one's ratings is their history (the
    earlier half where times are known, else a random one; rounded down) and the other half is the test.
    """
    rng = np.random.default_rng([seed, 3])
    users = np.unique(ratings.users)
    new_U = np.zeros(ratings.n_users, bool)
    new_U[rng.permutation(users)[: max(1, round(share * len(users)))]] = True
    is_new = new_U[ratings.users]
    order = rng.random(len(ratings))
    if ratings.at is not None:
        # Within one second chance decides, not the order in the file.
        order = np.argsort(np.lexsort((order, ratings.at))).astype(np.float64)
    place, count = _place_in_group(ratings.users, order)
    held = is_new & (place >= count // 2)
    whole = cut("new-user", ratings, held)
    return replace(whole, train=cut("new-user", ratings, is_new).train)


def new_item_split(ratings: Interactions, seed: int, group_I: Rows | None = None, share: float = SHARE) -> Split:
    """A share of the rated items has no rating in training. `group_I` int64 [items]: items of one group stay on one
    side (models.leak_guard.twin_groups), for a known twin would give the new item away.
    """
    groups_I = np.arange(ratings.n_items) if group_I is None else group_I
    groups = np.unique(groups_I[ratings.items])
    new = np.random.default_rng([seed, 4]).permutation(groups)[: max(1, round(share * len(groups)))]
    return cut("new-item", ratings, np.isin(groups_I[ratings.items], new))


def cross_platform_split(ratings: Interactions, platform_I: Rows, seed: int) -> Split:
    """Half of the users with ratings on several platforms are asked for one of them, drawn; all their ratings there
    are the test, those elsewhere their history, and only that platform's items compete.

    The other half stays whole in training: what links the platforms. Raises: ValueError when too few users have
    ratings on two platforms.
    """
    rng = np.random.default_rng([seed, 5])
    pairs = np.unique(np.stack([ratings.users, platform_I[ratings.items]], axis=1), axis=0)
    users, counts = np.unique(pairs[:, 0], return_counts=True)
    both = rng.permutation(users[counts > 1])
    if len(both) < 2:
        raise ValueError("a split across platforms needs at least two users with ratings on two platforms")
    asked_U = np.full(ratings.n_users, -1, np.int64)
    for user in both[: len(both) // 2]:
        asked_U[user] = rng.choice(pairs[pairs[:, 0] == user, 1])
    held = platform_I[ratings.items] == asked_U[ratings.users]
    return replace(cut("cross-platform", ratings, held), platform_I=platform_I, asked_U=asked_U)


def make_split(
    name: str, ratings: Interactions, seed: int, *, group_I: Rows | None = None, platform_I: Rows | None = None
) -> Split:
    """The split of that name. Raises: ValueError for an unknown name, or when the ratings lack what it needs."""
    if name == "random":
        return random_split(ratings, seed)
    if name == "per-user":
        return per_user_split(ratings, seed)
    if name == "timeline":
        return timeline_split(ratings)
    if name == "new-user":
        return new_user_split(ratings, seed)
    if name == "new-item":
        return new_item_split(ratings, seed, group_I)
    if name == "cross-platform":
        if platform_I is None:
            raise ValueError("a split across platforms needs the platform of every item")
        return cross_platform_split(ratings, platform_I, seed)
    raise ValueError(f"no split {name!r}; there are: {', '.join(NAMES)}")


def _place_in_group(groups: Rows, keys: npt.NDArray[np.float64]) -> tuple[Rows, Rows]:
    """For each element its place among those of its group in the order of the keys, and the group's size."""
    order = np.lexsort((keys, groups))
    if not len(order):
        return order, order
    counts = np.bincount(groups)
    starts = counts.cumsum() - counts
    place = np.empty(len(groups), np.int64)
    place[order] = np.arange(len(groups)) - starts[groups[order]]
    return place, counts[groups]
