"""Sync between two dictionaries over real frames: exact whatever differs, cheap, and proof against every lie."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.limits import RemoteError
from protocol.merkle import tree_depth
from protocol.messages import Added, AskFill, AskTree, BucketFill, Fill, Frame, TreeLevels, pack_frame
from protocol.records import Stored, item_key
from protocol.serving import answer_fill, answer_tree
from protocol.sync import CatalogSync, plan
from tests.protocol.replica import Exchange, Replica, catalog, stored


def edited(
    items: dict[bytes, Stored], seed: int, prices: int, gone: int, new: int, vectors: int = 0
) -> dict[bytes, Stored]:
    """The next version: some prices changed, some items gone, some new, some with another picture."""
    rng = random.Random(seed)
    after = dict(items)
    keys = rng.sample(sorted(items), min(len(items), prices + gone + vectors))
    for key in keys[:prices]:
        name = next(f"i{i}" for i in range(100_000) if item_key(f"i{i}") == key)
        after[key] = stored(name, 10**6 + rng.randrange(10**6), items[key].vector)
    for key in keys[prices : prices + gone]:
        del after[key]
    for key in keys[prices + gone :]:
        after[key] = Stored(items[key].packed, rng.randbytes(64))
    after |= {item_key(f"n{seed}.{i}"): stored(f"n{seed}.{i}", i, rng.randbytes(64)) for i in range(new)}
    return after


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 300), st.integers(0, 10**6), st.integers(0, 40), st.integers(0, 40), st.integers(0, 200))
def test_whatever_differs_the_result_is_the_target(n: int, seed: int, prices: int, gone: int, new: int) -> None:
    before = catalog(n)
    target, own = Replica(edited(before, seed, prices, gone, new)), Replica(before)
    exchange = Exchange(target, own)
    exchange.run({"b": target.answer})
    assert exchange.sync.done
    assert own.items == target.items
    assert exchange.faults == []
    assert exchange.vectors == new, "a changed price brings no vector"


def test_first_sync_is_the_same_path() -> None:
    target, own = Replica(catalog(3000)), Replica({})
    exchange = Exchange(target, own)
    exchange.run({"b": target.answer})
    assert own.items == target.items
    payload = sum(len(one.packed) + len(one.vector) for one in target.items.values())
    assert exchange.down < 1.15 * payload


def test_one_price_of_ten_thousand_costs_three_trips_and_ten_kilobytes() -> None:
    before = catalog(10_000)
    target, own = Replica(edited(before, 1, prices=1, gone=0, new=0)), Replica(before)
    exchange = Exchange(target, own)
    exchange.run({"b": target.answer})
    assert own.items == target.items
    assert exchange.trips == 3
    assert exchange.up + exchange.down < 10_000
    assert exchange.vectors == 0


def test_cost_grows_with_the_difference() -> None:
    before = catalog(10_000)
    target, own = Replica(edited(before, 2, prices=100, gone=0, new=0)), Replica(before)
    exchange = Exchange(target, own)
    exchange.run({"b": target.answer})
    assert own.items == target.items
    assert (exchange.up + exchange.down) / 100 < 1000


@pytest.mark.parametrize(
    ("depth", "steps"), [(0, []), (5, [5]), (9, [8, 1]), (12, [8, 4]), (15, [8, 4, 3]), (17, [8, 4, 4, 1])]
)
def test_the_plan(depth: int, steps: list[int]) -> None:
    assert plan(depth) == steps


def test_a_sync_that_was_cut_off_asks_only_for_the_rest() -> None:
    target, own = Replica(catalog(4000)), Replica({})
    first = Exchange(target, own)
    for _ in range(6):
        first.ask("b", target.answer)
    have = len(own.items)
    assert 0 < have < 4000
    second = Exchange(target, own)
    second.run({"b": target.answer})
    assert own.items == target.items
    assert first.asked_buckets + second.asked_buckets <= (1 << tree_depth(4000)) + 1
    assert second.vectors == 4000 - have


def test_a_replica_of_another_version_serves_what_it_has_unchanged() -> None:
    before = catalog(5000)
    after = edited(before, 3, prices=5, gone=5, new=5)
    target, old, own = Replica(after), Replica(before), Replica({})
    exchange = Exchange(target, own)
    served = {"old": 0, "new": 0}

    def count(name: str, replica: Replica) -> object:
        def answer(question: AskTree | AskFill, depth: int) -> Frame:
            frame = replica.answer(question, depth)
            served[name] += sum(one is not None for one in frame.buckets) if isinstance(frame, Fill) else 0
            return frame

        return answer

    exchange.run({"old": count("old", old), "new": count("new", target)})  # type: ignore[dict-item]
    assert own.items == target.items
    assert exchange.faults == []
    assert served["old"] > 0.3 * (1 << exchange.depth)


def test_nobody_has_the_rest() -> None:
    before = catalog(2000)
    target, own, old = Replica(edited(before, 4, 3, 3, 3)), Replica({}), Replica(before)
    exchange = Exchange(target, own)
    exchange.ask("new", target.answer)
    exchange.run({"old": old.answer})
    assert not exchange.sync.done
    assert exchange.faults == []
    exchange.run({"new": target.answer})
    assert own.items == target.items


def flip(frame: Frame, rng: random.Random) -> Frame:
    """One lie of each kind, somewhere in the answer."""
    if isinstance(frame, TreeLevels) and frame.levels:
        place = rng.randrange(len(frame.levels))
        broken = bytearray(frame.levels[place])
        broken[rng.randrange(len(broken))] ^= 1
        return TreeLevels((*frame.levels[:place], bytes(broken), *frame.levels[place + 1 :]))
    if isinstance(frame, Fill) and any(frame.buckets):
        place = rng.choice([i for i, one in enumerate(frame.buckets) if one is not None])
        bucket = frame.buckets[place]
        assert bucket is not None
        lies = [BucketFill(bucket.gone + b"\0", bucket.records), BucketFill(bucket.gone, bucket.records[1:])]
        for record in bucket.records[:1]:
            if isinstance(record, Added):
                broken = bytearray(record.vector)
                broken[0] ^= 1
                lies.append(BucketFill(bucket.gone, (Added(record.packed, bytes(broken)), *bucket.records[1:])))
                lies.append(BucketFill(bucket.gone, (Added(b"\xc1", record.vector), *bucket.records[1:])))
        lie = rng.choice(lies)
        return Fill((*frame.buckets[:place], lie, *frame.buckets[place + 1 :]))
    return frame


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_a_liar_is_named_and_the_truth_comes_from_elsewhere(seed: int, from_nothing: bool) -> None:
    before = catalog(1500)
    target = Replica(edited(before, seed, 20, 20, 20))
    own = Replica({} if from_nothing else before)
    exchange = Exchange(target, own)
    rng = random.Random(seed)
    exchange.run({"liar": lambda q, d: flip(target.answer(q, d), rng), "honest": target.answer})
    assert exchange.sync.done
    assert own.items == target.items
    assert "honest" not in {peer for peer, _ in exchange.faults}
    assert "liar" in {peer for peer, _ in exchange.faults}
    assert all(reason in limits.REASONS for _, reason in exchange.faults)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_peers_that_come_and_go(seed: int) -> None:
    target, own = Replica(catalog(2500)), Replica({})
    exchange = Exchange(target, own)
    rng = random.Random(seed)
    for step in range(60):
        peer = f"p{rng.randrange(4)}"
        if rng.random() < 0.3:
            exchange.sync.take(peer)
            exchange.sync.lost(peer)
        else:
            exchange.ask(peer, target.answer)
        if step % 10 == 0:
            exchange.sync.lost("p0")
    exchange.run({"p9": target.answer})
    assert own.items == target.items
    assert exchange.faults == []


def test_answers_to_no_question_or_of_the_wrong_kind() -> None:
    target = Replica(catalog(2000))
    exchange = Exchange(target, Replica({}))
    sync = exchange.sync
    question = sync.take("b")
    assert isinstance(question, AskTree)
    stray = sync.believe("c", question, target.answer(question, exchange.depth))
    assert stray.fault is not None
    wrong = sync.believe("b", question, Fill(()))
    assert wrong.fault is not None
    assert sync.take("b") is None, "not asked again"
    exchange.run({"d": target.answer})
    assert sync.done


def test_a_clash_of_short_digests_is_healed_by_asking_whole() -> None:
    """An own record whose 8-byte digest equals the target's: honest, one in 2^32, made here by a false `have`."""
    before = catalog(40)
    target, own = Replica(edited(before, 5, 1, 0, 0)), Replica(before)
    depth = tree_depth(40)
    sync = CatalogSync(target.tree().root, own.tree(depth), own.entries_at(depth))
    tree_question = sync.take("b")
    assert isinstance(tree_question, AskTree)
    sync.believe("b", tree_question, target.answer(tree_question, depth))
    question = sync.take("b")
    assert isinstance(question, AskFill)
    nothing = Fill(tuple(BucketFill(b"", ()) for _ in question.buckets))
    belief = sync.believe("b", question, nothing)
    assert belief.filled == ()
    assert belief.fault is None, "the first time it may be a clash"
    again = sync.take("b")
    assert isinstance(again, AskFill)
    assert [have for _, _, have in again.buckets] == [b""]
    healed = sync.believe("b", again, target.answer(again, depth))
    for filled in healed.filled:
        own.apply(filled)
    assert own.items == target.items
    assert sync.done


