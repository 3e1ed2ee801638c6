"""Neighbourhoods for ranking: against plain loops and scikit-learn's cosine."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from models.neighbours import ItemNeighbours, UserNeighbours, largest
from tests.models.conformance import EMPTY, N_ITEMS, RecommenderTests, history, table, world


def liked_table(threshold: float = 6) -> np.ndarray:
    histories, _ = world()
    likes = np.zeros((len(histories), N_ITEMS))
    for user, one in enumerate(histories):
        likes[user, one.items[one.values >= threshold]] = 1
    return likes


def test_the_largest_of_each_row_ties_to_the_lower_column() -> None:
    given = np.array([[1, 3, 3, 3, -1], [0, 0, 0, 0, 0], [5, 0, -2, 0, 6]], np.float32)
    kept = largest(sparse.csr_matrix(given), 2).toarray()
    assert kept.tolist() == [[0, 3, 3, 0, 0], [0, 0, 0, 0, 0], [5, 0, 0, 0, 6]]


class TestUserNeighbours(RecommenderTests):
    model = UserNeighbours

    @pytest.mark.parametrize(("k", "shrink"), [(1, 0.0), (4, 0.0), (4, 3.0), (100, 1.0)])
    def test_by_a_loop(self, k: int, shrink: float) -> None:
        histories, items = world()
        likes = liked_table()
        fitted = UserNeighbours(k=k, shrink=shrink, relevant=6).fit(table(histories), items)
        near = cosine_similarity(likes)
        common = likes @ likes.T
        near = near * common / np.maximum(common + shrink, 1e-12)
        scores = fitted.scores(histories)
        for user in np.flatnonzero(likes.any(axis=1)):
            chosen = sorted(range(len(near)), key=lambda other: (-np.float32(near[user, other]), other))[:k]
            expected = sum(near[user, other] * likes[other] for other in chosen)
            assert np.allclose(scores[user], expected, atol=1e-5)

    def test_the_score_is_the_sum_of_its_contributions(self) -> None:
        fitted, histories, _ = self.fitted()
        for item in (0, 17, 59):
            parts = fitted.contributions(histories[2], item)
            assert parts.sum() == pytest.approx(fitted.scores([histories[2]])[0, item], abs=1e-5)


class TestItemNeighbours(RecommenderTests):
    model = ItemNeighbours
    params = {"shrink": 1.0}

    @pytest.mark.parametrize(("k", "shrink"), [(1, 0.0), (4, 0.0), (4, 3.0), (100, 1.0)])
    def test_by_a_loop(self, k: int, shrink: float) -> None:
        histories, items = world()
        likes = liked_table()
        fitted = ItemNeighbours(k=k, shrink=shrink, relevant=6).fit(table(histories), items)
        near = cosine_similarity(likes.T)
        common = likes.T @ likes
        near = (near * common / np.maximum(common + shrink, 1e-12)).astype(np.float32)
        np.fill_diagonal(near, 0)
        weights = np.zeros((N_ITEMS, N_ITEMS))
        for item in range(N_ITEMS):
            for other in sorted(range(N_ITEMS), key=lambda other: (-near[item, other], other))[:k]:
                weights[other, item] = near[item, other]
        someone = likes.any(axis=1)
        # Ties of equal cosines may fall either way by a rounding; the sums of similarities kept may not.
        assert np.allclose(fitted.near_II.toarray().sum(axis=0), weights.sum(axis=0), atol=1e-5)
        if k == 100:
            assert np.allclose(fitted.scores(histories)[someone], (likes @ weights)[someone], atol=1e-5)

    def test_blocks_make_no_difference(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole, histories, _ = self.fitted()
        monkeypatch.setattr("models.neighbours.ROWS", 7)
        blocks, _, _ = self.fitted()
        assert np.array_equal(whole.scores(histories), blocks.scores(histories))

    def test_the_score_is_the_sum_of_its_contributions(self) -> None:
        fitted, histories, _ = self.fitted()
        for item in (0, 17, 59):
            parts = fitted.contributions(histories[2], item)
            assert parts.sum() == pytest.approx(fitted.scores([histories[2]])[0, item], abs=1e-5)

    def test_who_likes_nothing_gets_what_most_like(self) -> None:
        fitted, _, _ = self.fitted()
        assert isinstance(fitted, ItemNeighbours)
        for one in (EMPTY, history([3], [-1.0])):
            assert np.array_equal(fitted.scores([one])[0], fitted.popular_I)
