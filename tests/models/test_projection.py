"""Projection: its gradient against differences, a planted plane found, and one start for all nodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from models.episodes import Batch, draw_batch
from models.interactions import History, interactions_of
from models.linear_taste import LEVEL_SHRINK
from models.projection import FixedProjection, Projection, ProjectionBlock, ProjectionLearner, start_projection
from tests.models.conformance import N_ITEMS, RatingPredictorTests, history, table, world


class TestProjection(RatingPredictorTests):
    model = Projection

    def test_a_taken_block_ranks_as_its_owner_does(self) -> None:
        histories, items = world()
        owner = Projection(rank=8).fit(table(histories), items)
        other = Projection(rank=8).prepare(table(histories), items)
        assert not np.array_equal(owner.scores(histories), other.scores(histories))
        other.take(owner.block)
        assert_allclose(owner.scores(histories), other.scores(histories), atol=1e-4)
        with pytest.raises(ValueError, match="does not fit"):
            other.take(start_projection(7))


class TestFixedProjection(RatingPredictorTests):
    model = FixedProjection


def learner(seed: int = 0) -> tuple[ProjectionLearner, Batch, np.ndarray]:
    rng = np.random.default_rng(seed)
    phi_IK = rng.normal(size=(N_ITEMS, 7)).astype(np.float32)
    start = ProjectionBlock(rng.normal(size=(3, 7)).astype(np.float32), rng.normal(size=3).astype(np.float32), 0.3)
    histories, _ = world()
    model = Projection(learning_rate=0.01)
    model.phi_IK, model.overall, model.spread = phi_IK, 4.0, 2.0
    return ProjectionLearner(start, model), draw_batch(histories[:4], rng), phi_IK


def test_the_loss_is_the_plain_loop() -> None:
    learning, batch, phi_IK = learner()
    block = learning.block()
    errors = []
    for user in range(4):
        support, query = batch.support_BR[user] > 0, batch.query_BR[user] > 0
        z_RK = phi_IK[batch.rows_N[batch.place_BR[user]]] @ block.w_RK.T
        told = batch.rating_BR[user]
        level = (told[support].sum() + LEVEL_SHRINK * 4.0) / (support.sum() + LEVEL_SHRINK)
        y = (told - level) / 2.0
        known = z_RK[support]
        ridge = known.T @ known + np.exp(block.log_ridge) * np.eye(3)
        taste = block.mean_R + np.linalg.solve(ridge, known.T @ (y[support] - known @ block.mean_R))
        errors.append(((z_RK[query] @ taste - y[query]) ** 2).mean())
    assert learning.loss(batch) == pytest.approx(np.mean(errors), rel=1e-4)


def test_the_gradient_is_the_slope() -> None:
    learning, batch, _ = learner()
    learning.objective(batch).backward()
    rng = np.random.default_rng(1)
    for weight in (learning.w_RK, learning.mean_R, learning.log_ridge):
        assert weight.grad is not None
        slope = weight.grad.clone()
        way = torch.from_numpy(np.asarray(rng.normal(size=tuple(weight.shape)), np.float32))
        losses = []
        for side in (1, -1):
            with torch.no_grad():
                weight += side * 1e-2 * way
                losses.append(learning.loss(batch))
                weight -= side * 1e-2 * way
        assert float((slope * way).sum()) == pytest.approx((losses[0] - losses[1]) / 2e-2, rel=0.03, abs=1e-3)


def test_a_planted_plane_is_found() -> None:
    """Tastes of two dimensions in a space of twelve: the learned start beats the common one on users never seen."""
    rng = np.random.default_rng(0)
    _, items = world()
    phi_IK = Projection().prepare(interactions_of([], N_ITEMS), items).phi_IK
    plane = rng.normal(size=(2, phi_IK.shape[1]))
    users = []
    for _ in range(150):
        rows = rng.choice(N_ITEMS, 16, replace=False)
        values = 4.5 + 2 * phi_IK[rows] @ plane.T @ rng.normal(size=2) + 0.3 * rng.normal(size=16)
        users.append(History(rows.astype(np.int64), values.astype(np.float32)))
    fitted = Projection(rank=6, learning_rate=0.02).fit(table(users[:120]), items)
    start = Projection(rank=6, steps=0).fit(table(users[:120]), items)
    errors = {}
    for name, model in (("learned", fitted), ("start", start)):
        told = [History(one.items[:8], one.values[:8]) for one in users[120:]]
        expected = model.expected(told)
        errors[name] = np.mean(
            [(expected[user, one.items[8:]] - one.values[8:]) ** 2 for user, one in enumerate(users[120:])]
        )
    assert errors["learned"] < 0.6 * errors["start"]


def test_all_nodes_start_alike_and_prices_take_part() -> None:
    start = start_projection(40, 8)
    assert_allclose(start.w_RK, start_projection(40, 8).w_RK)
    assert_allclose(start.w_RK[-2:, -2:], np.eye(2))
    assert np.linalg.matrix_rank(start.w_RK) == 8
    assert start_projection(3, 8).w_RK.shape == (3, 3)
    assert np.linalg.matrix_rank(start_projection(3, 8).w_RK) == 3


def test_users_with_one_rating_are_no_lesson() -> None:
    _, items = world()
    fitted = Projection().fit(table([history([user], [9.0]) for user in range(20)]), items)
    assert_allclose(fitted.w_RK, start_projection(fitted.phi_IK.shape[1]).w_RK)
