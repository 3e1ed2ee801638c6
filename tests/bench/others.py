"""Recommenders of other libraries, for tests.bench.movielens: implicit, scikit-surprise, and EASE by its definition.

Each `fit` takes (parameters, training, pairs) and gives scores [users, items] or None, predicted ratings of the pairs
or None, and the seconds that fitting took. Libraries load when asked for; ImportError when they are not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from models.interactions import Interactions
from sim.tuning import Params, Range, Space

LIKED, SEED = 4.0, 42
Answered = tuple[Any, Any, float]


@dataclass(frozen=True, slots=True)
class Other:
    """`by`: the figure it is tuned for. `start`: the parameters of its first trial."""

    fit: Callable[[Params, Interactions, Interactions], Answered]
    space: Space
    by: str
    start: Params = field(default_factory=dict)


def likes(train: Interactions) -> sparse.csr_matrix:
    """float32 [users, items], 1 where a training rating is LIKED or more."""
    liked = train.values >= LIKED
    ones = np.ones(int(liked.sum()), np.float32)
    return sparse.csr_matrix((ones, (train.users[liked], train.items[liked])), (train.n_users, train.n_items))


def implicit_factors(kind: str) -> Callable[[Params, Interactions, Interactions], Answered]:
    def fit(params: Params, train: Interactions, asked: Interactions) -> Answered:
        from implicit.cpu.als import AlternatingLeastSquares
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        makes = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}
        model = makes[kind](random_state=SEED, num_threads=1, **params)
        liked_UI = likes(train)
        start = time.perf_counter()
        model.fit(liked_UI, show_progress=False)
        seconds = time.perf_counter() - start
        return np.asarray(model.user_factors @ model.item_factors.T, np.float32), None, seconds

    return fit


def implicit_neighbours(params: Params, train: Interactions, asked: Interactions) -> Answered:
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

    makes = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}
    model = makes[params.get("weighting", "cosine")](K=params.get("K", 20), num_threads=1)
    liked_UI = likes(train)
    start = time.perf_counter()
    model.fit(liked_UI, show_progress=False)
    seconds = time.perf_counter() - start
    return (liked_UI @ model.similarity).toarray().astype(np.float32), None, seconds


def ease(params: Params, train: Interactions, asked: Interactions) -> Answered:
    """Steck 2019, eq. 8, as printed: invert the regularised item Gram matrix. Items nobody likes are left out of it."""
    liked_UI = likes(train).toarray()
    columns = np.flatnonzero(liked_UI.any(axis=0))
    liked_UC = liked_UI[:, columns]
    start = time.perf_counter()
    gram_CC = liked_UC.T @ liked_UC + np.float32(params.get("reg", 250.0)) * np.eye(len(columns), dtype=np.float32)
    # The inverse of a symmetric matrix by its Cholesky factor, half the work of the general one; lower half only.
    inverse_CC = lapack.spotri(lapack.spotrf(gram_CC, lower=1, clean=1, overwrite_a=1)[0], lower=1)[0]
    inverse_CC = np.tril(inverse_CC) + np.tril(inverse_CC, -1).T
    weights_CC = -inverse_CC / np.diag(inverse_CC)
    np.fill_diagonal(weights_CC, 0)
    seconds = time.perf_counter() - start
    # Below every score of the others: an item without a like is never shown.
    scores_UI = np.full(liked_UI.shape, -1e6, np.float32)
    scores_UI[:, columns] = liked_UC @ weights_CC
    return scores_UI, None, seconds


def surprise_predictor(kind: str) -> Callable[[Params, Interactions, Interactions], Answered]:
    def fit(params: Params, train: Interactions, asked: Interactions) -> Answered:
        import surprise

        makes = {"svd": surprise.SVD, "knn": surprise.KNNBaseline, "baseline": surprise.BaselineOnly}
        more: dict[str, Any] = {"random_state": SEED} if kind == "svd" else {"verbose": False}
        if kind == "knn":
            more |= {"sim_options": {"name": "pearson_baseline", "user_based": True}, "k": params.get("k", 40)}
        elif kind == "svd":
            more |= params
        else:
            more |= {"bsl_options": {"method": "als", **params}}
        rows = [
            *zip(train.users.tolist(), train.items.tolist(), train.values.tolist(), [None] * len(train), strict=True)
        ]
        data = surprise.Dataset(surprise.Reader(rating_scale=(0.5, 5.0))).construct_trainset(rows)
        model = makes[kind](**more)
        start = time.perf_counter()
        model.fit(data)
        seconds = time.perf_counter() - start
        pairs = zip(asked.users.tolist(), asked.items.tolist(), strict=True)
        return None, np.array([model.predict(user, item).est for user, item in pairs], np.float32), seconds

    return fit


# Starts found by 25 to 30 trials on the validation part beforehand: the libraries' own defaults are far off on these
# data (implicit's ALS 0.216 instead of 0.286), and a small budget would flatter ours, whose defaults are not.
OTHERS: dict[str, Other] = {
    "implicit als": Other(
        implicit_factors("als"),
        {"factors": Range(16, 128), "regularization": Range(0.001, 10.0), "alpha": Range(0.5, 20.0)},
        "ndcg",
        {"factors": 28, "regularization": 0.215, "alpha": 4.35},
    ),
    "implicit bpr": Other(
        implicit_factors("bpr"),
        {
            "factors": Range(32, 192),
            "learning_rate": Range(0.005, 0.2),
            "regularization": Range(0.001, 0.1),
            "iterations": Range(50, 300),
        },
        "ndcg",
        {"factors": 182, "learning_rate": 0.0149, "regularization": 0.0054, "iterations": 53},
    ),
    "implicit item-knn": Other(
        implicit_neighbours,
        {"K": Range(10, 300), "weighting": ("cosine", "tfidf", "bm25")},
        "ndcg",
        {"K": 150, "weighting": "tfidf"},
    ),
    "ease by definition": Other(ease, {"reg": Range(30.0, 1500.0)}, "ndcg"),
    "surprise svd": Other(
        surprise_predictor("svd"),
        {
            "n_factors": Range(10, 150),
            "n_epochs": Range(10, 60),
            "lr_all": Range(0.002, 0.02),
            "reg_all": Range(0.01, 0.2),
        },
        "rmse",
    ),
    "surprise knn": Other(surprise_predictor("knn"), {"k": Range(10, 120)}, "rmse"),
    "surprise baseline": Other(
        surprise_predictor("baseline"), {"reg_i": Range(1.0, 30.0), "reg_u": Range(1.0, 30.0)}, "rmse"
    ),
}
