"""Two towers: the loss against a plain loop, the gradient against differences, fold-in, and the seed's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from models.episodes import draw_batch
from models.features import phi_of
from models.interactions import History, interactions_of
from models.recommender import Recommender
from models.reference import reference_of
from models.two_tower import NAMES, NEGATIVE_WEIGHT, NEGATIVES, TowerBlock, TowerLearner, TwoTower, start_towers
from models.two_tower_seed import SeedTwoTower
from tests.models.conformance import N_ITEMS, RatingPredictorTests, RecommenderTests, history, table, world


class TestTwoTower(RecommenderTests):
    model = TwoTower

    def test_contributions_are_what_forgetting_costs(self) -> None:
        fitted, histories, _ = self.fitted()
        assert isinstance(fitted, TwoTower)
        mine = histories[2]
        x_RK, y_R = fitted.told(mine)
        whole = fitted.scores([mine])[0, 17]
        parts = fitted.contributions(mine, 17)
        for place in (0, 7, 14):
            rest_RK, rest_R = np.delete(x_RK, place, 0), np.delete(y_R, place)
            pooled = np.linalg.solve(rest_RK.T @ rest_RK + fitted.ridge * np.eye(x_RK.shape[1]), rest_RK.T @ rest_R)
            without = fitted.user_tower(pooled[None].astype(np.float32))[0] @ fitted.item_IO[17]
            without += fitted.block.skip[0] * pooled @ fitted.phi_IK[17]
            assert parts[place] == pytest.approx(whole - without, abs=2e-4)

    def test_a_taken_block_ranks_as_its_owner_does(self) -> None:
        fitted, histories, items = self.fitted()
        assert isinstance(fitted, TwoTower)
        other = TwoTower().prepare(table(histories), items)
        other.take(fitted.block)
        assert np.array_equal(fitted.scores(histories), other.scores(histories))
        with pytest.raises(ValueError, match="do not fit"):
            other.take(start_towers(5))


class TestSeedTwoTower(RatingPredictorTests):
    model = SeedTwoTower

    def make(self, **params: Any) -> Recommender:
        # Ten epochs are some thousand steps on the seed's ratings, and a hundred here.
        return SeedTwoTower(**{"epochs": 60, "learning_rate": 3e-3} | params)

    def test_contributions_are_what_forgetting_costs(self) -> None:
        fitted, histories, _ = self.fitted()
        mine = histories[2]
        parts = fitted.contributions(mine, 17)
        for place in (0, 14):
            rest = History(np.delete(mine.items, place), np.delete(mine.values, place))
            change = fitted.scores([mine])[0, 17] - fitted.scores([rest])[0, 17]
            assert parts[place] == pytest.approx(change, abs=1e-4)


def learner(seed: int = 0) -> tuple[TowerLearner, TwoTower, list[History]]:
    """Towers away from their start, so that every weight matters."""
    histories, items = world()
    model = TwoTower().prepare(table(histories), items)
    rng = np.random.default_rng(seed)
    start = {name: getattr(model.block, name) for name in NAMES}
    noisy = {name: (value + 0.2 * rng.normal(size=value.shape)).astype(np.float32) for name, value in start.items()}
    model.take(TowerBlock(**noisy))
    return TowerLearner(model.block, model), model, histories


def test_the_start_ranks_as_ridge() -> None:
    histories, items = world()
    started = TwoTower(steps=0, ridge=2.0).fit(table(histories), items)
    mine = histories[0]
    phi = phi_of(items).astype(float)
    reference = reference_of(mine.values, started.mean)
    x_RK = phi[mine.items]
    dual_R = np.linalg.solve(x_RK @ x_RK.T + 2 * np.eye(len(mine)), (mine.values - reference) / started.spread)
    assert_allclose(started.scores([mine])[0], phi @ x_RK.T @ dual_R, atol=1e-4)


def test_training_sees_the_scores_that_serving_gives() -> None:
    """The loss, from served scores of the support and all pairs of residuals, slowly."""
    learning, model, histories = learner()
    batch = draw_batch(histories[:3], np.random.default_rng(4))
    drawn = np.random.default_rng(0).integers(0, N_ITEMS, NEGATIVES)
    losses = []
    for user, one in enumerate(histories[:3]):
        support, query = batch.support_BR[user] > 0, batch.query_BR[user] > 0
        told = History(one.items[support], one.values[support])
        scores = model.scores([told])[0]
        truth = (one.values - reference_of(told.values, model.mean)) / model.spread
        fair = drawn[~np.isin(drawn, one.items)]
        rest = np.concatenate([scores[one.items[query]] - truth[query], scores[fair]])
        weight = np.concatenate(
            [np.full(query.sum(), 1 / query.sum()), np.full(len(fair), NEGATIVE_WEIGHT / len(fair))]
        )
        weight /= weight.sum()
        pairs = np.subtract.outer(rest, rest) ** 2
        losses.append(weight @ pairs @ weight / 2)
    assert learning.loss(batch) == pytest.approx(np.mean(losses), rel=1e-3)


def test_the_gradient_is_the_slope() -> None:
    learning, _, histories = learner()
    batch = draw_batch(histories[:4], np.random.default_rng(1))
    learning.objective(batch, np.random.default_rng(0)).backward()
    rng = np.random.default_rng(2)
    for name in NAMES:
        weight = learning.weights[name]
        assert weight.grad is not None
        slope = weight.grad.clone()
        way = torch.from_numpy(np.asarray(rng.normal(size=tuple(weight.shape)), np.float32))
        way /= way.norm()
        losses = []
        for side in (1, -1):
            with torch.no_grad():
                weight += side * 1e-2 * way
                losses.append(learning.loss(batch))
                weight -= side * 1e-2 * way
        assert float((slope * way).sum()) == pytest.approx((losses[0] - losses[1]) / 2e-2, rel=0.1, abs=3e-3), name


def test_it_learns_what_ridge_cannot_see() -> None:
    """Everybody shares a taste that is not their own ratings' doing: users never seen are served better for it."""
    rng = np.random.default_rng(0)
    _, items = world()
    phi = phi_of(items)
    common = rng.normal(size=phi.shape[1])
    users = []
    for _ in range(120):
        rows = rng.choice(N_ITEMS, 10, replace=False).astype(np.int64)
        values = 4.5 + 3 * phi[rows] @ (common + 0.3 * rng.normal(size=phi.shape[1])) + 0.5 * rng.normal(size=10)
        users.append(History(rows, values.astype(np.float32)))
    ratings = interactions_of(users[:100], N_ITEMS)
    correlations = {}
    for steps in (0, 300):
        fitted = TwoTower(steps=steps).fit(ratings, items)
        scores = fitted.scores([History(one.items[:4], one.values[:4]) for one in users[100:]])
        correlations[steps] = np.mean(
            [np.corrcoef(scores[user, one.items[4:]], one.values[4:])[0, 1] for user, one in enumerate(users[100:])]
        )
    assert correlations[300] > correlations[0] + 0.1


def test_all_nodes_start_alike() -> None:
    one, other = start_towers(40), start_towers(40)
    assert all(np.array_equal(getattr(one, name), getattr(other, name)) for name in NAMES)
    assert not one.user_out.any()
    assert one.item_in.std() == pytest.approx((2 / 40) ** 0.5, rel=0.05)


def test_purchases_without_dislikes_still_teach() -> None:
    _, items = world()
    bought = [history([user % 7, 7, 8, 9], [1.0] * 4) for user in range(30)]
    fitted = TwoTower().fit(interactions_of(bought, N_ITEMS, (0.0, 1.0)), items)
    scores = fitted.scores([history([0, 7], [1.0, 1.0])])[0]
    assert scores[[8, 9]].mean() > scores[10:].mean()
