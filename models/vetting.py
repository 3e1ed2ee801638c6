"""Whether one publisher's vectors can be what they are said to be, judged beside others': arrays in, numbers out.

A signature says who published a vector, not that it is the item's. Whoever wants to be recommended to everybody places
items where tastes are; each number here is one way in which that shows. Honest means: the demo's two shops and each
kind of garment in them as a shop of its own, and 14 real exports. The strongest check needs the encoder and is not
here: node.vetting encodes again what can be. P are the publisher's items, R those of a reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.fusion import Flags, Vectors, has_half
from models.interactions import Rows

# So alike that only rounding to int8 differs (the cosine to the original stays above .9998).
TWIN_COSINE = 0.999
# Fewer items have no spread and no neighbourhoods to speak of; the encoder judges them.
ITEMS_MIN = 5
# Below this correlation the encoder itself sees little in common between pictures and words, and nothing can be told.
AGREEMENT_MIN = 0.1
# So many rows tell a correlation or a share to about .05, and 300 x 300 cosines take milliseconds.
SAMPLED_ROWS = 300
# A million items times so many is 200 MB of float32.
CHUNK_ROWS = 50
# Pseudo-places: one lucky place of a shop of ten items must not look like a campaign.
PRIOR_PLACES = 5.0


@dataclass(frozen=True, slots=True)
class Bar:
    """What a number may be, and why just so. `most`: whether it is a ceiling (else a floor)."""

    limit: float
    most: bool
    why: str


BARS = {
    "halves": Bar(0.0, True, "a half has unit length or is absent, and an item has one: anything else is no direction"),
    "twins": Bar(0.67, True, "share of items with a twin of another name; honest up to .49 (one line of men's shirts)"),
    "spread": Bar(0.25, False, "beside the reference's; honest down to .32 (a shop of nothing but sandals)"),
    "agreement": Bar(0.4, False, "pictures and words beside the reference's; honest down to .55, unrelated halves .05"),
    "neighbours": Bar(3.0, True, "times its share of the items among others' nearest; honest up to 1.4"),
    "tastes": Bar(3.0, True, "times its share of the items in people's lists; honest up to 2.5, planted on tastes 20"),
    "shift": Bar(3.0, True, "times its places in people's lists at the last check; catalogs grow, they do not leap"),
    "texts": Bar(0.0, True, "the words are in the record and the encoder is known: one text vector of others is a lie"),
    "pictures": Bar(0.1, True, "shops change a photo now and then, and few at a time"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One number beside its bar."""

    name: str
    value: float
    bar: float
    passed: bool


def judge(name: str, value: float) -> Check:
    """The number's verdict. What is not a number fails."""
    bar = BARS[name]
    return Check(name, value, bar.limit, value <= bar.limit if bar.most else value >= bar.limit)


def broken_halves(image_PD: Vectors, text_PD: Vectors) -> float:
    """The share of items of which a half is neither of unit length nor absent, or both are absent."""
    length_HP = np.stack([np.linalg.norm(half_PD, axis=1) for half_PD in (image_PD, text_PD)])
    fine_HP = (np.abs(length_HP - 1) < 1e-3) | (length_HP == 0)
    return float(1 - (fine_HP.all(axis=0) & length_HP.any(axis=0)).mean()) if len(image_PD) else 0.0


def twin_share(image_PD: Vectors, text_PD: Vectors, name_P: Rows, rng: np.random.Generator) -> float:
    """The share of (sampled) items that another item of another name equals in every half that both have.

    `name_P` int64 [P]: equal where the names are. Colours of one shirt share a photo but not their words, and words
    that an encoder cuts off share a vector but not a photo; only all halves at once are suspicious.
    """
    has_image_P, has_text_P = has_half(image_PD), has_half(text_PD)
    found = 0
    sampled = sample(np.arange(len(name_P)), rng)
    for start in range(0, len(sampled), CHUNK_ROWS):
        rows = sampled[start : start + CHUNK_ROWS]
        both_image = has_image_P[rows, None] & has_image_P
        both_text = has_text_P[rows, None] & has_text_P
        twin = (both_image | both_text) & (name_P[rows, None] != name_P)
        twin &= ~both_image | (image_PD[rows] @ image_PD.T >= TWIN_COSINE)
        twin &= ~both_text | (text_PD[rows] @ text_PD.T >= TWIN_COSINE)
        found += int(twin.any(axis=1).sum())
    return found / max(len(sampled), 1)


