"""phi: the few numbers by which the CLIP-space models see an item, the same on every node.

phi(i) = scale * P' [sqrt(w) image_i ; sqrt(1 - w) text_i], then two columns for the price. The halves are
models.fusion's: centred, unit length, w = its image weight. P is a fixed orthonormal basis and never a node's own
leading directions: blocks over different bases cannot be averaged. `scale` makes the mean |phi|^2 of items 1.

A basis has a name, part of every shared block's identity: "random-256" follows from the vectors' size alone and serves
any encoder; "tiny-128" ships with the tiny encoder (sim/tiny_basis.py made it from items of a world of its own).

A missing half: the other is taken at full length, so that an item known by its text alone is as long as any other
(rule 3 of models.fusion: a missing half does not shrink the rest). The price columns are z and (z^2 - 1) / sqrt(2),
z = the standardised log price; an unknown price is the average one. They are always there, zero if need be, so that
blocks have one size.

Two demo worlds (seeds 100 and 101, 30 people, three folds), NDCG@10 of what the other shop sells, taste prior without
price: random-128 .783, random-256 .806, leading 128 directions of another world .812, of the items themselves .814.
With price: random-256 .838, leading 128 .855; a learned projection of rank 64 .798 and .849.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from models.fusion import Items, Vectors, vector_similarity

#: Part of every shared block's identity, with the basis' name: change phi, change this.
FEATURE_RULE = "phi-1"
#: For encoders that ship no basis.
BASIS = "random-256"
TINY_BASIS, TINY_BASIS_FILE = "tiny-128", "basis.safetensors"
PRICE_COLUMNS = 2
#: Length of a price column one deviation from the mean, beside |phi| = 1. Between .15 and .4 nothing changed (.850,
#: .855, .856, as above); without the columns .81.
PRICE_LENGTH = 0.25
#: Prices beyond this many deviations count as this many: one typo must not own a column.
PRICE_Z_MAX = 3.0


@dataclass(frozen=True, slots=True)
class PricedItems(Items):
    """Items whose prices are known too. Models that do not look at prices take them as `Items`.

    `log_price_I` is float32 [items], as `standard_log_price` gives it; NaN where a price is not known.
    """

    log_price_I: Vectors


@dataclass(frozen=True, slots=True)
class Basis:
    """Orthonormal directions of the joined halves: float32 [2 * dim, directions], and what keeps mean |phi|^2 at 1."""

    vectors_DK: Vectors
    scale: float


def priced(items: Items, log_price_I: Vectors) -> PricedItems:
    """The same items with their prices. Raises: ValueError when there is not one price an item."""
    if log_price_I.shape != (len(items),):
        raise ValueError(f"there are {len(items)} items, but prices of shape {log_price_I.shape}")
    return PricedItems(**{one.name: getattr(items, one.name) for one in fields(Items)}, log_price_I=log_price_I)


def standard_log_price(price_I: npt.NDArray[np.float64], market_I: npt.NDArray[np.int64]) -> Vectors:
    """How dear each item is beside the others of its market: float32 [items], mean 0 and deviation 1 in each.

    `price_I` is in any unit of its market, NaN (or <= 0) where not known; `market_I` numbers currency and platform
    together, because 40 dollars here and 40 rupees there say nothing about each other. Unknown prices give NaN; a
    market of one price is all 0.
    """
    z_I = np.full(len(price_I), np.nan, np.float32)
    known_I = np.isfinite(price_I) & (np.nan_to_num(price_I) > 0)
    for market in np.unique(market_I):
        rows = np.flatnonzero((market_I == market) & known_I)
        if len(rows):
            log_R = np.log(price_I[rows])
            # Exact sums: the same in whatever order the items come.
            rest_R = log_R - math.fsum(log_R) / len(rows)
            z_I[rows] = rest_R / max((math.fsum(rest_R**2) / len(rows)) ** 0.5, 1e-6)
    return z_I


def basis_of(encoder: str) -> str:
    """The name of the basis for items of that encoder."""
    return TINY_BASIS if encoder == "tiny" else BASIS


def features_of(encoder: str) -> str:
    """The name of the features for items of that encoder: blocks over others are not comparable."""
    return f"{FEATURE_RULE}/{basis_of(encoder)}"


@lru_cache(maxsize=8)
def open_basis(name: str, dim: int) -> Basis:
    """The basis of that name for halves of `dim` numbers.

    Raises: ValueError when there is none of that name, or it is for other vectors.
    """
    kind, _, count = name.partition("-")
    if kind == "random" and count.isdecimal() and int(count):
        basis = _random_basis(dim, int(count))
    elif name == TINY_BASIS:
        arrays = load(resources.files("models.tiny").joinpath(TINY_BASIS_FILE).read_bytes())
        basis = Basis(arrays["vectors_DK"].astype(np.float32), float(arrays["scale"][0]))
    else:
        raise ValueError(f"no basis {name!r}; there are random-N (N directions) and {TINY_BASIS}")
    if len(basis.vectors_DK) != 2 * dim:
        raise ValueError(f"basis {name!r} is for vectors of {len(basis.vectors_DK) // 2} numbers, not {dim}")
    basis.vectors_DK.setflags(write=False)
    return basis


def fixed_noise(label: str, *shape: int) -> npt.NDArray[np.float64]:
    """Evenly spread numbers in (-1, 1), the same for the same label on every machine.

    SHAKE-256's bytes never change; numpy's and torch's streams may with their versions.
    """
    noise = hashlib.shake_256(label.encode()).digest(int(np.prod(shape)))
    return (np.frombuffer(noise, np.uint8).reshape(shape) - 127.5) / 128


def _random_basis(dim: int, directions: int) -> Basis:
    """At most 2 * dim directions; fewer directions are the first of more.

    A QR with positive diagonal is unique, so nodes agree to rounding.
    """
    width = min(directions, 2 * dim)
    q_DK, r_KK = np.linalg.qr(fixed_noise(f"{FEATURE_RULE} {dim}", width, 2 * dim).T)
    vectors_DK = np.ascontiguousarray(q_DK * np.sign(np.diag(r_KK)), np.float32)
    # Of a unit vector, a random share of width / (2 * dim) is kept.
    return Basis(vectors_DK, float(np.sqrt(2 * dim / width)))


def joined_halves(items: Items) -> Vectors:
    """Both halves side by side, so that products are similarities: float32 [items, 2 * dim], rows of length 1."""
    image_I = np.where(items.has_text_I, items.image_weight**0.5, 1.0).astype(np.float32)
    text_I = np.where(items.has_image_I, (1 - items.image_weight) ** 0.5, 1.0).astype(np.float32)
    joined: Vectors = np.concatenate([items.image_ID * image_I[:, None], items.text_ID * text_I[:, None]], axis=1)
    return joined


def phi_of(items: Items, basis: str = BASIS) -> Vectors:
    """phi of every item: float32 [items, directions + 2].

    Raises: ValueError when a vector holds NaN or infinity, or the basis is for other vectors.
    """
    known = open_basis(basis, items.image_ID.shape[1])
    with np.errstate(invalid="ignore"):
        phi_IK = joined_halves(items) @ known.vectors_DK * np.float32(known.scale)
        finite = np.isfinite(phi_IK.sum())
    if not finite:
        raise ValueError("an item's vector holds a number that is not finite")
    return np.concatenate([phi_IK, np.float32(PRICE_LENGTH) * price_terms(items)], axis=1)


@dataclass(frozen=True, slots=True)
class PortableTaste:
    """A taste that needs no basis: halves float32 [dim], and float32 [2] for the two terms of an item's price."""

    image_D: Vectors
    text_D: Vectors
    price_2: Vectors

    def scores(self, items: Items) -> Vectors:
        """How much each item is to this taste: float32 [items]."""
        similar_I = vector_similarity(items, self.image_D[None], self.text_D[None])[0]
        return np.asarray(similar_I + price_terms(items) @ self.price_2, np.float32)


