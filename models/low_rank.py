"""Low-rank completion of the rating table by Adam: r = x_u.y_i, with or without mean and biases (`low_rank`).

The classic (Koren, Bell and Volinsky 2009) trained as neural libraries do it: two tables of factors, shuffled batches
of ratings, Adam (Kingma and Ba 2015), a fixed number of epochs, and per rating

    (r - x.y - b_u - b_i)^2 + reg (|x|^2 + |y|^2 + b_u^2 + b_i^2).

`biases=False` predicts from the product alone, so the factors must carry the mean. A user's vector is found at scoring
time, whether they were there in training or not: with the items fixed the same objective is ridge regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from models.descent import Descent
from models.fusion import Items
from models.interactions import History, Interactions, Values
from models.least_squares import Factors, solve_rows
from models.matrix import matrix_of_histories
from models.recommender import RatingPredictor, Scores, check_sizes, rating_range

# Standard deviation of the factors before training: products start near 0.
START = 0.1
# Keeps a user's vector unique where there is no penalty and fewer ratings than factors.
TRACE = 1e-3


class LowRank(RatingPredictor):
    """`batch` in ratings; `warmup` and `clip` as in models.descent. Ratings are divided by their spread first, so that
    the rest means the same on every scale.
    """

    name: ClassVar[str] = "low_rank"
    learned: ClassVar[tuple[str, ...]] = ("overall", "unit", "item_IF", "bias_I", "low", "high")
    overall: float
    unit: float
    """What ratings are measured from and in: mean and standard deviation; without biases 0 and root mean square."""
    item_IF: Factors
    bias_I: Values

    def __init__(
        self,
        *,
        factors: int = 32,
        biases: bool = True,
        learning_rate: float = 0.005,
        batch: int = 512,
        epochs: int = 20,
        reg: float = 0.15,
        warmup: int = 0,
        clip: float | None = None,
        seed: int = 0,
    ) -> None:
        self.factors = factors
        self.biases = biases
        self.learning_rate = learning_rate
        self.batch = batch
        self.epochs = epochs
        self.reg = reg
        self.warmup = warmup
        self.clip = clip
        self.seed = seed

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.low, self.high = rating_range(ratings)
        values = ratings.values.astype(np.float64)
        self.overall = float(values.mean()) if self.biases and len(values) else 0.0
        self.unit = float(np.sqrt(np.square(values - self.overall).mean())) if len(values) else 1.0
        # Ratings that are all the same need no unit; a rounding's worth of spread must not become one.
        self.unit = self.unit if self.unit > 1e-4 * max(abs(self.overall), 1e-4) else 1.0
        draw = np.random.default_rng(self.seed)
        user_UG = draw.normal(0, START, (ratings.n_users, self.factors + 1)).astype(np.float32)
        item_IG = draw.normal(0, START, (len(items), self.factors + 1)).astype(np.float32)
        user_UG[:, -1] = item_IG[:, -1] = 0
        if len(values):
            self._train(ratings, user_UG, item_IG, draw)
        # An item that nobody rated was never moved: what it started with means nothing.
        item_IG[np.bincount(ratings.items, minlength=len(items)) == 0] = 0
        self.item_IF, self.bias_I = np.ascontiguousarray(item_IG[:, :-1]), np.ascontiguousarray(item_IG[:, -1])
        return self

    def expected(self, histories: Sequence[History]) -> Scores:
        table = matrix_of_histories(histories, len(self.bias_I))
        left_N = (table.data - np.float32(self.overall)) / np.float32(self.unit) - self.bias_I[table.indices]
        left = sparse.csr_matrix((left_N, table.indices, table.indptr), table.shape)
        entries_IG = self._entries()
        above = (
            solve_rows(left, entries_IG, TRACE * np.eye(self.factors + 1, dtype=np.float32), self.reg) @ entries_IG.T
            + self.bias_I
        )
        return np.asarray(above * np.float32(self.unit) + np.float32(self.overall), np.float32)

    def contributions(self, history: History, item: int) -> Values:
        entries_IG = self._entries()
        mine_HG = entries_IG[history.items]
        metric = (TRACE + self.reg * len(history)) * np.eye(self.factors + 1, dtype=np.float32)
        towards_G = np.linalg.solve(metric + mine_HG.T @ mine_HG, entries_IG[item])
        left_H = history.values - np.float32(self.overall) - self.unit * self.bias_I[history.items]
        return np.asarray((mine_HG @ towards_G) * left_H, np.float32)

    def _entries(self) -> Factors:
        """The items as a user's vector meets them: the factors, and 1 for the user's bias if there are biases."""
        return np.hstack([self.item_IF, np.full((len(self.item_IF), 1), float(self.biases), np.float32)])

    def _train(self, ratings: Interactions, user_UG: Factors, item_IG: Factors, draw: np.random.Generator) -> None:
        """The epochs, in place. The last column of both tables is the bias."""
        import torch

        users, items = torch.from_numpy(ratings.users), torch.from_numpy(ratings.items)
        targets = torch.from_numpy(((ratings.values - self.overall) / self.unit).astype(np.float32))
        user, item = (torch.from_numpy(table).requires_grad_() for table in (user_UG, item_IG))
        adam = torch.optim.Adam([user, item], lr=self.learning_rate)
        descent = Descent(adam, warmup=self.warmup, clip=self.clip)
        for _ in range(self.epochs):
            order = torch.from_numpy(draw.permutation(len(targets)))
            for batch in torch.split(order, self.batch):
                x, y = user[users[batch]], item[items[batch]]
                said = (x[:, :-1] * y[:, :-1]).sum(dim=1)
                if self.biases:
                    said = said + x[:, -1] + y[:, -1]
                error = (targets[batch] - said).square().mean()
                penalty = self.reg * (x.square().sum() + y.square().sum()) / len(batch)
                descent.step(error + penalty)
