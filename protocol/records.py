"""The record that a catalog is made of: one item, as its publisher describes it.

An `Item` is public by nature: what a shop window shows, and nothing about who looks at it. Packed items are
stored, hashed and sent exactly as packed; they are parsed once and never re-encoded.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields
from typing import Any

from protocol import limits, wire
from protocol.limits import RemoteError

BYTES_MAX = {
    "item": limits.ITEM_ID_BYTES_MAX,
    "name": limits.NAME_BYTES_MAX,
    "description": limits.DESCRIPTION_BYTES_MAX,
    "brand": limits.ATTRIBUTE_BYTES_MAX,
    "category": limits.ATTRIBUTE_BYTES_MAX,
    "colour": limits.ATTRIBUTE_BYTES_MAX,
    "gender": limits.ATTRIBUTE_BYTES_MAX,
    "image_url": limits.URL_BYTES_MAX,
    "page_url": limits.URL_BYTES_MAX,
}
# So many letters fit whatever they are: UTF-8 takes at most four bytes for one.
LETTERS_MAX = {field: bytes_max // 4 for field, bytes_max in BYTES_MAX.items()}
# C0 controls and lone surrogates: neither has a place in a word, and the latter is no UTF-8.
CONTROL = re.compile("[\x00-\x1f\ud800-\udfff]")
# msgpack's first byte of a map of up to 15 fields, less how many.
FIXMAP = 0x80
GENDERS = ("", "women", "men", "unisex", "girls", "boys", "kids")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that a shop sells. Empty string means: the shop does not say.

    `item` is unique within its publisher's catalog. `price_minor` counts the currency's minor units
    (ISO 4217: cents, pence, paise); None when unknown, and then `currency` is empty too.
    """

    item: str
    name: str
    description: str = ""
    brand: str = ""
    category: str = ""
    colour: str = ""
    gender: str = ""
    price_minor: int | None = None
    currency: str = ""
    image_url: str = ""
    page_url: str = ""


FIELDS = tuple(field.name for field in fields(Item))


def check_item(item: Item) -> None:
    """Raise RemoteError("malformed" | "too_big") unless every field keeps its type and limit."""
    for field, bytes_max in BYTES_MAX.items():
        value = getattr(item, field)
        if not isinstance(value, str):
            raise RemoteError("malformed", f"{field} is not text")
        if not value:
            continue
        if len(value) > LETTERS_MAX[field] and len(value.encode("utf-8", "surrogatepass")) > bytes_max:
            raise RemoteError("too_big", f"{field} is over {bytes_max} bytes")
        if CONTROL.search(value):
            raise RemoteError("malformed", f"{field} holds a control character")
    if not item.item or not item.name:
        raise RemoteError("malformed", "an item needs an id and a name")
    if item.gender not in GENDERS:
        raise RemoteError("malformed", f"gender {item.gender!r}")
    check_price(item.price_minor, item.currency)


def check_price(price_minor: object, currency: object) -> None:
    """A price is an integer with an ISO 4217 code, or both are absent."""
    if price_minor is None:
        if currency != "":
            raise RemoteError("malformed", "a currency without a price")
        return
    if type(price_minor) is not int or not 0 <= price_minor <= limits.PRICE_MINOR_MAX:
        raise RemoteError("malformed", "price out of range")
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise RemoteError("malformed", "currency is not an ISO 4217 code")


def pack_item(item: Item) -> bytes:
    """The item's canonical bytes: a msgpack map of the stated fields, in field order."""
    check_item(item)
    stated = {name: value for name in FIELDS if (value := getattr(item, name)) not in ("", None)}
    packed = wire.pack(stated)
    if len(packed) > limits.RECORD_BYTES_MAX:
        raise RemoteError("too_big", f"record is over {limits.RECORD_BYTES_MAX} bytes")
    return packed


def parse_item(packed: bytes) -> Item:
    """Untrusted bytes to an Item. Raises RemoteError("malformed" | "too_big")."""
    if len(packed) > limits.RECORD_BYTES_MAX:
        raise RemoteError("too_big", f"record is over {limits.RECORD_BYTES_MAX} bytes")
    stated = wire.parse(packed)
    if not isinstance(stated, dict) or not {"item", "name"} <= stated.keys() <= set(FIELDS):
        raise RemoteError("malformed", "not an item record")
    if packed[0] != FIXMAP | len(stated):
        # Another parser would read another item out of the same bytes.
        raise RemoteError("malformed", "a field twice")
    item = Item(**stated)
    check_item(item)
    return item


def check_packed_item(packed: bytes) -> str:
    """The item id in packed bytes that keep every rule. Raises what parse_item raises, for the same bytes.

    Built for a catalog's worth of records: what is plainly right is let through, the rest is left to parse_item.
    """
    if len(packed) <= limits.RECORD_BYTES_MAX:
        stated = wire.parse_loose(packed)
        if type(stated) is dict and packed[0] == FIXMAP | len(stated) and _plainly_right(stated):
            item: str = stated["item"]
            return item
    return parse_item(packed).item


def _plainly_right(stated: dict[Any, Any]) -> bool:
    """Whether the fields surely keep every rule. May say no to some that do; takes the price out."""
    price, currency = stated.pop("price_minor", None), stated.pop("currency", "")
    try:
        check_price(price, currency)
        text = "".join(stated.values())
    except (RemoteError, TypeError):
        return False
    bytes_max = BYTES_MAX if text.isascii() else LETTERS_MAX
    for field, value in stated.items():
        if len(value) > bytes_max.get(field, -1):
            return False
    # Control characters and surrogates don't print; neither do some that are allowed, which are rare.
    return bool(
        (text.isprintable() or not CONTROL.search(text))
        and stated.get("item")
        and stated.get("name")
        and stated.get("gender", "") in GENDERS
    )


def item_key(item: str) -> bytes:
    """The item's position in its catalog: 16 bytes, uniform whatever ids a shop chooses."""
    return hashlib.sha256(item.encode()).digest()[:16]


@dataclass(frozen=True, slots=True)
class Stored:
    """One item as a node keeps it and passes it on: the bytes as published."""

    packed: bytes
    vector: bytes

    @property
    def vector_hash(self) -> bytes:
        return vector_hash(self.vector)


def vector_hash(packed_vector: bytes) -> bytes:
    """32 bytes over the packed vector."""
    return hashlib.sha256(packed_vector).digest()


def check_vector(packed_vector: bytes, vector_bytes: int | None) -> None:
    """Raise RemoteError("bad_vector") unless these can be an item's two halves, of that size where one is given.

    Int8 knows no NaN and a direction any length but zero, so nothing else can be wrong with them.
    """
    if not packed_vector or len(packed_vector) % 2 or (vector_bytes and len(packed_vector) != vector_bytes):
        raise RemoteError("bad_vector", f"a vector of {len(packed_vector)} bytes")
    if packed_vector == bytes(len(packed_vector)):
        raise RemoteError("bad_vector", "an item has neither a picture's nor a text's vector")


def record_hash_of(packed_item: bytes, hash_of_vector: bytes) -> bytes:
    """What identifies this state of the item: 32 bytes over the bytes as published.

    The vector enters by its hash, so that a changed price need not bring the vector along to be verified.
    """
    return hashlib.sha256(b"\x02" + hash_of_vector + packed_item).digest()


def record_hash(packed_item: bytes, packed_vector: bytes) -> bytes:
    """`record_hash_of` where the vector is at hand."""
    return record_hash_of(packed_item, vector_hash(packed_vector))
