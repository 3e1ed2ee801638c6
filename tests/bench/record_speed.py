"""Verifying a catalog beside the bare hashing that it can't do without, and the tree over a million items.

Items are of the size that shops' exports give (400 bytes) with vectors of 512 + 512 numbers, in Fill frames as they
come from a peer: decoding, ids, vectors, records, leaves, metadata, all checked.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable

from protocol.checks import check_fill
from protocol.merkle import ENTRY_BYTES, Tree, bucket_of, build_tree, leaf_hash, tree_depth
from protocol.messages import AskFill, Fill, pack_frame, parse_answer
from protocol.records import Item, Stored, item_key, pack_item, record_hash
from protocol.serving import answer_fill
from tests.bench.row import Row, alternate

ITEMS, VECTOR_BYTES, RUNS = 4_000, 1024, 15
ENTRIES, TREE_RUNS, EDITS = 1_000_000, 3, 200
WORDS = ("linen", "cotton", "dress", "floral", "midi", "summer", "navy", "slim", "fit", "tailored", "collar", "pleated")
PUBLISHER = b"p" * 32


def run() -> list[Row]:
    rng = random.Random(0)
    stored = [Stored(pack_item(_item(number, rng)), rng.randbytes(VECTOR_BYTES)) for number in range(ITEMS)]
    ids = [f"{10_000_000 + number}".encode() for number in range(ITEMS)]
    depth, pages = _pages({item_key(name.decode()): one for name, one in zip(ids, stored, strict=True)})

    def verify() -> float:
        return ITEMS / _cpu_seconds(lambda: _verify(depth, pages))

    def hash_only() -> float:
        return ITEMS / _cpu_seconds(lambda: _hash_only(ids, stored))

    verified = alternate(verify, hash_only, RUNS)
    return [Row("items verified from pages / bare sha256", *verified, "items/cpu s", ">= 100,000"), *_trees(rng)]


def _trees(rng: random.Random) -> list[Row]:
    """Beside one sha256 a bucket and a node: what a tree is."""
    keys = sorted(rng.randbytes(16) for _ in range(ENTRIES))
    entries = b"".join(key + rng.randbytes(32) for key in keys)
    depth = tree_depth(ENTRIES)
    tree = build_tree(entries)

    def bare(buckets: int, nodes: int) -> None:
        bucket, node = bytes(ENTRY_BYTES * (ENTRIES >> depth)), bytes(65)
        for _ in range(buckets):
            hashlib.sha256(bucket).digest()
        for _ in range(nodes):
            hashlib.sha256(node).digest()

    def edit() -> None:
        for number in range(EDITS):
            _edit(tree, keys[number * 4999], entries)

    built = alternate(
        lambda: _cpu_seconds(lambda: build_tree(entries)),
        lambda: _cpu_seconds(lambda: bare(1 << depth, 1 << depth)),
        TREE_RUNS,
    )
    edited = alternate(
        lambda: _cpu_seconds(edit) / EDITS, lambda: _cpu_seconds(lambda: bare(EDITS, EDITS * depth)) / EDITS, RUNS
    )
    return [
        Row("tree of 1,000,000 items / bare sha256", *built, "cpu s"),
        Row("new version after one edit in 1,000,000 / bare sha256", *edited, "cpu s"),
    ]


def _edit(tree: Tree, key: bytes, entries: bytes) -> None:
    """A new leaf for the bucket, whose entries a store would read, and the path above it."""
    bucket = bucket_of(key, tree.depth)
    start = bucket * (ENTRIES >> tree.depth) * ENTRY_BYTES
    held = entries[start : start + (ENTRIES >> tree.depth) * ENTRY_BYTES]
    tree.replace({bucket: leaf_hash(tree.depth, bucket, held)})


def _pages(items: dict[bytes, Stored]) -> tuple[int, list[tuple[list[tuple[int, bytes]], bytes]]]:
    """The whole catalog as a peer serves it: (buckets with their hashes, packed Fill) of each page."""
    depth = tree_depth(len(items))
    buckets: list[bytes] = [b""] * (1 << depth)
    for key in sorted(items):
        buckets[bucket_of(key, depth)] += key + record_hash(items[key].packed, items[key].vector)
    parts = [(number, leaf_hash(depth, number, bucket)) for number, bucket in enumerate(buckets)]
    pages = []
    while parts:
        ask = AskFill(PUBLISHER, bytes(32), tuple((number, leaf[:8], b"") for number, leaf in parts[:16]))
        fill = answer_fill(ask, depth, buckets.__getitem__, lambda keys: [items[key] for key in keys])
        pages.append((parts[: len(fill.buckets)], pack_frame(fill)))
        parts = parts[len(fill.buckets) :]
    return depth, pages


def _verify(depth: int, pages: list[tuple[list[tuple[int, bytes]], bytes]]) -> None:
    for parts, packed in pages:
        frame = parse_answer(packed)
        assert isinstance(frame, Fill)
        for part, fill in zip(parts, frame.buckets, strict=True):
            assert fill is not None
            check_fill(depth, part, b"", b"", fill, VECTOR_BYTES)


def _hash_only(ids: list[bytes], stored: list[Stored]) -> None:
    """The same hashes over the same bytes, and nothing else: id, vector, record."""
    sha256, prefix = hashlib.sha256, bytes(33)
    for name, one in zip(ids, stored, strict=True):
        sha256(name).digest()
        sha256(one.vector).digest()
        sha256(prefix + one.packed).digest()


def _item(number: int, rng: random.Random) -> Item:
    return Item(
        item=f"{10_000_000 + number}",
        name=" ".join(rng.choices(WORDS, k=7)),
        description=" ".join(rng.choices(WORDS, k=18)),
        brand="Asolo Studio",
        category="Dresses",
        colour="red",
        gender="women",
        price_minor=1299 + number,
        currency="GBP",
        image_url=f"https://images.example-shop.com/products/{number}/main-1.jpg",
        page_url=f"https://www.example-shop.com/p/{number}?colour=red",
    )


def _cpu_seconds(run: Callable[[], object]) -> float:
    """Of this process: other work on the machine does not count."""
    started = time.process_time()
    run()
    return time.process_time() - started