def portable(taste_K: npt.NDArray[np.float64], items: Items, basis: str) -> PortableTaste:
    """A taste over phi, so that it ranks items as it does over phi."""
    price_2 = PRICE_LENGTH / open_basis(basis, items.image_ID.shape[1]).scale * taste_K[-PRICE_COLUMNS:]
    return PortableTaste(*_halves(taste_K, items, basis), price_2.astype(np.float32))


def _halves(taste_K: npt.NDArray[np.float64], items: Items, basis: str) -> tuple[Vectors, Vectors]:
    """What a taste over phi says but for prices, so that models.fusion's similarity ranks items by it."""
    dim = items.image_ID.shape[1]
    taste_D = open_basis(basis, dim).vectors_DK @ taste_K[:-PRICE_COLUMNS].astype(np.float32)
    weights = np.array([items.image_weight, 1 - items.image_weight])
    # A half that counts for nothing in a similarity has nothing to say here either.
    image_D, text_D = taste_D.reshape(2, dim) * (weights**0.5 / np.maximum(weights, 1e-12))[:, None]
    return image_D.astype(np.float32), text_D.astype(np.float32)


def price_terms(items: Items) -> Vectors:
    """z and (z^2 - 1) / sqrt(2) of each item's price: float32 [items, 2]; zeros where the price is not known."""
    terms_I2 = np.zeros((len(items), PRICE_COLUMNS), np.float32)
    if isinstance(items, PricedItems):
        known_I = np.isfinite(items.log_price_I)
        z_R = np.clip(items.log_price_I[known_I], -PRICE_Z_MAX, PRICE_Z_MAX)
        terms_I2[known_I] = np.stack([z_R, (z_R**2 - 1) / 2**0.5], axis=1)
    return terms_I2
