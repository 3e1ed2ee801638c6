"""Splits: what is held out, by what rule, and that the same seed says the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.interactions import Interactions
from models.leak_guard import refuse_leaks
from models.splits import (
    NAMES,
    Split,
    cross_platform_split,
    make_split,
    new_item_split,
    new_user_split,
    per_user_split,
    random_split,
    timeline_split,
)

PLATFORMS = np.arange(12) % 2


def ratings(seed: int = 0, n_users: int = 15, n_items: int = 12, times: bool = True) -> Interactions:
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((n_users, n_items)) < 0.5)
    values = rng.integers(1, 6, len(users)).astype(np.float32)
    at = rng.integers(0, 40, len(users)) if times else None
    order = rng.permutation(len(users))
    return Interactions(users[order], items[order], values[order], n_users, n_items, at, (1.0, 5.0))


def pairs(table: Interactions) -> set[tuple[int, int, float]]:
    return set(zip(table.users.tolist(), table.items.tolist(), table.values.tolist(), strict=True))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 1000))
def test_every_split_is_clean_repeats_and_loses_nothing(name: str, seed: int) -> None:
    table = ratings(seed)
    split = make_split(name, table, seed, platform_I=PLATFORMS)
    refuse_leaks(split)
    again = make_split(name, table, seed, platform_I=PLATFORMS)
    assert pairs(split.test) == pairs(again.test)
    assert np.array_equal(split.train.items, again.train.items)
    assert pairs(split.given) | pairs(split.test) == pairs(table)
    assert not pairs(split.given) & pairs(split.test)
    assert pairs(split.train) <= pairs(split.given)
    assert len(split.test)
    assert len(split.train)


def test_another_seed_is_another_split() -> None:
    for name in set(NAMES) - {"timeline"}:
        tests = [pairs(make_split(name, ratings(), seed, platform_I=PLATFORMS).test) for seed in range(4)]
        assert len({frozenset(one) for one in tests}) > 1, name


def test_a_random_split_holds_out_a_fifth_rounded_up() -> None:
    table = ratings()
    assert len(random_split(table, 42).train) == int(0.8 * len(table))


def test_per_user_takes_from_everybody_who_can_spare_one() -> None:
    users = np.array([0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
    table = Interactions(users, np.arange(13), np.ones(13, np.float32), 4, 13, None, (0.0, 1.0))
    assert np.bincount(per_user_split(table, 0).test.users, minlength=4).tolist() == [0, 1, 2, 0]


def test_on_the_timeline_nothing_in_training_is_later_than_the_test() -> None:
    split = timeline_split(ratings())
    assert split.train.at is not None
    assert split.test.at is not None
    assert split.train.at.max() < split.test.at.min()
    with pytest.raises(ValueError, match="timestamp"):
        timeline_split(ratings(times=False))


def test_one_moment_for_all_is_no_timeline() -> None:
    table = Interactions(np.arange(3), np.arange(3), np.ones(3, np.float32), 3, 3, np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="none for training"):
        timeline_split(table)


def test_a_new_user_is_unknown_at_fit_time_and_tells_the_earlier_half() -> None:
    split = new_user_split(ratings(), 1)
    new = set(split.test.users.tolist())
    assert len(new) == 3
    assert not new & set(split.train.users.tolist())
    for user in new:
        told, asked = split.given.history(user), split.test.history(user)
        assert len(asked) - len(told) in (0, 1)
        assert told.at is not None
        assert asked.at is not None
        assert not len(told) or told.at.max() <= asked.at.min()


def test_a_new_item_has_no_rating_in_training_and_takes_its_group_along() -> None:
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    for seed in range(6):
        split = new_item_split(ratings(), seed, groups)
        new, known = set(split.test.items.tolist()), set(split.train.items.tolist())
        assert not new & known
        assert not {groups[item] for item in new} & {groups[item] for item in known}


def test_across_platforms_the_test_is_one_platform_and_the_history_another() -> None:
    split = cross_platform_split(ratings(), PLATFORMS, 3)
    assert split.asked_U is not None
    asked = np.flatnonzero(split.asked_U >= 0)
    assert len(asked) == 7
    for user in asked:
        assert set(PLATFORMS[split.test.history(user).items]) == {split.asked_U[user]}
        assert set(PLATFORMS[split.given.history(user).items]) == {1 - split.asked_U[user]}
    with pytest.raises(ValueError, match="two platforms"):
        cross_platform_split(ratings(), np.zeros(12, np.int64), 3)


def test_what_cannot_be_split_says_so() -> None:
    single = Interactions(np.array([0]), np.array([0]), np.ones(1, np.float32), 1, 1)
    for name in ("random", "per-user", "new-user", "new-item"):
        with pytest.raises(ValueError, match="leaves none"):
            make_split(name, single, 0)
    with pytest.raises(ValueError, match="cross-platform"):
        make_split("leave-one-out", single, 0)
    with pytest.raises(ValueError, match="platform of every item"):
        make_split("cross-platform", single, 0)
    empty = Interactions(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), 0, 0)
    with pytest.raises(ValueError, match="leaves none"):
        random_split(empty, 0)


def test_a_split_is_three_tables_over_one_numbering() -> None:
    split = random_split(ratings(), 0)
    assert isinstance(split, Split)
    assert {one.n_items for one in (split.train, split.given, split.test)} == {12}
