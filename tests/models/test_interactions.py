"""Tables of ratings refuse what no model could use, and come apart into histories as they were put together."""

from __future__ import annotations

import numpy as np
import pytest

from models.interactions import SCALE, History, Interactions, interactions_of, scale_of
from tests.models.conformance import history


def at(one: History, times: list[int]) -> History:
    return History(one.items, one.values, np.array(times, np.int64))


def test_histories_are_what_the_table_was_made_of() -> None:
    given = [history([4, 1], [3.0, 9.0]), history([], []), history([2], [-1.0])]
    ratings = interactions_of(given, 5)
    for back in (ratings.histories(), [ratings.history(user) for user in range(3)]):
        assert [one.items.tolist() for one in back] == [[4, 1], [], [2]]
        assert [one.values.tolist() for one in back] == [[3, 9], [], [-1]]
    assert interactions_of([], 5).histories() == []


def test_times_are_kept_only_if_all_have_them() -> None:
    a, b = at(history([4, 1], [3.0, 9.0]), [20, 10]), history([2], [5.0])
    kept = interactions_of([a, history([], []), at(b, [30])], 5)
    assert kept.at is not None
    assert kept.at.tolist() == [20, 10, 30]
    assert [one.at.tolist() for one in kept.histories() if one.at is not None] == [[20, 10], [], [30]]
    assert interactions_of([a, b], 5).at is None
    assert interactions_of([b], 5).histories()[0].at is None


@pytest.mark.parametrize(
    ("items", "values", "times", "sentence"),
    [
        ([1, 2], [3.0], None, "2 item rows stand beside 1 values"),
        ([1], [3.0], [1, 2], "and times"),
        ([1], [np.nan], None, "not a finite number"),
        ([1], [np.inf], None, "not a finite number"),
        ([-1], [3.0], None, "negative item row"),
    ],
)
def test_histories_that_are_refused(
    items: list[int], values: list[float], times: list[int] | None, sentence: str
) -> None:
    rows, numbers = np.array(items, np.int64), np.array(values, np.float32)
    with pytest.raises(ValueError, match=sentence):
        History(rows, numbers, None if times is None else np.array(times, np.int64))


@pytest.mark.parametrize(
    ("users", "items", "scale", "sentence"),
    [
        ([0, 1], [3], SCALE, "2 user rows"),
        ([2], [0], SCALE, "users outside the 2"),
        ([-1], [0], SCALE, "users outside the 2"),
        ([0], [5], SCALE, "items outside the 5"),
        ([0], [0], (1.0, 1.0), "no width"),
        ([0], [0], (np.nan, 1.0), "no width"),
    ],
)
def test_tables_that_are_refused(users: list[int], items: list[int], scale: tuple[float, float], sentence: str) -> None:
    values = np.full(len(items), 3, np.float32)
    with pytest.raises(ValueError, match=sentence):
        Interactions(np.array(users), np.array(items), values, 2, 5, scale=scale)


def test_the_scale_of_ratings_nobody_described() -> None:
    assert scale_of(np.array([4.5, 0.5, 5], np.float32)) == (0.5, 5)
    assert scale_of(np.array([1, 1], np.float32)) == (0, 1)
    assert scale_of(np.empty(0, np.float32)) == SCALE
