"""One training step of the tiny encoder: augmentation, captions to tokens, and the three parts of the loss.

The loss is the contrastive one of CLIP, with captions that are true of several pictures counted as such, plus
small heads that must read the attributes from a picture's vector (thrown away afterwards), plus a pull of
cosines towards the share of attributes in common. Without the last two a short training learns colours only.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from models.clip import Tokenizer
from sim.captions import caption, draw_stated, partial_caption
from sim.tiny_data import FIELDS, VALUES, Codes, Pixels, Shot
from sim.vocabulary import CATEGORIES, GROUPS

#: CLIP's own pixel statistics, which the preprocessing applies as well.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
#: How much each attribute counts for likeness.
LIKENESS = {
    "category": 1.0, "colour": 1.0, "pattern": 0.9, "sleeve": 0.35, "length": 0.3, "neck": 0.15, "fit": 0.1,
    "wearer": 0.45,
}  # fmt: skip
#: Credit of two categories of one group, as a shirt and a t-shirt.
RELATED = 0.4
#: Cosine of two pictures that agree in everything; below 1 leaves room for what attributes do not say.
LIKENESS_MAX = 0.9
_HEAD_WEIGHTS = {
    "category": 1.0,
    "colour": 1.0,
    "pattern": 1.0,
    "sleeve": 0.5,
    "length": 0.4,
    "neck": 0.4,
    "wearer": 0.8,
}


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures, tokens, attributes, and `true_IT`: whether caption T is true of picture I."""

    pixels: Tensor
    tokens: Tensor
    codes: Tensor
    true_IT: Tensor
    complete: Tensor


def captions_for(
    shots: Sequence[Shot], codes: Codes, rng: random.Random, partial_share: float
) -> tuple[list[str], Tensor, Tensor]:
    """Texts, the truth table of captions, and which captions are complete."""
    texts = []
    truth = np.eye(len(shots), dtype=bool)
    complete = np.ones(len(shots), dtype=bool)
    for row, shot in enumerate(shots):
        if rng.random() >= partial_share:
            texts.append(caption(shot.garment, rng, audience=shot.sold_to))
            continue
        stated = draw_stated(rng)
        texts.append(partial_caption(shot.garment, rng, stated))
        columns = [FIELDS.index(name) for name in stated]
        truth[:, row] = (codes[:, columns] == codes[row, columns]).all(axis=1)
        complete[row] = False
    return texts, torch.from_numpy(truth), torch.from_numpy(complete)


def augment(pixels: Pixels, size: int, generator: torch.Generator) -> Tensor:
    """Random crops, flips, light and blur; normalised float32 [n, 3, size, size] in channels-last memory."""
    n = len(pixels)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(*(shape or (n,)), generator=generator) * (high - low) + low

    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    zoom, squeeze = uniform(0.8, 1.12), uniform(0.93, 1.07)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    turn = uniform(-0.06, 0.06)
    grid = torch.zeros(n, 2, 3)
    grid[:, 0, 0], grid[:, 0, 1] = zoom * squeeze * mirror, turn
    grid[:, 1, 0], grid[:, 1, 1] = -turn, zoom
    grid[:, :, 2] = uniform(-0.1, 0.1, n, 2)
    flow = F.affine_grid(grid, [n, 3, size, size], align_corners=False)
    images = F.grid_sample(images, flow, padding_mode="border", align_corners=False)
    blurred = F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    images = torch.where(uniform(0, 1, n, 1, 1, 1) < 0.2, blurred, images)
    middle = images.mean((1, 2, 3), keepdim=True)
    images = (images - middle) * uniform(0.8, 1.15, n, 1, 1, 1) + middle * uniform(0.9, 1.08, n, 1, 1, 1)
    images = images * uniform(0.96, 1.04, n, 3, 1, 1)
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return ((images.clamp(0, 1) - mean) / std).contiguous(memory_format=torch.channels_last)


