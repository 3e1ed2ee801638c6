"""A varied list: good first, then unlike; never out of the allowed."""

from __future__ import annotations

import numpy as np

from models.diversity import diverse_rows
from models.fusion import similarity
from models.recommender import top_rows
from tests.models.conformance import N_ITEMS, world

ALL = np.ones(N_ITEMS, bool)


def test_the_best_item_comes_first_and_nothing_twice() -> None:
    _, items = world()
    scores = np.random.default_rng(1).normal(size=N_ITEMS).astype(np.float32)
    rows = diverse_rows(items, scores, 10, ALL)
    assert rows[0] == scores.argmax()
    assert len(set(rows.tolist())) == 10


def test_more_varied_than_the_plain_top() -> None:
    _, items = world()
    # Popular things resemble each other: the score is the similarity to one of them.
    scores = similarity(items, np.array([0]))[0]

    def spread(rows: np.ndarray) -> float:
        return float(1 - similarity(items, rows)[:, rows][np.triu_indices(len(rows), 1)].mean())

    assert spread(diverse_rows(items, scores, 8, ALL)) > spread(top_rows(scores, 8)) + 0.1


def test_twins_are_not_both_shown_while_there_is_something_else() -> None:
    _, items = world()
    for half in (items.image_ID, items.text_ID):
        half[1] = half[0]
    scores = np.zeros(N_ITEMS, np.float32)
    rows = diverse_rows(items, scores, 20, ALL)
    assert not {0, 1} <= set(rows.tolist())


def test_only_allowed_rows_and_fewer_than_asked() -> None:
    _, items = world()
    allowed = np.zeros(N_ITEMS, bool)
    assert len(diverse_rows(items, np.zeros(N_ITEMS, np.float32), 5, allowed)) == 0
    allowed[[3, 9]] = True
    assert set(diverse_rows(items, np.zeros(N_ITEMS, np.float32), 5, allowed).tolist()) == {3, 9}
