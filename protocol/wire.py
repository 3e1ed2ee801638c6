"""The one door to msgpack: typed values to bytes, and untrusted bytes to plain values.

Only nil, bool, int, float, str, bytes, list and map with text keys exist on the wire; no extension types, and
nothing is ever unpickled. Parsing is bounded before it allocates: sizes can't exceed the bytes at hand.
"""

from __future__ import annotations

from typing import Any

import msgpack

from protocol.limits import WIRE_DEPTH_MAX, RemoteError


def pack(value: Any) -> bytes:
    """Plain value to msgpack bytes. Map order is kept, so equal input gives equal bytes."""
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def parse(packed: bytes) -> Any:
    """Untrusted msgpack to a plain value. Raises RemoteError("malformed")."""
    size = len(packed)
    try:
        value = msgpack.unpackb(
            packed,
            raw=False,
            strict_map_key=True,
            max_str_len=size,
            max_bin_len=size,
            max_array_len=size,
            max_map_len=size,
            max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
        raise RemoteError("malformed", type(error).__name__) from error
    check_depth(value, WIRE_DEPTH_MAX)
    return value


def check_depth(value: Any, depth: int) -> None:
    """Refuse nesting deeper than `depth` and anything that is not a plain value."""
    if isinstance(value, (dict, list)):
        if depth == 0:
            raise RemoteError("malformed", "nested too deep")
        children = value if isinstance(value, list) else [*value.keys(), *value.values()]
        for child in children:
            check_depth(child, depth - 1)
    elif not isinstance(value, (str, bytes, int, float, bool, type(None))):
        raise RemoteError("malformed", f"a {type(value).__name__} on the wire")
