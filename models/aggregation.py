"""Merging many nodes' blocks into one: a block is a vector of values, blocks are the rows of a table [blocks, values].

The weighted mean is what everybody agrees on when everybody is honest. The others bear a minority that is not:
coordinate median and trimmed mean (Yin et al. 2018, Byzantine-Robust Distributed Learning), Krum (Blanchard et al.
2017), and clipping towards one's own block (He, Karimireddy and Jaggi 2022, Byzantine-Robust Decentralized Learning
via ClippedGossip). None of them replaces judging a block by what it does to one's own users (models.gate).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Rule: TypeAlias = Literal["mean", "median", "trimmed", "krum", "clipped", "own"]

# Of the values at each place, this share is dropped on both sides.
TRIM_SHARE = 0.25
# Krum expects up to this share of liars.
LIARS_SHARE = 0.2


def merge(rule: Rule, own_V: Values, others_BV: Values, weights_B: Values, own_weight: float) -> Values:
    """One's own block and others' made into one: float64 [values]. Without others it is one's own.

    Weights are positive numbers of any unit; median, trimmed mean and Krum count all alike, or a liar would weigh most.
    """
    if not len(others_BV):
        return own_V.copy()
    return RULES[rule](np.concatenate([own_V[None], others_BV]), np.concatenate([[own_weight], weights_B]))


def weighted_mean(blocks_BV: Values, weights_B: Values) -> Values:
    """float64 [values]."""
    return np.asarray(weights_B @ blocks_BV / weights_B.sum())


def coordinate_median(blocks_BV: Values, _: Values) -> Values:
    """The median at each place; of an even number, the mean of the middle two."""
    return np.asarray(np.median(blocks_BV, axis=0))


def trimmed_mean(blocks_BV: Values, _: Values) -> Values:
    """The mean at each place, without the TRIM_SHARE lowest and highest values there."""
    dropped = min(int(np.ceil(TRIM_SHARE * len(blocks_BV))), (len(blocks_BV) - 1) // 2)
    ordered_BV = np.sort(blocks_BV, axis=0)
    return np.asarray(ordered_BV[dropped : len(blocks_BV) - dropped].mean(axis=0))


def krum(blocks_BV: Values, _: Values) -> Values:
    """The block that lies nearest to its nearest others, counting as many of them as must be honest."""
    count = len(blocks_BV)
    near = max(count - int(np.ceil(LIARS_SHARE * count)) - 2, 1)
    distance_BB = ((blocks_BV[:, None] - blocks_BV[None]) ** 2).sum(axis=2)
    # In each row the smallest is the block's distance to itself.
    score_B = np.sort(distance_BB, axis=1)[:, 1 : 1 + near].sum(axis=1)
    return np.array(blocks_BV[int(score_B.argmin())])


def clipped(blocks_BV: Values, weights_B: Values) -> Values:
    """One's own block (row 0), moved towards each other by at most their median distance."""
    move_BV = blocks_BV[1:] - blocks_BV[0]
    distance_B = np.linalg.norm(move_BV, axis=1)
    share_B = np.minimum(1, np.median(distance_B) / np.maximum(distance_B, 1e-300))
    return np.asarray(blocks_BV[0] + (weights_B[1:] * share_B) @ move_BV / weights_B.sum())


def own(blocks_BV: Values, _: Values) -> Values:
    """One's own: of a model whose blocks say each something else, and are kept side by side."""
    return np.array(blocks_BV[0])


RULES: dict[Rule, Callable[[Values, Values], Values]] = {
    "mean": weighted_mean,
    "median": coordinate_median,
    "trimmed": trimmed_mean,
    "krum": krum,
    "clipped": clipped,
    "own": own,
}
