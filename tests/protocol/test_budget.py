"""Budgets: never more than was granted, never less, and no memory of the quiet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import budget
from protocol.budget import MINUTE_MS, Budget
from protocol.limits import RemoteError

NOW = 1_700_000_000_000


def admits(one: Budget, peer: str, now_ms: int) -> bool:
    try:
        one.admit(peer, now_ms)
    except RemoteError as error:
        assert error.reason == "over_budget"
        return False
    return True


def test_a_minute_at_once_then_one_by_one() -> None:
    three = Budget(3)
    assert [admits(three, "a", NOW) for _ in range(4)] == [True, True, True, False]
    assert not admits(three, "a", NOW + MINUTE_MS // 3 - 1)
    assert admits(three, "a", NOW + MINUTE_MS // 3)
    assert not admits(three, "a", NOW + MINUTE_MS // 3)
    assert admits(three, "b", NOW), "each peer has its own"
    assert [admits(three, "a", NOW + 10 * MINUTE_MS) for _ in range(4)] == [True, True, True, False]


def test_nothing_granted_nothing_admitted() -> None:
    assert not admits(Budget(0), "a", NOW)


@given(st.integers(1, 500), st.lists(st.integers(0, MINUTE_MS // 4), min_size=1, max_size=200))
def test_over_any_stretch_of_time_at_most_what_was_granted(per_minute: int, waits: list[int]) -> None:
    one, now, admitted = Budget(per_minute), NOW, []
    for wait in waits:
        now += wait
        if admits(one, "a", now):
            admitted.append(now)
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            granted = per_minute + per_minute * (admitted[last] - admitted[first]) / MINUTE_MS
            assert last - first + 1 <= granted


def test_a_clock_that_steps_back_forgives_nothing_and_breaks_nothing() -> None:
    one = Budget(1)
    assert admits(one, "a", NOW)
    assert not admits(one, "a", NOW - MINUTE_MS)
    assert admits(one, "a", NOW + MINUTE_MS)


def test_peers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "PEERS_MAX", 3)
    one = Budget(60)
    assert [admits(one, peer, NOW) for peer in "abcd"] == [True, True, True, False]
    assert admits(one, "a", NOW), "who is known goes on"
    assert admits(one, "d", NOW + 1000), "b and c are full again and need no memory"
    assert len(one._full_at) == 2