def make_batch(
    shots: Sequence[Shot],
    pixels: Tensor,
    codes: Codes,
    tokenizer: Tokenizer,
    *,
    rng: random.Random,
    partial_share: float,
) -> Batch:
    """Everything one step needs; a fresh caption for each picture."""
    texts, truth, complete = captions_for(shots, codes, rng, partial_share)
    return Batch(pixels, tokenizer(texts), torch.from_numpy(codes), truth, complete)


def encode_tokens(model: Any, tokens: Tensor) -> Tensor:
    """Unit text vectors, computed in three groups by length and no further than the longest of each.

    Exact, because attention is causal: what follows the end mark never reaches it.
    """
    lengths = tokens.argmax(dim=1) + 1
    order = lengths.argsort()
    vectors = []
    for rows in order.chunk(3):
        length = int(lengths[rows].max())
        ids = tokens[rows, :length]
        states = model.token_embedding(ids) + model.positional_embedding[:length]
        states = model.ln_final(model.transformer(states, attn_mask=model.attn_mask[:length, :length]))
        vectors.append(states[torch.arange(len(rows)), ids.argmax(dim=1)] @ model.text_projection)
    return F.normalize(torch.cat(vectors)[order.argsort()], dim=-1)


class AttributeHeads(nn.Module):
    """One linear reader an attribute, on a picture's unit vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.readers = nn.ModuleList([nn.Linear(width, len(VALUES[name])) for name in _HEAD_WEIGHTS])

    def loss(self, vectors: Tensor, codes: Tensor) -> Tensor:
        """Weighted cross-entropy over the attributes."""
        total = vectors.new_zeros(())
        for reader, (name, weight) in zip(self.readers, _HEAD_WEIGHTS.items(), strict=True):
            total = total + weight * F.cross_entropy(reader(vectors * 8), codes[:, FIELDS.index(name)])
        return total


def contrastive_loss(image_ID: Tensor, text_ID: Tensor, scale: Tensor, true_IT: Tensor) -> Tensor:
    """CLIP's loss where a caption may be true of several pictures.

    A picture must find its own caption among those that are false of it; a caption shares its mass over all
    pictures that it is true of.
    """
    logits = scale * image_ID @ text_ID.T
    own = torch.eye(len(logits), dtype=torch.bool)
    targets = torch.arange(len(logits))
    to_text = F.cross_entropy(logits.masked_fill(true_IT & ~own, -1e4), targets)
    shares = true_IT.float() / true_IT.sum(dim=0, keepdim=True)
    to_image = -(shares * F.log_softmax(logits, dim=0)).sum(dim=0).mean()
    return (to_text + to_image) / 2


def likeness(codes: Tensor) -> Tensor:
    """Share of attributes in common, [n, n] in [0, 1]; related categories get part of the credit."""
    groups = torch.tensor([list(GROUPS).index(category.group) for category in CATEGORIES.values()])[codes[:, 0]]
    same = (codes[:, None, :] == codes[None, :, :]).float()
    same[:, :, 0] = torch.maximum(same[:, :, 0], RELATED * (groups[:, None] == groups[None, :]).float())
    weights = torch.tensor([LIKENESS[name] for name in FIELDS])
    return (same @ weights) / weights.sum()


def geometry_loss(image_ID: Tensor, text_ID: Tensor, batch: Batch) -> Tensor:
    """Mean squared distance of cosines from likeness, off the diagonal, where captions are complete."""
    wanted = LIKENESS_MAX * likeness(batch.codes)
    apart = ~torch.eye(len(wanted), dtype=torch.bool)
    told = batch.complete[None, :] & apart
    both = told & batch.complete[:, None]
    return (
        ((image_ID @ image_ID.T - wanted)[apart] ** 2).mean()
        + ((text_ID @ text_ID.T - wanted)[both] ** 2).mean()
        + ((image_ID @ text_ID.T - wanted)[told] ** 2).mean()
    ) / 3
