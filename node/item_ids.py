"""Which id an item gets, within one export.

The shop's own id is settled before (see `drafts`); where there is none, "~" and 16 hexadecimal digits of SHA-256 over
the product's address, or over name, brand, colour, description and the row's mark (its picture, else its price). Of
rows with one id the first wins; a later one of another colour gets the colour added to its id, the same name again is
a "duplicate", another name a "duplicate_id". Rows of one address that differ are products of their own.
A decision depends on the rows before it alone, so the same file always gives the same ids.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from node.addresses import slug
from node.cleaning import squash
from protocol import limits
from protocol.records import Item


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a row gets no id."""

    reason: str
    detail: str


class ItemIds:
    """The ids given so far, each with a digest of what it was given to."""

    def __init__(self) -> None:
        self._given: dict[str, bytes] = {}

    def knows(self, item_id: str) -> bool:
        """Whether an earlier row has the id."""
        return item_id in self._given

    def take(self, item: Item, mark: str = "") -> str | Rejected:
        """The id for an item whose own is not settled yet, or why there is none.

        `mark` tells products without an id apart where their words are the same; a shop's own id needs none.
        """
        colour = slug(item.colour)
        if item.item:
            plain, likeness = item.item, _likeness(item)
            others = [f"{plain}-{colour}"] if colour else []
        else:
            plain, likeness = derived_id(item, mark), _likeness(item, mark)
            others = [derived_id(replace(item, page_url=""), f"{mark}|{item.page_url}")] if item.page_url else []
        item_id: str
        for item_id in [plain, *others]:
            if len(item_id.encode()) > limits.ITEM_ID_BYTES_MAX:
                break
            given_to = self._given.get(item_id)
            if given_to is None:
                self._given[item_id] = likeness
                return item_id
            if given_to == likeness:
                return Rejected("duplicate", f"The row repeats item {item_id}.")
        return Rejected("duplicate_id", f"Another product has the id {plain}.")


def derived_id(item: Item, mark: str) -> str:
    """An id for an item of a shop that gives none: from the item alone, wherever it stands in the export."""
    identity = item.page_url or "|".join((item.name, item.brand, item.colour, item.description, mark))
    return "~" + hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:16]


def _likeness(item: Item, mark: str = "") -> bytes:
    """Rows with one id are one product when they agree in name and colour; prices and listings may differ."""
    text = f"{squash(item.name)}\n{squash(item.colour)}\n{mark}"
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8]
