"""Refuses to judge a model by what it has seen. Nothing here repairs a split: a leak is somebody's mistake to mend.

What is refused: a pair of user and item twice on one side; a pair on both sides; in splits whose point is that an item
is new, a new item that is all but identical to a known one; in a split that somebody else made, a test rating of an
item that is all but identical to one in the same user's history; and, by its name, the protocol of this project's seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from models.interactions import Interactions, Rows
from models.splits import Split

TWIN_COSINE = 0.999
"""Of two photographs of one product CLIP says 0.9 to 0.98; only copies come higher. Lower would call variants twins."""
ITEM_COLD = ("new-item", "cross-platform")
GIVEN = "given"
"""The name of splits that came as two files: nobody knows how they were cut."""
_BLOCK = 1024
SEED_PROTOCOL = (
    "this is the seed's binary protocol: the model was trained on one random split of the ratings, but is masked with "
    "and judged by another split of the same ratings, so {share:.1%} of the pairs it is judged by were in its training "
    "set ({overlap} of {judged}); train, mask and judge by one and the same split"
)


class LeakError(ValueError):
    """A model would be judged by what it has seen; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the owner of the ratings calls users and items, by row."""

    users: Sequence[str]
    items: Sequence[str]


def refuse_leaks(split: Split, vectors_ID: npt.NDArray[np.float32] | None = None, names: Names | None = None) -> None:
    """Raise LeakError unless the split is clean. `vectors_ID` [items, dim]: for twins across an item-cold or a given
    split. Without `names` the sentence speaks of rows.
    """
    sizes = {(one.n_users, one.n_items) for one in (split.train, split.given, split.test)}
    if len(sizes) > 1:
        raise LeakError(f"the tables of a split must speak of the same users and items, not of {sorted(sizes)}")
    for side, ratings in (("training", split.train), ("given", split.given), ("test", split.test)):
        keys, counts = np.unique(_keys(ratings), return_counts=True)
        if len(keys) < len(ratings):
            pair = _pair(int(keys[counts > 1][0]), ratings, names)
            raise LeakError(f"{len(ratings) - len(keys)} {side} ratings are there twice, the first of {pair}")
    _refuse_overlap(split, names)
    if vectors_ID is not None and split.name in ITEM_COLD:
        _refuse_twins(split, vectors_ID, names)
    if vectors_ID is not None and split.name == GIVEN:
        _refuse_own_twins(split, vectors_ID, names)


def _refuse_overlap(split: Split, names: Names | None) -> None:
    train, given, test = _keys(split.train), _keys(split.given), _keys(split.test)
    seen = np.isin(test, train)
    unmasked = seen & ~np.isin(test, given)
    # All that was trained on is in the mask or among the judged: two cuts of one table.
    if unmasked.any() and np.isin(train, np.concatenate([given, test])).all() and not np.isin(given, train).all():
        raise LeakError(SEED_PROTOCOL.format(share=seen.mean(), overlap=int(seen.sum()), judged=len(test)))
    seen |= np.isin(test, given)
    if seen.any():
        pair = _pair(int(test[seen][0]), split.test, names)
        raise LeakError(
            f"{int(seen.sum())} of {len(test)} test ratings are in the training set too, the first of {pair}; "
            "take them out of one of the two"
        )


def _refuse_twins(split: Split, vectors_ID: npt.NDArray[np.float32], names: Names | None) -> None:
    """New items, here: those of test ratings that nobody has rated in training or on the platform not asked for."""
    if split.platform_I is not None:
        known, new = np.unique(split.given.items), np.unique(split.test.items)
        different = split.platform_I
    else:
        known, new = np.unique(split.train.items), np.setdiff1d(split.test.items, split.train.items)
        different = np.arange(split.train.n_items)
    for one, other in twins(vectors_ID, new, known):
        if different[one] != different[other]:
            raise LeakError(
                f"{_item(one, names)} is new in the test, but is all but identical to {_item(other, names)}, which is "
                f"known (cosine >= {TWIN_COSINE}); keep both on one side"
            )


def _refuse_own_twins(split: Split, vectors_ID: npt.NDArray[np.float32], names: Names | None) -> None:
    found = own_twins(split, vectors_ID)
    if found:
        user, test, known = found[0]
        raise LeakError(
            f"{len(found)} of {len(split.test)} test ratings are of an item that is all but identical (cosine >= "
            f"{TWIN_COSINE}) to one that the same user rated in training, the first of {_user(user, names)}: "
            f"{_item(test, names)} and {_item(known, names)}; give both one id, or take one of the ratings out"
        )


def own_twins(split: Split, vectors_ID: npt.NDArray[np.float32]) -> list[tuple[int, int, int]]:
    """Test ratings whose answer stands in the user's own history under another id: user, test item, its first twin."""
    unit_ID = _unit(vectors_ID)
    found = []
    trained, given, tests = (one.histories() for one in (split.train, split.given, split.test))
    for user in np.unique(split.test.users).tolist():
        known = np.union1d(trained[user].items, given[user].items)
        for start in range(0, len(known) and len(tests[user]), _BLOCK):
            asked = tests[user].items[start : start + _BLOCK]
            same = (unit_ID[asked] @ unit_ID[known].T >= TWIN_COSINE) & (asked[:, None] != known)
            found += [
                (user, int(asked[row]), int(known[same[row].argmax()])) for row in np.flatnonzero(same.any(axis=1))
            ]
    return found


def twins(vectors_ID: npt.NDArray[np.float32], left: Rows, right: Rows) -> list[tuple[int, int]]:
    """Pairs of rows, one of each list, whose vectors have a cosine of TWIN_COSINE or more. Rows of zeros have none."""
    unit_ID = _unit(vectors_ID)
    found: list[tuple[int, int]] = []
    for start in range(0, len(left), _BLOCK):
        rows = left[start : start + _BLOCK]
        for one, other in np.argwhere(unit_ID[rows] @ unit_ID[right].T >= TWIN_COSINE):
            if rows[one] != right[other]:
                found.append((int(rows[one]), int(right[other])))
    return found


def twin_groups(vectors_ID: npt.NDArray[np.float32]) -> Rows:
    """A number for each item, the same for items that are all but identical, directly or in a chain: int64 [items]."""
    n = len(vectors_ID)
    every = np.arange(n)
    pairs = np.array(twins(vectors_ID, every, every), np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, group_I = connected_components(graph, directed=False)
    return np.asarray(group_I, np.int64)


def _unit(vectors_ID: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    length_I1 = np.linalg.norm(vectors_ID, axis=1, keepdims=True)
    return np.asarray(vectors_ID / np.where(length_I1 > 0, length_I1, 1))


def _keys(ratings: Interactions) -> Rows:
    return np.asarray(ratings.users * ratings.n_items + ratings.items, np.int64)


def _pair(key: int, ratings: Interactions, names: Names | None) -> str:
    return f"{_user(key // ratings.n_items, names)} and {_item(key % ratings.n_items, names)}"


def _user(row: int, names: Names | None) -> str:
    return f"user {names.users[row]!r}" if names else f"user row {row}"


def _item(row: int, names: Names | None) -> str:
    return f"item {names.items[row]!r}" if names else f"item row {row}"
