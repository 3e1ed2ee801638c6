"""Episodes: taken apart as stated, and training stops where others stop profiting."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal

from models.episodes import LOOK_EVERY, PATIENCE, USERS_MIN, Batch, draw_batch, learn, steps_for_others, usable
from models.interactions import History
from tests.models.conformance import EMPTY, history, world


def test_every_rating_is_support_or_query_and_padding_neither() -> None:
    histories = [history([5, 2, 9], [1, 2, 3]), history([2, 0], [7, 8])]
    for seed in range(20):
        batch = draw_batch(histories, np.random.default_rng(seed))
        assert_array_equal(batch.support_BR + batch.query_BR, [[1, 1, 1], [1, 1, 0]])
        assert (batch.support_BR.sum(axis=1) > 0).all()
        assert (batch.query_BR.sum(axis=1) > 0).all()
        assert_array_equal(batch.rows_N[batch.place_BR][0], [5, 2, 9])
        assert_array_equal(batch.rows_N[batch.place_BR][1, :2], [2, 0])
        assert_array_equal(batch.rating_BR, [[1, 2, 3], [7, 8, 0]])


class Falling:
    """Gets better for `good` steps, then worse; counts."""

    def __init__(self, good: int) -> None:
        self.good, self.done = good, 0

    def step(self, batch: Batch) -> None:
        self.done += 1

    def loss(self, batch: Batch) -> float:
        return abs(self.good - self.done)


def learned(good: int, histories: list[History], steps_max: int = 200) -> int:
    learner = learn(lambda: Falling(good), histories, steps_max, 0)
    assert isinstance(learner, Falling)
    return learner.done


def test_training_stops_where_held_out_users_stop_profiting() -> None:
    histories, _ = world()
    assert learned(60, histories) == 60
    assert learned(0, histories) == 0
    assert learned(10_000, histories) == 200


def test_the_search_gives_up_in_time() -> None:
    histories, _ = world()
    made: list[Falling] = []

    def make() -> Falling:
        made.append(Falling(30))
        return made[-1]

    assert steps_for_others(make, histories, 10_000, np.random.default_rng(0)) == 30
    assert made[0].done == 30 + PATIENCE * LOOK_EVERY


def test_few_users_stay_near_the_start_and_none_at_it() -> None:
    histories, _ = world()
    assert learned(500, histories[: USERS_MIN - 1]) == LOOK_EVERY
    assert learned(500, [EMPTY, history([3], [5])]) == 0


def test_users_of_one_rating_cannot_be_taken_apart() -> None:
    assert [len(one) for one in usable([EMPTY, history([3], [5]), history([3, 4], [5, 6])])] == [2]
