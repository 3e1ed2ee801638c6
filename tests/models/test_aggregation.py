"""Merging rules: agreement with numpy and scipy, order and scale, and how much a minority can move each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import trim_mean

from models.aggregation import LIARS_SHARE, RULES, Rule, Values, merge, trimmed_mean

TABLES = st.tuples(st.integers(2, 9), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-1e3, 1e3))
)
BOUNDED: list[Rule] = ["mean", "median", "trimmed", "krum", "clipped"]
ROBUST: list[Rule] = ["median", "trimmed", "krum"]


@pytest.mark.parametrize("rule", BOUNDED)
@given(table=TABLES)
def test_what_all_say_is_what_comes_out_and_nothing_leaves_their_range(rule: Rule, table: Values) -> None:
    weights = np.ones(len(table) - 1)
    merged = merge(rule, table[0], table[1:], weights, 1.0)
    assert (merged >= table.min(axis=0) - 1e-9).all() and (merged <= table.max(axis=0) + 1e-9).all()
    same = np.repeat(table[:1], len(table), axis=0)
    assert np.allclose(merge(rule, same[0], same[1:], weights, 1.0), table[0])


@pytest.mark.parametrize("rule", list(RULES))
@given(table=TABLES, chance=st.integers(0, 99))
def test_the_order_of_the_others_does_not_matter(rule: Rule, table: Values, chance: int) -> None:
    order = np.random.default_rng(chance).permutation(len(table) - 1)
    one, other = (merge(rule, table[0], rows, np.ones(len(rows)), 1.0) for rows in (table[1:], table[1:][order]))
    if rule == "krum":
        # Two blocks may be equally central.
        assert any(np.array_equal(other, row) for row in table)
    else:
        assert np.allclose(one, other)


def test_without_others_one_keeps_ones_own() -> None:
    own = np.array([1.0, -2.0])
    for rule in RULES:
        merged = merge(rule, own, np.empty((0, 2)), np.empty(0), 1.0)
        assert np.array_equal(merged, own) and merged is not own


def test_weights_count_in_a_mean() -> None:
    assert merge("mean", np.array([0.0]), np.array([[4.0]]), np.array([3.0]), 1.0) == pytest.approx(3.0)


def test_the_trimmed_mean_is_scipys() -> None:
    table = np.random.default_rng(0).normal(size=(12, 30))
    assert np.allclose(trimmed_mean(table, np.ones(12)), trim_mean(table, 0.25, axis=0))


@pytest.mark.parametrize("rule", ROBUST)
@pytest.mark.parametrize("size", [10.0, 1e6])
def test_a_fifth_of_liars_moves_no_robust_rule_beyond_the_honest(rule: Rule, size: float) -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(size=(16, 40))
    lies = np.full((int(LIARS_SHARE * 20), 40), size)
    merged = merge(rule, honest[0], np.concatenate([honest[1:], lies]), np.full(19, 1.0), 1.0)
    assert np.abs(merged).max() <= np.abs(honest).max()
    plain = merge("mean", honest[0], np.concatenate([honest[1:], lies]), np.full(19, 1.0), 1.0)
    assert np.abs(plain).max() > size / 10


def test_a_lie_moves_a_clipped_mean_no_further_than_an_honest_block_could() -> None:
    rng = np.random.default_rng(2)
    table = rng.normal(size=(9, 40))
    far = table.copy()
    far[-1] = 1e9
    moved = np.linalg.norm(merge("clipped", far[0], far[1:], np.ones(8), 1.0) - far[0])
    assert moved <= 2 * np.median(np.linalg.norm(table[1:] - table[0], axis=1))
