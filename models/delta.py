"""Delta: a frozen content score, plus what this node's own ratings say about each item beyond its content.

rating(u, i) = taste prior's (u, i) + spread * (b_i + p_u . q_i). The content part knows any item, also one that nobody
has rated, and may come from the network; the delta is trained here on what content gets wrong, shrunk so strongly
(`shrink` pseudo-ratings of 0 an item, `reg` on both factors; biased matrix factorisation after Koren et al. 2009, by
alternating least squares) that an item without ratings has none. It stays at home: its rows are this node's items and
would tell what its users rated.

What content gets wrong about a rating is measured without that rating: in a linear model the error of leaving one out
is e / (1 - h), h = its leverage (Allen 1974, PRESS), so no user is fitted twice. p_u is solved from those errors when a
history comes, so anybody can be served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.features import BASIS, fixed_noise
from models.fusion import Items
from models.interactions import History, Interactions, Values
from models.linear_taste import Floats
from models.recommender import Arrays, RatingPredictor, Scores
from models.taste_prior import ITERATIONS, TasteBlock, TastePrior

INIT = 0.1
PREFIX = "content."


class Delta(RatingPredictor):
    """`rank` 0 leaves the bias alone; `iterations` are the taste prior's, `sweeps` the factors'."""

    name: ClassVar[str] = "delta"
    learned: ClassVar[tuple[str, ...]] = ("bias_I", "item_IF", "low", "high")
    sized_by: ClassVar[Mapping[str, str]] = {"F": "rank"}
    bias_I: Values
    """b, in spreads."""
    item_IF: Values
    """q: float32 [items, rank]."""

    def __init__(
        self,
        *,
        rank: int = 8,
        shrink: float = 5.0,
        reg: float = 5.0,
        sweeps: int = 10,
        iterations: int = ITERATIONS,
        basis: str = BASIS,
    ) -> None:
        self.rank = rank
        self.shrink = shrink
        self.reg = reg
        self.sweeps = sweeps
        self.iterations = iterations
        self.basis = basis
        self.content = TastePrior(iterations=iterations, basis=basis)

    def fit(self, ratings: Interactions, items: Items) -> Self:
        self.content.fit(ratings, items)
        return self._fit_delta(ratings)

    def fit_over(self, block: TasteBlock, ratings: Interactions, items: Items) -> Self:
        """As `fit`, with the content part taken from elsewhere."""
        self.content.prepare(ratings, items).take(block)
        return self._fit_delta(ratings)

    def _fit_delta(self, ratings: Interactions) -> Self:
        self.low, self.high = self.content.low, self.content.high
        histories = ratings.histories()
        errors = np.concatenate([np.empty(0), *(self.errors(one) for one in histories)])
        rows = np.repeat(np.arange(len(histories)), [len(one) for one in histories])
        columns = np.concatenate([np.empty(0, np.int64), *(one.items for one in histories)])
        count_I = np.bincount(columns, minlength=ratings.n_items)
        bias_I = np.bincount(columns, errors, ratings.n_items) / (count_I + self.shrink)
        rest_UI = sparse.csr_matrix((errors - bias_I[columns], (rows, columns)), (ratings.n_users, ratings.n_items))
        item_IF = INIT * fixed_noise("delta", ratings.n_items, self.rank) * (count_I > 0)[:, None]
        rest_IU = rest_UI.T.tocsr()
        for _ in range(self.sweeps):
            user_UF = self._solved(rest_UI, item_IF)
            item_IF = self._solved(rest_IU, user_UF)
        self.bias_I, self.item_IF = bias_I.astype(np.float32), item_IF.astype(np.float32)
        return self

    def errors(self, history: History) -> Floats:
        """What content gets wrong about each rating when that rating is left out: float64 [ratings], in spreads."""
        told = self.content.told(history)
        known = self.content.posterior(history)
        leverage_R = np.einsum("rk,kr->r", told.x_RK, known.solve(told.x_RK.T)) / self.content.noise
        error_R: Floats = (told.y_R - told.x_RK @ known.mean_K) / np.maximum(1 - leverage_R, 1e-6)
        return error_R

    def expected(self, histories: Sequence[History]) -> Scores:
        expected_UI = self.content.expected(histories)
        for row, one in enumerate(histories):
            delta_I = self.bias_I + self.item_IF @ self._parts(one).sum(axis=1)
            expected_UI[row] += np.float32(self.content.spread) * delta_I
        return expected_UI

    def contributions(self, history: History, item: int) -> Values:
        """Content's, and what each rating's own error adds through p_u."""
        through_R = self.content.spread * self.item_IF[item] @ self._parts(history)
        return np.asarray(self.content.contributions(history, item) + through_R, np.float32)

    def arrays(self) -> Arrays:
        return {**super().arrays(), **{PREFIX + name: array for name, array in self.content.arrays().items()}}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        own = {name: array for name, array in arrays.items() if not name.startswith(PREFIX)}
        super().with_arrays(own)
        self.content.with_arrays({name[len(PREFIX) :]: arrays[name] for name in arrays if name not in own})
        return self

    def _parts(self, history: History) -> Values:
        """p_u as the sum of what each rating adds to it: float32 [rank, ratings]."""
        q_RF = self.item_IF[history.items].astype(np.float64)
        if not len(history) or not self.rank:
            return np.zeros((self.rank, len(history)), np.float32)
        rest_R = self.errors(history) - self.bias_I[history.items]
        gram_FF = q_RF.T @ q_RF + self.reg * np.eye(self.rank)
        return np.asarray(np.linalg.solve(gram_FF, q_RF.T * rest_R), np.float32)

    def _solved(self, rest: sparse.csr_matrix, factors: Floats) -> Floats:
        """One half sweep: each row's ridge solution against the other side's factors."""
        solved = np.zeros((rest.shape[0], self.rank))
        for row, (start, end) in enumerate(zip(rest.indptr[:-1], rest.indptr[1:], strict=True)):
            if end > start:
                theirs = factors[rest.indices[start:end]]
                gram = theirs.T @ theirs + self.reg * np.eye(self.rank)
                solved[row] = np.linalg.solve(gram, theirs.T @ rest.data[start:end])
        return solved
