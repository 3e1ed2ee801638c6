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

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

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


@dataclass(frozen=True, slots=True)
class Items:
    """Centred items. Arrays are float32 [items, dim], rows of unit length or zero (the half is missing)."""

    image_ID: Vectors
    text_ID: Vectors
    image_mean_D: Vectors
    text_mean_D: Vectors
    image_weight: float

    def __len__(self) -> int:
        return len(self.image_ID)

    def weights(self) -> tuple[Vectors, Vectors]:
        """What each half counts for each item: (image [items], text [items]), summing to 1 or both 0."""
        image_I = self.image_weight * has_half(self.image_ID)
        text_I = (1 - self.image_weight) * has_half(self.text_ID)
        total_I = np.maximum(image_I + text_I, 1e-12)
        return (image_I / total_I).astype(np.float32), (text_I / total_I).astype(np.float32)


def centre_items(image_ID: Vectors, text_ID: Vectors, image_weight: float) -> Items:
    """Items from halves as encoded (unit rows, or zero where missing)."""
    if not 0 <= image_weight <= 1:
        raise ValueError("image_weight must lie in [0, 1]")
    image_mean_D, text_mean_D = half_mean(image_ID), half_mean(text_ID)
    return Items(centre(image_ID, image_mean_D), centre(text_ID, text_mean_D), image_mean_D, text_mean_D, image_weight)


def has_half(half_ID: Vectors) -> npt.NDArray[np.bool_]:
    """Which rows are present: bool [items]."""
    return np.asarray(half_ID.any(axis=1))


def half_mean(half_ID: Vectors) -> Vectors:
    """The mean of the present rows, drawn towards zero when they are few."""
    mean: Vectors = (half_ID.sum(axis=0) / (has_half(half_ID).sum() + MEAN_SHRINK)).astype(np.float32)
    return mean


def centre(half_ID: Vectors, mean_D: Vectors) -> Vectors:
    """Present rows less the mean, of unit length again; absent rows stay zero."""
    present_I = has_half(half_ID)
    centred_ID = np.where(present_I[:, None], half_ID - mean_D, np.float32(0))
    length_I = np.linalg.norm(centred_ID, axis=1, keepdims=True)
    unit: Vectors = (centred_ID / np.maximum(length_I, 1e-12)).astype(np.float32)
    return unit


def similarity(items: Items, rows: npt.NDArray[np.int64]) -> Vectors:
    """Similarity of the items `rows` to all items: float32 [rows, items] in [-1, 1]."""
    return _fuse(items, items.image_ID[rows], items.text_ID[rows])


def text_similarity(items: Items, text_QD: Vectors) -> Vectors:
    """Similarity of texts (unit vectors as encoded, [queries, dim]) to all items: float32 [queries, items]."""
    query_QD = centre(text_QD, items.text_mean_D)
    return _fuse(items, query_QD, query_QD)


def _fuse(items: Items, image_QD: Vectors, text_QD: Vectors) -> Vectors:
    """The masked weighted mean of rule 3."""
    weight_image = items.image_weight * np.outer(has_half(image_QD), has_half(items.image_ID))
    weight_text = (1 - items.image_weight) * np.outer(has_half(text_QD), has_half(items.text_ID))
    total = weight_image * (image_QD @ items.image_ID.T) + weight_text * (text_QD @ items.text_ID.T)
    fused: Vectors = (total / np.maximum(weight_image + weight_text, 1e-12)).astype(np.float32)
    return fused
