"""Items as bytes: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import limits, wire
from protocol.limits import RemoteError
from protocol.records import (
    BYTES_MAX,
    GENDERS,
    Item,
    check_packed_item,
    check_vector,
    item_key,
    pack_item,
    parse_item,
    record_hash,
)

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


# Fields as they should be, nearly so, and not at all; every rule has a value on either side of it.
borders: dict[str, list[object]] = {
    "item": ["", "x" * 128, "x" * 129, "\u00e9" * 64, "\u00e9" * 65, b"7", 7],
    "name": ["", "x\n", "x\x7f", "x\u00a0y", "x\u2028y", "\U0001f457" * 128, None],
    "description": ["", "d" * 2000, "d" * 2001, "\u2019" * 500, "\u2019" * 501, "\u2019" * 667, ["d"]],
    "brand": ["", "b" * 96, "b" * 97, "\x00", "\x1f", "\u0080", True],
    "colour": ["red", {"a": 1}, [[]]],
    "gender": [*GENDERS, "Women", b"men", 0],
    "price_minor": [None, 0, 1, -1, 1.0, True, "1", limits.PRICE_MINOR_MAX, limits.PRICE_MINOR_MAX + 1],
    "currency": ["", "GBP", "gbp", "GB", "GBPX", "\u00c9UR", b"GBP", None, 3],
    "image_url": ["", "u" * 480, "u" * 481],
    "user": ["ada"],
}
values = {name: st.sampled_from(border) for name, border in borders.items()}
plain = {name: values[name] for name in values if name not in ("item", "name", "user")}
maps = st.one_of(
    st.fixed_dictionaries({"item": text("item", 1), "name": text("name", 1)}, optional=plain),
    st.fixed_dictionaries({}, optional=values),
)


def verdict(check: Callable[[bytes], str], packed: bytes) -> str:
    try:
        return f"item {check(packed)}"
    except RemoteError as error:
        return error.reason


def same_verdict(packed: bytes) -> str:
    slow = verdict(lambda one: parse_item(one).item, packed)
    assert verdict(check_packed_item, packed) == slow
    return slow


@settings(max_examples=1000)
@given(maps)
def test_the_fast_check_says_what_parsing_says(stated: dict[str, object]) -> None:
    same_verdict(wire.pack(stated))


@given(items)
def test_the_fast_check_gives_the_item_id(item: Item) -> None:
    assert same_verdict(pack_item(item)) == f"item {item.item}"


@given(items, st.data())
def test_the_fast_check_says_the_same_of_broken_records(item: Item, data: st.DataObject) -> None:
    packed = bytearray(pack_item(item))
    place = data.draw(st.integers(0, len(packed) - 1))
    same_verdict(bytes(packed[:place]))
    same_verdict(bytes(packed) + b"\0")
    packed[place] ^= data.draw(st.integers(1, 255))
    same_verdict(bytes(packed))


@given(st.one_of(st.binary(max_size=200), st.recursive(st.none(), st.lists, max_leaves=20).map(wire.pack)))
def test_the_fast_check_says_the_same_of_anything(packed: bytes) -> None:
    same_verdict(packed)


def test_one_value_at_each_border_by_either_check() -> None:
    """Each field's every value beside fields that are right, so that nothing else decides."""
    seen = set()
    beside: dict[str, dict[str, object]] = {"currency": {"price_minor": 5}, "price_minor": {"currency": "GBP"}}
    for field, border in borders.items():
        for value in border:
            seen.add(same_verdict(wire.pack({"item": "7", "name": "x", **beside.get(field, {}), field: value})))
    assert same_verdict(bytes(limits.RECORD_BYTES_MAX + 1)) == "too_big"
    assert {"malformed", "too_big", "item 7"} <= seen


@pytest.mark.parametrize("vector", [b"", bytes(8), b"\x01", b"\x01" * 7, b"\x01" * 6])
def test_vectors_that_are_none(vector: bytes) -> None:
    with pytest.raises(RemoteError) as caught:
        check_vector(vector, 8)
    assert caught.value.reason == "bad_vector"


def test_vectors_of_any_even_length_where_none_is_known() -> None:
    check_vector(b"\0\0\0\1", None)
    check_vector(b"\0\1", 2)
    with pytest.raises(RemoteError):
        check_vector(b"\1\1\1", None)


def test_a_field_twice_is_refused_whichever_parser_reads_it() -> None:
    """The hash covers bytes: two parsers must not read two items out of the same ones."""
    twice = b"\x83" + b"".join(wire.pack(word) for word in ("item", "a", "name", "x", "item", "b"))
    for read in (parse_item, check_packed_item):
        with pytest.raises(RemoteError, match="malformed"):
            read(twice)
