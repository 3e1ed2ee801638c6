"""A catalog as a Merkle tree: one 32-byte root that commits to every item and to the absence of every other.

Items sit in 2^depth buckets by the first bits of their key; a bucket's hash is a leaf; inner nodes hash their two
children (heap order: root 1, children 2i and 2i+1, leaf 2^depth + bucket). The depth follows from the item count,
so it is no field that could be attacked. Binary hashing keeps proofs small; how many levels are asked for at once is
the asker's choice, not the format's. Leaf and node hashes begin with different bytes, so neither can pose as the
other (RFC 6962). The file knows keys and record hashes only, not what a record is.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from protocol.limits import RemoteError

KEY_BYTES = 16
HASH_BYTES = 32
ENTRY_BYTES = KEY_BYTES + HASH_BYTES
# Mean bucket 16 to 32 items: smaller makes the tree large, larger makes a single change expensive.
BUCKET_ITEMS_MEAN_MAX = 32
# Keys are uniform hashes, so an honest bucket passes 128 with probability 1e-33; a ground one is refused.
BUCKET_ITEMS_MAX = 128
# 2^27 buckets are four thousand million items.
DEPTH_MAX = 27


def tree_depth(count: int) -> int:
    """Levels below the root for a catalog of `count` items."""
    return max(0, ((count - 1) // BUCKET_ITEMS_MEAN_MAX).bit_length()) if count else 0


def bucket_of(key: bytes, depth: int) -> int:
    """The bucket that a key belongs to: its first `depth` bits."""
    return int.from_bytes(key[:4], "big") >> (32 - depth)


def leaf_hash(depth: int, bucket: int, entries: bytes) -> bytes:
    """Hash of one bucket: `entries` are key and record hash of each item, in key order. Empty buckets hash too."""
    return hashlib.sha256(b"\x00" + bytes([depth]) + bucket.to_bytes(4, "big") + entries).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def check_bucket(entries: bytes, depth: int, bucket: int) -> None:
    """Raise RemoteError unless `entries` can be that bucket: whole, strictly ordered, all keys of that prefix."""
    if len(entries) % ENTRY_BYTES or len(entries) > BUCKET_ITEMS_MAX * ENTRY_BYTES:
        raise RemoteError("malformed", "a bucket of broken or too many entries")
    keys = [entries[at : at + KEY_BYTES] for at in range(0, len(entries), ENTRY_BYTES)]
    if any(first >= second for first, second in pairwise(keys)):
        raise RemoteError("malformed", "a bucket out of order")
    # In order, so that what holds for the first and the last holds for all.
    if keys and (bucket_of(keys[0], depth) != bucket or bucket_of(keys[-1], depth) != bucket):
        raise RemoteError("malformed", "an entry in the wrong bucket")


class Tree:
    """All hashes of one catalog version: 32 << (depth + 1) bytes (2 MB for a million items)."""

    def __init__(self, depth: int, leaves: Iterable[bytes]) -> None:
        self.depth = depth
        self._hashes = bytearray(HASH_BYTES << (depth + 1))
        start = HASH_BYTES << depth
        self._hashes[start:] = b"".join(leaves)
        if len(self._hashes) != 2 * start:
            raise ValueError(f"a tree of depth {depth} has {1 << depth} leaves")
        for node in range((1 << depth) - 1, 0, -1):
            self._rehash(node)

    @property
    def root(self) -> bytes:
        return self.node(1)

    def node(self, number: int) -> bytes:
        """The hash of a node, 1 <= number < 2^(depth + 1)."""
        if not 1 <= number < 1 << (self.depth + 1):
            raise ValueError(f"no node {number} in a tree of depth {self.depth}")
        return bytes(self._hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES])

    def level(self, number: int, levels: int) -> bytes:
        """The hashes `levels` below a node, left to right: 32 << levels bytes. What a `tree` answer carries."""
        first = number << max(levels, 0)
        if levels < 0 or number < 1 or first >= 1 << (self.depth + 1):
            raise ValueError(f"nothing lies {levels} levels below node {number}")
        return bytes(self._hashes[first * HASH_BYTES : (first + (1 << levels)) * HASH_BYTES])

    def replace(self, leaves: Mapping[int, bytes]) -> None:
        """New hashes for some buckets; only the paths above them are hashed again."""
        dirty = set()
        for bucket, leaf in leaves.items():
            number = (1 << self.depth) + bucket
            self._hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES] = leaf
            dirty.add(number >> 1)
        for _ in range(self.depth):
            for number in dirty:
                self._rehash(number)
            dirty = {number >> 1 for number in dirty}

    def path(self, bucket: int) -> list[bytes]:
        """The siblings from the leaf up to below the root: what proves the bucket."""
        number = (1 << self.depth) + bucket
        siblings = []
        while number > 1:
            siblings.append(self.node(number ^ 1))
            number >>= 1
        return siblings

    def _rehash(self, number: int) -> None:
        children = self._hashes[2 * number * HASH_BYTES : (2 * number + 2) * HASH_BYTES]
        self._hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES] = hashlib.sha256(b"\x01" + children).digest()


def build_tree(entries: bytes) -> Tree:
    """The tree over a whole catalog: `entries` are all key and record-hash pairs, in key order.

    Raises: ValueError when the entries are out of order or crowd one bucket (ids chosen to do so).
    """
    count = len(entries) // ENTRY_BYTES
    keys = [entries[at : at + KEY_BYTES] for at in range(0, count * ENTRY_BYTES, ENTRY_BYTES)]
    if any(first >= second for first, second in pairwise(keys)):
        raise ValueError("entries are not in key order")
    depth = tree_depth(count)
    # The first key of each bucket on; a key's prefix is compared as bytes, padded with zeros.
    starts = [bisect_left(keys, (bucket << (32 - depth)).to_bytes(4, "big")) for bucket in range(1 << depth)]
    ends = [*starts[1:], count]
    if any(end - start > BUCKET_ITEMS_MAX for start, end in zip(starts, ends, strict=True)):
        raise ValueError("too many ids fall into one bucket")
    return Tree(
        depth,
        (
            leaf_hash(depth, bucket, entries[start * ENTRY_BYTES : end * ENTRY_BYTES])
            for bucket, (start, end) in enumerate(zip(starts, ends, strict=True))
        ),
    )


def check_level(node: bytes, hashes: bytes, levels: int) -> None:
    """Raise RemoteError unless `hashes` are what lies `levels` below the node of that hash."""
    if len(hashes) != HASH_BYTES << levels:
        raise RemoteError("malformed", "a level of the wrong size")
    row = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    if row[0] != node:
        raise RemoteError("bad_proof", "a level that does not hash to its node")


@dataclass(frozen=True, slots=True)
class Proof:
    """That a bucket is exactly so under a root; with it, that an item is in the catalog, or is not."""

    entries: bytes
    siblings: tuple[bytes, ...]


def prove(tree: Tree, key: bytes, bucket_entries: bytes) -> Proof:
    """The proof for whatever the key's bucket holds. About 1.5 KB at 100,000 items."""
    return Proof(bucket_entries, tuple(tree.path(bucket_of(key, tree.depth))))


def find_proven(root: bytes, count: int, key: bytes, proof: Proof) -> bytes | None:
    """The record hash of `key` under a root of `count` items, or None: proven absent. Raises: RemoteError."""
    depth = tree_depth(count)
    bucket = bucket_of(key, depth)
    if len(proof.siblings) != depth or any(len(sibling) != HASH_BYTES for sibling in proof.siblings):
        raise RemoteError("bad_proof", "a path of the wrong length")
    check_bucket(proof.entries, depth, bucket)
    known, number = leaf_hash(depth, bucket, proof.entries), (1 << depth) + bucket
    for sibling in proof.siblings:
        known = node_hash(sibling, known) if number & 1 else node_hash(known, sibling)
        number >>= 1
    if known != root:
        raise RemoteError("bad_proof", "a path that does not lead to the root")
    for at in range(0, len(proof.entries), ENTRY_BYTES):
        if proof.entries[at : at + KEY_BYTES] == key:
            return proof.entries[at + KEY_BYTES : at + ENTRY_BYTES]
    return None
