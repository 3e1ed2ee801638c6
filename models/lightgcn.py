"""LightGCN: factors smoothed over the graph of who likes what (He et al. 2020).

With A the likes, D their degrees and N = D_u^-1/2 A D_i^-1/2, layer l + 1 of the users is N items_l and of the items
N' users_l; the final vectors are the means of layers 0..L. Only layer 0 is learned, by BPR on the final vectors
(Rendle et al. 2009) with Adam. The way from layer 0 to the final vectors is a symmetric matrix, so the gradient goes
back by the same propagation, and no automatic differentiation is needed.

A user is folded in by passing their likes through the layers once. Nothing is known of their layer 0 (it counts as 0),
so the vector is linear in the likes, user = sum_i pass_i / sqrt(likes), and a like's share of a score is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.fusion import Items
from models.interactions import History, Interactions, Rows, Values
from models.likes import LIKING, LikesRecommender
from models.recommender import Scores, check_sizes

Factors = npt.NDArray[np.float32]

INIT = 0.1
# Likes a step. Each step propagates through the whole graph, so small batches are dear.
BATCH = 4096
# Adam's, as published (Kingma and Ba 2015).
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class LightGcn(LikesRecommender):
    """`layers` of smoothing, `reg` on layer 0 (per triple, as in the paper)."""

    name: ClassVar[str] = "lightgcn"
    learned: ClassVar[tuple[str, ...]] = (*LIKING, "item_IF", "pass_IF")
    item_IF: Factors
    """Final vectors."""
    pass_IF: Factors
    """What a like of the item adds to its user's final vector, before the division by sqrt(likes)."""

    def __init__(
        self,
        *,
        factors: int = 64,
        layers: int = 3,
        learning_rate: float = 0.01,
        reg: float = 1e-4,
        epochs: int = 100,
        relevant: float | None = None,
        seed: int = 0,
    ) -> None:
        self.factors = factors
        self.layers = layers
        self.learning_rate = learning_rate
        self.reg = reg
        self.epochs = epochs
        self.relevant = relevant
        self.seed = seed

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        likes_UI = self.learn_likes(ratings)
        rng = np.random.default_rng(self.seed)
        graph = normalised(likes_UI)
        start = rng.normal(0, INIT, (sum(likes_UI.shape), self.factors)).astype(np.float32)
        # Whatever is not in the graph starts nowhere: a random place would rank by chance.
        start[np.diff(graph.indptr) == 0] = 0
        learned = self._train(graph, likes_UI, start, rng)
        layers = propagated(graph, learned, self.layers)
        users = likes_UI.shape[0]
        degree_I = np.maximum(np.bincount(likes_UI.indices, minlength=likes_UI.shape[1]), 1)
        self.item_IF = np.mean(layers, axis=0)[users:].astype(np.float32)
        passed = np.sum(layers[:-1], axis=0)[users:] if self.layers else np.zeros_like(self.item_IF)
        self.pass_IF = (passed / np.sqrt(degree_I)[:, None] / (self.layers + 1)).astype(np.float32)
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        likes_HI = self.likes_of(histories)
        scores_HI = np.zeros(likes_HI.shape, np.float32)
        for row, (start, end) in enumerate(zip(likes_HI.indptr[:-1], likes_HI.indptr[1:], strict=True)):
            if end > start:
                scores_HI[row] = self.item_IF @ self.pass_IF[likes_HI.indices[start:end]].sum(axis=0)
                scores_HI[row] /= (end - start) ** 0.5
        return self.or_popular(scores_HI, likes_HI)

    def contributions(self, history: History, item: int) -> Values:
        """Exact: they sum to the score of whoever likes something."""
        liked = history.items[self.is_like(history)]
        return self.spread(self.pass_IF[liked] @ self.item_IF[item] / max(len(liked), 1) ** 0.5, history)

    def _train(
        self, graph: sparse.csr_matrix, likes_UI: sparse.csr_matrix, start: Factors, rng: np.random.Generator
    ) -> Factors:
        """Layer 0 after all epochs: float32 [users + items, factors]."""
        n_users, n_items = likes_UI.shape
        user_L, liked_L = (rows.astype(np.int64) for rows in likes_UI.nonzero())
        known_L = np.sort(user_L * n_items + liked_L)
        learned, first, second, steps = start.copy(), np.zeros_like(start), np.zeros_like(start), 0
        for _ in range(self.epochs):
            other_L = rng.integers(0, max(n_items, 1), len(user_L))
            # A draw that the user likes too says nothing.
            fair = rng.permutation(np.flatnonzero(~np.isin(user_L * n_items + other_L, known_L)))
            for begin in range(0, len(fair), BATCH):
                batch = fair[begin : begin + BATCH]
                triples = np.stack([user_L[batch], n_users + liked_L[batch], n_users + other_L[batch]])
                slope = gradient(graph, learned, triples, self.layers, self.reg)
                steps += 1
                first = BETA_1 * first + (1 - BETA_1) * slope
                second = BETA_2 * second + (1 - BETA_2) * slope**2
                rate = self.learning_rate * (1 - BETA_2**steps) ** 0.5 / (1 - BETA_1**steps)
                learned -= rate * first / (np.sqrt(second) + EPSILON)
        return learned


def normalised(likes_UI: sparse.csr_matrix) -> sparse.csr_matrix:
    """The graph: float32 [users + items, users + items], symmetric, each edge over the root of both its degrees."""
    graph = sparse.bmat([[None, likes_UI], [likes_UI.T, None]], format="csr", dtype=np.float32)
    inverse = sparse.diags(np.maximum(np.diff(graph.indptr), 1).astype(np.float32) ** -0.5)
    return sparse.csr_matrix(inverse @ graph @ inverse)


def propagated(graph: sparse.csr_matrix, start: Factors, layers: int) -> list[Factors]:
    """Layers 0..L."""
    found = [start]
    for _ in range(layers):
        found.append(graph @ found[-1])
    return found


def gradient(graph: sparse.csr_matrix, start: Factors, triples: Rows, layers: int, reg: float) -> Factors:
    """Slope of the mean BPR loss over layer 0: like `start`.

    loss = mean over triples of -ln sigmoid(x_u (x_i - x_j)) + reg / 2 (|e_u|^2 + |e_i|^2 + |e_j|^2), with x final and
    e layer-0 vectors. `triples` int64 [3, triples]: node numbers of user, liked item and other item.
    """
    final = np.mean(propagated(graph, start, layers), axis=0)
    user, liked, other = triples
    ahead = final[liked] - final[other]
    wrong = 1 / (1 + np.exp(np.clip((final[user] * ahead).sum(axis=1, keepdims=True), -30, 30)))
    pull = wrong * final[user]
    # A sparse matrix of ones adds rows up several times as fast as np.add.at.
    places = triples.ravel()
    gather = sparse.csr_matrix(
        (np.ones(places.size, np.float32), (places, np.arange(places.size))), (len(start), places.size)
    )
    slope = gather @ np.concatenate([-wrong * ahead, -pull, pull]).astype(np.float32)
    back = np.mean(propagated(graph, slope, layers), axis=0)
    whole: Factors = ((back + reg * (gather @ start[places])) / max(triples.shape[1], 1)).astype(np.float32)
    return whole
