"""Search by two stated attributes over both shops at once: which of the first ten have both?

Queries are drawn with a fixed seed from the pairs that at least ten items have, so that a perfect search reaches 1.
A pair says either colour and category ("red dress"), pattern and category ("floral dress") or colour and pattern
("red floral"). An attribute counts as matched when the listing's own is exactly that one: navy is not blue.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from models.features import priced
from models.fusion import Items
from node.index import Index
from node.ranking import search
from node.store import Catalog, StoredItem
from sim.datasets import Demo
from sim.vocabulary import CATEGORIES, Garment

KINDS = ("all", "colour+category", "pattern+category", "colour+pattern")
QUERIES = 50
MATCHES_MIN = 10
K = 10


class EncodesTexts(Protocol):
    def encode_texts(self, texts: list[str], *, progress: bool = False) -> Any: ...


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two stated attributes; the one that is not stated is empty."""

    kind: str
    colour: str = ""
    pattern: str = ""
    category: str = ""

    @property
    def text(self) -> str:
        return " ".join(word for word in (self.colour, self.pattern, self.category) if word)

    def matches(self, garment: Garment) -> bool:
        return (
            self.colour in ("", garment.colour)
            and self.pattern in ("", garment.pattern)
            and self.category in ("", garment.category)
        )


def pairs_of(demo: Demo) -> list[Pair]:
    """The fifty queries of this demo: about a third of each kind."""
    count: Counter[Pair] = Counter()
    for garment in (listing.garment for listing in demo.listings):
        count[Pair(KINDS[1], colour=garment.colour, category=garment.category)] += 1
        if len(CATEGORIES[garment.category].patterns) > 1:
            # Nobody asks for a denim pair of jeans: where there is one pattern only, it states nothing.
            count[Pair(KINDS[2], pattern=garment.pattern, category=garment.category)] += 1
        count[Pair(KINDS[3], colour=garment.colour, pattern=garment.pattern)] += 1
    rng = random.Random("searches")
    chosen: list[Pair] = []
    for kind, wanted in zip(KINDS[1:], (18, 16, 16), strict=True):
        eligible = sorted(pair for pair, items in count.items() if pair.kind == kind and items >= MATCHES_MIN)
        chosen += rng.sample(eligible, min(wanted, len(eligible)))
    return chosen


def index_of(demo: Demo, items: Items) -> Index:
    """Both catalogs in one index, as a node holds them that knows both shops."""
    catalogs: dict[int, Catalog] = {}
    stored: list[StoredItem] = []
    for number, shop in enumerate(demo.shops):
        catalogs[number] = Catalog(
            number, shop.trade.platform, shop.trade.platform, "", number == 0, len(shop.listings)
        )
        stored += [StoredItem(len(stored) + row, number, one.record()) for row, one in enumerate(shop.listings)]
    rows = {(catalogs[one.catalog].publisher, one.item.item): row for row, one in enumerate(stored)}
    unpriced = priced(items, np.full(len(items), np.nan, np.float32))
    return Index(stored, unpriced, catalogs, rows, np.array([one.catalog for one in stored], np.int64))


def measure_search(demo: Demo, items: Items, encoder: EncodesTexts) -> dict[str, float]:
    """Mean share of the top ten that match both attributes, by kind and over all queries."""
    index = index_of(demo, items)
    garments = {listing.item: listing.garment for listing in demo.listings}
    pairs = pairs_of(demo)
    shares: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for pair, vector in zip(pairs, encoder.encode_texts([pair.text for pair in pairs]).vectors, strict=True):
        results = search(index, vector, K)
        share = float(np.mean([pair.matches(garments[result.item.item]) for result in results]))
        shares[pair.kind].append(share)
        shares["all"].append(share)
    return {kind: float(np.mean(values)) for kind, values in shares.items()}