def find_spread(half_PD: Vectors, half_RD: Vectors) -> float | None:
    """How far apart the publisher's rows lie, as a part of how far the reference's do (1 - mean pairwise cosine, each).

    None where there are too few present rows, or a reference of one point.
    """
    ours, theirs = (half[has_half(half)] for half in (half_PD, half_RD))
    if min(len(ours), len(theirs)) < ITEMS_MIN:
        return None
    reference = _distance(theirs)
    return _distance(ours) / reference if reference > 1e-6 else None


def _distance(half_ID: Vectors) -> float:
    """1 - mean cosine of pairs, from the sum of the rows alone."""
    n, sum_D = len(half_ID), half_ID.sum(axis=0, dtype=np.float64)
    return float(1 - (sum_D @ sum_D - n) / (n * (n - 1)))


def find_agreement(
    ours: tuple[Vectors, Vectors], theirs: tuple[Vectors, Vectors], rng: np.random.Generator
) -> float | None:
    """How well pictures and words tell the same neighbours, as a part of how well they do among the reference.

    Both are (image, text) of items that have both halves. What is alike in pictures is alike in words: over pairs of
    an item of the publisher and one of the reference, image cosines correlate with text cosines (less row and column
    means, so that neither an item near everything nor a constant half counts; Kriegeskorte et al. 2008,
    Representational similarity analysis).
    None where there are too few items, or the reference's own correlation is too low to tell.
    """
    ours_rows, their_rows = (sample(np.arange(len(one[0])), rng) for one in (ours, theirs))
    if len(ours_rows) < ITEMS_MIN or len(their_rows) < 2 * ITEMS_MIN:
        return None
    middle = len(their_rows) // 2
    reference = _correlation(theirs, their_rows[:middle], theirs, their_rows[middle:])
    if reference < AGREEMENT_MIN:
        return None
    return _correlation(ours, ours_rows, theirs, their_rows) / reference


def _correlation(one: tuple[Vectors, Vectors], rows: Rows, other: tuple[Vectors, Vectors], columns: Rows) -> float:
    image, text = (_centred(one[half][rows] @ other[half][columns].T) for half in (0, 1))
    return float((image * text).sum() / np.sqrt((image**2).sum() * (text**2).sum() + 1e-12))


def _centred(table: Vectors) -> npt.NDArray[np.float64]:
    wide = table.astype(np.float64)
    return np.asarray(wide - wide.mean(axis=0) - wide.mean(axis=1, keepdims=True) + wide.mean())


def exposure(lists: list[Rows], mine_I: Flags) -> float:
    """The share of all places of these lists (rows of items) that are the publisher's; 0 without a place."""
    places = np.concatenate([np.empty(0, np.int64), *lists])
    return float(mine_I[places].mean()) if len(places) else 0.0


def exposure_ratio(share_of_places: float, share_of_items: float, places: int) -> float:
    """How many times its part of the items a publisher has of the places, drawn towards 1 when places are few."""
    return (share_of_places * places + PRIOR_PLACES) / (share_of_items * places + PRIOR_PLACES)


def exposure_shift(before: float, now: float, places: int) -> float:
    """How many times its share of the places at the last check a publisher has now, drawn towards 1 when few."""
    return exposure_ratio(now, before, places)


def sample(rows: Rows, rng: np.random.Generator, most: int = SAMPLED_ROWS) -> Rows:
    """At most so many of the rows, in random order."""
    return np.asarray(rng.permutation(rows)[:most], np.int64)
