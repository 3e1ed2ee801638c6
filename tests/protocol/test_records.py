"""Items as bytes: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import hashlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits, wire
from protocol.limits import RemoteError
from protocol.records import BYTES_MAX, GENDERS, Item, item_key, pack_item, parse_item, record_hash

printable = st.characters(min_codepoint=32, exclude_categories=("Cs",))


def text(field: str, least: int = 0) -> st.SearchStrategy[str]:
    letters = BYTES_MAX[field] // 4
    return st.text(printable, min_size=least, max_size=min(letters, 40))


prices = st.one_of(
    st.just((None, "")),
    st.tuples(st.integers(0, limits.PRICE_MINOR_MAX), st.sampled_from(["GBP", "INR", "JPY"])),
)
items = st.builds(
    lambda price, **fields: Item(price_minor=price[0], currency=price[1], **fields),
    price=prices,
    item=text("item", 1),
    name=text("name", 1),
    description=text("description"),
    brand=text("brand"),
    category=text("category"),
    colour=text("colour"),
    gender=st.sampled_from(GENDERS),
    image_url=text("image_url"),
    page_url=text("page_url"),
)
DRESS = Item(item="7", name="Red dress", colour="red", price_minor=1299, currency="GBP")
# Frozen: a change here is a change of the record format, and every root in the network changes with it.
DRESS_BYTES = bytes.fromhex(
    "85a46974656da137a46e616d65a95265642064726573"
    "73a6636f6c6f7572a3726564ab70726963655f6d696e6f72cd0513a863757272656e6379a3474250"
)


@given(items)
def test_packing_and_parsing_is_the_identity(item: Item) -> None:
    packed = pack_item(item)
    assert parse_item(packed) == item
    assert pack_item(parse_item(packed)) == packed


def test_frozen_bytes() -> None:
    assert pack_item(DRESS) == DRESS_BYTES
    assert msgpack.unpackb(DRESS_BYTES) == {
        "item": "7",
        "name": "Red dress",
        "colour": "red",
        "price_minor": 1299,
        "currency": "GBP",
    }
    vector = bytes(range(16))
    expected = hashlib.sha256(b"\x02" + hashlib.sha256(vector).digest() + DRESS_BYTES).hexdigest()
    assert record_hash(DRESS_BYTES, vector).hex() == expected
    assert item_key("7") == hashlib.sha256(b"7").digest()[:16]


@given(st.binary(max_size=200))
def test_any_bytes_are_an_item_or_a_remote_error(packed: bytes) -> None:
    try:
        assert isinstance(parse_item(packed), Item)
    except RemoteError as error:
        assert error.reason in limits.REASONS


@given(items, st.data())
def test_a_cut_or_flipped_record_never_raises_anything_else(item: Item, data: st.DataObject) -> None:
    packed = bytearray(pack_item(item))
    place = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(RemoteError):
        parse_item(bytes(packed[:place]))
    packed[place] ^= data.draw(st.integers(1, 255))
    try:
        parse_item(bytes(packed))
    except RemoteError as error:
        assert error.reason in limits.REASONS


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({"item": "7"}, "malformed"),
        ({"item": "", "name": "x"}, "malformed"),
        ({"item": "7", "name": "x", "user": "ada"}, "malformed"),
        ({"item": 7, "name": "x"}, "malformed"),
        ({"item": "7", "name": "x\n"}, "malformed"),
        ({"item": "7", "name": "x", "price_minor": 1.5, "currency": "GBP"}, "malformed"),
        ({"item": "7", "name": "x", "price_minor": True, "currency": "GBP"}, "malformed"),
        ({"item": "7", "name": "x", "price_minor": -1, "currency": "GBP"}, "malformed"),
        ({"item": "7", "name": "x", "price_minor": 1}, "malformed"),
        ({"item": "7", "name": "x", "currency": "GBP"}, "malformed"),
        ({"item": "7", "name": "x", "price_minor": 1, "currency": "gbp"}, "malformed"),
        ({"item": "7", "name": "x", "gender": "Femme"}, "malformed"),
        ({"item": "7" * 129, "name": "x"}, "too_big"),
        ({"item": "7", "name": "é" * 257}, "too_big"),
        ({"item": "7", "name": "x", "description": "y" * 5000}, "too_big"),
        ([1, 2], "malformed"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_reason(stated: object, reason: str) -> None:
    with pytest.raises(RemoteError) as caught:
        parse_item(wire.pack(stated))
    assert caught.value.reason == reason


def test_the_largest_allowed_record_fits() -> None:
    full = {field: "x" * size for field, size in BYTES_MAX.items() if field != "gender"}
    packed = pack_item(Item(**full, gender="women", price_minor=limits.PRICE_MINOR_MAX, currency="GBP"))
    assert len(packed) <= limits.RECORD_BYTES_MAX
    assert parse_item(packed).name == "x" * limits.NAME_BYTES_MAX
