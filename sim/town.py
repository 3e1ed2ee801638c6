"""A town for simulations: any number of shops and people, with tastes of the demo's model and invented vectors.

No picture is drawn and no encoder runs: a vector is a fixed random projection of what would show in a picture or be
said in a text, with noise. So a town of ten thousand people is made in seconds; what a real encoder sees is for the
`two-shops` scenario. Who visits which shop, and rates there, is drawn by chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.features import FEATURE_RULE
from node.store import Rating, Write
from protocol.records import pack_item
from protocol.vectors import pack_vectors
from sim.checkers import PLANTED
from sim.datasets import features_of
from sim.personas import PERSONAS, STYLES
from sim.seat import Space
from sim.shops import TRADES, Shop, stock
from sim.tastes import (
    LIKED,
    VISIBLE,
    Features,
    Floats,
    Ratings,
    block_scores,
    draw_ratings,
    draw_weights,
    style_statements,
)

DIM, DIRECTIONS, NOISE = 16, 24, 0.1
SPACE = Space("invented", hashlib.sha256(b"p2prec invented vectors").digest(), DIM, f"random-{DIRECTIONS}")
FEATURES = f"{FEATURE_RULE}/{SPACE.basis}"
# A rating's time; nothing hangs on it.
RATED_MS = 1_690_000_000_000


@dataclass(frozen=True, slots=True)
class Town:
    """Columns are items, all of shop 0 first; rows are people. `writes`: each item as an import stores it."""

    shops: tuple[Shop, ...]
    writes: list[Write]
    ratings: Ratings

    def columns(self, shop: int) -> slice:
        """The items of a shop."""
        size = len(self.shops[0].listings)
        return slice(shop * size, (shop + 1) * size)

    def writes_of(self, shop: int) -> list[Write]:
        return self.writes[self.columns(shop)]

    def rated(self, user: int, columns: slice, publishers: Sequence[str]) -> list[Rating]:
        """What somebody rated there; `publishers` are the shops' peer ids."""
        size = len(self.shops[0].listings)
        given = np.flatnonzero(self.ratings.present_UI[user, columns]) + columns.start
        return [
            Rating(
                f"{PLANTED}{user}",
                publishers[column // size],
                self.writes[column].item,
                float(self.ratings.complete_UI[user, column]),
                RATED_MS,
            )
            for column in given.tolist()
        ]

    @property
    def liked(self) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        """Complete truth: bool [people, items]."""
        return np.asarray(self.ratings.complete_UI >= LIKED)


def build_town(seed: int, shops: int, items: int, people: int) -> Town:
    """`items` a shop. The same seed gives the same town, whatever else is drawn."""
    stocked = tuple(_shop(seed, number, items) for number in range(shops))
    features = features_of(stocked, seed)
    rng = np.random.default_rng([seed, people, *b"town"])
    style_U = rng.integers(0, len(STYLES), people)
    weights = draw_weights(features, style_U, rng, style_statements(PERSONAS))
    ratings = draw_ratings(block_scores(weights, features), rng)
    vectors = invented_vectors(features, rng)
    listings = [listing for shop in stocked for listing in shop.listings]
    writes = [
        Write(one.item, pack_item(one.record()), vector, hashlib.sha256(one.item.encode()).digest())
        for one, vector in zip(listings, vectors, strict=True)
    ]
    return Town(stocked, writes, ratings)


def _shop(seed: int, number: int, items: int) -> Shop:
    trade = TRADES[number % len(TRADES)]
    shop = stock(trade, seed + 1000 * number, items)
    return Shop(replace(trade, platform=platform_of(number)), shop.listings)


def platform_of(number: int) -> str:
    """A shop's name."""
    return f"{TRADES[number % len(TRADES)].platform} {number // len(TRADES) + 1}"


def invented_vectors(features: Features, rng: np.random.Generator) -> list[bytes]:
    """A packed vector for each item: a picture's half and a text's, DIM numbers each."""
    seen: Floats = np.concatenate([features.values[block] for block in VISIBLE], axis=1)
    halves = []
    for half in (1, 2):
        projection = np.random.default_rng([half, seen.shape[1]]).normal(size=(seen.shape[1], DIM))
        halves.append((seen @ projection + NOISE * rng.normal(size=(len(seen), DIM))).astype(np.float32))
    return pack_vectors(*halves)
