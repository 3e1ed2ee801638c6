"""The catalog tree against a plain recursive hash, and every lie about it refused."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.limits import RemoteError
from protocol.merkle import (
    BUCKET_ITEMS_MAX,
    ENTRY_BYTES,
    KEY_BYTES,
    Proof,
    Tree,
    bucket_of,
    build_tree,
    check_bucket,
    check_level,
    find_proven,
    leaf_hash,
    prove,
    tree_depth,
)


def catalog(n: int, seed: int = 0) -> dict[bytes, bytes]:
    rng = random.Random(seed)
    return {rng.randbytes(16): rng.randbytes(32) for _ in range(n)}


def packed(entries: dict[bytes, bytes]) -> bytes:
    return b"".join(key + entries[key] for key in sorted(entries))


def bucket_entries(entries: dict[bytes, bytes], depth: int, bucket: int) -> bytes:
    return packed({k: v for k, v in entries.items() if bucket_of(k, depth) == bucket})


def plain_root(entries: dict[bytes, bytes], depth: int, prefix: str = "") -> bytes:
    """The definition, by recursion over key prefixes as text."""
    if len(prefix) == depth:
        mine = {k: v for k, v in entries.items() if f"{int.from_bytes(k, 'big'):0128b}".startswith(prefix)}
        number = int(prefix, 2) if prefix else 0
        return hashlib.sha256(b"\0" + bytes([depth]) + number.to_bytes(4, "big") + packed(mine)).digest()
    return hashlib.sha256(
        b"\1" + plain_root(entries, depth, prefix + "0") + plain_root(entries, depth, prefix + "1")
    ).digest()


@pytest.mark.parametrize(
    ("count", "depth"), [(0, 0), (1, 0), (32, 0), (33, 1), (64, 1), (65, 2), (100_000, 12), (1_000_000, 15)]
)
def test_the_depth_follows_from_the_count(count: int, depth: int) -> None:
    assert tree_depth(count) == depth


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 400), st.integers(0, 99))
def test_the_root_is_the_recursive_definition(n: int, seed: int) -> None:
    entries = catalog(n, seed)
    assert build_tree(packed(entries)).root == plain_root(entries, tree_depth(n))


def test_a_frozen_root() -> None:
    """Entries of a counter: a change here is a change of the format for every node."""
    entries = {hashlib.sha256(b"%d" % i).digest()[:16]: hashlib.sha256(b"r%d" % i).digest() for i in range(100)}
    assert build_tree(packed(entries)).root.hex() == FROZEN_ROOT


FROZEN_ROOT = "f33622e22f3aa285e3797bc5efe3347dcfea5c2c241b5c4ac45009d2bcc37023"


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 600), st.integers(0, 99), st.data())
def test_replacing_leaves_equals_building_anew(n: int, seed: int, data: st.DataObject) -> None:
    entries = catalog(n, seed)
    tree = build_tree(packed(entries))
    changed = data.draw(st.lists(st.sampled_from(sorted(entries)), min_size=1, max_size=10))
    for key in changed:
        entries[key] = hashlib.sha256(entries[key]).digest()
    buckets = {bucket_of(key, tree.depth) for key in changed}
    tree.replace({b: leaf_hash(tree.depth, b, bucket_entries(entries, tree.depth, b)) for b in buckets})
    assert tree.root == build_tree(packed(entries)).root


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 500), st.integers(0, 99), st.binary(min_size=16, max_size=16))
def test_presence_and_absence_are_proven(n: int, seed: int, stranger: bytes) -> None:
    entries = catalog(n, seed)
    tree = build_tree(packed(entries))
    for key in [*sorted(entries)[:5], stranger]:
        proof = prove(tree, key, bucket_entries(entries, tree.depth, bucket_of(key, tree.depth)))
        assert find_proven(tree.root, n, key, proof) == entries.get(key)


def test_no_lie_in_a_proof_is_believed() -> None:
    entries = catalog(300, 1)
    tree = build_tree(packed(entries))
    key = sorted(entries)[77]
    mine = bucket_entries(entries, tree.depth, bucket_of(key, tree.depth))
    honest = prove(tree, key, mine)
    flipped = bytearray(mine)
    flipped[-1] ^= 1
    without = bytes(mine.replace(key + entries[key], b""))
    lies = [
        Proof(bytes(flipped), honest.siblings),
        Proof(without, honest.siblings),
        Proof(mine, honest.siblings[1:]),
        Proof(mine, honest.siblings[::-1]),
        Proof(mine, (*honest.siblings[:-1], bytes(32))),
        Proof(mine[:-1], honest.siblings),
        Proof(mine[ENTRY_BYTES:] + mine[:ENTRY_BYTES], honest.siblings),
        Proof(b"", honest.siblings),
    ]
    for lie in lies:
        with pytest.raises(RemoteError):
            find_proven(tree.root, 300, key, lie)
    with pytest.raises(RemoteError):
        find_proven(tree.root, 3000, key, honest)
    with pytest.raises(RemoteError):
        find_proven(bytes(32), 300, key, honest)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 500), st.data())
def test_levels_fold_to_their_node(n: int, data: st.DataObject) -> None:
    tree = build_tree(packed(catalog(n, 4)))
    at_depth = data.draw(st.integers(0, tree.depth))
    number = data.draw(st.integers(1 << at_depth, (2 << at_depth) - 1))
    levels = data.draw(st.integers(0, tree.depth - at_depth))
    hashes = tree.level(number, levels)
    check_level(tree.node(number), hashes, levels)
    broken = bytearray(hashes)
    broken[data.draw(st.integers(0, len(hashes) - 1))] ^= 1
    for lie in (bytes(broken), hashes + hashes, hashes[:-1]):
        with pytest.raises(RemoteError):
            check_level(tree.node(number), lie, levels)


def test_a_leaf_can_not_pose_as_a_node() -> None:
    """Two trees of different depth never share a root by reading a node's children as entries."""
    entries = catalog(40, 2)
    tree = build_tree(packed(entries))
    assert tree.depth == 1
    assert leaf_hash(0, 0, tree.level(1, 1)) != tree.root


