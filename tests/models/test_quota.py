"""The quota of a list: never broken while there is a choice, and nothing else about the list changes."""

from __future__ import annotations

from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.diversity import diverse_rows
from models.quota import FREE, quota_of, within_quota
from models.recommender import top_rows
from tests.models.conformance import N_ITEMS, world

SCORED = st.lists(st.tuples(st.integers(0, 5), st.integers(FREE, 3), st.booleans()), min_size=1, max_size=40)


def walked(order: list[int], group_I: np.ndarray, k: int, quota: int) -> list[int]:
    """The quota as one would do it by hand: walk down the list, pass over whose share is full, fill up at the end."""
    taken: list[int] = []
    passed: list[int] = []
    for row in order:
        full = group_I[row] != FREE and sum(group_I[one] == group_I[row] for one in taken) >= quota
        if len(taken) < k:
            (passed if full else taken).append(row)
    return sorted(taken + passed[: k - len(taken)], key=order.index)


@given(SCORED, st.data())
def test_never_more_than_the_quota_while_there_is_a_choice(
    scored: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    scores_I = np.array([score for score, _, _ in scored], np.float32)
    group_I = np.array([group for _, group, _ in scored], np.int64)
    allowed_I = np.array([allowed for _, _, allowed in scored], bool)
    k = data.draw(st.integers(1, len(scored)))
    quota = data.draw(st.integers(1, k))
    order = top_rows(scores_I, len(scored), allowed_I).tolist()
    rows = within_quota(partial(top_rows, scores_I, k), group_I.__getitem__, allowed_I, quota).tolist()
    assert len(rows) == min(k, len(order)), "full length"
    assert rows == sorted(rows, key=order.index), "the order among those that stay"
    counts = {group: int((group_I[rows] == group).sum()) for group in group_I.tolist()}
    over = [group for group, count in counts.items() if group != FREE and count > quota]
    if over:
        left = set(order) - set(rows)
        assert all(group_I[row] != FREE and counts[group_I[row]] >= quota for row in left), "there was another choice"
    assert sorted(rows) == sorted(walked(order, group_I, k, quota)), "the best of what the quota leaves"


def test_a_list_within_its_quota_is_left_alone() -> None:
    scores_I = np.arange(10, dtype=np.float32)
    group_I = np.arange(10) % 3
    pick = partial(top_rows, scores_I, 6)
    assert within_quota(pick, group_I.__getitem__, np.ones(10, bool), 3).tolist() == [9, 8, 7, 6, 5, 4]


def test_half_rounded_up() -> None:
    assert [quota_of(k) for k in (1, 2, 3, 9, 10)] == [1, 1, 2, 5, 5]


def test_a_varied_list_keeps_it_too() -> None:
    _, items = world()
    scores_I = np.linspace(1, 0, N_ITEMS, dtype=np.float32)
    group_I = np.where(np.arange(N_ITEMS) < N_ITEMS - 10, 0, FREE)
    allowed_I = np.ones(N_ITEMS, bool)

    def pick(open_I: np.ndarray) -> np.ndarray:
        return diverse_rows(items, scores_I, 8, open_I)

    assert (group_I[pick(allowed_I)] == 0).sum() > 4
    rows = within_quota(pick, group_I.__getitem__, allowed_I, 4)
    assert len(set(rows.tolist())) == 8
    assert (group_I[rows] == 0).sum() == 4
