"""How an item's two halves (picture and text) count together, and what a missing half means.

The rule, written once:
1. An item is two vectors, each of unit length or absent (a row of zeros).
2. Each half is centred by the mean of that half over the known items, so that 0 means "like the average item";
   raw CLIP cosines of unrelated items are far from 0, and differently so for pictures and texts.
3. The similarity of two items is the weighted mean of the cosines of the halves that *both* have. A missing half
   takes no part: it neither adds zero similarity nor shrinks the other half's. Nothing in common gives 0.
4. A text asks both halves at once: CLIP's text vectors live in the same space as its pictures. It is centred by
   the text mean, each half of the items by its own, which takes out the gap between the two modalities.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

# Part of every fingerprint: change the rule above or the caption's composition, change this.
FUSION_RULE = "halves-centred-1"
IMAGE_WEIGHT = 0.5
# The tiny encoder reads text far better than photographs (see its card).
IMAGE_WEIGHT_TINY = 0.3


def image_weight_of(encoder: str) -> float:
    """What the picture counts beside the text, by encoder name."""
    return IMAGE_WEIGHT_TINY if encoder == "tiny" else IMAGE_WEIGHT


# Pseudo-count of the means: with a handful of items, subtracting their mean would erase the items themselves.
MEAN_SHRINK = 10.0
BLOCK_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Items:
    """Centred items. Arrays are float32 [items, dim], rows of unit length or zero (the half is missing).

    `has_image_I`, `has_text_I` (bool [items]) say which; asking the rows each time would read them all once more.
    Raises: ValueError for vectors that are not finite numbers.
    """

    image_ID: Vectors
    text_ID: Vectors
    has_image_I: Flags
    has_text_I: Flags
    image_mean_D: Vectors
    text_mean_D: Vectors
    image_weight: float

    def __post_init__(self) -> None:
        # A sum is finite only if all of its terms are; it reads the rows once and keeps nothing.
        if not all(np.isfinite(half_ID.sum()) for half_ID in (self.image_ID, self.text_ID)):
            raise ValueError("an item's vector holds a number that is not finite")

    def __len__(self) -> int:
        return len(self.image_ID)

    def at(self, rows: Rows) -> Self:
        """Only these items, centred as before."""
        # Fields of one row an item are named so.
        return replace(self, **{one.name: getattr(self, one.name)[rows] for one in fields(self) if "_I" in one.name})


def centre_items(image_ID: Vectors, text_ID: Vectors, image_weight: float, *, in_place: bool = False) -> Items:
    """Items from halves as encoded (unit rows, or zero where missing).

    `in_place`: the arrays given (float32, no memory in common) become those of the items, which saves as much again.
    """
    if not 0 <= image_weight <= 1:
        raise ValueError("image_weight must lie in [0, 1]")
    # Items refuses what is not finite, with a sentence; numpy's warnings before it would only confuse.
    with np.errstate(invalid="ignore"):
        image_mean_D, text_mean_D = half_mean(image_ID), half_mean(text_ID)
        present = has_half(image_ID), has_half(text_ID)
        centred = (
            centre(image_ID, image_mean_D, image_ID if in_place else None),
            centre(text_ID, text_mean_D, text_ID if in_place else None),
        )
    return Items(*centred, *present, image_mean_D, text_mean_D, image_weight)


def has_half(half_ID: Vectors) -> Flags:
    """Which rows are present: bool [items]."""
    return np.asarray(half_ID.any(axis=1))


def half_mean(half_ID: Vectors) -> Vectors:
    """The mean of the present rows, drawn towards zero when they are few; summed so that their order hardly shows."""
    total_D, present = np.zeros(half_ID.shape[1]), 0
    for part_BD in _blocks(half_ID):
        total_D += part_BD.sum(axis=0, dtype=np.float64)
        present += int(has_half(part_BD).sum())
    mean: Vectors = (total_D / (present + MEAN_SHRINK)).astype(np.float32)
    return mean


def centre(half_ID: Vectors, mean_D: Vectors, out_ID: Vectors | None = None) -> Vectors:
    """Present rows less the mean, of unit length again; absent rows stay zero. `out_ID`: where to, else a new array."""
    unit_ID = np.empty(half_ID.shape, np.float32) if out_ID is None else out_ID
    for part_BD, unit_BD in zip(_blocks(half_ID), _blocks(unit_ID), strict=True):
        absent_B = ~has_half(part_BD)
        np.subtract(part_BD, mean_D, out=unit_BD)
        unit_BD[absent_B] = 0
        unit_BD /= np.maximum(np.linalg.norm(unit_BD, axis=1, keepdims=True), np.float32(1e-12))
    return unit_ID


def _blocks(half_ID: Vectors) -> Iterator[Vectors]:
    """The rows, so many at a time that each step finds in the processor's cache what the one before left there."""
    return (half_ID[start : start + BLOCK_ROWS] for start in range(0, len(half_ID), BLOCK_ROWS))


