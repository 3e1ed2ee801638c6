"""Churn traces: what a file says is who runs, and what is none is refused by its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import UserError
from sim.scenarios import play
from sim.trace import Trace, read_trace

HEAD = "node,up_s,down_s\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text, "utf-8")
    return path


@given(st.lists(st.lists(st.integers(0, 50), unique=True, min_size=2, max_size=8), min_size=1, max_size=5))
def test_who_runs_is_what_the_sessions_say(borders: list[list[int]]) -> None:
    """The oracle paints a calendar, second by second."""
    sessions = [sorted(one)[: len(one) // 2 * 2] for one in borders]
    pairs = [[(one[at], one[at + 1]) for at in range(0, len(one), 2)] for one in sessions]
    trace = Trace(tuple(tuple((float(up), float(down)) for up, down in one) for one in pairs))
    calendar = [{second for up, down in one for second in range(up, down)} for one in pairs]
    for second in range(52):
        assert trace.running(second) == {number for number, painted in enumerate(calendar) if second in painted}
    total = sum(map(len, calendar))
    assert trace.away == pytest.approx(1 - total / (len(pairs) * trace.seconds))


def test_nodes_are_numbered_as_they_appear_and_the_first_are_taken(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "zoe,5,6.5\nada,0,2\nzoe,1,3\nbob,0,9\n")
    assert read_trace(path, 2).sessions == (((1.0, 3.0), (5.0, 6.5)), ((0.0, 2.0),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first line"),
        ("node,up,down\n", "first line"),
        (HEAD + "a,0\n", "line 2"),
        (HEAD + "a,0,1\na,x,3\n", "line 3"),
        (HEAD + "a,5,5\n", "line 2"),
        (HEAD + "a,-1,5\n", "line 2"),
        (HEAD + "a,0,inf\n", "line 2"),
        (HEAD + "a,nan,5\n", "line 2"),
        (HEAD + "a,0,5\n", "tells of 1 nodes"),
        (HEAD + "a,0,5\na,4,6\nb,0,1\n", "comes while it is there"),
    ],
)
def test_what_is_no_trace_is_refused_with_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_trace(written(tmp_path, text), 2)
    with pytest.raises(UserError, match="can't read"):
        read_trace(tmp_path / "nothing", 2)


def test_nodes_come_and_go_as_the_trace_says(tmp_path: Path) -> None:
    rows = ["a,0,300", "b,0,40", "b,120,300", "c,100,260", "d,10,20"]
    path = written(tmp_path, HEAD + "\n".join(rows) + "\n")
    told = play("churn", 0, 4, {"trace": str(path)})
    assert told.asserted[0].held
    ((name, curve),) = told.curves["nodes that run"].items()
    assert name == f"{1 - (300 + 40 + 180 + 160 + 10) / 1200:.0%} away"
    assert [count for _, count in curve] == [2, 3, 2, 1, 2, 3, 2, 0]
