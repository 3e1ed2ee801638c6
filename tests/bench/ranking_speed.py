"""Ranking beside the bare matrix product that it can't do without, at 20,000 items."""

from __future__ import annotations

import numpy as np

from models.content import Content
from models.fusion import centre_items, text_similarity
from models.interactions import History, interactions_of
from tests.bench.row import Row, alternate, seconds_of

ITEMS, DIM, RUNS = 20_000, 512, 15


def run() -> list[Row]:
    rng = np.random.default_rng(0)
    halves = rng.normal(size=(2, ITEMS, DIM)).astype(np.float32)
    halves /= np.linalg.norm(halves, axis=2, keepdims=True)
    items = centre_items(halves[0], halves[1], 0.5)
    query = halves[1, :1].copy()
    both = np.concatenate([items.image_ID, items.text_ID], axis=1)
    probe = both[:1].copy()

    def product() -> float:
        return seconds_of(lambda: probe @ both.T)

    history = History(np.arange(100, dtype=np.int64), rng.integers(-1, 11, 100).astype(np.float32))
    content = Content().fit(interactions_of([history], ITEMS), items)
    searched = alternate(lambda: seconds_of(lambda: text_similarity(items, query)), product, RUNS)
    recommended = alternate(lambda: seconds_of(lambda: content.scores([history])), product, RUNS)
    return [
        Row("search, 20,000 items / one matrix-vector product", *searched, "s"),
        Row("content, 100 ratings, 20,000 items / one product", *recommended, "s"),
    ]
