"""msgpack at the border: plain values only, bounded, and never anything but a RemoteError."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import wire
from protocol.limits import FRAME_BYTES_MAX, WIRE_DEPTH_MAX, WIRE_LISTS_MAX, RemoteError

leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text(), st.binary()
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


@given(values)
def test_plain_values_survive(value: object) -> None:
    packed = wire.pack(value)
    try:
        assert wire.parse(packed) == value
    except RemoteError:
        assert depth(value) > WIRE_DEPTH_MAX


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(st.binary(max_size=100))
def test_any_bytes_parse_or_raise_remote_error(packed: bytes) -> None:
    try:
        wire.parse(packed)
    except RemoteError as error:
        assert error.reason == "malformed"


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc1",
        b"\xdd\xff\xff\xff\xff",  # an array that announces 4 thousand million elements
        b"\xc6\xff\xff\xff\xff",  # 4 GB of binary announced
        b"\x91" * 1000 + b"\xc0",  # deep nesting
        msgpack.packb(msgpack.ExtType(5, b"x")),
        msgpack.packb(msgpack.Timestamp(1)),
        msgpack.packb({1: 2}),
        b"\xa1\xff",  # not UTF-8
        b"\xc0\xc0",  # trailing bytes
    ],
)
def test_hostile_bytes_are_refused(packed: bytes) -> None:
    with pytest.raises(RemoteError):
        wire.parse(packed)


def test_depth_is_limited_exactly() -> None:
    value: object = 1
    for _ in range(WIRE_DEPTH_MAX):
        value = [value]
    assert wire.parse(wire.pack(value)) == value
    with pytest.raises(RemoteError):
        wire.parse(wire.pack([value]))


@pytest.mark.parametrize("inner", [[], {}, [1]])
def test_lists_and_maps_are_counted(inner: object) -> None:
    half = [inner] * (WIRE_LISTS_MAX // 2 - 2)
    value = [half, [*half, inner]]
    assert wire.parse(wire.pack(value)) == value
    for parse in (wire.parse, wire.parse_loose):
        with pytest.raises(RemoteError):
            parse(wire.pack([half, [*half, inner, inner]]))


@pytest.mark.parametrize("unit", [b"\x90", b"\x80", b"\x9f" + b"\x90" * 15, b"\xdd\x00\x0f\x00\x00", b"\xa2ab"])
def test_a_frame_of_what_costs_most_to_build_is_refused(unit: bytes) -> None:
    count = (FRAME_BYTES_MAX - 5) // len(unit)
    with pytest.raises(RemoteError):
        wire.parse_loose(b"\xdd" + count.to_bytes(4, "big") + unit * count)


def test_parsing_loosely_leaves_only_nesting_to_the_caller() -> None:
    deep: object = 1
    for _ in range(100):
        deep = [deep]
    assert wire.parse_loose(wire.pack(deep)) == deep
    for hostile in (b"\xc1", b"\x91" * 100_000, msgpack.packb(msgpack.ExtType(5, b"")), msgpack.packb({1: 2})):
        with pytest.raises(RemoteError):
            wire.parse_loose(hostile)
