"""Low-rank completion by Adam: it finds low rank where there is some, and folds users in by ridge regression."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from models.interactions import interactions_of
from models.low_rank import LowRank
from tests.models.conformance import N_ITEMS, RatingPredictorTests, history, table, world


class TestLowRank(RatingPredictorTests):
    model = LowRank
    params = {"factors": 4, "batch": 64, "learning_rate": 0.03}

    @pytest.mark.parametrize("biases", [True, False])
    def test_finds_a_table_of_low_rank(self, biases: bool) -> None:
        rng = np.random.default_rng(2)
        _, items = world()
        full = 5 + 2 * np.outer(rng.normal(size=80), rng.normal(size=N_ITEMS))
        histories, held = [], []
        for user in range(80):
            rated = rng.permutation(N_ITEMS)
            histories.append(history(rated[:40].tolist(), full[user, rated[:40]].tolist()))
            held.append(rated[40:])
        model = LowRank(factors=3, biases=biases, learning_rate=0.02, batch=128, epochs=60, reg=0.001)
        predicted = model.fit(table(histories), items).expected(histories)
        errors = np.concatenate([predicted[user, rows] - full[user, rows] for user, rows in enumerate(held)])
        assert np.sqrt((errors**2).mean()) < 0.2 * full.std()

    def test_a_users_vector_is_ridge_regression(self) -> None:
        histories, items = world()
        fitted = LowRank(factors=4, reg=0.2, epochs=5).fit(table(histories), items)
        one = histories[5]
        features = np.hstack([fitted.item_IF, np.ones((N_ITEMS, 1))])
        ridge = Ridge(alpha=0.2 * len(one), fit_intercept=False)
        ridge.fit(features[one.items], (one.values - fitted.overall) / fitted.unit - fitted.bias_I[one.items])
        expected = fitted.overall + fitted.unit * (fitted.bias_I + ridge.predict(features))
        assert np.allclose(fitted.expected([one])[0], expected, atol=5e-3)

    @pytest.mark.parametrize("biases", [True, False])
    def test_contributions_add_up(self, biases: bool) -> None:
        histories, items = world()
        fitted = LowRank(factors=4, biases=biases, epochs=5).fit(table(histories), items)
        for item in (0, 17, 59):
            whole = fitted.overall + fitted.unit * fitted.bias_I[item] + fitted.contributions(histories[2], item).sum()
            assert whole == pytest.approx(fitted.expected([histories[2]])[0, item], abs=1e-3)

    def test_without_biases_there_are_none(self) -> None:
        histories, items = world()
        fitted = LowRank(biases=False, epochs=3).fit(table(histories), items)
        assert fitted.overall == 0
        assert not fitted.bias_I.any()

    def test_an_item_nobody_rated_is_predicted_from_the_user_alone(self) -> None:
        _, items = world()
        ratings = interactions_of([history([0, 1, 2], [9, 8, 10]), history([0, 1], [2, 1])], N_ITEMS)
        predicted = LowRank(epochs=50).fit(ratings, items).predict(ratings.histories())
        assert np.ptp(predicted[:, 3:], axis=1).max() == 0
        assert predicted[0, 3] > predicted[1, 3]
