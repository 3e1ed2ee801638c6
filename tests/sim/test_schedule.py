"""Virtual time: nothing happens out of order, and what was ordered first at one moment comes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.schedule import Schedule


@given(st.lists(st.tuples(st.integers(-5, 50), st.integers(0, 3)), max_size=60))
def test_things_come_in_time_and_then_in_order(ordered: list[tuple[int, int]]) -> None:
    schedule: Schedule[int] = Schedule(100)
    expected = []
    for number, (delay_ms, _) in enumerate(ordered):
        schedule.later(delay_ms, number)
        expected.append((100 + max(delay_ms, 0), number))
    came = []
    while (what := schedule.take(1_000)) is not None:
        came.append((schedule.now_ms, what))
    assert came == sorted(expected)
    assert schedule.now_ms == 1_000


@given(st.integers(0, 100), st.integers(0, 100))
def test_nothing_beyond_the_end_comes(delay_ms: int, end_ms: int) -> None:
    schedule: Schedule[str] = Schedule(0)
    schedule.later(delay_ms, "it")
    assert (schedule.take(end_ms) == "it") == (delay_ms <= end_ms)
    assert schedule.now_ms == min(delay_ms, end_ms) if delay_ms <= end_ms else schedule.now_ms == end_ms
