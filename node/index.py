"""All comparable items in memory: the rows that search, similarity and the recommenders work on.

Rebuilt from the store whenever it is wanted; the store is the truth. Vectors are most of the work, and while no item
comes, goes or looks otherwise (prices change every day) those of the last time are used again: an item whose record has
the hash it had is believed to have the vector it had. Only catalogs of this node's own encoder fingerprint are in it:
vectors of different encoders must never be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.features import PricedItems, priced, standard_log_price
from models.fusion import Items, Vectors, centre, centre_items
from node.errors import UserError
from node.store import Catalog, ReadItems, Store, StoredItem
from protocol.limits import RemoteError
from protocol.vectors import parse_vectors


@dataclass(frozen=True, slots=True)
class Index:
    """Row r is `stored[r]` and row r of `items`."""

    stored: list[StoredItem]
    items: PricedItems
    catalogs: dict[int, Catalog]
    rows: dict[tuple[str, str], int]
    """(publisher, item id) -> row"""
    catalog_I: npt.NDArray[np.int64]
    """`stored[r].catalog` as an array: asking a million rows one by one takes a fifth of a second."""

    def publisher(self, row: int) -> str:
        return self.catalogs[self.stored[row].catalog].publisher

    def platform(self, row: int) -> str:
        return self.catalogs[self.stored[row].catalog].platform

    def on_platform(self, platform: str | None) -> npt.NDArray[np.bool_]:
        """Which rows may be shown: bool [items]; all when no platform is asked for."""
        if platform is None:
            return np.ones(len(self.stored), bool)
        wanted = [c.catalog for c in self.catalogs.values() if c.platform.casefold() == platform.casefold()]
        return np.isin(self.catalog_I, wanted)


@dataclass(slots=True)
class Remembered:
    """What the last index was made of: for an owner who reads it again and again, always of one fingerprint."""

    items: ReadItems = field(default_factory=dict)
    slots: list[int] = field(default_factory=list)
    centred: Items | None = None


def load_index(
    store: Store, fingerprint: str, image_weight: float, empty_dim: int = 1, known: Remembered | None = None
) -> Index:
    """Read every item of that fingerprint; `empty_dim`: the size of halves where there is no item to tell it; `known`:
    the last time, brought up to date.

    Raises: UserError if something stored is damaged.
    """
    known = Remembered() if known is None else known
    # Forgotten until all went well: what follows may raise half-way.
    centred, known.centred = known.centred, None
    with store.database.snapshot():
        stored, changed = store.items_again(fingerprint, known.items)
        slots = [one.slot for one in stored]
        if (
            centred is None
            or centred.image_weight != image_weight
            or slots != known.slots
            or not _look_alike(store, centred, slots, changed)
        ):
            packed = store.vectors(fingerprint)
            if len(packed) != len(slots):
                raise UserError("a stored vector is gone; import the catalog again to mend it")
            dim = len(packed[0]) // 2 if packed else empty_dim
            centred = centre_items(*_parse(packed, dim), image_weight, in_place=True)
        catalogs = {catalog.catalog: catalog for catalog in store.catalogs()}
    rows = {(catalogs[one.catalog].publisher, one.item.item): row for row, one in enumerate(stored)}
    catalog_I = np.array([one.catalog for one in stored], np.int64)
    index = Index(stored, priced(centred, _log_price(stored, catalogs)), catalogs, rows, catalog_I)
    known.slots, known.centred = slots, centred
    return index


def _look_alike(store: Store, centred: Items, slots: Sequence[int], changed: Sequence[int]) -> bool:
    """Whether the vectors stored at the slots `changed` give the very rows that are in `centred`."""
    # Where most changed, looking which of them look otherwise is no less work than reading all.
    if 2 * len(changed) > len(slots):
        return False
    packed = store.vectors_at(changed)
    dim = centred.image_ID.shape[1]
    if len(packed) != len(changed) or any(len(one) != 2 * dim for one in packed):
        return False
    rows = np.searchsorted(np.array(slots), np.array(changed, np.int64))
    image_CD, text_CD = _parse(packed, dim)
    return np.array_equal(centre(image_CD, centred.image_mean_D), centred.image_ID[rows]) and np.array_equal(
        centre(text_CD, centred.text_mean_D), centred.text_ID[rows]
    )


def _parse(packed: Sequence[bytes], dim: int) -> tuple[Vectors, Vectors]:
    """Stored vectors to halves. Raises: UserError."""
    try:
        return parse_vectors(packed, dim)
    except RemoteError as error:
        raise UserError(f"a stored vector is damaged ({error}); import the catalog again to mend it") from error


def _log_price(stored: list[StoredItem], catalogs: dict[int, Catalog]) -> npt.NDArray[np.float32]:
    """How dear each item is beside those of its platform in its currency: float32 [items]."""
    price_I = np.array([np.nan if one.item.price_minor is None else one.item.price_minor for one in stored], np.float64)
    markets: dict[tuple[str, str], int] = {}
    market_I = [markets.setdefault((catalogs[one.catalog].platform, one.item.currency), len(markets)) for one in stored]
    return standard_log_price(price_I, np.array(market_I, np.int64))
