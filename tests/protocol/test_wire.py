"""msgpack at the border: plain values only, bounded, and never anything but a RemoteError."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import wire
from protocol.limits import WIRE_DEPTH_MAX, RemoteError

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
