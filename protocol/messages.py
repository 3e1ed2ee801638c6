"""Every frame that crosses the network, in one table: kind, class, and how each field is checked.

A frame is msgpack [kind, field, ...]. Parsing gives a typed frame or raises; nothing downstream checks types again.
No frame has a field for a user, a rating or a history: what is not in this table can't leave a node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from typing import Any, TypeAlias

from protocol import limits, wire
from protocol.heads import HEAD_BYTES_MAX
from protocol.limits import RemoteError
from protocol.merkle import BUCKET_ITEMS_MAX, DEPTH_MAX, HASH_BYTES, KEY_BYTES

# key[12:16] and record[0:4] of one entry: enough to say "I have this one" within a bucket.
DIGEST_BYTES = 8
LEAF_PREFIX_BYTES = 8


@dataclass(frozen=True, slots=True)
class AskHeads:
    """Which catalogs do you hold, whole?"""


@dataclass(frozen=True, slots=True)
class Heads:
    """Sealed heads, as signed by their publishers."""

    heads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AskTree:
    """The hashes `levels` below each node of the tree with this root: (node, levels)."""

    root: bytes
    nodes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TreeLevels:
    """32 << levels bytes for each node asked; empty when the tree is not here."""

    levels: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AskFill:
    """What is missing of these buckets: (bucket, first 8 bytes of its leaf hash, digests of what the asker has)."""

    root: bytes
    buckets: tuple[tuple[int, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """A record whose vector the asker probably has: only its hash travels."""

    packed: bytes
    vector_hash: bytes


@dataclass(frozen=True, slots=True)
class Added:
    """A record that the asker has nothing of."""

    packed: bytes
    vector: bytes


@dataclass(frozen=True, slots=True)
class BucketFill:
    """One bucket's difference: places in the asker's digests that are gone, and the records that it lacks."""

    gone: bytes
    records: tuple[Added | Changed, ...]


@dataclass(frozen=True, slots=True)
class Fill:
    """The first buckets asked for, in order, as many as fit a page; None: not that bucket here."""

    buckets: tuple[BucketFill | None, ...]


@dataclass(frozen=True, slots=True)
class AskVectors:
    """Vectors by item key and vector hash."""

    wanted: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class VectorsAnswer:
    """In the order asked, empty where it is not here."""

    vectors: tuple[bytes, ...]


Frame: TypeAlias = AskHeads | Heads | AskTree | TreeLevels | AskFill | Fill | AskVectors | VectorsAnswer


def pack_frame(frame: Frame) -> bytes:
    """A frame to bytes."""
    return wire.pack([KINDS[type(frame)], *(_plain(value) for value in astuple_shallow(frame))])


def parse_frame(packed: bytes) -> Frame:
    """Untrusted bytes to a frame. Raises: RemoteError("too_big" | "malformed")."""
    if len(packed) > limits.FRAME_BYTES_MAX:
        raise RemoteError("too_big", "a frame")
    parts = wire.parse(packed)
    if not (isinstance(parts, list) and parts and type(parts[0]) is int and parts[0] in FRAMES):
        raise RemoteError("malformed", "no frame of ours")
    frame, checks = FRAMES[parts[0]]
    if len(parts) != 1 + len(checks):
        raise RemoteError("malformed", f"{frame.__name__} has {len(checks)} fields")
    parsed: Frame = frame(*(check(value) for check, value in zip(checks, parts[1:], strict=True)))
    return parsed


def astuple_shallow(frame: Frame) -> tuple[Any, ...]:
    """The fields as they are; dataclasses.astuple would also unfold what is inside."""
    return tuple(getattr(frame, field.name) for field in fields(frame))


def _plain(value: Any) -> Any:
    """Tuples and inner records to lists."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, BucketFill):
        return [value.gone, [_plain(record) for record in value.records]]
    if isinstance(value, Added | Changed):
        return [type(value) is Changed, *astuple(value)]
    return value


# -- checks: each takes what msgpack gave and returns the typed value, or raises ------------------------------------

Check: TypeAlias = Callable[[Any], Any]


def _bytes(least: int, most: int) -> Check:
    def check(value: Any) -> bytes:
        if not isinstance(value, bytes) or not least <= len(value) <= most:
            raise RemoteError("malformed", f"not {least} to {most} bytes")
        return value

    return check


def _number(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise RemoteError("malformed", f"not a number from {least} to {most}")
        return value

    return check


def _many(check_one: Check, most: int) -> Check:
    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise RemoteError("malformed", f"not a list of at most {most}")
        return tuple(check_one(one) for one in value)

    return check


def _row(*checks: Check) -> Check:
    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(checks):
            raise RemoteError("malformed", f"not a row of {len(checks)}")
        return tuple(one(part) for one, part in zip(checks, value, strict=True))

    return check


def _bucket_fill(value: Any) -> BucketFill | None:
    if value is None:
        return None
    gone, records = _row(_bytes(0, BUCKET_ITEMS_MAX), _many(_record, BUCKET_ITEMS_MAX))(value)
    return BucketFill(gone, records)


def _record(value: Any) -> Added | Changed:
    if not (isinstance(value, list) and len(value) == 3 and type(value[0]) is bool):
        raise RemoteError("malformed", "not a record")
    packed = _bytes(1, limits.RECORD_BYTES_MAX)(value[1])
    if value[0]:
        return Changed(packed, _hash(value[2]))
    return Added(packed, _bytes(1, limits.VECTOR_BYTES_MAX)(value[2]))


_hash = _bytes(HASH_BYTES, HASH_BYTES)
_key = _bytes(KEY_BYTES, KEY_BYTES)
_node = _row(_number(1, (2 << DEPTH_MAX) - 1), _number(0, DEPTH_MAX))
_have = _bytes(0, BUCKET_ITEMS_MAX * DIGEST_BYTES)
_asked_bucket = _row(_number(0, (1 << DEPTH_MAX) - 1), _bytes(LEAF_PREFIX_BYTES, LEAF_PREFIX_BYTES), _have)

# The table. Kinds are never reused; a frozen vector of each is in tests/vectors/frames.json.
FRAMES: dict[int, tuple[type[Any], tuple[Check, ...]]] = {
    1: (AskHeads, ()),
    2: (Heads, (_many(_bytes(1, 2 * HEAD_BYTES_MAX), limits.HEADS_MAX),)),
    3: (AskTree, (_hash, _many(_node, limits.TREE_HASHES_MAX))),
    4: (TreeLevels, (_many(_bytes(HASH_BYTES, limits.FRAME_BYTES_MAX), limits.TREE_HASHES_MAX),)),
    5: (AskFill, (_hash, _many(_asked_bucket, limits.FILL_BUCKETS_MAX))),
    6: (Fill, (_many(_bucket_fill, limits.FILL_BUCKETS_MAX),)),
    7: (AskVectors, (_many(_row(_key, _hash), limits.VECTORS_MAX),)),
    8: (VectorsAnswer, (_many(_bytes(0, limits.VECTOR_BYTES_MAX), limits.VECTORS_MAX),)),
}
KINDS: dict[type[Any], int] = {frame: kind for kind, (frame, _) in FRAMES.items()}
