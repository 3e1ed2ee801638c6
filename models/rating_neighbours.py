"""Neighbourhood models that predict ratings: from like-minded users (`user_knn_ratings`), from items rated alike
(`item_knn_ratings`).

    r(u, i) = b(u, i) + sum over neighbours n of sim(n) (r(n) - b(n)) / (sum of sim(n) + damping)

(Koren 2010, section 2.2). b are the biases of models.baselines; sim is the cosine of what they leave unexplained, an
absent rating counting as 0, times |common| / (|common| + shrink). With `centred=False` the cosine is that of the
ratings as they are, and b(u, i) takes the place of b(n): the weighted mean of Resnick et al. 1994 and Sarwar et al.
2001, drawn towards b.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.baselines import Biases
from models.fusion import Items
from models.interactions import History, Interactions, Values
from models.matrix import matrix_arrays, matrix_from, matrix_of, matrix_of_histories
from models.neighbours import ROWS, largest, row_of
from models.recommender import Arrays, RatingPredictor, Scores, check_sizes


class RatingNeighbours(RatingPredictor):
    """Base of both. `k` neighbours; `shrink` in common ratings; `damping` in units of similarity."""

    table: ClassVar[str]
    """The sparse attribute that is learned beside the biases."""
    biases: Biases

    def __init__(self, *, k: int = 200, shrink: float = 50.0, damping: float = 0.1, centred: bool = True) -> None:
        self.k = k
        self.shrink = shrink
        self.damping = damping
        self.centred = centred

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.biases = Biases().fit(ratings, items)
        self.low, self.high = self.biases.low, self.biases.high
        self._learn(self.signals(matrix_of(ratings)))
        return self

    def expected(self, histories: Sequence[History]) -> Scores:
        own_HI = self.biases.expected(histories)
        table_HI = matrix_of_histories(histories, own_HI.shape[1])
        for start in range(0, len(histories), ROWS):
            some = slice(start, start + ROWS)
            total, weight = self._vote(self.signals(table_HI[some]))
            if not self.centred:
                total -= weight * own_HI[some]
            own_HI[some] += total / np.maximum(weight + self.damping, 1e-9)
        return own_HI

    @abstractmethod
    def _learn(self, signals_UI: sparse.csr_matrix) -> None:
        """Keep what later votes need."""

    @abstractmethod
    def _vote(self, signals_HI: sparse.csr_matrix) -> tuple[Scores, Scores]:
        """Sum of sim * signal and sum of sim over the neighbours: float32 [histories, items] each."""

    def signals(self, table_HI: sparse.csr_matrix) -> sparse.csr_matrix:
        """What is compared and averaged: ratings less their biases, or as they are."""
        if not self.centred:
            return table_HI
        count_H = np.diff(table_HI.indptr)
        rows = np.repeat(np.arange(len(count_H)), count_H)
        above = table_HI.data - self.biases.overall - self.biases.bias_I[table_HI.indices]
        bias_H = np.bincount(rows, above, len(count_H)) / np.maximum(count_H + self.biases.user_damping, 1e-9)
        left = (above - bias_H[rows]).astype(np.float32)
        return sparse.csr_matrix((left, table_HI.indices, table_HI.indptr), table_HI.shape)

    def arrays(self) -> Arrays:
        own = matrix_arrays(self.table, getattr(self, self.table))
        return {**own, **{f"biases.{name}": array for name, array in self.biases.arrays().items()}}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        rest = {name: array for name, array in arrays.items() if not name.startswith(f"{self.table}.")}
        self.biases = Biases().with_arrays({name.removeprefix("biases."): array for name, array in rest.items()})
        self.low, self.high = self.biases.low, self.biases.high
        setattr(self, self.table, matrix_from(self.table, arrays))
        return self

    def _less_own(self, signals: Values, history: History, item: int) -> Values:
        """What a neighbour's rating says about the item: its signal, less b(u, i) where signals are raw."""
        own = 0.0 if self.centred else self.biases.expected([history])[0, item]
        return np.asarray(signals - own, np.float32)


