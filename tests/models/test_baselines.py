"""The baselines: means by hand and by dense least squares, counts by hand, and a floor that is one."""

from __future__ import annotations

import numpy as np
import pytest

from models.baselines import Biases, GlobalMean, ItemMean, MostLiked, Random, UserMean
from models.interactions import interactions_of
from tests.models.conformance import (
    EMPTY,
    N_ITEMS,
    RatingPredictorTests,
    RecommenderTests,
    history,
    table,
    world,
)


class TestRandom(RecommenderTests):
    model = Random
    has_signal = False

    def test_every_item_is_as_likely_to_come_first(self) -> None:
        fitted, _, _ = self.fitted()
        first = [int(fitted.recommend(history([a, b], [9, 9]), 1)[0][0]) for a in range(30) for b in range(31, 60)]
        counts = np.bincount(first, minlength=N_ITEMS)
        assert counts.min() > 0
        assert counts.max() < 5 * np.median(counts)


class TestMostLiked(RecommenderTests):
    model = MostLiked

    def test_counts_likes(self) -> None:
        _, items = world()
        ratings = interactions_of([history([0, 1], [9, 2]), history([0, 2], [7, 6]), history([2], [9])], N_ITEMS)
        assert MostLiked(relevant=7).fit(ratings, items).popular_I[:4] == pytest.approx([2 / 3, 0, 1 / 3, 0])
        assert MostLiked(relevant=6).fit(ratings, items).popular_I[:4] == pytest.approx([2 / 3, 0, 2 / 3, 0])
        assert MostLiked().fit(ratings, items).popular_I[:4] == pytest.approx([2 / 3, 0, 2 / 3, 0])


class TestBiases(RatingPredictorTests):
    model = Biases

    def test_the_sweeps_end_at_the_least_squares_solution(self) -> None:
        """The same objective as one dense ridge problem over all biases at once."""
        histories, items = world()
        ratings = table(histories)
        n_users = len(histories)
        design = np.zeros((len(ratings), n_users + N_ITEMS))
        design[np.arange(len(ratings)), ratings.users] = 1
        design[np.arange(len(ratings)), n_users + ratings.items] = 1
        damping = np.diag([4.0] * n_users + [7.0] * N_ITEMS)
        mean = float(ratings.values.mean())
        biases = np.linalg.solve(design.T @ design + damping, design.T @ (ratings.values - mean))
        expected = mean + biases[:n_users, None] + biases[None, n_users:]
        fitted = Biases(user_damping=4, item_damping=7).fit(ratings, items)
        assert np.allclose(fitted.expected(histories), expected, atol=1e-3)

    def test_residuals_are_what_is_left(self) -> None:
        fitted, histories, _ = self.fitted()
        assert isinstance(fitted, Biases)
        one = histories[4]
        left = one.values - fitted.expected([one])[0, one.items]
        assert np.allclose(fitted.residuals(one), left, atol=1e-5)


class TestItemMean(RatingPredictorTests):
    model = ItemMean

    def test_by_hand(self) -> None:
        _, items = world()
        ratings = interactions_of([history([0, 1], [9, 3]), history([0], [6])], N_ITEMS)
        predicted = ItemMean(item_damping=1).fit(ratings, items).predict([EMPTY])[0]
        assert predicted[:3] == pytest.approx([6 + 3 / 3, 6 - 3 / 2, 6])


class TestUserMean(RatingPredictorTests):
    model = UserMean
    has_signal = False

    def test_by_hand(self) -> None:
        _, items = world()
        ratings = interactions_of([history([0, 1], [9, 3]), history([0], [6])], N_ITEMS)
        fitted = UserMean(user_damping=2).fit(ratings, items)
        predicted = fitted.predict([history([3, 4], [8, 8]), EMPTY])
        assert predicted[0].tolist() == pytest.approx([6 + 4 / 4] * N_ITEMS)
        assert predicted[1].tolist() == pytest.approx([6] * N_ITEMS)


class TestGlobalMean(RatingPredictorTests):
    model = GlobalMean
    has_signal = False

    def test_is_the_mean(self) -> None:
        fitted, histories, _ = self.fitted()
        assert np.allclose(fitted.scores(histories), table(histories).values.mean(), atol=1e-5)
