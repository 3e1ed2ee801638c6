"""Ranking metrics against scikit-learn and against sums written out, with ties and empties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import evaluation
from models.evaluation import interval, judge, ndcg_at, paired_difference, precision_at
from models.fusion import Items
from models.interactions import History, Interactions
from models.leak_guard import LeakError
from models.recommender import RatingPredictor
from models.splits import Split, random_split


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


class Fixed(RatingPredictor):
    """Says the same of everybody: its scores are its ratings."""

    name = "fixed"

    def __init__(self, scores: list[float]) -> None:
        self.scores_I = np.array(scores, np.float32)
        self.low, self.high = 0.0, 5.0

    def fit(self, ratings: Interactions, items: Items) -> Fixed:
        return self

    def expected(self, histories: Sequence[History]) -> np.ndarray:
        return np.repeat(self.scores_I[None], len(histories), axis=0)

    def contributions(self, history: History, item: int) -> np.ndarray:
        return np.zeros(len(history), np.float32)


def small_split(**more: np.ndarray) -> Split:
    """Users 0..2 over five items; user 2 has nothing relevant in the test, user 1 nothing in the history."""
    train = Interactions(np.array([0, 0, 2]), np.array([4, 0, 1]), np.array([5, 1, 3], np.float32), 4, 5)
    test = Interactions(np.array([0, 0, 1, 2]), np.array([1, 2, 4, 0]), np.array([5, 1, 4, 2], np.float32), 4, 5)
    return Split("given", train, train, test, **more)


def test_judge_by_hand() -> None:
    verdict = judge(Fixed([1, 2, 3, 4, 9]), small_split(), relevant=4, k=2)
    assert verdict.users.tolist() == [0, 1, 2]
    assert verdict.given_U.tolist() == [2, 0, 1]
    whole = verdict.slices["all"]
    # User 0 sees 3, 2 (4 is in the history) and misses item 1; user 1 sees 4 first; user 2 is not judged.
    assert np.array_equal(whole.figures["ndcg"], [0, 1, np.nan], equal_nan=True)
    assert np.array_equal(whole.figures["precision"], [0, 0.5, np.nan], equal_nan=True)
    assert np.array_equal(whole.ceiling["precision"], [0.5, 0.5, np.nan], equal_nan=True)
    # One relevant among three candidates and among five, two places.
    assert np.allclose(whole.floor["recall"], [2 / 3, 2 / 5, np.nan], equal_nan=True)
    assert whole.coverage == 3 / 5
    # Over all four test ratings, also those that are not relevant; 9 is cut to the scale.
    assert verdict.rmse == pytest.approx(np.sqrt(np.mean([3**2, 2**2, 1, 1])))
    assert verdict.mae == pytest.approx(np.mean([3, 2, 1, 1]))


def test_in_a_slice_only_its_items_compete() -> None:
    mask = np.array([True, True, False, False, False])
    verdict = judge(Fixed([1, 2, 3, 4, 9]), small_split(), 4, 2, slices={"low": mask})
    low = verdict.slices["low"]
    assert np.array_equal(low.figures["precision"], [0.5, np.nan, np.nan], equal_nan=True)
    assert low.coverage == 0.5
    assert np.isnan(low.diversity_U).all()


def test_across_platforms_only_the_platform_asked_for_competes() -> None:
    split = small_split(platform_I=np.array([0, 1, 1, 0, 0]), asked_U=np.array([1, 0, 0, -1]))
    verdict = judge(Fixed([1, 2, 3, 4, 9]), split, 4, 1)
    assert np.array_equal(verdict.slices["all"].figures["precision"], [0, 1, np.nan], equal_nan=True)
    assert np.allclose(verdict.slices["all"].floor["precision"][:2], [1 / 2, 1 / 3])


def test_a_leaking_split_is_not_judged() -> None:
    split = small_split()
    with pytest.raises(LeakError):
        judge(Fixed([1, 2, 3, 4, 9]), replace(split, test=split.train), 4, 2)


def test_portions_do_not_change_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    users, items = np.nonzero(rng.random((40, 30)) < 0.4)
    values = rng.integers(1, 6, len(users)).astype(np.float32)
    split = random_split(Interactions(users, items, values, 40, 30, None, (1.0, 5.0)), 0)
    vectors = rng.normal(size=(30, 4)).astype(np.float32)
    model = Fixed(rng.permutation(30).tolist())
    whole = judge(model, split, 4, 5, vectors_ID=vectors)
    monkeypatch.setattr(evaluation, "CELLS_MAX", 100)
    parts = judge(model, split, 4, 5, vectors_ID=vectors)
    assert parts.rmse == whole.rmse
    for name, figure in whole.slices["all"].figures.items():
        assert np.array_equal(figure, parts.slices["all"].figures[name], equal_nan=True)
    assert np.allclose(whole.slices["all"].diversity_U, parts.slices["all"].diversity_U, equal_nan=True)
    assert whole.slices["all"].gini == parts.slices["all"].gini


def test_paired_difference_finds_a_small_steady_gain_and_not_chance() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(300)
    gain = paired_difference(hard + 0.02 + rng.normal(0, 0.05, 300), hard, np.random.default_rng(1))
    assert gain.low > 0
    assert gain.p < 0.01
    none = paired_difference(hard + rng.normal(0, 0.05, 300), hard, np.random.default_rng(1))
    assert none.low < 0 < none.high
    assert none.p > 0.05
    same = paired_difference(hard, hard, np.random.default_rng(1))
    assert (same.mean, same.p) == (0, 1)
    assert np.isnan(paired_difference(hard, np.full(300, np.nan), rng).p)


def test_of_several_splits_mean_interval_and_difference_are_one_estimator() -> None:
    """Splits judge different numbers of users: a mean over users would be another one than that over splits."""
    rng = np.random.default_rng(4)
    ours = rng.random((3, 200))
    ours[0, 20:] = ours[1, 100:] = np.nan
    ours[:, 150:170] = np.nan
    ours[0] += 0.5
    theirs = ours - 0.1 * rng.random((3, 200))
    expected = np.mean([np.nanmean(one) for one in ours])
    mean, low, high = interval(ours, np.random.default_rng(0))
    assert mean == pytest.approx(expected)
    assert low < expected < high
    # Each split's users are drawn: the interval is as wide as that of the mean of three independent means.
    deviation = np.sqrt(sum(np.nanvar(one) / (~np.isnan(one)).sum() for one in ours)) / 3
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.2)
    gain = paired_difference(ours, theirs, np.random.default_rng(0))
    assert gain.mean == pytest.approx(expected - np.mean([np.nanmean(one) for one in theirs]))
    assert (gain.low > 0, gain.p < 0.01) == (True, True)


def test_a_users_splits_are_no_independent_evidence() -> None:
    """Five users on a hundred splits are five users: all of a user's signs flip together."""
    gain = paired_difference(np.ones((100, 5)), np.zeros((100, 5)), np.random.default_rng(2), draws=5_000)
    assert gain.p == pytest.approx(2 / 32, abs=0.015)
    one, more = (interval(np.tile(np.arange(5.0), (n, 1)), np.random.default_rng(0)) for n in (1, 100))
    assert one == pytest.approx(more)


def test_paired_p_is_right_on_few_users() -> None:
    """Five users, all better: of the 32 sign patterns two are as extreme."""
    gain = paired_difference(np.ones(5), np.zeros(5), np.random.default_rng(2), draws=20_000)
    assert gain.p == pytest.approx(2 / 32, abs=0.01)
