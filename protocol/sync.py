"""Bringing a catalog to a verified head: which part to ask for next, and what of an answer is believed.

A state machine without I/O. It starts from one's own tree at the head's depth and the head's root, walks down where
they differ, and fills the leaves that differ; first sync, resume and update are this one path, and its cost grows
with the difference. Every answer is checked against a hash that is already verified, so parts may come from any
replica, several at once, and a peer that lies is named by its Belief's fault.

`take(peer)` gives the next question for a peer, `believe(peer, question, answer)` what its answer proved, `lost(peer)`
puts back what a peer that went away was asked for. When every peer is given None and nothing is outstanding though
`done` is false, nobody at hand has the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from protocol.limits import TREE_HASHES_MAX, RemoteError
from protocol.merkle import ENTRY_BYTES, HASH_BYTES, KEY_BYTES, Tree, check_bucket, check_level, leaf_hash
from protocol.messages import (
    LEAF_PREFIX_BYTES,
    Added,
    AskFill,
    AskTree,
    BucketFill,
    Changed,
    Fill,
    Frame,
    TreeLevels,
)
from protocol.records import item_key, parse_item, record_hash_of, vector_hash
from protocol.serving import digest

Question: TypeAlias = AskTree | AskFill
# A node's or bucket's number, and the hash that the root vouches for.
Part: TypeAlias = tuple[int, bytes]
# The first step's levels: 256 hashes are 8 KiB, and settle most of a tree that hardly differs.
FIRST_LEVELS = 8
# Later steps go at most this deep at once: 16 hashes a node.
LATER_LEVELS = 4
# Buckets of one question: about 400 items, 400 to 600 KB with vectors.
BUCKETS_ASKED = 16


@dataclass(frozen=True, slots=True)
class Filled:
    """A bucket proven to be as the head says: apply it whole.

    `gone` are keys to remove, `records` by key what to store; of a Changed one only the vector's hash is known.
    """

    bucket: int
    gone: tuple[bytes, ...]
    records: Mapping[bytes, Added | Changed]


def plan(depth: int) -> list[int]:
    """Levels of each step from the root to the leaves: first 8, then at most 4 each, the smaller last."""
    steps = [min(depth, FIRST_LEVELS)] if depth else []
    while sum(steps) < depth:
        steps.append(min(LATER_LEVELS, depth - sum(steps)))
    return steps


@dataclass(frozen=True, slots=True)
class Belief:
    """What an answer proved, and the peer's fault where it did not add up. Both can be."""

    filled: tuple[Filled, ...] = ()
    fault: RemoteError | None = None


