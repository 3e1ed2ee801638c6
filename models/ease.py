"""EASE: one item-to-item weight matrix with a zero diagonal, in closed form (Steck 2019, "Embarrassingly Shallow
Autoencoders for Sparse Data").

With likes X [users, items], P = (X'X + reg I)^-1 and B = I - P / diag(P): scores = x B minimise |X - XB|^2 + reg |B|^2
with diag(B) = 0.

Where users are far fewer than items, B is never formed: by Woodbury's identity P = (I - X' A X) / reg with
A = (XX' + reg I)^-1 [users, users], which gives the same scores from a far smaller matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from models.fusion import Items
from models.interactions import History, Interactions, Values
from models.likes import LIKING, LikesRecommender
from models.matrix import matrix_arrays, matrix_from
from models.recommender import Arrays, Scores, TooLargeError, check_sizes

# A side of the matrix that is inverted: at 20,000 it is 1.6 GB of float32 and some minutes of one core.
SIDE_MAX = 20_000
# Scoring reads users^2 numbers in the users' space, and likes x items in the items' space.
USERS_PER_ITEM_MAX = 0.2


class Ease(LikesRecommender):
    """`reg` in likes: an item of fewer likes is mostly penalty."""

    name: ClassVar[str] = "ease"
    learned: ClassVar[tuple[str, ...]] = (*LIKING, "inverse_UU", "diagonal_I", "weights_II")
    # Of the two matrices one is always empty.
    axes: ClassVar[Mapping[str, str]] = {"weights_II": "JJ"}
    inverse_UU: Scores
    """A, float32 [users who like something, the same]; empty when `weights_II` is used."""
    diagonal_I: Values
    """reg * diag(P), float32 [items]; 1 for items nobody likes."""
    weights_II: Scores
    """B, float32 [items, items]; empty when `inverse_UU` is used."""
    likes_IU: sparse.csr_matrix
    """The training likes that go with `inverse_UU`."""

    def __init__(self, *, reg: float = 150.0, relevant: float | None = None) -> None:
        self.reg = reg
        self.relevant = relevant

    def fit(self, ratings: Interactions, items: Items) -> Self:
        """Raises: TooLargeError when the matrix to be inverted has more than SIDE_MAX rows."""
        check_sizes(ratings, items)
        likes_UI = self.learn_likes(ratings)
        likes_UI = likes_UI[np.diff(likes_UI.indptr) > 0]
        n_users, n_items = likes_UI.shape
        few_users = n_users <= USERS_PER_ITEM_MAX * n_items
        if (n_users if few_users else n_items) > SIDE_MAX:
            raise TooLargeError(
                f"EASE would invert a matrix of {n_users if few_users else n_items} rows here, "
                f"and {SIDE_MAX} is its limit: use als, which has none"
            )
        self.inverse_UU = self.weights_II = np.empty((0, 0), np.float32)
        self.diagonal_I = np.ones(n_items, np.float32)
        self.likes_IU = likes_UI.T.tocsr() if few_users else sparse.csr_matrix((n_items, 0), dtype=np.float32)
        if few_users:
            self.inverse_UU = _inverse((likes_UI @ likes_UI.T).toarray(), self.reg)
            # The diagonal of X'AX, without the rest of it.
            self.diagonal_I -= np.asarray(likes_UI.multiply(self.inverse_UU @ likes_UI).sum(axis=0)).ravel()
        else:
            weights_II = _inverse((likes_UI.T @ likes_UI).toarray(), self.reg)
            weights_II /= -weights_II.diagonal()
            np.fill_diagonal(weights_II, 0)
            self.weights_II = weights_II
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        likes_UI = self.likes_of(histories)
        if len(self.weights_II):
            return self.or_popular(np.asarray(likes_UI @ self.weights_II, np.float32), likes_UI)
        # X'AX x, right to left; then B x = x - (x - X'AX x) / (reg diag P).
        smooth_IU = self.likes_IU @ (self.inverse_UU @ (self.likes_IU.T @ likes_UI.T).toarray())
        scores_UI = (smooth_IU / self.diagonal_I[:, None]).T
        rows, columns = likes_UI.nonzero()
        scores_UI[rows, columns] += 1 - 1 / self.diagonal_I[columns]
        return self.or_popular(np.ascontiguousarray(scores_UI, np.float32), likes_UI)

    def contributions(self, history: History, item: int) -> Values:
        liked = history.items[self.is_like(history)]
        if len(self.weights_II):
            return self.spread(self.weights_II[liked, item], history)
        column_U = self.inverse_UU @ self.likes_IU[[item]].toarray()[0]
        parts = (self.likes_IU[liked] @ column_U) / self.diagonal_I[item]
        return self.spread(np.where(liked == item, 0, parts).astype(np.float32), history)

    def arrays(self) -> Arrays:
        return {**super().arrays(), **matrix_arrays("likes_IU", self.likes_IU)}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        self.likes_IU = matrix_from("likes_IU", arrays)
        super().with_arrays({name: array for name, array in arrays.items() if "likes_IU." not in name})
        if self.likes_IU.shape != (len(self.popular_I), len(self.inverse_UU)):
            raise ValueError("the likes of a saved EASE model do not fit its other arrays")
        return self


def _inverse(gram: Scores, reg: float) -> Scores:
    """(gram + reg I)^-1 of a symmetric matrix, in place, float32: the penalty keeps it well conditioned."""
    if not len(gram):
        return gram
    np.fill_diagonal(gram, gram.diagonal() + np.float32(reg))
    factor, info = linalg.lapack.spotrf(gram, lower=0, overwrite_a=1)
    inverse, info_too = linalg.lapack.spotri(factor, lower=0, overwrite_c=1)
    if info or info_too:
        raise ValueError("EASE needs a penalty above 0")
    upper = np.triu(inverse)
    whole: Scores = upper + np.triu(upper, 1).T
    return np.ascontiguousarray(whole, np.float32)
