"""A catalog in a dictionary: the asker and the server of the sync tests, with nothing but the protocol between them."""

from __future__ import annotations

import random
from collections.abc import Callable

from protocol.merkle import Tree, bucket_of, build_tree, leaf_hash, tree_depth
from protocol.messages import Added, AskFill, AskTree, Frame, pack_frame, parse_frame
from protocol.records import Item, Stored, item_key, pack_item, record_hash
from protocol.serving import answer_fill, answer_tree
from protocol.sync import CatalogSync, Filled

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

    def answer(self, question: AskTree | AskFill, depth: int) -> Frame:
        if isinstance(question, AskTree):
            return answer_tree(question, self.tree())
        return answer_fill(question, depth, self.entries_at(depth), lambda keys: [self.items[key] for key in keys])

    def apply(self, filled: Filled) -> int:
        """Returns how many vectors came along."""
        for key in filled.gone:
            del self.items[key]
        for key, record in filled.records.items():
            vector = record.vector if isinstance(record, Added) else self.items[key].vector
            self.items[key] = Stored(record.packed, vector)
        return sum(isinstance(record, Added) for record in filled.records.values())


class Exchange:
    """Runs a sync over bytes: every frame is packed, counted and parsed on the way."""

    def __init__(self, target: Replica, own: Replica) -> None:
        self.depth = tree_depth(len(target.items))
        self.own = own
        self.sync = CatalogSync(target.tree().root, own.tree(self.depth), own.entries_at(self.depth))
        self.trips = self.up = self.down = self.vectors = self.asked_buckets = 0
        self.faults: list[tuple[str, str]] = []

    def ask(self, peer: str, server: Callable[[AskTree | AskFill, int], Frame]) -> bool:
        """One question and its answer. False when there is none for this peer."""
        question = self.sync.take(peer)
        if question is None:
            return False
        sent = pack_frame(question)
        asked = parse_frame(sent)
        assert isinstance(asked, AskTree | AskFill)
        answer = pack_frame(server(asked, self.depth))
        self.trips += 1
        self.up += len(sent)
        self.down += len(answer)
        self.asked_buckets += len(asked.buckets) if isinstance(asked, AskFill) else 0
        belief = self.sync.believe(peer, question, parse_frame(answer))
        if belief.fault is not None:
            self.faults.append((peer, belief.fault.reason))
        for filled in belief.filled:
            self.vectors += self.own.apply(filled)
        return True

    def run(self, peers: dict[str, Callable[[AskTree | AskFill, int], Frame]]) -> None:
        """Round after round until nobody has anything left to be asked."""
        while sum(self.ask(peer, server) for peer, server in peers.items()):
            assert self.trips < 5000
