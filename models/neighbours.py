"""Neighbourhood models for ranking: people who like the same (`user_knn`), and things liked by the same (`item_knn`).

Both compare by cosine over likes, damped for pairs with little in common (Herlocker et al. 1999):

    sim(a, b) = |a and b| / sqrt(|a| |b|) * |a and b| / (|a and b| + shrink)

user_knn (Resnick et al. 1994, with likes in place of ratings): score(i) = sum of sim(u, v) over the `k` nearest users
v who like i. item_knn (Deshpande and Karypis 2004): score(i) = sum over the liked h of sim(h, i), of which each
item keeps its `k` largest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.fusion import Items
from models.interactions import History, Interactions, Values
from models.likes import LIKING, LikesRecommender
from models.matrix import matrix_arrays, matrix_from
from models.recommender import Arrays, Scores, check_sizes

# Rows compared at once: 512 x 10,000 similarities are 20 MB.
ROWS = 512


class UserNeighbours(LikesRecommender):
    """`k` users; `shrink` in common likes; `relevant` as in models.likes."""

    name: ClassVar[str] = "user_knn"
    learned: ClassVar[tuple[str, ...]] = LIKING
    likes_UI: sparse.csr_matrix
    likes_IU: sparse.csr_matrix
    """The training users' likes, both ways."""

    def __init__(self, *, k: int = 70, shrink: float = 0.0, relevant: float | None = None) -> None:
        self.k = k
        self.shrink = shrink
        self.relevant = relevant

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        return self._keep(self.learn_likes(ratings))

    def scores(self, histories: Sequence[History]) -> Scores:
        likes_HI = self.likes_of(histories)
        scores_HI = np.zeros(likes_HI.shape, np.float32)
        for start in range(0, len(histories), ROWS):
            near_HU = self._near(likes_HI[start : start + ROWS])
            scores_HI[start : start + ROWS] = (near_HU @ self.likes_UI).toarray()
        return self.or_popular(scores_HI, likes_HI)

    def contributions(self, history: History, item: int) -> Values:
        """Each neighbour's part is shared out equally among the likes in common."""
        likes_1I = self.likes_of([history])
        near_U = self._near(likes_1I).toarray()[0] * self.likes_IU[[item]].toarray()[0]
        common_U = (self.likes_UI @ likes_1I.T).toarray()[:, 0]
        liked = history.items[self.is_like(history)]
        return self.spread(self.likes_IU[liked] @ (near_U / np.maximum(common_U, 1)).astype(np.float32), history)

    def arrays(self) -> Arrays:
        return {**super().arrays(), **matrix_arrays("likes_UI", self.likes_UI)}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        self._keep(matrix_from("likes_UI", arrays))
        return super().with_arrays({name: array for name, array in arrays.items() if "likes_UI." not in name})

    def _keep(self, likes_UI: sparse.csr_matrix) -> Self:
        self.likes_UI, self.likes_IU = likes_UI, likes_UI.T.tocsr()
        return self

    def _near(self, likes_HI: sparse.csr_matrix) -> sparse.csr_matrix:
        """Similarity of each history to its k nearest training users.

        A user is at distance 0 from their own likes, as in training: what they like comes back, and is masked.
        """
        common_HU = likes_HI @ self.likes_IU
        near_HU = _damped_cosine(common_HU, np.diff(likes_HI.indptr), np.diff(self.likes_UI.indptr), self.shrink)
        return largest(near_HU, self.k)


class ItemNeighbours(LikesRecommender):
    """`k` neighbours an item; `shrink` in common likes; `relevant` as in models.likes."""

    name: ClassVar[str] = "item_knn"
    learned: ClassVar[tuple[str, ...]] = LIKING
    near_II: sparse.csr_matrix
    """near[h, i]: what a like of h adds to the score of i."""

    def __init__(self, *, k: int = 100, shrink: float = 10.0, relevant: float | None = None) -> None:
        self.k = k
        self.shrink = shrink
        self.relevant = relevant

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        likes_UI = self.learn_likes(ratings)
        likes_IU, count_I = likes_UI.T.tocsr(), np.bincount(likes_UI.indices, minlength=len(items))
        blocks = []
        for start in range(0, len(items), ROWS):
            some = slice(start, start + ROWS)
            near = _damped_cosine(likes_IU[some] @ likes_UI, count_I[some], count_I, self.shrink)
            near.data[row_of(near) + start == near.indices] = 0
            blocks.append(largest(near, self.k))
        # Each item keeps its own neighbours, so it is the columns that have at most k entries.
        self.near_II = sparse.vstack(blocks, "csr").T.tocsr()
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        likes_HI = self.likes_of(histories)
        return self.or_popular((likes_HI @ self.near_II).toarray(), likes_HI)

    def contributions(self, history: History, item: int) -> Values:
        liked = history.items[self.is_like(history)]
        return self.spread(self.near_II[liked, item].toarray().ravel(), history)

    def arrays(self) -> Arrays:
        return {**super().arrays(), **matrix_arrays("near_II", self.near_II)}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        self.near_II = matrix_from("near_II", arrays)
        return super().with_arrays({name: array for name, array in arrays.items() if "near_II." not in name})


def largest(table: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """The k largest positive entries of each row, ties to the lower column."""
    positive = table.data > 0
    rows, columns, values = row_of(table)[positive], table.indices[positive], table.data[positive]
    order = np.lexsort((columns, -values, rows))
    count_R = np.bincount(rows, minlength=table.shape[0])
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(count_R) - count_R, count_R)
    kept = order[rank < k]
    return sparse.csr_matrix((values[kept], (rows[kept], columns[kept])), table.shape)


def _damped_cosine(
    common: sparse.csr_matrix, rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer], shrink: float
) -> sparse.csr_matrix:
    """Similarity from counts: what both like, and what each side likes."""
    lengths = np.sqrt(rows[row_of(common)].astype(np.float64) * columns[common.indices])
    values = (common.data / lengths * common.data / (common.data + shrink)).astype(np.float32)
    return sparse.csr_matrix((values, common.indices, common.indptr), common.shape)


def row_of(table: sparse.csr_matrix) -> npt.NDArray[np.int64]:
    """The row of every stored entry."""
    return np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
