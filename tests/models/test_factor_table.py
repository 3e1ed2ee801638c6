"""The item-factor table: merging against dense averages, parts against the whole, and what no honest table says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import factor_table
from models.factor_table import (
    FACTORS,
    FIRST,
    KEYS,
    FactorTable,
    bounded,
    merge_tables,
    mistake_in,
    no_table,
    part_of,
    start_vectors,
)

UNIVERSE = 40
seeds = st.integers(0, 10_000)


def people_table(seed: int, n_users: int = 12, share: float = 0.3) -> FactorTable:
    """The averages over users with unit vectors, some of whom rated and some of whom like each item."""
    rng = np.random.default_rng(seed)
    vectors_UF = rng.normal(size=(n_users, FACTORS))
    vectors_UF /= np.linalg.norm(vectors_UF, axis=1, keepdims=True)
    rated_UI = rng.random((n_users, UNIVERSE)) < share
    likes_UI = rated_UI & (rng.random((n_users, UNIVERSE)) < 0.5)
    above_I = (rated_UI * rng.normal(0, 2, (n_users, UNIVERSE))).clip(-11, 11).mean(axis=0)
    sums_IC = np.column_stack(
        [rated_UI.mean(axis=0), above_I, likes_UI.mean(axis=0), likes_UI.T @ vectors_UF / n_users]
    )
    keys_I = np.sort(rng.permutation(UNIVERSE).astype(np.uint64) * np.uint64(KEYS // UNIVERSE))
    held = rated_UI.any(axis=0)
    return FactorTable(keys_I[held], sums_IC[held], vectors_UF.T @ vectors_UF / n_users)


def dense(table: FactorTable) -> dict[int, np.ndarray]:
    return dict(zip(table.keys_R.tolist(), table.sums_RC, strict=True))


@given(st.lists(seeds, min_size=1, max_size=5, unique=True))
def test_merging_is_the_average_of_dense_tables(tables: list[int]) -> None:
    made = [people_table(seed) for seed in tables]
    weights = np.arange(1.0, len(made) + 1)
    merged = dense(merge_tables(made, weights))
    nothing = np.zeros(FIRST + FACTORS)
    for key in {key for one in made for key in one.keys_R.tolist()}:
        rows = [dense(one).get(key, nothing) for one in made]
        np.testing.assert_allclose(merged[key], np.average(rows, axis=0, weights=weights), atol=1e-12)


@given(seeds, st.integers(2, 30))
def test_parts_say_what_the_whole_says_and_together_all_of_it(seed: int, rows_max: int) -> None:
    whole = people_table(seed)
    said = dense(whole)
    told: set[int] = set()
    for chance in range(UNIVERSE):
        part = part_of(whole, rows_max, chance)
        assert len(part.keys_R) <= rows_max
        told |= set(part.keys_R.tolist())
        for key, row in dense(part).items():
            assert np.array_equal(row, said[key])
        # Of what it speaks of, nothing is left out.
        for key, row in said.items():
            if part.low <= key < part.high or row[0] > part.least:
                assert key in part.keys_R.tolist()
    assert told == set(said)


@given(seeds, seeds, st.integers(2, 30), st.integers(0, 50))
def test_a_part_moves_what_it_speaks_of_as_the_whole_would_and_nothing_else(
    mine: int, theirs: int, rows_max: int, chance: int
) -> None:
    own, whole = people_table(mine), people_table(theirs)
    part = part_of(whole, rows_max, chance)
    merged, full = dense(merge_tables([own, part], np.ones(2))), dense(merge_tables([own, whole], np.ones(2)))
    for key, row in dense(own).items():
        spoken = key in part.keys_R.tolist() or part.low <= key < part.high
        # Outside, no more than `least` raters are left to be silent about.
        silent = row * (1 + min(part.least / row[0], 1)) / 2
        np.testing.assert_allclose(merged[key], full[key] if spoken else silent, atol=1e-12)


def test_who_knows_nothing_thins_out_nothing() -> None:
    table = people_table(1)
    merged = merge_tables([no_table(), table], np.array([5.0, 1.0]))
    assert np.array_equal(merged.sums_RC, table.sums_RC)
    assert merge_tables([no_table()], np.ones(1)).empty
    # Nor does who counts nothing, where nobody else knows the item or anything.
    merged = merge_tables([no_table(), table, people_table(2)], np.array([1.0, 1.0, 0.0]))
    assert np.array_equal(merged.sums_RC, table.sums_RC)
    assert merge_tables([no_table(), table], np.array([1.0, 0.0])).empty


@given(st.lists(seeds, min_size=1, max_size=4, unique=True))
def test_honest_tables_and_their_averages_are_no_mistake(tables: list[int]) -> None:
    made = [people_table(seed) for seed in tables]
    for one in made:
        assert mistake_in(one) is None
        for chance in range(4):
            assert mistake_in(part_of(one, 10, chance)) is None
    assert mistake_in(merge_tables(made, np.ones(len(made)))) is None


@given(seeds, seeds)
def test_parts_of_others_merged_are_brought_within_bounds(mine: int, theirs: int) -> None:
    parts = [part_of(people_table(theirs + number, n_users=2), 3, number) for number in range(6)]
    merged = bounded(merge_tables([people_table(mine, n_users=1), *parts], np.ones(7)))
    assert mistake_in(merged) is None


def scaled(table: FactorTable, raters: float = 1, above: float = 1, likers: float = 1, taste: float = 1) -> FactorTable:
    return replace(table, sums_RC=table.sums_RC * np.repeat([raters, above, likers, taste], [1, 1, 1, FACTORS]))


LIES = {
    "length than 1": [
        lambda one: replace(one, gram_FF=9 * one.gram_FF),
        lambda one: replace(one, gram_FF=-one.gram_FF),
        # A direction as negative as the ridge is positive: neither may be divided by the other.
        lambda one: replace(one, gram_FF=np.diag([3e-6, -3.85e-8, *[0.0] * (FACTORS - 2)])),
        lambda one: replace(one, gram_FF=np.diag([3e-6, -9e-7, *[0.0] * (FACTORS - 2)])),
    ],
    "more than all": [
        lambda one: scaled(one, raters=30, likers=30),
        lambda one: scaled(one, likers=-1),
        lambda one: scaled(one, raters=0),
    ],
    "no scale": [lambda one: scaled(one, above=1e6)],
    "longer than its likers": [lambda one: scaled(one, taste=30)],
    "can't have": [
        # As long as its likers are many, but in a direction in which nobody lies.
        lambda one: replace(
            scaled(one, taste=0),
            gram_FF=np.diag([1.0, *[1e-6] * (FACTORS - 1)]) * 0.99,
            sums_RC=np.hstack([np.full((len(one.keys_R), 3), 0.5), np.eye(FACTORS)[[1] * len(one.keys_R)] * 0.5]),
        ),
    ],
    "not finite": [
        lambda one: replace(one, sums_RC=np.full_like(one.sums_RC, np.nan)),
        lambda one: replace(one, gram_FF=np.full_like(one.gram_FF, np.inf)),
    ],
}


@pytest.mark.parametrize(("said", "lie"), [(said, lie) for said, lies in LIES.items() for lie in lies])
def test_what_no_people_could_have_taught_is_a_mistake(said: str, lie: Callable[[FactorTable], FactorTable]) -> None:
    for seed in range(10):
        assert said in str(mistake_in(lie(people_table(seed))))


def test_a_rare_items_vector_is_no_longer_than_its_likers_are_many() -> None:
    """The rarer it is, the further its vector could reach by the spread of all users alone."""
    table = people_table(0, n_users=100, share=0.02)
    for factor in (1.5, 5, 20):
        assert "longer than its likers" in str(mistake_in(scaled(table, taste=factor)))


def test_a_table_of_too_many_rows_keeps_what_most_people_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factor_table, "ROWS_MAX", 7)
    whole = people_table(4)
    kept = bounded(whole)
    assert len(kept.keys_R) == 7 and (np.diff(kept.keys_R.astype(np.int64)) > 0).all()
    assert kept.sums_RC[:, 0].min() >= np.sort(whole.sums_RC[:, 0])[-7]


def test_everybody_begins_with_the_same_vectors() -> None:
    """Another start on one node would turn its table round beside all others'. splitmix64 of 0 is published."""
    published = 0xE220A8397B1DCDAF
    expected_F = [1.0 if published >> bit & 1 else -1.0 for bit in range(FACTORS)]
    assert start_vectors(np.zeros(1, np.uint64))[0].tolist() == expected_F
    many = start_vectors(np.arange(20_000, dtype=np.uint64))
    assert set(np.unique(many)) == {-1.0, 1.0}
    assert np.abs(many.mean(axis=0)).max() < 0.03
    assert np.abs(many.T @ many / len(many) - np.eye(FACTORS)).max() < 0.03
