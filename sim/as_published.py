"""The seed's models and its way of judging them, mistakes included, so that its table can be repeated digit for digit.

Nothing outside sim.reproduce may use this. Every known mistake is named where it is made, `MISTAKE name`; MISTAKES
says each in a sentence. Arrays are as the seed had them: items x users, 0 where a rating is missing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

MISTAKES = {
    "two-splits": "binary models are trained on the binary split, but masked with and judged by the full split, of "
    "which four fifths were in training",
    "copies": "a rating of training is its own prediction, so what leaked comes first",
    "near-one": "predictions from neighbours are divided by a sum with 1e-8 added, which puts every one of them just "
    "below the copied +1",
    "positive-only": "neighbours' ratings below 0 are ignored, and errors are taken only where the prediction is "
    "above 0",
    "mask-in-place": "the ranking's mask overwrites the predictions that the errors are then computed from",
    "chosen-on-validation": "the rank is chosen by P@10 on the validation set that is then reported",
    "score-as-rating": "the error of a ranking score is reported as if it were a rating",
    "tiny-training": "BPR sees 150 pairs a user in all, so its scores stay near 0",
    "unmasked-top": "the two-tower's training items compete for its top 10",
    "zero-is-missing": "a rating of 0 cannot be told from a missing one",
}
NEIGHBOURS, LIKED, TOP = 10, 7, 10
EPSILON = 1e-8


@dataclass(frozen=True, slots=True)
class Triples:
    """Ratings as parallel arrays, [ratings]."""

    items: npt.NDArray[np.int64]
    users: npt.NDArray[np.int64]
    values: Matrix

    def matrix(self, shape: tuple[int, int]) -> Matrix:
        found = np.zeros(shape)
        found[self.items, self.users] = self.values
        return found


@dataclass(frozen=True, slots=True)
class Cut:
    """One of the seed's two splits."""

    train: Triples
    held: Triples
    liked: float
    """From which value on an item counts as liked."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The four numbers of the seed's table, and over how many validation pairs the errors are."""

    rmse: float
    mae: float
    precision: float
    recall: float
    pairs: int


def seed_cuts(ratings_IU: Matrix, seed: int = 42) -> tuple[Cut, Cut]:
    """The full and the binary split: one generator shuffles both lists in turn, so they are different splits."""
    generator = random.Random(seed)
    binary_IU = np.where(ratings_IU == 0, 0, np.where(ratings_IU >= LIKED, 1.0, -1.0))
    return _cut(ratings_IU, LIKED, generator), _cut(binary_IU, 1, generator)


def _cut(ratings_IU: Matrix, liked: float, generator: random.Random) -> Cut:
    # MISTAKE zero-is-missing; harmless on the seed's ratings, none of which is 0.
    cells = np.argwhere(ratings_IU != 0).tolist()
    generator.shuffle(cells)
    border = int(0.8 * len(cells))
    sides = []
    for part in (cells[:border], cells[border:]):
        items, users = np.array(part, np.int64).reshape(-1, 2).T
        sides.append(Triples(items, users, ratings_IU[items, users]))
    return Cut(sides[0], sides[1], liked)


def user_neighbours(train_IU: Matrix) -> Matrix:
    """Collaborative filtering: for each user the ten nearest users by cosine of zero-filled rows. [items, users]."""
    return _from_neighbours(train_IU.T, train_IU.T).T


def item_neighbours(train_IU: Matrix, vectors_ID: Matrix) -> Matrix:
    """Content-based: the same with the ten nearest items by cosine of their vectors. [items, users]."""
    return _from_neighbours(vectors_ID, train_IU)


def _from_neighbours(rows_ND: Matrix, ratings_NM: Matrix) -> Matrix:
    unit_ND = rows_ND / np.maximum(np.linalg.norm(rows_ND, axis=1, keepdims=True), 1e-12)
    similarity_NN = unit_ND @ unit_ND.T
    np.fill_diagonal(similarity_NN, 0)
    nearest_NK = np.argsort(similarity_NN, axis=1)[:, ::-1][:, :NEIGHBOURS]
    weight_NK1 = np.take_along_axis(similarity_NN, nearest_NK, axis=1)[:, :, None]
    # MISTAKE positive-only: a neighbour's dislike counts as if it were not there.
    theirs_NKM = np.where(ratings_NM[nearest_NK] > 0, ratings_NM[nearest_NK], 0)
    weights_NM = (weight_NK1 * (theirs_NKM > 0)).sum(axis=1)
    # MISTAKE near-one: of ratings that are all +1 this makes 0.99999999; similarities may be negative on both sides.
    predicted_NM = (weight_NK1 * theirs_NKM).sum(axis=1) / (weights_NM + EPSILON)
    predicted_NM[~(theirs_NKM > 0).any(axis=1)] = 0
    # MISTAKE copies
    return np.where(ratings_NM > 0, ratings_NM, predicted_NM)


def judge(
    predicted_IU: Matrix,
    cut: Cut,
    masked: Triples | None,
    judged: Triples,
    liked: float,
    *,
    only_above_0: bool,
    top: int = TOP,
) -> Figures:
    """P@10 and R@10 over unmasked items for users with something liked among `judged`, then the errors on the cut's
    own validation pairs. `predicted_IU` is changed.
    """
    if masked is not None:
        # MISTAKE mask-in-place: the errors below are computed from what is left.
        predicted_IU[masked.items, masked.users] = -1
    precisions, recalls = [], []
    for user in range(predicted_IU.shape[1]):
        relevant = judged.items[(judged.users == user) & (judged.values >= liked)]
        if len(relevant):
            best = np.argsort(predicted_IU[:, user], kind="stable")[::-1][:top]
            hits = int(np.isin(best, relevant).sum())
            precisions.append(hits / top)
            recalls.append(hits / len(relevant))
    given = predicted_IU[cut.held.items, cut.held.users]
    # MISTAKE positive-only: pairs that the model predicts badly enough are left out of its errors.
    errors = (cut.held.values - given)[given > 0] if only_above_0 else cut.held.values - given
    return Figures(
        float(np.sqrt((errors**2).mean())) if len(errors) else float("nan"),
        float(np.abs(errors).mean()) if len(errors) else float("nan"),
        float(np.mean(precisions)) if precisions else float("nan"),
        float(np.mean(recalls)) if recalls else float("nan"),
        len(errors),
    )


def judge_neighbours(predicted_IU: Matrix, cut: Cut, full: Cut, *, top: int = TOP) -> Figures:
    """As published. MISTAKE two-splits: whatever the model was trained on, the full split masks and judges."""
    return judge(predicted_IU, cut, full.train, full.held, full.liked, only_above_0=True, top=top)


def judge_on_own_split(predicted_IU: Matrix, cut: Cut, *, only_above_0: bool = False) -> Figures:
    """The same figures with the cut's own training and validation set."""
    return judge(predicted_IU, cut, cut.train, cut.held, cut.liked, only_above_0=only_above_0)