def test_servers_refuse_greedy_and_impossible_questions() -> None:
    replica = Replica(catalog(2000))
    tree, depth = replica.tree(), tree_depth(2000)
    with pytest.raises(RemoteError) as caught:
        answer_tree(AskTree(tree.root, ((1, 14),)), tree)
    assert caught.value.reason == "too_big"
    with pytest.raises(RemoteError):
        answer_tree(AskTree(tree.root, ((1, 9),)), tree)
    with pytest.raises(RemoteError):
        answer_fill(AskFill(tree.root, ((1 << depth, bytes(8), b""),)), depth, replica.entries_at(depth), lambda _: [])
    with pytest.raises(RemoteError):
        answer_fill(AskFill(tree.root, ((0, bytes(8), b"odd"),)), depth, replica.entries_at(depth), lambda _: [])
    assert answer_tree(AskTree(bytes(32), ((1, 1),)), tree) == TreeLevels(())
    assert answer_tree(AskTree(tree.root, ((1, 1),)), None) == TreeLevels(())


def test_the_largest_bucket_fits_a_frame() -> None:
    record = Added(bytes(limits.RECORD_BYTES_MAX), bytes(limits.VECTOR_BYTES_MAX))
    full = Fill((BucketFill(bytes(128), (record,) * 128),))
    assert len(pack_frame(full)) <= limits.FRAME_BYTES_MAX
