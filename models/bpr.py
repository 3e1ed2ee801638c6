"""BPR: matrix factorisation that puts what a user likes before what they don't (Rendle et al. 2009, BPR-MF).

Minimises, over users u, liked items i and other items j,

    -ln sigmoid(s_ui - s_uj) + reg / 2 (|x_u|^2 + |y_i|^2 + |y_j|^2 + b_i^2 + b_j^2),   s_ui = x_u.y_i + b_i

by stochastic gradient steps in batches: each like once an epoch, with one item drawn evenly for it; a draw that the
user likes too is left out. Within a batch the gradients of an item are summed, so that a batch does what its triples
would have done one after the other, up to the change within the batch. Steps shrink evenly to nothing over the epochs.

A user's vector is not remembered but found from the likes at scoring time, by Newton's method on the same objective:
with the items fixed it is a logistic regression on differences of items, convex and small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Self

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from models.fusion import Items
from models.interactions import History, Interactions, Rows, Values
from models.least_squares import Factors
from models.likes import LIKING, LikesRecommender
from models.recommender import Scores, check_sizes

# Triples whose gradients are taken together. Larger batches are hardly faster, and step from older factors.
BATCH = 1024
# How often the most liked item may be expected in a batch: its steps are summed, and too large a sum overshoots.
REPEATS_MAX = 8
# Pairs of a liked and another item from which a user's vector is found; at 128 factors a step over them takes 0.4 ms.
PAIRS = 512
# Beyond this a sigmoid is 0 or 1 in float32.
LOGIT_MAX = 30.0
# Pairs of user and item up to which likes are looked up in a table, one byte each; beyond, by bisection.
TABLE_MAX = 50_000_000
# Newton's steps at scoring time: a fourth changes no list of ten.
STEPS = 3


class Bpr(LikesRecommender):
    """`learning_rate` is that of the first epoch, `reg` that of every single step."""

    name: ClassVar[str] = "bpr"
    learned: ClassVar[tuple[str, ...]] = (*LIKING, "item_IF", "bias_I", "others_J")
    item_IF: Factors
    bias_I: Values
    others_J: Rows
    """Items drawn evenly, in whose place nobody's likes stand: the j of the pairs at scoring time; int64 [PAIRS]."""

    def __init__(
        self,
        *,
        factors: int = 128,
        learning_rate: float = 0.2,
        reg: float = 0.01,
        epochs: int = 100,
        relevant: float | None = None,
        seed: int = 0,
    ) -> None:
        self.factors = factors
        self.learning_rate = learning_rate
        self.reg = reg
        self.epochs = epochs
        self.relevant = relevant
        self.seed = seed

    def fit(self, ratings: Interactions, items: Items) -> Self:
        """Raises: ValueError when the learning rate is so high that the factors grow without end."""
        check_sizes(ratings, items)
        likes_UI = self.learn_likes(ratings)
        draw = np.random.default_rng(self.seed)
        # The bias is one more factor, whose partner is always 1.
        user_UG = draw.normal(0, 0.1, (ratings.n_users, self.factors + 1)).astype(np.float32)
        item_IG = draw.normal(0, 0.1, (len(items), self.factors + 1)).astype(np.float32)
        user_UG[:, -1], item_IG[:, -1] = 1, 0
        self._train(likes_UI, user_UG, item_IG, draw)
        if not np.isfinite(item_IG).all():
            raise ValueError(f"BPR ran away from its data: a learning rate of {self.learning_rate} is too high")
        self.item_IF, self.bias_I = np.ascontiguousarray(item_IG[:, :-1]), np.ascontiguousarray(item_IG[:, -1])
        self.others_J = draw.integers(0, max(len(items), 1), PAIRS)
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        likes_HI = self.likes_of(histories)
        vectors_HF = np.zeros((len(histories), self.factors), np.float32)
        for row, (start, end) in enumerate(zip(likes_HI.indptr[:-1], likes_HI.indptr[1:], strict=True)):
            vectors_HF[row] = self.user_vector(likes_HI.indices[start:end])
        return self.or_popular(vectors_HF @ self.item_IF.T + self.bias_I, likes_HI)

    def contributions(self, history: History, item: int) -> Values:
        """What the pairs of each like pull the user's vector by, times the item.

        At the minimum the pulls of all pairs add up to the penalty's, n reg x: the parts sum to x.y.
        """
        liked = history.items[self.is_like(history)]
        better, ahead_PF, ahead_P = self._pairs(liked)
        wrong_P = 1 / (1 + np.exp(np.clip(ahead_PF @ self.user_vector(liked) + ahead_P, -LOGIT_MAX, LOGIT_MAX)))
        pull_P = wrong_P * (ahead_PF @ self.item_IF[item]) / self._penalty(len(better))
        pull_I = np.bincount(better, pull_P, len(self.item_IF))
        return self.spread(pull_I[liked].astype(np.float32), history)

    def user_vector(self, liked: Rows) -> Values:
        """The vector that minimises the objective for these liked items: float32 [factors]."""
        better, ahead_PF, ahead_P = self._pairs(liked)
        vector_F = np.zeros(self.factors, np.float32)
        penalty = self._penalty(len(better))
        for _ in range(STEPS if len(better) else 0):
            wrong_P = 1 / (1 + np.exp(np.clip(ahead_PF @ vector_F + ahead_P, -LOGIT_MAX, LOGIT_MAX)))
            slope_F = ahead_PF.T @ wrong_P - penalty * vector_F
            curve_FF = (ahead_PF * (wrong_P * (1 - wrong_P))[:, None]).T @ ahead_PF
            curve_FF[np.diag_indices(self.factors)] += penalty
            # Positive definite: half the work of solving in general.
            vector_F = vector_F + cho_solve(cho_factor(curve_FF, check_finite=False), slope_F, check_finite=False)
        return np.asarray(vector_F, np.float32)

    def _pairs(self, liked: Rows) -> tuple[Rows, Factors, Values]:
        """The liked item of each pair, and how it differs from the other one: factors [pairs, F], bias [pairs]."""
        others = self.others_J[~np.isin(self.others_J, liked)]
        count = max(PAIRS, len(liked)) if len(liked) and len(others) else 0
        better, other = np.resize(np.sort(liked), count).astype(np.int64), np.resize(others, count).astype(np.int64)
        return better, self.item_IF[better] - self.item_IF[other], self.bias_I[better] - self.bias_I[other]

    def _penalty(self, pairs: int) -> np.float32:
        # A trace of penalty keeps the curve invertible where there is none.
        return np.float32(max(self.reg * pairs, 1e-3))

    def _train(
        self, likes_UI: sparse.csr_matrix, user_UG: Factors, item_IG: Factors, draw: np.random.Generator
    ) -> None:
        """The epochs, in place. torch's index_add_ sums rows twice as fast as anything in numpy."""
        import torch

        n_items = likes_UI.shape[1]
        rows, columns = (part.astype(np.int64) for part in likes_UI.nonzero())
        known = rows * n_items + columns
        is_known = _membership(known, likes_UI.shape[0] * n_items)
        # Users and items as the nodes of one table: one look-up and one sum a batch.
        n_users = len(user_UG)
        table_NG = torch.from_numpy(np.concatenate([user_UG, item_IG]))
        repeats = np.bincount(columns, minlength=1).max() / max(len(columns), 1)
        size = int(np.clip(REPEATS_MAX / max(repeats, 1e-9), 32, BATCH))
        for epoch in range(self.epochs):
            rate = self.learning_rate * (1 - epoch / self.epochs)
            drawn = draw.integers(0, n_items, len(known))
            fair = np.flatnonzero(~is_known(rows * n_items + drawn))
            order = draw.permutation(fair)
            triples_3T = torch.from_numpy(np.stack([rows[order], n_users + columns[order], n_users + drawn[order]]))
            signs_2 = torch.tensor([rate, -rate])[:, None, None]
            for batch_3B in torch.split(triples_3T, size, dim=1):
                nodes, shape = batch_3B.reshape(-1), (3, batch_3B.shape[1], table_NG.shape[1])
                factors_3BG = table_NG.index_select(0, nodes).view(shape)
                x, behind = factors_3BG[0], factors_3BG[2] - factors_3BG[1]
                wrong = torch.sigmoid_((x * behind).sum(dim=1, keepdim=True))
                step_3BG = factors_3BG.mul(-rate * self.reg)
                step_3BG[1:].addcmul_(x, wrong * signs_2)
                step_3BG[0].addcmul_(behind, wrong, value=-rate)
                # The user's partner of the bias stays 1.
                step_3BG[0, :, -1] = 0
                table_NG.index_add_(0, nodes, step_3BG.view(-1, shape[2]))
        user_UG[:], item_IG[:] = np.split(table_NG.numpy(), [n_users])


def _membership(known: Rows, size: int) -> Callable[[Rows], np.typing.NDArray[np.bool_]]:
    """Which of the numbers asked about are in `known`, which is sorted and below `size`."""
    if size <= TABLE_MAX:
        table = np.zeros(size, bool)
        table[known] = True
        return table.__getitem__

    def searched(asked: Rows) -> np.typing.NDArray[np.bool_]:
        places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        return np.asarray(known[places] == asked)

    return searched
