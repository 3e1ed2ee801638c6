"""Nodes whose users have linear tastes in common: made-up items, real learners, the heap for a network."""

from __future__ import annotations

import numpy as np

from models.features import PricedItems, priced
from models.fusion import centre_items
from models.interactions import History
from node.learner import Learner, LearningSet
from node.learning_service import LearningPlan
from tests.node.network.heap import Heap
from tests.node.network.homes import Node

DIM, ITEMS = 16, 120
BASIS = "random-10"
FEATURES = f"phi-1/{BASIS}"
PERIOD_MS = 5_000


def items_of(seed: int) -> PricedItems:
    rng = np.random.default_rng([seed, 1])
    halves = rng.normal(size=(2, ITEMS, DIM)).astype(np.float32)
    halves /= np.linalg.norm(halves, axis=2, keepdims=True)
    return priced(centre_items(halves[0], halves[1], 0.5), np.full(ITEMS, np.nan, np.float32))


def users_of(items: PricedItems, n_users: int, seed: int) -> list[History]:
    """Thirty ratings each by tastes that have a direction in common."""
    rng = np.random.default_rng([seed, 2])
    joined = np.concatenate([items.image_ID, items.text_ID], axis=1)
    common = rng.normal(size=2 * DIM)
    histories = []
    for _ in range(n_users):
        taste = 3 * common + rng.normal(size=2 * DIM)
        rows = rng.permutation(ITEMS)[:30]
        score = joined[rows] @ taste + rng.normal(0, 0.5, 30)
        values = np.clip(5 + 2 * score / score.std(), -1, 10)
        histories.append(History(rows.astype(np.int64), values.astype(np.float32)))
    return histories


def learning_plan(
    models: tuple[str, ...] = ("taste_prior",), epsilon: float | None = None, features: str = FEATURES
) -> LearningPlan:
    return LearningPlan(models, features, PERIOD_MS, epsilon)


def add_learner(heap: Heap, node: Node, items: PricedItems, histories: list[History]) -> None:
    """A node at the heap with these users."""
    names = [("shop", str(row)) for row in range(len(items))]
    heap.add(node.peer, node.engine(), learner=Learner(lambda: LearningSet(items, histories, names), BASIS))
