"""Alternating least squares: each step against dense algebra, the objective as a whole, and the two models."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from models import least_squares
from models.als import ImplicitAls, RatingAls
from models.least_squares import solve_rows
from tests.models.conformance import EMPTY, N_ITEMS, RatingPredictorTests, RecommenderTests, history, table, world


@pytest.mark.parametrize("gathered_max", [1, 10_000_000])
def test_every_row_is_solved_as_if_alone(gathered_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of no, few and many entries against numpy's own solver in float64, in small and in large batches."""
    monkeypatch.setattr(least_squares, "GATHERED_MAX", gathered_max)
    rng = np.random.default_rng(0)
    kept = rng.random((40, 30)) < np.linspace(0, 1, 40)[:, None]
    targets = np.where(kept, rng.normal(size=(40, 30)), 0).astype(np.float32)
    factors = rng.normal(size=(30, 8)).astype(np.float32)
    metric = (np.eye(8) + 0.1 * factors.T @ factors).astype(np.float32)
    solved = solve_rows(sparse.csr_matrix(targets), factors, metric, 0.3, 2.5)
    for row in range(40):
        entries = factors[kept[row]].astype(np.float64)
        whole = metric + 0.3 * len(entries) * np.eye(8) + 2.5 * entries.T @ entries
        assert np.allclose(solved[row], np.linalg.solve(whole, 2.5 * entries.T @ targets[row, kept[row]]), atol=1e-4)


class TestImplicitAls(RecommenderTests):
    model = ImplicitAls
    params = {"factors": 8, "relevant": 6.0}

    def loss(self, fitted: ImplicitAls, likes: np.ndarray, user_UF: np.ndarray) -> float:
        scores = user_UF @ fitted.item_IF.T
        weights = 1 + fitted.alpha * likes
        penalty = fitted.reg * ((likes.sum(1) * (user_UF**2).sum(1)).sum())
        penalty += fitted.reg * ((likes.sum(0) * (fitted.item_IF**2).sum(1)).sum())
        penalty += fitted.base_reg * ((user_UF**2).sum() + (fitted.item_IF**2).sum())
        return float((weights * (likes - scores) ** 2).sum() + penalty)

    def test_a_users_vector_is_the_best_that_there_is(self) -> None:
        """The objective, written out over all pairs, rises whichever way a user's vector is moved."""
        histories, items = world()
        fitted = ImplicitAls(factors=8, relevant=6).fit(table(histories), items)
        likes = fitted.likes_of(histories).toarray()
        best = fitted._step(fitted.likes_of(histories), fitted.item_IF)
        rng = np.random.default_rng(1)
        here = self.loss(fitted, likes, best)
        for _ in range(20):
            assert self.loss(fitted, likes, best + 0.01 * rng.normal(size=best.shape)) > here

    def test_sweeps_lower_the_objective(self) -> None:
        histories, items = world()
        losses = []
        for sweeps in (1, 2, 4, 8):
            fitted = ImplicitAls(factors=8, relevant=6, sweeps=sweeps).fit(table(histories), items)
            likes = fitted.likes_of(histories)
            losses.append(self.loss(fitted, likes.toarray(), fitted._step(likes, fitted.item_IF)))
        assert losses == sorted(losses, reverse=True)

    def test_the_score_is_the_sum_of_its_contributions(self) -> None:
        fitted, histories, _ = self.fitted()
        for item in (0, 17, 59):
            parts = fitted.contributions(histories[2], item)
            assert parts.sum() == pytest.approx(fitted.scores([histories[2]])[0, item], abs=1e-4)


class TestRatingAls(RatingPredictorTests):
    model = RatingAls
    params = {"factors": 4}

    def test_a_users_vector_is_ridge_regression(self) -> None:
        """One user's prediction against scikit-learn's Ridge on the same features and the same penalty."""
        from sklearn.linear_model import Ridge

        histories, items = world()
        fitted = RatingAls(factors=4, reg=0.2, bias_reg=0).fit(table(histories), items)
        one = histories[5]
        penalty = 0.2 * len(one)
        features = np.hstack([fitted.item_IF, np.ones((N_ITEMS, 1))])
        ridge = Ridge(alpha=penalty, fit_intercept=False)
        ridge.fit(features[one.items], (one.values - fitted.overall) / fitted.unit - fitted.bias_I[one.items])
        expected = fitted.overall + fitted.unit * (fitted.bias_I + ridge.predict(features))
        assert np.allclose(fitted.expected([one])[0], expected, atol=2e-3)

    def test_finds_a_table_of_rank_one(self) -> None:
        rng = np.random.default_rng(2)
        _, items = world()
        taste, trait = rng.normal(size=80), rng.normal(size=N_ITEMS)
        full = 4 + 2 * np.outer(taste, trait)
        histories, held = [], []
        for user in range(80):
            rated = rng.permutation(N_ITEMS)
            histories.append(history(rated[:40].tolist(), full[user, rated[:40]].tolist()))
            held.append(rated[40:])
        predicted = RatingAls(factors=2, reg=0.001, sweeps=20).fit(table(histories), items).expected(histories)
        errors = np.concatenate([predicted[user, rows] - full[user, rows] for user, rows in enumerate(held)])
        assert np.sqrt((errors**2).mean()) < 0.1 * full.std()

    def test_the_prediction_is_what_is_known_of_the_item_and_the_sum_of_contributions(self) -> None:
        fitted, histories, _ = self.fitted()
        assert isinstance(fitted, RatingAls)
        for item in (0, 17, 59):
            parts = fitted.contributions(histories[2], item)
            whole = fitted.overall + fitted.unit * fitted.bias_I[item] + parts.sum()
            assert whole == pytest.approx(fitted.expected([histories[2]])[0, item], abs=1e-4)

    def test_a_newcomer_gets_the_items_biases(self) -> None:
        fitted, _, _ = self.fitted()
        assert isinstance(fitted, RatingAls)
        assert np.allclose(fitted.expected([EMPTY])[0], fitted.overall + fitted.unit * fitted.bias_I, atol=1e-5)
