"""Answering for a catalog: pure functions from what is asked and what is held to the frame that goes back.

The server trusts nothing that the asker says beyond its own limits, and the asker verifies everything that comes
back, so a server that lags, lies or holds another version can only waste a page. Knows no storage: the caller hands
in the tree and two look-ups. Every answer fits a frame whatever is asked: what is asked for is bounded by the frame's
checks, and VECTORS_MAX of the longest vectors or RESULTS_MAX of the largest records are under half of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from protocol import limits
from protocol.limits import RemoteError
from protocol.merkle import ENTRY_BYTES, HASH_BYTES, KEY_BYTES, Tree, leaf_hash
from protocol.messages import (
    DIGEST_BYTES,
    LEAF_PREFIX_BYTES,
    Added,
    AskFill,
    AskRecords,
    AskTree,
    AskVectors,
    BucketFill,
    Changed,
    Fill,
    Records,
    TreeLevels,
    VectorsAnswer,
)
from protocol.records import Stored, record_hash_of

# bucket -> its entries (key and record hash, in key order) at the tree's depth
EntriesOf: TypeAlias = Callable[[int], bytes]
# keys -> what is stored of each, in the order asked; None for a key that is not here
RecordsOf: TypeAlias = Callable[[list[bytes]], Sequence[Stored | None]]
# What msgpack and the flags add to a record, and to a bucket.
RECORD_OVERHEAD_BYTES = 12
FRAME_OVERHEAD_BYTES = 64


def digest(entry: bytes) -> bytes:
    """The 8 bytes by which an asker says that it has an entry: end of the key, start of the record hash."""
    return entry[KEY_BYTES - 4 : KEY_BYTES + 4]


def answer_tree(ask: AskTree, tree: Tree | None) -> TreeLevels:
    """The hashes asked for; nothing when the tree with that root is not here. Raises: RemoteError("too_big")."""
    if sum(1 << levels for _, levels in ask.nodes) > limits.TREE_HASHES_MAX:
        raise RemoteError("too_big", f"more than {limits.TREE_HASHES_MAX} hashes asked for")
    if tree is None or tree.root != ask.root:
        return TreeLevels(())
    try:
        return TreeLevels(tuple(tree.level(node, levels) for node, levels in ask.nodes))
    except ValueError as error:
        raise RemoteError("malformed", "a node outside the tree") from error


def answer_fill(ask: AskFill, depth: int, entries_of: EntriesOf, records_of: RecordsOf) -> Fill:
    """The first buckets asked for, as many as fit a page. A bucket that differs here from the one named is None.

    Buckets are named by their hash and not by the root, so a replica at another version still serves all that it
    has unchanged. Raises: RemoteError("malformed").
    """
    buckets: list[BucketFill | None] = []
    page_bytes = FRAME_OVERHEAD_BYTES
    for bucket, leaf_prefix, have in ask.buckets:
        if len(have) % DIGEST_BYTES or bucket >> depth:
            raise RemoteError("malformed", "a bucket or its digests")
        entries = entries_of(bucket)
        if leaf_hash(depth, bucket, entries)[:LEAF_PREFIX_BYTES] != leaf_prefix:
            buckets.append(None)
            continue
        fill = _difference(entries, have, records_of)
        fill_bytes = _size(fill)
        if buckets and page_bytes + fill_bytes > limits.PAGE_BYTES:
            break
        buckets.append(fill)
        page_bytes += fill_bytes
    return Fill(tuple(buckets))


def answer_vectors(ask: AskVectors, records_of: RecordsOf) -> VectorsAnswer:
    """The vectors asked for, empty where the one held is another or none."""
    # Keys may lie anywhere: one look-up each, so that a store that reads ranges is never made to read a whole catalog.
    found = [(records_of([key])[0], known) for key, known in ask.wanted]
    return VectorsAnswer(
        tuple(stored.vector if stored is not None and stored.vector_hash == known else b"" for stored, known in found)
    )


def answer_records(ask: AskRecords, records_of: RecordsOf) -> Records:
    """The records asked for with their vectors' hashes, both empty where the record held is another or none."""
    return Records(tuple(_held(records_of([key])[0], known) for key, known in ask.wanted))


def _held(stored: Stored | None, known: bytes) -> tuple[bytes, bytes]:
    if stored is not None:
        hash_of_vector = stored.vector_hash
        if record_hash_of(stored.packed, hash_of_vector) == known:
            return stored.packed, hash_of_vector
    return b"", b""


def _difference(entries: bytes, have: bytes, records_of: RecordsOf) -> BucketFill:
    """What the asker lacks and what it has too much."""
    digests = [have[at : at + DIGEST_BYTES] for at in range(0, len(have), DIGEST_BYTES)]
    mine = [entries[at : at + ENTRY_BYTES] for at in range(0, len(entries), ENTRY_BYTES)]
    held, held_keys = set(digests), {one[:4] for one in digests}
    keys_here = {entry[KEY_BYTES - 4 : KEY_BYTES] for entry in mine}
    gone = bytes(place for place, one in enumerate(digests) if one[:4] not in keys_here)
    lacking = [entry[:KEY_BYTES] for entry in mine if digest(entry) not in held]
    records: list[Added | Changed] = []
    for key, stored in zip(lacking, records_of(lacking) if lacking else (), strict=True):
        assert stored is not None, "an entry without its record"
        if key[KEY_BYTES - 4 :] in held_keys:
            records.append(Changed(stored.packed, stored.vector_hash))
        else:
            records.append(Added(stored.packed, stored.vector))
    return BucketFill(gone, tuple(records))


def _size(fill: BucketFill) -> int:
    sizes = (
        len(record.packed) + (len(record.vector) if isinstance(record, Added) else HASH_BYTES) + RECORD_OVERHEAD_BYTES
        for record in fill.records
    )
    return len(fill.gone) + RECORD_OVERHEAD_BYTES + sum(sizes)
