"""The one door to msgpack: typed values to bytes, and untrusted bytes to plain values.

Only nil, bool, int, float, str, bytes, list and map with text keys exist on the wire; no extension types, and
nothing is ever unpickled. Parsing is bounded before it allocates: sizes can't exceed the bytes at hand, nor lists and
maps their number.
"""

from __future__ import annotations

from typing import Any

import msgpack

from protocol.limits import WIRE_DEPTH_MAX, WIRE_LISTS_MAX, RemoteError

PLAIN = {str, bytes, int, float, bool, type(None)}


def pack(value: Any) -> bytes:
    """Plain value to msgpack bytes. Map order is kept, so equal input gives equal bytes."""
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def parse(packed: bytes) -> Any:
    """Untrusted msgpack to a plain value, nested at most WIRE_DEPTH_MAX deep. Raises RemoteError("malformed")."""
    value = parse_loose(packed)
    check_depth(value, WIRE_DEPTH_MAX)
    return value


def parse_loose(packed: bytes) -> Any:
    """The same without bounds on nesting: only for a caller that checks the type of every value, which bounds it too.

    Raises RemoteError("malformed").
    """
    try:
        # Sizes are bounded by the bytes at hand: msgpack's default where all of them are given at once.
        if len(packed) < WIRE_LISTS_MAX:
            return msgpack.unpackb(packed, raw=False, strict_map_key=True, max_ext_len=0, ext_hook=_refuse)
        return _parse_counting(packed)
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise RemoteError("malformed", type(error).__name__) from error


def check_depth(value: Any, depth: int) -> None:
    """Refuse nesting deeper than `depth` and anything that is not a plain value."""
    level = [value]
    for at in range(depth + 1):
        inner: list[Any] = []
        for one in level:
            kind = type(one)
            if kind in PLAIN:
                continue
            if kind is not list and kind is not dict:
                raise RemoteError("malformed", f"a {kind.__name__} on the wire")
            if at == depth:
                raise RemoteError("malformed", "nested too deep")
            inner += one if kind is list else one.values()
        if not inner:
            return
        level = inner


def _parse_counting(packed: bytes) -> Any:
    """For bytes that could hold more than WIRE_LISTS_MAX lists and maps: refused when they do."""
    left = WIRE_LISTS_MAX

    def count(value: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError("too many lists and maps")
        return value

    return msgpack.unpackb(
        packed,
        raw=False,
        strict_map_key=True,
        max_array_len=WIRE_LISTS_MAX,
        max_ext_len=0,
        ext_hook=_refuse,
        list_hook=count,
        object_hook=count,
    )


def _refuse(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code}")
