"""Matrix factorisation from likes, over a table of averages that many nodes can make together (`item_factors`).

The objective is that of iALS (Hu, Koren and Volinsky 2008): (1 - s)^2 counts 1 + ALPHA where a user likes an item, s^2
counts 1 elsewhere. A user's vector x is its exact minimum with the items fixed. An item's would need the x x' of its
own likers; they are taken to be spread as all users are, so with M the average of x x' over users, G the average of x
where they like the item and p the share who do,

    y = (1 + ALPHA) ((1 + ALPHA p) M + ridge)^-1 G.

Lengths of x say nothing then, and each user counts 1: vectors of users are brought to unit length in M and G. A rating
is expected to be the user's level and what the item is given above it. An item that nobody rated scores 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from models.factor_table import (
    ABOVE_MAX,
    FACTORS,
    FIRST,
    FactorTable,
    Floats,
    Keys,
    no_table,
    places_of,
    ridge_of,
    start_vectors,
)
from models.fusion import Items
from models.interactions import History, Interactions, Scale, Values
from models.least_squares import Factors
from models.recommender import RatingPredictor, Scores, check_sizes, rating_range

ALPHA = 4.0
# From this share of the scale on a rating is a like: 7 of -1..10, 3.8 of 0.5..5.
LIKED = 8 / 11
# What an item is given above its raters' level is drawn to 0 as by so many more of them; so is a user's to the mean.
SHY_RATERS, SHY_RATINGS = 5.0, 1.0


def liked_from(scale: Scale) -> float:
    """The lowest rating that is a like."""
    return scale[0] + LIKED * (scale[1] - scale[0])


@dataclass(frozen=True, slots=True)
class Solved:
    """The items of a table, float64 by its rows, and `metric_FF`: what all pairs count in a user's vector."""

    keys_R: Keys
    item_RF: Floats
    bias_R: Floats
    likers_R: Floats
    metric_FF: Floats


def solve_table(table: FactorTable, users: float) -> Solved:
    """`users`: how many are thought to be behind it."""
    raters_R, above_R, likers_R = table.sums_RC[:, :FIRST].T
    bias_R = above_R / (raters_R + SHY_RATERS / max(users, 1))
    item_RF = np.zeros((len(table.keys_R), FACTORS))
    if not table.empty:
        width_F, axes_FF = np.linalg.eigh(table.gram_FF)
        least = ridge_of(table.gram_FF)[0, 0]
        above_RF = np.outer(1 + ALPHA * likers_R, np.maximum(width_F, 0)) + least
        item_RF = (1 + ALPHA) * (table.sums_RC[:, FIRST:] @ axes_FF / above_RF) @ axes_FF.T
    metric_FF = item_RF.T @ item_RF
    return Solved(table.keys_R, item_RF, bias_R, likers_R, metric_FF + ridge_of(metric_FF))


def vector_of(metric_FF: Floats | Factors, liked_LF: Floats | Factors) -> Floats:
    """The vector of a user who likes items of these vectors: float64 [factors]."""
    right_F = (1 + ALPHA) * liked_LF.sum(axis=0)
    return np.asarray(np.linalg.solve(metric_FF + ALPHA * liked_LF.T @ liked_LF, right_F))


def level_of(values: Values, bias_H: Floats | Values, overall: float) -> float:
    """What a user gives where an item is given nothing above anybody's level."""
    return float(((values - bias_H).sum() + SHY_RATINGS * overall) / (len(values) + SHY_RATINGS))


