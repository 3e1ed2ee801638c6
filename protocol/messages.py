"""Every frame that crosses the network, in one table: kind, class, and how each field is checked.

A frame is msgpack [kind, field, ...]. Parsing gives a typed frame or raises; nothing downstream checks types again.
A frame is a question, an answer or gossip, and is accepted only in that place. No frame has a field for a user, a
rating or a history: what is not in this table can't leave a node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, get_args

from protocol import limits, wire
from protocol.envelope import OVERHEAD_BYTES
from protocol.fields import Check, bytes_of, many_of, number_of, row_of
from protocol.heads import AT_MS_MAX, HEAD_BYTES_MAX
from protocol.identity import PUBLIC_BYTES
from protocol.limits import RemoteError
from protocol.merkle import BUCKET_ITEMS_MAX, DEPTH_MAX, HASH_BYTES, KEY_BYTES
from protocol.query import ANSWER_BYTES_MAX, QUERY_BYTES_MAX, RESULTS_MAX
from protocol.updates import MODEL_BYTES_MAX, UPDATE_BYTES_MAX

# key[12:16] and record[0:4] of one entry: enough to say "I have this one" within a bucket.
DIGEST_BYTES = 8
LEAF_PREFIX_BYTES = 8


@dataclass(frozen=True, slots=True)
class AskHeads:
    """Which catalogs do you hold, whole? `seen`: the digest of the Heads that this peer told last, empty at first."""

    seen: bytes


@dataclass(frozen=True, slots=True)
class Heads:
    """Sealed heads and fork proofs, as signed by their publishers; none of them when `digest` is what was seen."""

    digest: bytes
    heads: tuple[bytes, ...]
    forks: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class AskTree:
    """The hashes `levels` below each node of that publisher's tree with this root: (node, levels)."""

    publisher: bytes
    root: bytes
    nodes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TreeLevels:
    """32 << levels bytes for each node asked; empty when the tree is not here."""

    levels: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AskFill:
    """What is missing of these buckets: (bucket, first 8 bytes of its leaf hash, digests of what the asker has)."""

    publisher: bytes
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
    """Vectors of that publisher's items by item key and vector hash."""

    publisher: bytes
    wanted: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class VectorsAnswer:
    """In the order asked, empty where it is not here."""

    vectors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Announce:
    """A sealed head, new or told again."""

    head: bytes


@dataclass(frozen=True, slots=True)
class Forked:
    """Two sealed heads that prove a fork."""

    one: bytes
    other: bytes


@dataclass(frozen=True, slots=True)
class AskQuery:
    """A sealed query; see protocol/query.py."""

    query: bytes


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """A sealed answer."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class AskRecords:
    """Records of that publisher's items by item key and record hash: what an answer named and the asker lacks."""

    publisher: bytes
    wanted: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Records:
    """(packed item, vector hash) in the order asked, both empty where that record is not here."""

    records: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a question of any kind gets no answer: one of limits.REASONS."""

    reason: str


@dataclass(frozen=True, slots=True)
class AskUpdate:
    """Your newest block of that model, if newer than `seen_ms`? `update`: mine, sealed, or empty."""

    model: str
    features: str
    seen_ms: int
    update: bytes


@dataclass(frozen=True, slots=True)
class UpdateAnswer:
    """A sealed update, or empty where there is none, or none newer."""

    update: bytes


QuestionFrame: TypeAlias = AskHeads | AskTree | AskFill | AskVectors | AskQuery | AskRecords | AskUpdate
AnswerFrame: TypeAlias = Heads | TreeLevels | Fill | VectorsAnswer | QueryAnswer | Records | Refused | UpdateAnswer
GossipFrame: TypeAlias = Announce | Forked
Frame: TypeAlias = QuestionFrame | AnswerFrame | GossipFrame
QUESTIONS: tuple[type[Any], ...] = get_args(QuestionFrame)
ANSWERS: tuple[type[Any], ...] = get_args(AnswerFrame)
GOSSIP: tuple[type[Any], ...] = get_args(GossipFrame)


def pack_frame(frame: Frame) -> bytes:
    """A frame to bytes."""
    return wire.pack([KINDS[type(frame)], *(_plain(value) for value in astuple_shallow(frame))])


def parse_question(packed: bytes) -> QuestionFrame:
    """Untrusted bytes that wait for an answer. Raises: RemoteError("too_big" | "malformed")."""
    question: QuestionFrame = _parse(packed, QUESTIONS, limits.FRAME_BYTES_MAX)
    return question


def parse_answer(packed: bytes) -> AnswerFrame:
    """Untrusted bytes that answer a question. Raises: RemoteError("too_big" | "malformed")."""
    answer: AnswerFrame = _parse(packed, ANSWERS, limits.FRAME_BYTES_MAX)
    return answer


def parse_gossip(packed: bytes) -> GossipFrame:
    """Untrusted bytes from the topic. Raises: RemoteError("too_big" | "malformed")."""
    gossip: GossipFrame = _parse(packed, GOSSIP, limits.GOSSIP_BYTES_MAX)
    return gossip


def kind_name(packed: bytes) -> str:
    """The name of a frame's kind by its first two bytes, for counting; "unknown" for anything else."""
    # A short array (0x90 and how many), then the kind, a number below 128.
    if len(packed) > 1 and packed[0] & 0xF0 == 0x90 and packed[1] in FRAMES:
        return FRAMES[packed[1]][0].__name__
    return "unknown"


