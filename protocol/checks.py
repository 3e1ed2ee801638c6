"""What came from a peer, held against hashes that are verified already: buckets and vectors.

A peer that serves a catalog has verified it, so whatever does not add up here is that peer's fault, and so is metadata
or a vector that breaks a rule though its publisher signed it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from protocol.limits import RemoteError
from protocol.merkle import ENTRY_BYTES, KEY_BYTES, check_bucket, leaf_hash
from protocol.messages import DIGEST_BYTES, Added, BucketFill
from protocol.records import check_packed_item, check_vector, vector_hash

# A vector by its item's key and its hash.
Want: TypeAlias = tuple[bytes, bytes]


class FilledRecord(NamedTuple):
    """A record to store under its key. `vector` None: the vector held for that key now is the right one."""

    key: bytes
    record_hash: bytes
    packed: bytes
    vector: bytes | None


@dataclass(frozen=True, slots=True)
class Filled:
    """A bucket proven to be as the head says: apply it whole.

    `leaf` is its hash, `gone` are keys to remove, `growth` how many more items it holds than before.
    """

    bucket: int
    leaf: bytes
    gone: tuple[bytes, ...]
    records: tuple[FilledRecord, ...]
    growth: int

    def with_vectors(self, vectors: dict[bytes, bytes]) -> Filled:
        """The same with the vectors, by key, that were not known before."""
        records = (one if one.vector is not None else one._replace(vector=vectors.get(one.key)) for one in self.records)
        return replace(self, records=tuple(records))


def check_fill(
    depth: int, part: tuple[int, bytes], entries: bytes, have: bytes, fill: BucketFill, vector_bytes: int | None
) -> tuple[Filled, list[Want]]:
    """The entries named in `have`, less what is gone, with what came, must hash to the leaf that the root vouches for.

    `part` is (bucket, that leaf's hash), `entries` what is held of the bucket, of which `have` named the first few:
    all as a rule, none where the bucket was asked for whole. The others count for nothing. Also gives the vectors
    that came as hashes only: whether they are held is not known here. `vector_bytes` None: all alike.
    Raises: RemoteError("bad_proof") where the hashes differ, which digests that clash can do too,
    RemoteError("malformed" | "too_big" | "bad_vector") for a lie.
    """
    bucket, known = part
    own = {entries[at : at + KEY_BYTES]: entries[at + KEY_BYTES : at + ENTRY_BYTES] for at in _places(entries)}
    held = list(own)[: len(have) // DIGEST_BYTES]
    after = {key: own[key] for key in held}
    if any(place >= len(held) for place in fill.gone):
        raise RemoteError("malformed", "something gone that was not there")
    for place in fill.gone:
        after.pop(held[place], None)
    records: list[FilledRecord] = []
    wants: list[Want] = []
    # Once an item of every catalog: calls that only wrap a hash are written out.
    for record in fill.records:
        packed = record.packed
        key = sha256(check_packed_item(packed).encode()).digest()[:KEY_BYTES]
        vector: bytes | None = None
        if isinstance(record, Added):
            vector = record.vector
            vector_bytes = vector_bytes or len(vector)
            check_vector(vector, vector_bytes)
            hash_of_vector = sha256(vector).digest()
        else:
            hash_of_vector = record.vector_hash
            wants.append((key, hash_of_vector))
        hash_of_record = sha256(b"\x02" + hash_of_vector + packed).digest()
        after[key] = hash_of_record
        records.append(FilledRecord(key, hash_of_record, packed, vector))
    if len({record.key for record in records}) != len(records):
        raise RemoteError("malformed", "a record twice")
    entries_after = b"".join([key + after[key] for key in sorted(after)])
    check_bucket(entries_after, depth, bucket)
    if leaf_hash(depth, bucket, entries_after) != known:
        raise RemoteError("bad_proof", "a bucket that does not hash to its leaf")
    gone = tuple(sorted(own.keys() - after.keys()))
    return Filled(bucket, known, gone, tuple(records), len(after) - len(own)), wants


def check_wanted(want: Want, vector: bytes, vector_bytes: int | None) -> bytes:
    """The vector, if it is what was asked for and may be one. Raises: RemoteError("bad_proof" | "bad_vector")."""
    if vector_hash(vector) != want[1]:
        raise RemoteError("bad_proof", "a vector of another hash")
    check_vector(vector, vector_bytes)
    return vector


def _places(entries: bytes) -> range:
    return range(0, len(entries), ENTRY_BYTES)
