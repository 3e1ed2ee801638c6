"""All comparable items in memory: the rows that search, similarity and the recommenders work on.

Rebuilt from the store whenever it is wanted; the store is the truth. Only catalogs of this node's own encoder
fingerprint are in it: vectors of different encoders must never be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.features import PricedItems, priced, standard_log_price
from models.fusion import centre_items
from node.errors import UserError
from node.store import Catalog, Remembered, Store, StoredItem
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


def load_index(
    store: Store, fingerprint: str, image_weight: float, empty_dim: int = 1, known: Remembered | None = None
) -> Index:
    """Read every item of that fingerprint; `empty_dim`: the size of halves where there is no item to tell it; `known`:
    items as they were last time, brought up to date.

    Raises: UserError if something stored is damaged.
    """
    with store.database.snapshot():
        stored = store.items(fingerprint) if known is None else store.items_again(fingerprint, known)
        packed = store.vectors(fingerprint)
        catalogs = {catalog.catalog: catalog for catalog in store.catalogs()}
    dim = len(packed[0]) // 2 if packed else empty_dim
    try:
        image_ID, text_ID = parse_vectors(packed, dim)
    except RemoteError as error:
        raise UserError(f"a stored vector is damaged ({error}); import the catalog again to mend it") from error
    rows = {(catalogs[one.catalog].publisher, one.item.item): row for row, one in enumerate(stored)}
    catalog_I = np.array([one.catalog for one in stored], np.int64)
    items = priced(centre_items(image_ID, text_ID, image_weight), _log_price(stored, catalogs))
    return Index(stored, items, catalogs, rows, catalog_I)


def _log_price(stored: list[StoredItem], catalogs: dict[int, Catalog]) -> npt.NDArray[np.float32]:
    """How dear each item is beside those of its platform in its currency: float32 [items]."""
    price_I = np.array([np.nan if one.item.price_minor is None else one.item.price_minor for one in stored], np.float64)
    markets: dict[tuple[str, str], int] = {}
    market_I = [markets.setdefault((catalogs[one.catalog].platform, one.item.currency), len(markets)) for one in stored]
    return standard_log_price(price_I, np.array(market_I, np.int64))
