"""Sync between two dictionaries over real frames: exact whatever differs, cheap, and proof against every lie."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import limits
from protocol.checks import check_fill
from protocol.limits import RemoteError
from protocol.merkle import BUCKET_ITEMS_MAX, bucket_of, leaf_hash, tree_depth
from protocol.messages import (
    Added,
    AnswerFrame,
    AskFill,
    AskRecords,
    AskTree,
    AskVectors,
    BucketFill,
    Changed,
    Fill,
    Records,
    Refused,
    TreeLevels,
    VectorsAnswer,
    pack_frame,
    parse_answer,
)
from protocol.query import RESULTS_MAX
from protocol.records import Item, Stored, item_key, pack_item, parse_item, record_hash
from protocol.serving import answer_fill, answer_records, answer_tree, answer_vectors
from protocol.sync import WAITING_MAX, Question, plan
from tests.protocol.replica import PUBLISHER, VECTOR_BYTES, Exchange, Replica, Server, catalog, stored, sync_to


def edited(
    items: dict[bytes, Stored], seed: int, prices: int, gone: int, new: int, vectors: int = 0
) -> dict[bytes, Stored]:
    """The next version: some prices changed, some items gone, some new, some with another picture."""
    rng = random.Random(seed)
    after = dict(items)
    keys = rng.sample(sorted(items), min(len(items), prices + gone + vectors))
    for key in keys[:prices]:
        after[key] = stored(parse_item(items[key].packed).item, 10**6 + rng.randrange(10**6), items[key].vector)
    for key in keys[prices : prices + gone]:
        del after[key]
    for key in keys[prices + gone :]:
        after[key] = Stored(items[key].packed, rng.randbytes(64))
    after |= {item_key(f"n{seed}.{i}"): stored(f"n{seed}.{i}", i, rng.randbytes(64)) for i in range(new)}
    return after


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 300), st.integers(0, 10**6), st.tuples(*[st.integers(0, 40)] * 3), st.integers(0, 200))
def test_whatever_differs_the_result_is_the_target(n: int, seed: int, edits: tuple[int, int, int], new: int) -> None:
    before = catalog(n)
    prices, gone, vectors = edits
    after = edited(before, seed, prices, gone, new, vectors)
    target, own = Replica(after), Replica(before)
    exchange = Exchange(target, own)
    exchange.run({"b": target.answer})
    assert exchange.sync.done
    assert own.items == target.items
    assert exchange.faults == []
    other = sum(before[key].vector != after[key].vector for key in before.keys() & after.keys())
    assert exchange.vectors == new + other, "a changed price brings no vector"


def test_a_catalog_that_shrinks_tenfold_is_still_a_difference() -> None:
    """Its buckets become shallower: what is held of one is more than a question can name."""
    before = catalog(5000)
    target, own = Replica(dict(sorted(before.items())[::12])), Replica(before)
    exchange = Exchange(target, own)
    exchange.run({"b": target.answer})
    assert own.items == target.items
    assert exchange.faults == []


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

    def count(name: str, replica: Replica) -> Server:
        def answer(question: Question, depth: int) -> AnswerFrame:
            frame = replica.answer(question, depth)
            served[name] += sum(one is not None for one in frame.buckets) if isinstance(frame, Fill) else 0
            return frame

        return answer

    exchange.run({"old": count("old", old), "new": count("new", target)})
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


def flip(frame: AnswerFrame, rng: random.Random) -> AnswerFrame:
    """One lie of each kind, somewhere in the answer."""
    if isinstance(frame, TreeLevels) and frame.levels:
        place = rng.randrange(len(frame.levels))
        broken = bytearray(frame.levels[place])
        broken[rng.randrange(len(broken))] ^= 1
        return TreeLevels((*frame.levels[:place], bytes(broken), *frame.levels[place + 1 :]))
    if isinstance(frame, VectorsAnswer):
        lies = [b"", bytes(len(frame.vectors[0])), frame.vectors[0][:-1] + b"!", frame.vectors[0] * 2]
        return VectorsAnswer((rng.choice(lies), *frame.vectors[1:]))
    if isinstance(frame, Fill) and any(frame.buckets):
        place = rng.choice([i for i, one in enumerate(frame.buckets) if one is not None])
        bucket = frame.buckets[place]
        assert bucket is not None
        false = [BucketFill(bucket.gone + b"\0", bucket.records), BucketFill(bucket.gone, bucket.records[1:])]
        for record in bucket.records[:1]:
            if isinstance(record, Added):
                broken = bytearray(record.vector)
                broken[0] ^= 1
                false.append(BucketFill(bucket.gone, (Added(record.packed, bytes(broken)), *bucket.records[1:])))
                false.append(BucketFill(bucket.gone, (Added(b"\xc1", record.vector), *bucket.records[1:])))
        lie = rng.choice(false)
        return Fill((*frame.buckets[:place], lie, *frame.buckets[place + 1 :]))
    return frame


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_a_liar_is_named_and_the_truth_comes_from_elsewhere(seed: int, from_nothing: bool) -> None:
    before = catalog(1500)
    target = Replica(edited(before, seed, 20, 20, 20, vectors=20))
    own = Replica({} if from_nothing else before)
    exchange = Exchange(target, own)
    rng = random.Random(seed)
    exchange.run({"liar": lambda q, d: flip(target.answer(q, d), rng), "honest": target.answer})
    assert exchange.sync.done
    assert own.items == target.items
    assert "honest" not in {peer for peer, _ in exchange.faults}
    assert "liar" in {peer for peer, _ in exchange.faults}
    assert all(reason in limits.REASONS for _, reason in exchange.faults)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_peers_that_come_and_go(seed: int) -> None:
    before = catalog(1200)
    target, own = Replica(edited(before, seed, 100, 100, 100, vectors=400)), Replica(before)
    exchange = Exchange(target, own)
    rng = random.Random(seed)
    for step in range(60):
        peer = f"p{rng.randrange(4)}"
        if rng.random() < 0.3:
            exchange.sync.take(peer)
            exchange.sync.lost(peer)
        elif rng.random() < 0.2:
            question = exchange.sync.take(peer)
            if question is not None:
                exchange.sync.failed(peer, question)
        else:
            exchange.ask(peer, target.answer)
        if step % 10 == 0:
            exchange.sync.lost("p0")
    exchange.run({"p9": target.answer})
    assert own.items == target.items
    assert exchange.sync.done
    assert exchange.faults == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_several_questions_on_their_way_at_once(seed: int) -> None:
    """Answers in any order, some late, some never, some of a liar; peers vanish and return."""
    before = catalog(1500)
    target, own = Replica(edited(before, seed, 50, 50, 50, vectors=300)), Replica(before)
    rng, depth, sync = random.Random(seed), tree_depth(len(target.items)), sync_to(target, own)
    on_way: list[tuple[str, Question]] = []
    for _ in range(2000):
        if sync.done:
            break
        peer = rng.choice(["one", "two", "three", "liar"])
        question = sync.take(peer)
        if question is not None:
            on_way.append((peer, question))
        if rng.random() < 0.1:
            sync.lost(peer)
            on_way = [one for one in on_way if one[0] != peer]
        if on_way and rng.random() < 0.6:
            peer, question = on_way.pop(rng.randrange(len(on_way)))
            answer = target.answer(question, depth)
            belief = sync.believe(peer, question, flip(answer, rng) if peer == "liar" else answer)
            assert belief.fault is None or peer == "liar"
            for filled in belief.filled:
                own.apply(filled, depth)
    assert sync.done
    assert own.items == target.items


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
    sync = sync_to(target, own)
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
        own.apply(filled, depth)
    assert own.items == target.items
    assert sync.done


def changed_vectors(n: int = 400) -> tuple[Replica, Replica]:
    """A target where every item has another picture, and the version before."""
    before = catalog(n)
    return Replica(edited(before, 6, 0, 0, 0, vectors=n)), Replica(before)


def test_a_bucket_waits_for_its_vectors_and_they_come_from_whoever_has_them() -> None:
    target, own = changed_vectors()
    exchange = Exchange(target, own)
    sync = exchange.sync

    def without_vectors(question: Question, depth: int) -> AnswerFrame:
        answer = target.answer(question, depth)
        return VectorsAnswer((b"",) * len(answer.vectors)) if isinstance(answer, VectorsAnswer) else answer

    before = dict(own.items)
    exchange.run({"poor": without_vectors})
    assert own.items == before
    assert exchange.faults == [], "to lack a vector is no lie"
    assert sync.idle
    assert not sync.done
    exchange.run({"rich": target.answer})
    assert own.items == target.items
    assert exchange.vectors == len(target.items)
    assert sync.done
    assert not sync.idle


def test_what_waits_for_vectors_is_bounded() -> None:
    target, own = changed_vectors(9000)
    exchange = Exchange(target, own)
    filled_from = 0
    while (question := exchange.sync.take("b")) is not None and filled_from < 5000:
        filled_from += len(question.buckets) if isinstance(question, AskFill) else 0
        if isinstance(question, AskVectors):
            wanted = question
            exchange.sync.believe("b", wanted, VectorsAnswer((b"",) * len(wanted.wanted)))
        else:
            exchange.sync.believe("b", question, target.answer(question, exchange.depth))
    assert exchange.depth == 9, "twice as many buckets as may wait"
    assert WAITING_MAX <= filled_from < WAITING_MAX + 40


def test_a_peer_that_told_a_new_head_is_looked_at_afresh() -> None:
    before = catalog(2000)
    target, own, peer = Replica(edited(before, 4, 3, 3, 3)), Replica({}), Replica(before)
    exchange = Exchange(target, own)
    exchange.run({"b": peer.answer})
    assert exchange.sync.idle
    peer.items = dict(target.items)
    assert exchange.sync.take("b") is None
    exchange.sync.forgive("b")
    exchange.run({"b": peer.answer})
    assert exchange.sync.done
    assert own.items == target.items


@pytest.mark.parametrize("kind", [AskFill, AskVectors])
def test_what_a_peer_lacked_it_is_asked_for_again_once_forgiven(kind: type[Question]) -> None:
    target, own = changed_vectors()
    exchange = Exchange(target, own)

    def without(question: Question, depth: int) -> AnswerFrame:
        answer = target.answer(question, depth)
        if isinstance(question, kind) and isinstance(answer, Fill):
            return Fill((None,) * len(answer.buckets))
        if isinstance(question, kind) and isinstance(answer, VectorsAnswer):
            return VectorsAnswer((b"",) * len(answer.vectors))
        return answer

    exchange.run({"b": without})
    assert exchange.sync.idle
    assert exchange.faults == []
    exchange.sync.forgive("b")
    exchange.run({"b": target.answer})
    assert own.items == target.items


def test_what_another_peer_did_not_answer_is_for_those_that_had_nothing_left() -> None:
    target, own = Replica(catalog(2000)), Replica({})
    exchange = Exchange(target, own)
    exchange.ask("slow", target.answer)
    questions = []
    while (question := exchange.sync.take("slow")) is not None:
        questions.append(question)
    assert exchange.sync.take("b") is None
    for question in questions:
        exchange.sync.failed("slow", question)
    exchange.run({"b": target.answer})
    assert own.items == target.items


def test_a_refusal_is_no_lie_and_is_not_repeated() -> None:
    target, own = changed_vectors()
    exchange = Exchange(target, own)
    exchange.run({"shy": lambda question, depth: Refused("not_found")})
    assert exchange.sync.idle
    assert exchange.faults == []
    for kinds in (AskFill, AskVectors):
        exchange.run({"half": lambda q, d, k=kinds: Refused("busy") if isinstance(q, k) else target.answer(q, d)})
        exchange.sync.forgive("half")
    assert exchange.faults == []
    exchange.run({"b": target.answer})
    assert own.items == target.items


@pytest.mark.parametrize("vector", [bytes(VECTOR_BYTES), b"\x01" * (VECTOR_BYTES + 2), b"\x01" * (VECTOR_BYTES - 1)])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("from_nothing", [True, False])
def test_a_vector_that_breaks_a_rule_is_refused_though_its_publisher_signed_it(
    vector: bytes, known: bool, from_nothing: bool
) -> None:
    before = catalog(20)
    key = sorted(before)[10]
    target = Replica(before | {key: Stored(before[key].packed, vector)})
    own = Replica({} if from_nothing else before)
    exchange = Exchange(target, own, VECTOR_BYTES if known else None)
    exchange.run({"b": target.answer})
    if len(vector) % 2 == 0 and any(vector) and not known and not from_nothing:
        assert exchange.sync.done, "the only one that came: nothing to compare it with"
    else:
        assert not exchange.sync.done
        assert set(exchange.faults) == {("b", "bad_vector")}


def test_all_vectors_of_a_catalog_take_the_same_size() -> None:
    before = catalog(20)
    for size in (VECTOR_BYTES, VECTOR_BYTES - 2):
        after = {key: Stored(one.packed, b"\x01" * VECTOR_BYTES) for key, one in before.items()}
        last = max(after)
        after[last] = Stored(after[last].packed, b"\x01" * size)
        exchange = Exchange(Replica(after), Replica(before))
        exchange.run({"b": Replica(after).answer})
        assert exchange.sync.done == (size == VECTOR_BYTES)
        assert exchange.faults == ([] if exchange.sync.done else [("b", "bad_vector")])


def test_a_bucket_that_no_honest_publisher_signs_is_refused() -> None:
    items = catalog(200)
    depth = 3
    records = {key: Added(one.packed, one.vector) for key, one in items.items()}
    entries = {key: key + record_hash(one.packed, one.vector) for key, one in items.items()}

    def check(keys: list[bytes], bucket: int, twice: bool = False) -> None:
        leaf = leaf_hash(depth, bucket, b"".join(entries[key] for key in sorted(keys)))
        sent = tuple(records[key] for key in keys) + tuple(records[key] for key in keys[:1] if twice)
        check_fill(depth, (bucket, leaf), b"", b"", BucketFill(b"", sent), None)

    keys = sorted(key for key in items if bucket_of(key, depth) == 5)
    check(keys, 5)
    with pytest.raises(RemoteError, match="twice"):
        check(keys, 5, twice=True)
    for stray in (min(items), max(items)):
        with pytest.raises(RemoteError, match="wrong bucket"):
            check([*keys, stray], 5)
    depth = 0
    with pytest.raises(RemoteError, match="too many"):
        check(sorted(items)[: BUCKET_ITEMS_MAX + 1], 0)


def test_metadata_that_breaks_a_rule_is_refused_though_its_publisher_signed_it() -> None:
    before = catalog(20)
    key = item_key("bad")
    false = pack_item(Item(item="bad", name="x")).replace(b"\xa1x", b"\xa1\n")
    target = Replica(before | {key: Stored(false, b"v" * VECTOR_BYTES)})
    exchange = Exchange(target, Replica(before))
    exchange.run({"b": target.answer})
    assert not exchange.sync.done
    assert exchange.faults == [("b", "malformed")]


def test_a_changed_record_of_an_item_that_was_not_here_asks_for_its_vector() -> None:
    """No honest server sends one; it proves as much as any other."""
    target, own = Replica(catalog(20)), Replica({})
    sync = sync_to(target, own)
    question = sync.take("b")
    assert isinstance(question, AskFill)
    records = tuple(Changed(one.packed, one.vector_hash) for one in target.items.values())
    assert sync.believe("b", question, Fill((BucketFill(b"", records),))).filled == ()
    wanted = sync.take("b")
    assert isinstance(wanted, AskVectors)
    for filled in sync.believe("b", wanted, target.answer(wanted, 0)).filled:
        own.apply(filled, 0)
    assert own.items == target.items


def test_vectors_and_records_by_hash() -> None:
    replica = Replica(catalog(5))
    keys = sorted(replica.items)
    held = replica.items[keys[0]]
    vectors = ((keys[0], held.vector_hash), (keys[1], bytes(32)), (bytes(16), held.vector_hash))
    assert answer_vectors(AskVectors(PUBLISHER, vectors), replica.stored) == VectorsAnswer((held.vector, b"", b""))
    known = record_hash(held.packed, held.vector)
    asked = AskRecords(PUBLISHER, ((keys[0], known), (keys[1], known), (bytes(16), known)))
    assert answer_records(asked, replica.stored) == Records(((held.packed, held.vector_hash), (b"", b""), (b"", b"")))


def test_servers_refuse_greedy_and_impossible_questions() -> None:
    replica = Replica(catalog(2000))
    tree, depth = replica.tree(), tree_depth(2000)
    with pytest.raises(RemoteError) as caught:
        answer_tree(AskTree(PUBLISHER, tree.root, ((1, 14),)), tree)
    assert caught.value.reason == "too_big"
    with pytest.raises(RemoteError):
        answer_tree(AskTree(PUBLISHER, tree.root, ((1, 9),)), tree)
    with pytest.raises(RemoteError):
        answer_fill(
            AskFill(PUBLISHER, tree.root, ((1 << depth, bytes(8), b""),)),
            depth,
            replica.entries_at(depth),
            lambda _: [],
        )
    with pytest.raises(RemoteError):
        answer_fill(
            AskFill(PUBLISHER, tree.root, ((0, bytes(8), b"odd"),)), depth, replica.entries_at(depth), lambda _: []
        )
    assert answer_tree(AskTree(PUBLISHER, bytes(32), ((1, 1),)), tree) == TreeLevels(())
    assert answer_tree(AskTree(PUBLISHER, tree.root, ((1, 1),)), None) == TreeLevels(())


def test_the_largest_bucket_fits_a_frame() -> None:
    record = Added(bytes(limits.RECORD_BYTES_MAX), bytes(limits.VECTOR_BYTES_MAX))
    full = Fill((BucketFill(bytes(128), (record,) * 128),))
    assert len(pack_frame(full)) <= limits.FRAME_BYTES_MAX


def test_all_vectors_and_records_that_may_be_asked_for_fit_a_page_and_a_frame() -> None:
    vectors = VectorsAnswer((b"v" * limits.VECTOR_BYTES_MAX,) * limits.VECTORS_MAX)
    assert len(pack_frame(vectors)) <= limits.PAGE_BYTES
    assert parse_answer(pack_frame(vectors)) == vectors
    records = Records(((b"r" * limits.RECORD_BYTES_MAX, bytes(32)),) * RESULTS_MAX)
    assert len(pack_frame(records)) <= limits.FRAME_BYTES_MAX / 2
    assert parse_answer(pack_frame(records)) == records
