"""Bringing a catalog to a verified head: which part to ask for next, and what of an answer is believed.

A state machine without I/O. It starts from one's own tree at the head's depth and the head's root, walks down where
they differ, and fills the leaves that differ; first sync, resume and update are this one path, and its cost grows
with the difference. A bucket with a changed record whose vector is not held waits here, proven, until the vector has
come. Every answer is checked against a hash that is already verified, so parts may come from any replica, several at
once, and a peer that lies is named by its Belief's fault.

`take(peer)` gives the next question for a peer, `believe(peer, question, answer)` what its answer proved; `failed`
and `lost` put back what a peer did not answer. What a peer was found not to have, or not truly, it is not asked for
again until it is forgiven. When every peer is given None and the sync is `idle`, nobody at hand has the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from protocol.checks import Filled as Filled
from protocol.checks import Want, check_fill, check_wanted
from protocol.limits import TREE_HASHES_MAX, VECTORS_MAX, RemoteError
from protocol.merkle import BUCKET_ITEMS_MAX, ENTRY_BYTES, HASH_BYTES, Tree, bucket_of, check_level
from protocol.messages import (
    LEAF_PREFIX_BYTES,
    AskFill,
    AskTree,
    AskVectors,
    Fill,
    Frame,
    Refused,
    TreeLevels,
    VectorsAnswer,
)
from protocol.serving import digest

Question: TypeAlias = AskTree | AskFill | AskVectors
# A node's or bucket's number, and the hash that the root vouches for.
Part: TypeAlias = tuple[int, bytes]
_One = TypeVar("_One")
# The first step's levels: 256 hashes are 8 KiB, and settle most of a tree that hardly differs.
FIRST_LEVELS = 8
# Later steps go at most this deep at once: 16 hashes a node.
LATER_LEVELS = 4
# Buckets of one question: about 400 items, 400 to 600 KB with vectors.
BUCKETS_ASKED = 16
# Buckets that wait for vectors before no more are asked for: about 8,000 items, 12 MB with vectors.
WAITING_MAX = 256


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


@dataclass(slots=True)
class _Waiting:
    """A proven bucket, how many vectors it lacks, and those that have come, by key."""

    filled: Filled
    missing: int
    vectors: dict[bytes, bytes] = field(default_factory=dict)


class CatalogSync:
    """One publisher's catalog, one target.

    `own` is one's tree at the target's depth, `entries_of(bucket)` are one's own entries at that depth and
    `vector_hash_of(key)` is the hash of the vector held, both as they are now. `vector_bytes` is what every vector
    takes, where that is known; else the first one decides.
    """

    def __init__(
        self,
        publisher: bytes,
        root: bytes,
        own: Tree,
        entries_of: Callable[[int], bytes],
        vector_hash_of: Callable[[bytes], bytes | None],
        vector_bytes: int | None = None,
    ) -> None:
        self.publisher = publisher
        self.root = root
        self._own = own
        self._entries_of = entries_of
        self._vector_hash_of = vector_hash_of
        self._vector_bytes = vector_bytes
        self._steps = plan(own.depth)
        # What differs and is not being asked for: (number, verified hash).
        self._nodes: deque[Part] = deque()
        self._leaves: deque[Part] = deque()
        # Proven buckets that lack vectors, and the vectors that are not being asked for.
        self._waiting: dict[int, _Waiting] = {}
        self._wants: deque[Want] = deque()
        # The nodes, leaves or vectors that each question on its way is about.
        self._asked: dict[tuple[str, Question], list[Any]] = {}
        # Peers without a tree of this root, or with a false one.
        self._treeless: set[str] = set()
        # peer -> buckets and vectors that it does not have, or not truly.
        self._lacking: dict[str, set[int | Want]] = {}
        # Peers that lack every leaf left; saves looking through all of them for each question.
        self._leafless: set[str] = set()
        # A bucket that did not add up with digests is asked for whole: 32-bit digests can clash.
        self._whole: set[int] = set()
        if own.root != root:
            self._differs(1, root)

    @property
    def done(self) -> bool:
        """Nothing left to ask for and nothing outstanding: what was filled is the head's catalog."""
        return not (self._nodes or self._leaves or self._waiting or self._asked)

    @property
    def idle(self) -> bool:
        """Something is left and nobody is being asked. After every peer was given None: stalled."""
        return not self._asked and not self.done

    def take(self, peer: str) -> Question | None:
        """The next question for this peer, or None when it has no part in what is left."""
        # Vectors first: what waits for them is held in memory.
        return self._take_vectors(peer) or self._take_nodes(peer) or self._take_leaves(peer)

    def failed(self, peer: str, question: Question) -> None:
        """No answer came: it is asked again, of anybody."""
        parts = self._asked.pop((peer, question), None)
        if parts is not None:
            self._put_back(question, parts)

    def lost(self, peer: str) -> None:
        """The peer went away: what it was asked for is asked elsewhere. If it returns, it is a new one."""
        for asked in [asked for asked in self._asked if asked[0] == peer]:
            self._put_back(asked[1], self._asked.pop(asked))
        self.forgive(peer)

    def forgive(self, peer: str) -> None:
        """The peer may have more by now: it told a new head."""
        self._treeless.discard(peer)
        self._leafless.discard(peer)
        self._lacking.pop(peer, None)

    def believe(self, peer: str, question: Question, answer: Frame) -> Belief:
        """What the answer proves. Whatever it does not prove is asked again, of others where it was false.

        A refusal says that the peer has none of it; a peer that is only busy has `failed`.
        """
        parts = self._asked.pop((peer, question), None)
        if parts is None:
            return Belief(fault=RemoteError("malformed", "an answer to no question"))
        if isinstance(question, AskTree) and isinstance(answer, TreeLevels):
            return self._believe_tree(peer, question, parts, answer)
        if isinstance(question, AskFill) and isinstance(answer, Fill) and 0 < len(answer.buckets) <= len(parts):
            return self._believe_fill(peer, question, parts, answer)
        if isinstance(question, AskVectors) and isinstance(answer, VectorsAnswer) and len(answer.vectors) == len(parts):
            return self._believe_vectors(peer, parts, answer)
        self._put_back(question, parts)
        if isinstance(question, AskTree):
            self._treeless.add(peer)
        else:
            self._lacks(peer, *(parts if isinstance(question, AskVectors) else (bucket for bucket, _ in parts)))
        if isinstance(answer, Refused):
            return Belief()
        return Belief(fault=RemoteError("malformed", "not an answer to what was asked"))

    def _put_back(self, question: Question, parts: list[Any]) -> None:
        if isinstance(question, AskTree):
            self._nodes.extend(parts)
        elif isinstance(question, AskFill):
            self._add_leaves(parts)
        else:
            self._wants.extend(parts)

    def _add_leaves(self, parts: Iterable[Part]) -> None:
        self._leaves.extend(parts)
        self._leafless.clear()

    def _lacks(self, peer: str, *what: int | Want) -> None:
        self._lacking.setdefault(peer, set()).update(what)

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
        nodes = tuple((number, self._levels_below(number)) for number, _ in taken)
        question = AskTree(self.publisher, self.root, nodes)
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
            self._add_leaves([(number - (1 << self._own.depth), known)])
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
        if peer in self._leafless or len(self._waiting) >= WAITING_MAX:
            return None
        taken = _take_some(self._leaves, self._lacking.get(peer, set()), BUCKETS_ASKED, lambda part: part[0])
        if not taken:
            self._leafless.add(peer)
            return None
        buckets = tuple((bucket, known[:LEAF_PREFIX_BYTES], self._have(bucket)) for bucket, known in taken)
        question = AskFill(self.publisher, self.root, buckets)
        self._asked[peer, question] = taken
        return question

    def _have(self, bucket: int) -> bytes:
        if bucket in self._whole:
            return b""
        # A catalog that shrank has larger buckets than before: more may be held of one than can be named.
        entries = self._entries_of(bucket)[: BUCKET_ITEMS_MAX * ENTRY_BYTES]
        return b"".join(digest(entries[at : at + ENTRY_BYTES]) for at in range(0, len(entries), ENTRY_BYTES))

    def _believe_fill(self, peer: str, question: AskFill, parts: list[Part], answer: Fill) -> Belief:
        filled: list[Filled] = []
        fault: RemoteError | None = None
        for part, (bucket, _, have), fill in zip(parts, question.buckets, answer.buckets, strict=False):
            if fill is None:
                self._lacks(peer, bucket)
                self._add_leaves([part])
                continue
            try:
                found, wants = check_fill(
                    self._own.depth, part, self._entries_of(bucket), have, fill, self._vector_bytes
                )
            except RemoteError as error:
                self._add_leaves([part])
                if have and error.reason == "bad_proof":
                    # Perhaps digests that clash, and nobody's fault.
                    self._whole.add(bucket)
                else:
                    self._lacks(peer, bucket)
                    fault = error
                continue
            self._learn_size(record.vector for record in found.records)
            missing = [want for want in wants if self._vector_hash_of(want[0]) != want[1]]
            if missing:
                self._waiting[bucket] = _Waiting(found, len(missing))
                self._wants.extend(missing)
            else:
                filled.append(found)
        # What did not fit the page.
        self._add_leaves(parts[len(answer.buckets) :])
        return Belief(tuple(filled), fault)

    # -- vectors -----------------------------------------------------------------------------------------------------

    def _take_vectors(self, peer: str) -> AskVectors | None:
        taken = _take_some(self._wants, self._lacking.get(peer, set()), VECTORS_MAX, lambda want: want)
        if not taken:
            return None
        question = AskVectors(self.publisher, tuple(taken))
        self._asked[peer, question] = taken
        return question

    def _believe_vectors(self, peer: str, wants: list[Want], answer: VectorsAnswer) -> Belief:
        filled: list[Filled] = []
        fault: RemoteError | None = None
        for want, vector in zip(wants, answer.vectors, strict=True):
            try:
                proven = vector and check_wanted(want, vector, self._vector_bytes)
            except RemoteError as error:
                proven, fault = b"", error
            if not proven:
                self._lacks(peer, want)
                self._wants.append(want)
                continue
            self._learn_size([proven])
            bucket = bucket_of(want[0], self._own.depth)
            waiting = self._waiting[bucket]
            waiting.vectors[want[0]] = proven
            waiting.missing -= 1
            if not waiting.missing:
                filled.append(self._waiting.pop(bucket).filled.with_vectors(waiting.vectors))
        return Belief(tuple(filled), fault)

    def _learn_size(self, vectors: Iterable[bytes | None]) -> None:
        """Proven to be the publisher's: the first one's size is that of all."""
        if self._vector_bytes is None:
            self._vector_bytes = next((len(vector) for vector in vectors if vector), None)


def _take_some(
    queue: deque[_One], lacking: set[int | Want], most: int, name_of: Callable[[_One], int | Want]
) -> list[_One]:
    """The first ones that the peer does not lack; those that were passed over go to the end."""
    taken: list[_One] = []
    passed: list[_One] = []
    while queue and len(taken) < most:
        one = queue.popleft()
        (passed if name_of(one) in lacking else taken).append(one)
    queue.extend(passed)
    return taken