class ItemRatingNeighbours(RatingNeighbours):
    """From the user's ratings of the `k` items most like this one."""

    name: ClassVar[str] = "item_knn_ratings"
    table: ClassVar[str] = "near_II"
    near_II: sparse.csr_matrix
    """near[h, i]: the say of a rating of h about i."""

    def _learn(self, signals_UI: sparse.csr_matrix) -> None:
        signals_IU = signals_UI.T.tocsr()
        blocks = [sparse.csr_matrix((0, signals_IU.shape[0]), dtype=np.float32)]
        others = others_of(signals_IU)
        for start in range(0, signals_IU.shape[0], ROWS):
            near = cosine(signals_IU[start : start + ROWS], others, self.shrink)
            near.data[row_of(near) + start == near.indices] = 0
            blocks.append(largest(near, self.k))
        self.near_II = sparse.vstack(blocks, "csr").T.tocsr()

    def _vote(self, signals_HI: sparse.csr_matrix) -> tuple[Scores, Scores]:
        return (signals_HI @ self.near_II).toarray(), (ones_like(signals_HI) @ self.near_II).toarray()

    def contributions(self, history: History, item: int) -> Values:
        signals_H = self.signals(matrix_of_histories([history], self.near_II.shape[0])).data
        near_H = self.near_II[history.items, item].toarray().ravel()
        parts = near_H * self._less_own(signals_H, history, item) / max(float(near_H.sum()) + self.damping, 1e-9)
        return np.asarray(parts, np.float32)


class UserRatingNeighbours(RatingNeighbours):
    """From the ratings of the `k` users most like this one."""

    name: ClassVar[str] = "user_knn_ratings"
    table: ClassVar[str] = "signals_UI"
    signals_UI: sparse.csr_matrix
    """The training users' signals."""
    places_UI: sparse.csr_matrix
    others: Others
    """What follows from them, kept because every vote needs it."""

    def _learn(self, signals_UI: sparse.csr_matrix) -> None:
        self.signals_UI, self.places_UI, self.others = signals_UI, ones_like(signals_UI), others_of(signals_UI)

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        super().with_arrays(arrays)
        self._learn(self.signals_UI)
        return self

    def _vote(self, signals_HI: sparse.csr_matrix) -> tuple[Scores, Scores]:
        near_HU = largest(cosine(signals_HI, self.others, self.shrink), self.k)
        return (near_HU @ self.signals_UI).toarray(), (near_HU @ self.places_UI).toarray()

    def contributions(self, history: History, item: int) -> Values:
        """Each neighbour's vote, shared among the common ratings as they make up the similarity."""
        mine_1I = self.signals(matrix_of_histories([history], self.signals_UI.shape[1]))
        near_U = largest(cosine(mine_1I, self.others, self.shrink), self.k).toarray()[0]
        column = self.signals_UI[:, [item]].tocoo()
        sim_V = near_U[column.row]
        votes_V = sim_V * self._less_own(column.data, history, item) / max(float(sim_V.sum()) + self.damping, 1e-9)
        products_VH = self.signals_UI[column.row][:, history.items].toarray() * mine_1I.data
        # Where the similarity is 0, so is the vote.
        shares_VH = products_VH / np.where(sim_V > 0, products_VH.sum(axis=1), 1)[:, None]
        return np.asarray(votes_V @ shares_VH, np.float32)


@dataclass(frozen=True, slots=True)
class Others:
    """Those with whom rows are compared, turned once for all comparisons: CSR [columns, others], and their lengths."""

    signals: sparse.csr_matrix
    places: sparse.csr_matrix
    lengths: Values


def others_of(table: sparse.csr_matrix) -> Others:
    """The rows of a table, as others."""
    turned = table.T.tocsr()
    return Others(turned, ones_like(turned), _lengths(table))


def cosine(rows: sparse.csr_matrix, others: Others, shrink: float) -> sparse.csr_matrix:
    """Cosine of every row with every other, times |common| / (|common| + shrink): CSR [rows, others]."""
    near = rows @ others.signals
    if shrink:
        common = ones_like(rows) @ others.places
        common.data /= common.data + np.float32(shrink)
        # Entry by entry, because products that come to 0 are not stored.
        near = near.multiply(common).tocsr()
    near.data /= np.maximum(_lengths(rows)[row_of(near)] * others.lengths[near.indices], np.float32(1e-12))
    return near


def _lengths(table: sparse.csr_matrix) -> Values:
    squares_R = np.bincount(row_of(table), np.square(table.data), table.shape[0])
    return np.sqrt(squares_R).astype(np.float32)


def ones_like(table: sparse.csr_matrix) -> sparse.csr_matrix:
    """Where something is stored."""
    return sparse.csr_matrix((np.ones(table.nnz, np.float32), table.indices, table.indptr), table.shape)
