"""LightGCN: its gradient against torch's on dense matrices, fold-in against the graph, and two circles of friends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import sparse

from models.fusion import Items
from models.interactions import History, interactions_of
from models.lightgcn import LightGcn, gradient, normalised
from tests.models.conformance import N_ITEMS, RecommenderTests, history, table, world


class TestLightGcn(RecommenderTests):
    model = LightGcn

    def test_contributions_sum_to_the_score(self) -> None:
        fitted, histories, _ = self.fitted()
        for item in (0, 17):
            parts = fitted.contributions(histories[2], item)
            assert parts.sum() == pytest.approx(fitted.scores([histories[2]])[0, item], abs=1e-5)

    def test_beats_chance_on_data_with_signal(self) -> None:
        """On circles of friends: a few people who agree on little are no graph to learn from."""
        right = []
        for seed in range(5):
            users, items = circles(seed)
            kept = [History(one.items[1:-1], one.values[1:-1]) for one in users]
            fitted = self.make().fit(table(kept), items)
            scores = fitted.scores(kept)
            right += [scores[user, one.items[0]] > scores[user, one.items[-1]] for user, one in enumerate(users)]
        assert np.mean(right) > 0.9


def likes() -> sparse.csr_matrix:
    rng = np.random.default_rng(0)
    return sparse.csr_matrix((rng.random((5, 7)) < 0.4).astype(np.float32))


def test_the_graph_is_symmetric_and_smooths() -> None:
    graph = normalised(likes()).toarray()
    assert_allclose(graph, graph.T)
    degree = (graph > 0).sum(axis=1)
    user, item = np.argwhere(graph > 0)[0]
    assert graph[user, item] == pytest.approx((degree[user] * degree[item]) ** -0.5)
    assert np.linalg.eigvalsh(graph).max() == pytest.approx(1, abs=1e-5)


def test_the_gradient_is_torchs() -> None:
    graph, rng = normalised(likes()), np.random.default_rng(1)
    start = rng.normal(size=(12, 3)).astype(np.float32)
    # The same user and item more than once: their slopes must add up.
    triples = np.array([[0, 0, 3, 0], [5, 6, 5, 5], [8, 8, 9, 11]])
    dense, node = torch.from_numpy(graph.toarray()), torch.tensor(start, requires_grad=True)
    layers = [node, dense @ node, dense @ dense @ node]
    final = torch.stack(layers).mean(0)
    user, liked, other = torch.from_numpy(triples)
    loss = -torch.nn.functional.logsigmoid((final[user] * (final[liked] - final[other])).sum(1))
    loss = (loss + 0.05 * sum((node[rows] ** 2).sum(1) for rows in (user, liked, other))).mean()
    (slope,) = torch.autograd.grad(loss, node)
    assert_allclose(gradient(graph, start, triples, 2, 0.1), slope.numpy(), atol=1e-5)


def test_folding_in_is_a_row_of_the_graph() -> None:
    """A user outside the graph: layer by layer, the items' earlier layer over the roots of both degrees."""
    histories, items = world()
    fitted = LightGcn(layers=2, epochs=0).fit(table(histories), items)
    likes_UI = fitted.learn_likes(table(histories))
    graph = normalised(likes_UI)
    start = np.random.default_rng(0).normal(0, 0.1, (graph.shape[0], 64)).astype(np.float32)
    start[np.diff(graph.indptr) == 0] = 0
    items_0, items_1 = start[25:], (graph @ start)[25:]
    liked = np.array([3, 8, 20])
    degree = np.maximum(np.bincount(likes_UI.indices, minlength=N_ITEMS), 1)
    weight = (3 * degree[liked]) ** -0.5
    user = (weight @ items_0[liked] + weight @ items_1[liked]) / 3
    scores = fitted.scores([history(liked.tolist(), [10.0] * 3)])[0]
    assert_allclose(scores, fitted.item_IF @ user, atol=1e-5)


def circles(seed: int) -> tuple[list[History], Items]:
    """Forty people: even ones like what is below row 20 and not what follows up to 40, odd ones the other way round."""
    _, items = world()
    rng = np.random.default_rng(seed)
    users = []
    for user in range(40):
        circle = (user % 2) * 20
        liked, disliked = circle + rng.choice(20, 6, replace=False), 20 - circle + rng.choice(20, 4, replace=False)
        rows = np.concatenate([liked, disliked]).astype(np.int64)
        users.append(History(rows, np.array([9.0] * 6 + [1.0] * 4, np.float32)))
    return users, items


def test_friends_of_a_circle_are_served_from_it() -> None:
    users, items = circles(0)
    fitted = LightGcn().fit(interactions_of(users, N_ITEMS), items)
    scores = fitted.scores([history([0, 1, 25], [9.0, 9.0, 0.0]), history([30, 31], [9.0, 9.0])])
    assert scores[0, 2:20].min() > scores[0, 20:40].max()
    assert scores[1, 20:30].min() > scores[1, :20].max()
    # Nobody has liked the rest: all that the model was told of them is that they were not chosen.
    assert scores[0, 2:20].min() > scores[0, 40:].max()