def similarity(items: Items, rows: npt.NDArray[np.int64]) -> Vectors:
    """Similarity of the items `rows` to all items: float32 [rows, items] in [-1, 1]."""
    return _fuse(items, items.image_ID[rows], items.text_ID[rows])


def similarity_between(items: Items, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> Vectors:
    """Similarity of the items `rows` to the items `others` alone: float32 [rows, others] in [-1, 1]."""
    return _fuse(items.at(others), items.image_ID[rows], items.text_ID[rows])


def text_similarity(items: Items, text_QD: Vectors) -> Vectors:
    """Similarity of texts (unit vectors as encoded, [queries, dim]) to all items: float32 [queries, items]."""
    query_QD = centre(text_QD, items.text_mean_D)
    return _fuse(items, query_QD, query_QD)


def vector_similarity(items: Items, image_QD: Vectors, text_QD: Vectors) -> Vectors:
    """Similarity of centred halves (unit or zero rows, [queries, dim] each) to all items: float32 [queries, items]."""
    return _fuse(items, image_QD, text_QD)


def similarity_sum(items: Items, rows: npt.NDArray[np.int64], weights_R: Vectors) -> Vectors:
    """weights_R @ similarity(items, rows), float32 [items], without the table of rows x items.

    What rule 3 divides by depends on which halves both sides have, so there is one profile vector for the items that
    have both halves, and one each for those that have a single one.
    """
    both_I = items.has_image_I & items.has_text_I
    has_image_R, has_text_R = items.has_image_I[rows], items.has_text_I[rows]
    shares_R = items.image_weight * has_image_R + (1 - items.image_weight) * has_text_R
    shared_R = (weights_R / np.maximum(shares_R, 1e-12)).astype(np.float32)
    image_RD, text_RD = items.image_ID[rows], items.text_ID[rows]
    total_I = items.image_ID @ (items.image_weight * (shared_R @ image_RD))
    total_I += items.text_ID @ ((1 - items.image_weight) * (shared_R @ text_RD))
    if not both_I.all():
        # A weight of 0 leaves a half out altogether, also where it is the only one.
        image_only_I = items.image_ID @ (weights_R @ image_RD) * (items.image_weight > 0)
        text_only_I = items.text_ID @ (weights_R @ text_RD) * (items.image_weight < 1)
        total_I = np.where(both_I, total_I, np.where(items.has_image_I, image_only_I, text_only_I))
    return np.asarray(total_I, np.float32)


def _fuse(items: Items, image_QD: Vectors, text_QD: Vectors) -> Vectors:
    """The masked weighted mean of rule 3. An absent row is all zeros and so adds nothing above the line."""
    image_weight, text_weight = np.float32(items.image_weight), np.float32(1 - items.image_weight)
    total_QI = image_weight * image_QD @ items.image_ID.T + text_weight * text_QD @ items.text_ID.T
    shares_QI = image_weight * np.outer(has_half(image_QD), items.has_image_I)
    shares_QI += text_weight * np.outer(has_half(text_QD), items.has_text_I)
    return np.asarray(total_QI / np.maximum(shares_QI, np.float32(1e-12)), np.float32)