def heads_digest(heads: Sequence[bytes], forks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """What a Heads answer is known by, whatever the order: 32 bytes over the sorted hashes of all that it lists."""
    listed = [hashlib.sha256(head).digest() for head in heads]
    listed += [hashlib.sha256(b"".join(hashlib.sha256(head).digest() for head in fork)).digest() for fork in forks]
    return hashlib.sha256(b"".join(sorted(listed))).digest()


def _parse(packed: bytes, allowed: tuple[type[Any], ...], bytes_max: int) -> Any:
    if len(packed) > bytes_max:
        raise RemoteError("too_big", "a frame")
    # The table checks every value's type, so nesting is bounded by what it expects.
    parts = wire.parse_loose(packed)
    if not (type(parts) is list and parts and type(parts[0]) is int and parts[0] in FRAMES):
        raise RemoteError("malformed", "no frame of ours")
    frame, checks = FRAMES[parts[0]]
    if frame not in allowed:
        raise RemoteError("malformed", f"{frame.__name__} in the wrong place")
    if len(parts) != 1 + len(checks):
        raise RemoteError("malformed", f"{frame.__name__} has {len(checks)} fields")
    return frame(*(check(value) for check, value in zip(checks, parts[1:], strict=True)))


def astuple_shallow(frame: Frame) -> tuple[Any, ...]:
    """The fields as they are; dataclasses.astuple would also unfold what is inside."""
    return tuple(getattr(frame, name) for name in _NAMES[type(frame)])


def _plain(value: Any) -> Any:
    """Tuples and inner records to lists."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, BucketFill):
        return [value.gone, [_plain_record(record) for record in value.records]]
    return value


def _plain_record(record: Added | Changed) -> list[Any]:
    if isinstance(record, Changed):
        return [True, record.packed, record.vector_hash]
    return [False, record.packed, record.vector]


# -- checks: each takes what msgpack gave and returns the typed value, or raises ------------------------------------


def _bucket_fill(value: Any) -> BucketFill | None:
    if value is None:
        return None
    gone, records = _bucket_row(value)
    return BucketFill(gone, records)


def _record(value: Any) -> Added | Changed:
    # One of these for each item of a catalog: written out, because a call for each part costs more than the checks.
    if type(value) is not list or len(value) != 3 or type(value[0]) is not bool:
        raise RemoteError("malformed", "not a record")
    changed, packed, vector = value
    if type(packed) is not bytes or not 0 < len(packed) <= limits.RECORD_BYTES_MAX:
        raise RemoteError("malformed", "a record's bytes")
    if type(vector) is not bytes or not 0 < len(vector) <= limits.VECTOR_BYTES_MAX:
        raise RemoteError("malformed", "a record's vector")
    if not changed:
        return Added(packed, vector)
    return Changed(packed, _hash(vector))


def _held_record(value: Any) -> tuple[bytes, bytes]:
    packed, vector_hash = row_of(bytes_of(0, limits.RECORD_BYTES_MAX), bytes_of(0, HASH_BYTES))(value)
    if len(vector_hash) != (HASH_BYTES if packed else 0):
        raise RemoteError("malformed", "half a record")
    return packed, vector_hash


def _seen(value: Any) -> bytes:
    return b"" if value == b"" else _hash(value)


def _reason(value: Any) -> str:
    if type(value) is not str or value not in limits.REASONS:
        raise RemoteError("malformed", "no reason of ours")
    return value


def _name(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MODEL_BYTES_MAX or not value.isascii():
        raise RemoteError("malformed", "no name of a model or of features")
    return value


_hash = bytes_of(HASH_BYTES, HASH_BYTES)
_key = bytes_of(KEY_BYTES, KEY_BYTES)
_publisher = bytes_of(PUBLIC_BYTES, PUBLIC_BYTES)
_head = bytes_of(1, HEAD_BYTES_MAX)
_node = row_of(number_of(1, (2 << DEPTH_MAX) - 1), number_of(0, DEPTH_MAX))
_have = bytes_of(0, BUCKET_ITEMS_MAX * DIGEST_BYTES)
_asked_bucket = row_of(number_of(0, (1 << DEPTH_MAX) - 1), bytes_of(LEAF_PREFIX_BYTES, LEAF_PREFIX_BYTES), _have)
_bucket_row = row_of(bytes_of(0, BUCKET_ITEMS_MAX), many_of(_record, BUCKET_ITEMS_MAX))
_wanted = row_of(_key, _hash)

# The table. Kinds are never reused; a frozen vector of each is in tests/vectors/frames.json.
FRAMES: dict[int, tuple[type[Any], tuple[Check, ...]]] = {
    1: (AskHeads, (_seen,)),
    2: (Heads, (_hash, many_of(_head, limits.HEADS_MAX), many_of(row_of(_head, _head), limits.HEADS_MAX))),
    3: (AskTree, (_publisher, _hash, many_of(_node, limits.TREE_HASHES_MAX))),
    4: (TreeLevels, (many_of(bytes_of(HASH_BYTES, limits.FRAME_BYTES_MAX), limits.TREE_HASHES_MAX),)),
    5: (AskFill, (_publisher, _hash, many_of(_asked_bucket, limits.FILL_BUCKETS_MAX))),
    6: (Fill, (many_of(_bucket_fill, limits.FILL_BUCKETS_MAX),)),
    7: (AskVectors, (_publisher, many_of(_wanted, limits.VECTORS_MAX))),
    8: (VectorsAnswer, (many_of(bytes_of(0, limits.VECTOR_BYTES_MAX), limits.VECTORS_MAX),)),
    9: (Announce, (_head,)),
    10: (Forked, (_head, _head)),
    11: (AskQuery, (bytes_of(1, QUERY_BYTES_MAX + OVERHEAD_BYTES),)),
    12: (QueryAnswer, (bytes_of(1, ANSWER_BYTES_MAX + OVERHEAD_BYTES),)),
    13: (AskRecords, (_publisher, many_of(_wanted, RESULTS_MAX))),
    14: (Records, (many_of(_held_record, RESULTS_MAX),)),
    15: (Refused, (_reason,)),
    16: (AskUpdate, (_name, _name, number_of(0, AT_MS_MAX), bytes_of(0, UPDATE_BYTES_MAX))),
    17: (UpdateAnswer, (bytes_of(0, UPDATE_BYTES_MAX),)),
}
_NAMES: dict[type[Any], tuple[str, ...]] = {
    frame: tuple(field.name for field in fields(frame)) for frame, _ in FRAMES.values()
}
KINDS: dict[type[Any], int] = {frame: kind for kind, (frame, _) in FRAMES.items()}