def users_table(
    table: FactorTable, users: float, keys_I: Keys, histories: Sequence[History], liked: float, overall: float
) -> FactorTable:
    """What these users make of a table: the averages over them. `keys_I` are those of their items' rows.

    Without anybody who rated anything it is no table. While nothing is known, items are where their keys put them.
    """
    told = [one for one in histories if len(one)]
    rated = np.unique(np.concatenate([np.zeros(0, np.int64), *(one.items for one in told)]))
    # Items of one key share a row, in which a user counts once.
    keys_R, row_N = np.unique(keys_I[rated], return_inverse=True)
    row_I = np.full(len(keys_I), -1)
    row_I[rated] = row_N
    solved = solve_table(table, users)
    place_I = places_of(solved.keys_R, keys_I)
    sums_RC, gram_FF = np.zeros((len(keys_R), FIRST + FACTORS)), np.zeros((FACTORS, FACTORS))
    for one in told:
        rows, place_H = row_I[one.items], place_I[one.items]
        bias_H = np.where(place_H >= 0, solved.bias_R[place_H], 0.0) if len(solved.bias_R) else np.zeros(len(one))
        likes = one.values >= liked
        sums_RC[rows, 0] += 1
        sums_RC[rows, 1] += np.clip(one.values - level_of(one.values, bias_H, overall), -ABOVE_MAX, ABOVE_MAX)
        sums_RC[rows[likes], 2] += 1
        if table.empty:
            vector_F = start_vectors(keys_I[one.items[likes]]).sum(axis=0)
        else:
            known = place_H[likes]
            vector_F = vector_of(solved.metric_FF, solved.item_RF[known[known >= 0]])
        length = float(np.linalg.norm(vector_F))
        if length > 0:
            sums_RC[rows[likes], FIRST:] += vector_F / length
            gram_FF += np.outer(vector_F, vector_F) / length**2
    n_users = max(len(told), 1)
    return FactorTable(keys_R, sums_RC / n_users, gram_FF / n_users)


class ItemFactors(RatingPredictor):
    """`sweeps`: how often everybody's vectors and the table are made anew on one machine."""

    name: ClassVar[str] = "item_factors"
    learned: ClassVar[tuple[str, ...]] = (
        *("overall", "liked", "low", "high"),
        *("item_IF", "bias_I", "popular_I", "metric_FF"),
    )
    sized_by: ClassVar[dict[str, str]] = {}
    overall: float
    liked: float
    item_IF: Factors
    bias_I: Values
    popular_I: Values
    """Share of users who like the item."""
    metric_FF: Factors

    def __init__(self, *, sweeps: int = 10) -> None:
        self.sweeps = sweeps

    def fit(self, ratings: Interactions, items: Items) -> Self:
        self.prepare(ratings, items)
        keys_I, histories, table = np.arange(len(items), dtype=np.uint64), ratings.histories(), no_table()
        for _ in range(self.sweeps):
            table = users_table(table, len(histories), keys_I, histories, self.liked, self.overall)
        self.take(table, len(histories), keys_I)
        return self

    def prepare(self, ratings: Interactions, items: Items) -> Self:
        """All of `fit` but learning: the scale, and a table without a row."""
        check_sizes(ratings, items)
        self.low, self.high = rating_range(ratings)
        self.overall = float(ratings.values.mean(dtype=np.float64)) if len(ratings) else sum(ratings.scale) / 2
        self.liked = liked_from(ratings.scale)
        self.take(no_table(), 1, np.arange(len(items), dtype=np.uint64))
        return self

    def take(self, table: FactorTable, users: float, keys_I: Keys) -> None:
        """Rank by this table from now on; `keys_I` are those of all items."""
        solved = solve_table(table, users)
        place_I = places_of(solved.keys_R, keys_I)
        known = place_I >= 0
        self.item_IF = np.zeros((len(keys_I), FACTORS), np.float32)
        self.bias_I, self.popular_I = np.zeros(len(keys_I), np.float32), np.zeros(len(keys_I), np.float32)
        self.item_IF[known] = solved.item_RF[place_I[known]]
        self.bias_I[known] = solved.bias_R[place_I[known]]
        self.popular_I[known] = solved.likers_R[place_I[known]]
        self.metric_FF = solved.metric_FF.astype(np.float32)

    def expected(self, histories: Sequence[History]) -> Scores:
        levels = [level_of(one.values, self.bias_I[one.items], self.overall) for one in histories]
        return np.asarray(np.array(levels, np.float32).reshape(-1, 1) + self.bias_I, np.float32)

    def scores(self, histories: Sequence[History]) -> Scores:
        """How much a user is like those who like the item; for who likes nothing yet, how many they are."""
        found = np.empty((len(histories), len(self.bias_I)), np.float32)
        for place, one in enumerate(histories):
            liked_LF = self.item_IF[one.items[one.values >= self.liked]]
            known = bool(liked_LF.any())
            found[place] = self.item_IF @ vector_of(self.metric_FF, liked_LF) if known else self.popular_I
        return found

    def contributions(self, history: History, item: int) -> Values:
        likes = history.values >= self.liked
        liked_LF = self.item_IF[history.items[likes]]
        towards_F = np.linalg.solve(self.metric_FF + ALPHA * liked_LF.T @ liked_LF, self.item_IF[item])
        parts = np.zeros(len(history), np.float32)
        parts[likes] = (1 + ALPHA) * liked_LF @ towards_F
        return parts