class CatalogSync:
    """One catalog, one target. `entries_of(bucket)` are one's own entries at the target's depth, as they are now."""

    def __init__(self, root: bytes, own: Tree, entries_of: Callable[[int], bytes]) -> None:
        self.root = root
        self._own = own
        self._entries_of = entries_of
        self._steps = plan(own.depth)
        # What differs and is not being asked for: (number, verified hash).
        self._nodes: deque[Part] = deque()
        self._leaves: deque[Part] = deque()
        self._asked: dict[tuple[str, Question], list[Part]] = {}
        # Peers without a tree of this root, or with a false one.
        self._treeless: set[str] = set()
        # (peer, bucket) that the peer does not have, or not truly.
        self._lacking: set[tuple[str, int]] = set()
        # A bucket that did not add up with digests is asked for whole: 32-bit digests can clash.
        self._whole: set[int] = set()
        if own.root != root:
            self._differs(1, root)

    @property
    def done(self) -> bool:
        """Nothing left to ask for and nothing outstanding: what was filled is the head's catalog."""
        return not (self._nodes or self._leaves or self._asked)

    def take(self, peer: str) -> Question | None:
        """The next question for this peer, or None when it has no part in what is left."""
        return self._take_nodes(peer) or self._take_leaves(peer)

    def lost(self, peer: str) -> None:
        """The peer went away: what it was asked for is asked elsewhere."""
        for asked in [asked for asked in self._asked if asked[0] == peer]:
            self._put_back(asked[1], self._asked.pop(asked))

    def believe(self, peer: str, question: Question, answer: Frame) -> Belief:
        """What the answer proves. Whatever it does not prove is asked again, of others where it was false."""
        parts = self._asked.pop((peer, question), None)
        if parts is None:
            return Belief(fault=RemoteError("malformed", "an answer to no question"))
        if isinstance(question, AskTree) and isinstance(answer, TreeLevels):
            return self._believe_tree(peer, question, parts, answer)
        if isinstance(question, AskFill) and isinstance(answer, Fill) and 0 < len(answer.buckets) <= len(parts):
            return self._believe_fill(peer, question, parts, answer)
        self._put_back(question, parts)
        if isinstance(question, AskTree):
            self._treeless.add(peer)
        else:
            self._lacking |= {(peer, bucket) for bucket, _ in parts}
        return Belief(fault=RemoteError("malformed", "not an answer to what was asked"))

    def _put_back(self, question: Question, parts: list[Part]) -> None:
        (self._nodes if isinstance(question, AskTree) else self._leaves).extend(parts)

    # -- walking down ------------------------------------------------------------------------------------------------

    def _take_nodes(self, peer: str) -> AskTree | None:
        taken: list[Part] = []
        hashes = 0
        while self._nodes and peer not in self._treeless:
            hashes += 1 << self._levels_below(self._nodes[0][0])
            if hashes > TREE_HASHES_MAX:
                break
            taken.append(self._nodes.popleft())
        if not taken:
            return None
        question = AskTree(self.root, tuple((number, self._levels_below(number)) for number, _ in taken))
        self._asked[peer, question] = taken
        return question

    def _believe_tree(self, peer: str, question: AskTree, parts: list[Part], answer: TreeLevels) -> Belief:
        try:
            if answer.levels and len(answer.levels) != len(parts):
                raise RemoteError("malformed", "levels for other nodes")
            for (_, known), (_, levels), hashes in zip(parts, question.nodes, answer.levels, strict=False):
                check_level(known, hashes, levels)
        except RemoteError as fault:
            self._treeless.add(peer)
            self._put_back(question, parts)
            return Belief(fault=fault)
        if not answer.levels:
            # No lie: the peer holds another version. It may still have most of the buckets.
            self._treeless.add(peer)
            self._put_back(question, parts)
        for (number, levels), hashes in zip(question.nodes, answer.levels, strict=False):
            self._compare(number, levels, hashes)
        return Belief()

    def _compare(self, number: int, levels: int, hashes: bytes) -> None:
        """Keep what differs from one's own tree."""
        mine = self._own.level(number, levels)
        for place in range(1 << levels):
            part = slice(place * HASH_BYTES, (place + 1) * HASH_BYTES)
            if hashes[part] != mine[part]:
                self._differs((number << levels) + place, hashes[part])

    def _differs(self, number: int, known: bytes) -> None:
        if number >> self._own.depth:
            self._leaves.append((number - (1 << self._own.depth), known))
        else:
            self._nodes.append((number, known))

    def _levels_below(self, number: int) -> int:
        """How many levels the plan takes from this node's depth."""
        at, reached = number.bit_length() - 1, 0
        for step in self._steps:
            if reached == at:
                return step
            reached += step
        raise AssertionError("a node off the plan")

    # -- filling leaves ----------------------------------------------------------------------------------------------

    def _take_leaves(self, peer: str) -> AskFill | None:
        taken: list[Part] = []
        kept: list[Part] = []
        while self._leaves and len(taken) < BUCKETS_ASKED:
            part = self._leaves.popleft()
            (kept if (peer, part[0]) in self._lacking else taken).append(part)
        self._leaves.extend(kept)
        if not taken:
            return None
        question = AskFill(self.root, tuple((b, known[:LEAF_PREFIX_BYTES], self._have(b)) for b, known in taken))
        self._asked[peer, question] = taken
        return question

    def _have(self, bucket: int) -> bytes:
        if bucket in self._whole:
            return b""
        entries = self._entries_of(bucket)
        return b"".join(digest(entries[at : at + ENTRY_BYTES]) for at in range(0, len(entries), ENTRY_BYTES))

    def _believe_fill(self, peer: str, question: AskFill, parts: list[Part], answer: Fill) -> Belief:
        filled: list[Filled] = []
        fault: RemoteError | None = None
        for (bucket, known), (_, _, have), fill in zip(parts, question.buckets, answer.buckets, strict=False):
            if fill is None:
                self._lacking.add((peer, bucket))
                self._leaves.append((bucket, known))
                continue
            try:
                filled.append(check_fill(self._own.depth, bucket, known, self._entries_of(bucket), have, fill))
            except RemoteError as error:
                self._leaves.append((bucket, known))
                if have:
                    self._whole.add(bucket)
                else:
                    self._lacking.add((peer, bucket))
                    fault = error
        # What did not fit the page.
        self._leaves.extend(parts[len(answer.buckets) :])
        return Belief(tuple(filled), fault)


def check_fill(depth: int, bucket: int, known: bytes, entries: bytes, have: bytes, fill: BucketFill) -> Filled:
    """Own entries, less what is gone, with what came, must hash to the leaf that the root vouches for.

    `have` empty means that the bucket was asked for whole: own entries then count for nothing.
    Raises: RemoteError("malformed" | "too_big" | "bad_proof").
    """
    own = {entries[at : at + KEY_BYTES]: entries[at + KEY_BYTES : at + ENTRY_BYTES] for at in _places(entries)}
    after = dict(own) if have else {}
    keys = list(after)
    if any(place >= len(keys) for place in fill.gone):
        raise RemoteError("malformed", "something gone that was not there")
    for place in fill.gone:
        after.pop(keys[place], None)
    by_key = {item_key(parse_item(record.packed).item): record for record in fill.records}
    for key, record in by_key.items():
        hash_of_vector = record.vector_hash if isinstance(record, Changed) else vector_hash(record.vector)
        after[key] = record_hash_of(record.packed, hash_of_vector)
    packed = b"".join(key + after[key] for key in sorted(after))
    check_bucket(packed, depth, bucket)
    if leaf_hash(depth, bucket, packed) != known:
        raise RemoteError("bad_proof", "a bucket that does not hash to its leaf")
    return Filled(bucket, tuple(sorted(own.keys() - after.keys())), by_key)


def _places(entries: bytes) -> range:
    return range(0, len(entries), ENTRY_BYTES)
