"""A catalog in a dictionary: the asker and the server of the sync tests, with nothing but the protocol between them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

from protocol.checks import Filled
from protocol.merkle import Tree, bucket_of, build_tree, leaf_hash, tree_depth
from protocol.messages import AnswerFrame, AskFill, AskTree, AskVectors, pack_frame, parse_answer, parse_question
from protocol.records import Item, Stored, item_key, pack_item, record_hash
from protocol.serving import answer_fill, answer_tree, answer_vectors
from protocol.sync import CatalogSync, Question

Server: TypeAlias = Callable[[Question, int], AnswerFrame]
PUBLISHER = b"p" * 32
VECTOR_BYTES = 64


def stored(item: str, price: int, vector: bytes) -> Stored:
    return Stored(pack_item(Item(item=item, name="x", price_minor=price, currency="GBP")), vector)


def catalog(n: int, seed: int = 0) -> dict[bytes, Stored]:
    rng = random.Random(seed)
    return {item_key(f"i{i}"): stored(f"i{i}", i, rng.randbytes(VECTOR_BYTES)) for i in range(n)}


class Replica:
    """What one node holds of one catalog."""

    def __init__(self, items: dict[bytes, Stored]) -> None:
        self.items = dict(items)

    @property
    def packed(self) -> bytes:
        hashes = {key: record_hash(one.packed, one.vector) for key, one in self.items.items()}
        return b"".join(key + hashes[key] for key in sorted(hashes))

    def tree(self, depth: int | None = None) -> Tree:
        if depth is None or depth == tree_depth(len(self.items)):
            return build_tree(self.packed)
        entries = self.entries_at(depth)
        return Tree(depth, (leaf_hash(depth, bucket, entries(bucket)) for bucket in range(1 << depth)))

    def entries_at(self, depth: int) -> Callable[[int], bytes]:
        def entries_of(bucket: int) -> bytes:
            mine = sorted(key for key in self.items if bucket_of(key, depth) == bucket)
            return b"".join(key + record_hash(self.items[key].packed, self.items[key].vector) for key in mine)

        return entries_of

    def stored(self, keys: list[bytes]) -> list[Stored | None]:
        return [self.items.get(key) for key in keys]

    def vector_hash_of(self, key: bytes) -> bytes | None:
        return self.items[key].vector_hash if key in self.items else None

    def answer(self, question: Question, depth: int) -> AnswerFrame:
        if isinstance(question, AskTree):
            return answer_tree(question, self.tree())
        if isinstance(question, AskVectors):
            return answer_vectors(question, self.stored)
        return answer_fill(question, depth, self.entries_at(depth), self.stored)

    def apply(self, filled: Filled, depth: int) -> int:
        """Returns how many vectors came along."""
        before = len(self.items)
        for key in filled.gone:
            del self.items[key]
        for key, known, packed, vector in filled.records:
            whole = Stored(packed, self.items[key].vector if vector is None else vector)
            assert record_hash(whole.packed, whole.vector) == known
            self.items[key] = whole
        assert len(self.items) - before == filled.growth
        assert leaf_hash(depth, filled.bucket, self.entries_at(depth)(filled.bucket)) == filled.leaf
        return sum(record.vector is not None for record in filled.records)


def sync_to(target: Replica, own: Replica, vector_bytes: int | None = None) -> CatalogSync:
    """A sync of `own` to the version that `target` holds."""
    depth = tree_depth(len(target.items))
    look_ups = own.entries_at(depth), own.vector_hash_of
    return CatalogSync(PUBLISHER, target.tree().root, own.tree(depth), *look_ups, vector_bytes)


class Exchange:
    """Runs a sync over bytes: every frame is packed, counted and parsed on the way."""

    def __init__(self, target: Replica, own: Replica, vector_bytes: int | None = None) -> None:
        self.depth = tree_depth(len(target.items))
        self.own = own
        self.sync = sync_to(target, own, vector_bytes)
        self.trips = self.up = self.down = self.vectors = self.asked_buckets = 0
        self.faults: list[tuple[str, str]] = []

    def ask(self, peer: str, server: Server) -> bool:
        """One question and its answer. False when there is none for this peer."""
        question = self.sync.take(peer)
        if question is None:
            return False
        sent = pack_frame(question)
        asked = parse_question(sent)
        assert isinstance(asked, AskTree | AskFill | AskVectors)
        answer = pack_frame(server(asked, self.depth))
        self.trips += 1
        self.up += len(sent)
        self.down += len(answer)
        self.asked_buckets += len(asked.buckets) if isinstance(asked, AskFill) else 0
        belief = self.sync.believe(peer, question, parse_answer(answer))
        if belief.fault is not None:
            self.faults.append((peer, belief.fault.reason))
        for filled in belief.filled:
            self.vectors += self.own.apply(filled, self.depth)
        return True

    def run(self, peers: dict[str, Server]) -> None:
        """Round after round until nobody has anything left to be asked."""
        while sum(self.ask(peer, server) for peer, server in peers.items()):
            assert self.trips < 5000
