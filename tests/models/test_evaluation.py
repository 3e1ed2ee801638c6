"""Ranking metrics against scikit-learn and against sums written out, with ties and empties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation import interval, ndcg_at, precision_at


def plain(scores: np.ndarray, relevant: np.ndarray, candidates: np.ndarray, k: int) -> tuple[float, float]:
    """One user's precision and NDCG by sorting a list of tuples."""
    pool = sorted((-float(scores[i]), i) for i in range(len(scores)) if candidates[i])
    hits = [bool(relevant[i]) for _, i in pool[:k]]
    good = sum(bool(relevant[i]) for _, i in pool)
    if not good:
        return np.nan, np.nan
    gain = sum(hit / np.log2(place + 2) for place, hit in enumerate(hits))
    ideal = sum(1 / np.log2(place + 2) for place in range(min(k, good)))
    return sum(hits) / k, gain / ideal


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_against_a_plain_sum_with_many_ties(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (5, 9)).astype(np.float32)
    relevant, candidates = rng.random((5, 9)) < 0.3, rng.random((5, 9)) < 0.7
    expected = np.array([plain(*rows, k) for rows in zip(scores, relevant, candidates, strict=True)])
    assert np.allclose(precision_at(scores, relevant, candidates, k), expected[:, 0], equal_nan=True, atol=1e-12)
    assert np.allclose(ndcg_at(scores, relevant, candidates, k), expected[:, 1], equal_nan=True, atol=1e-12)


def test_against_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(8)
    scores = rng.normal(size=(50, 40)).astype(np.float32)
    relevant = rng.random((50, 40)) < 0.2
    relevant[:, 0] = True
    mine = ndcg_at(scores, relevant, np.ones_like(relevant), 10)
    theirs = [metrics.ndcg_score([relevant[u]], [scores[u]], k=10) for u in range(50)]
    assert np.allclose(mine, theirs, atol=1e-9)


def test_a_perfect_ranking_is_the_ceiling() -> None:
    relevant = np.random.default_rng(2).random((20, 30)) < 0.3
    relevant[:, 3] = True
    everything = np.ones_like(relevant)
    assert np.allclose(ndcg_at(relevant.astype(np.float32), relevant, everything, 10), 1)


def test_the_interval_covers_and_skips_users_without_a_verdict() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.1, 400)
    mean, low, high = interval(np.append(values, np.nan), np.random.default_rng(1))
    assert low < 0.5 < high
    assert mean == pytest.approx(values.mean())
    # Half width of a 95 % interval of a mean of 400: 1.96 * 0.1 / 20.
    assert high - low == pytest.approx(2 * 1.96 * 0.1 / 20, rel=0.15)
    assert np.isnan(interval(np.array([np.nan]), rng)).all()