def test_crowded_or_disordered_catalogs_are_refused() -> None:
    crowd = {bytes(4) + i.to_bytes(12, "big"): bytes(32) for i in range(BUCKET_ITEMS_MAX + 1)}
    crowd |= catalog(3000, 3)
    with pytest.raises(ValueError, match="one bucket"):
        build_tree(packed(crowd))
    entries = packed(catalog(10))
    with pytest.raises(ValueError, match="order"):
        build_tree(entries[ENTRY_BYTES:] + entries[:ENTRY_BYTES])
    with pytest.raises(ValueError, match="order"):
        build_tree(entries[:ENTRY_BYTES] * 2)


def test_buckets_from_outside_are_checked() -> None:
    key = bytes([0b10100000]) + bytes(KEY_BYTES - 1)
    good = key + bytes(32)
    check_bucket(good, 3, 0b101)
    check_bucket(b"", 3, 0)
    for bad in (good[:-1], good * 2, good * (BUCKET_ITEMS_MAX + 1)):
        with pytest.raises(RemoteError):
            check_bucket(bad, 3, 0b101)
    with pytest.raises(RemoteError):
        check_bucket(good, 3, 0b100)


@pytest.mark.parametrize(("number", "levels"), [(0, 0), (4, 0), (1, 2), (2, 1), (1, -1)])
def test_nodes_outside_the_tree_do_not_exist(number: int, levels: int) -> None:
    tree = Tree(1, [bytes(32), bytes(32)])
    with pytest.raises(ValueError, match=r"level|node"):
        tree.level(number, levels)
    with pytest.raises(ValueError, match="leaves"):
        Tree(2, [bytes(32)])
