"""Catalogs between real engines over a heap of virtual time: spreading, edits, absence, liars, crashes, forks."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path

import pytest

from node.errors import UserError
from node.events import Started, Tick
from node.index import load_index
from node.replicas import Replicas
from node.transport import Gossip, Misbehaved, Publish
from protocol.heads import CatalogHead, open_head, seal_head
from protocol.messages import Added, Announce, Fill, Forked, Heads, heads_digest, pack_frame
from tests.node.network.heap import Heap, parse_frame
from tests.node.network.homes import ENCODER, Node, identity, write_of


def names(platform: str, n: int) -> list[str]:
    return [f"{platform}{i}" for i in range(n)]


def all_whole(nodes: list[Node], publishers: list[Node]) -> bool:
    """Whether every node holds every publisher's newest version."""
    return all(
        one.whole(publisher) == publisher.whole(publisher) is not None for one in nodes for publisher in publishers
    )


def seat(heap: Heap, *nodes: Node) -> None:
    for node in nodes:
        heap.add(node.peer, node.engine())


def three(a_items: int = 300, b_items: int = 200) -> tuple[Heap, Node, Node, Node]:
    """A and B with catalogs, C without; B and C know A only."""
    heap = Heap()
    a = Node(1, "Asolo", names("a", a_items))
    b = Node(2, "Bella", names("b", b_items), [a.peer])
    c = Node(3, "Corso", [], [a.peer])
    seat(heap, a, b, c)
    return heap, a, b, c


def frames_of(heap: Heap, kind: type) -> list[object]:
    return [frame for _, data in heap.said if isinstance(frame := parse_frame(data), kind)]


def test_everybody_ends_with_every_catalog_also_from_somebody_who_only_holds_it() -> None:
    heap, a, b, c = three()
    assert heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    assert c.held(a) == a.held(a)
    assert c.held(b) == b.held(b)
    assert len(c.held(b)) == 200
    assert heap.seats[c.peer].peers == [a.peer], "b's catalog came through a"


def test_a_run_is_repeatable() -> None:
    def digest() -> str:
        heap, *_ = three()
        heap.run(20)
        return hashlib.sha256(b"".join(data for _, data in heap.said)).hexdigest()

    assert digest() == digest()


def test_a_price_moves_kilobytes_and_no_vector() -> None:
    heap, a, b, c = three(a_items=3000)
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    heap.said.clear()
    a.write(["a7"], price=999)
    assert heap.run(10, lambda: a.whole(a) == c.whole(a) and b"\xcd\x03\xe7" in c.held(a)["a7"][0])
    assert c.held(a) == a.held(a)
    fills = [f for f in frames_of(heap, Fill) if isinstance(f, Fill)]
    assert not [
        record
        for fill in fills
        for bucket in fill.buckets
        if bucket
        for record in bucket.records
        if isinstance(record, Added)
    ]
    assert sum(len(data) for _, data in heap.said) < 3 * 16_000


def test_what_is_removed_vanishes_and_a_replica_that_was_away_does_not_bring_it_back() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    heap.remove(b.peer)
    a.remove(["a5", "a6"])
    a.write(["new"])
    assert heap.run(30, lambda: all_whole([a, c], [a]) and "new" in c.held(a))
    heap.add(b.peer, b.engine())
    assert heap.run(60, lambda: all_whole([a, b, c], [a, b]))
    heap.run(120)
    for node in (a, b, c):
        assert {"a5", "a6"} & node.held(a).keys() == set()
        assert "new" in node.held(a)


def test_a_catalog_outlives_its_publisher() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    heap.remove(a.peer)
    d = Node(4, "Duomo", [], [b.peer])
    seat(heap, d)
    assert heap.run(60, lambda: all_whole([d], [a, b]))
    assert d.held(a) == c.held(a)


def flip_a_record(liar: str) -> object:
    """Whatever this peer fills buckets with has one bit of one record's metadata flipped."""

    def tamper(sender: str, receiver: str, data: bytes) -> bytes:
        frame = parse_frame(data)
        if sender != liar or not isinstance(frame, Fill):
            return data
        buckets = [one for one in frame.buckets if one and one.records]
        if not buckets:
            return data
        packed = buckets[0].records[0].packed
        return data.replace(packed, packed[:-1] + bytes([packed[-1] ^ 1]))

    return tamper


def test_a_replica_that_alters_a_page_is_refused_counted_and_scored_down() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    heap.tamper = flip_a_record(b.peer)  # type: ignore[assignment]
    d = Node(4, "Duomo", [], [b.peer, c.peer])
    seat(heap, d)
    assert heap.run(120, lambda: all_whole([d], [a, b]))
    assert d.held(a) == a.held(a)
    status = heap.command(d.peer, "status").document
    assert status is not None
    assert status["refused"].get("bad_proof", 0) + status["refused"].get("malformed", 0) > 0
    scores = {one["peer_id"]: one["score"] for one in status["peers"]}
    assert scores[b.peer] < 0 == scores[c.peer]


def test_a_liar_alone_is_banned_in_the_end() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    heap.remove(a.peer)
    heap.remove(c.peer)
    heap.tamper = flip_a_record(b.peer)  # type: ignore[assignment]
    d = Node(4, "Duomo", [], [b.peer])
    seat(heap, d)
    heap.run(120)
    assert d.whole(a) is None
    (peer,) = heap.command(d.peer, "peers").document["peers"]  # type: ignore[index]
    assert peer["banned_seconds"] > 0
    assert not peer["connected"]


@pytest.mark.parametrize("crashes", [1, 20])
def test_a_killed_receiver_goes_on_where_it_was(crashes: int) -> None:
    """The engine is dropped in the middle and made anew from its database; what it had stored is not sent again."""
    heap = Heap()
    a = Node(1, "Asolo", names("a", 12_000))
    c = Node(3, "Corso", [], [a.peer])
    seat(heap, a, c)
    for crash in range(crashes + 1):
        stored = {record for record, _ in c.held(a).values()}
        last = crash == crashes
        heap.run(60, lambda: all_whole([c], [a]) if last else c.count(a) > len(stored))  # noqa: B023
        fills = [frame for frame in frames_of(heap, Fill) if isinstance(frame, Fill)]
        sent = {record.packed for fill in fills for bucket in fill.buckets if bucket for record in bucket.records}
        assert sent
        assert not sent & stored
        assert last == all_whole([c], [a])
        heap.remove(c.peer)
        heap.run(1)
        heap.said.clear()
        heap.add(c.peer, c.engine())
    assert c.held(a) == a.held(a)


def test_two_heads_of_one_version_are_kept_told_and_hidden() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    head = open_head(a.whole(a) or b"")
    other = seal_head(
        a.identity, CatalogHead(head.publisher, head.platform, head.version, b"\x07" * 32, 5, ENCODER, head.at_ms)
    )
    sealed = a.whole(a) or b""
    heap._later(b.peer, Gossip(a.peer, a.peer, pack_frame(Announce(other))))
    assert heap.run(60, lambda: bool(c.replicas.forks()) and bool(b.replicas.forks()))
    assert set(c.replicas.forks()[0]) == {sealed, other}
    assert frames_of(heap, Forked)
    assert c.held(a) == {}, "items of a publisher in quarantine are not shown"
    assert c.held(b) == b.held(b)
    state = {one["publisher"]: one["state"] for one in heap.command(c.peer, "status").document["catalogs"]}  # type: ignore[index]
    assert state[a.peer] == "quarantined"
    d = Node(4, "Duomo", [], [c.peer])
    seat(heap, d)
    heap.run(60)
    assert d.replicas.forks(), "the proof is told to whoever comes later"
    assert d.held(a) == {}


def test_another_encoder_is_synced_kept_apart_and_shown() -> None:
    heap = Heap()
    a = Node(1, "Asolo", names("a", 100), encoder=b"\xcd" * 32)
    b = Node(2, "Bella", names("b", 50), [a.peer])
    seat(heap, a, b)
    assert heap.run(30, lambda: all_whole([a, b], [a, b]))
    shown = {one["publisher"]: one["comparable"] for one in heap.command(b.peer, "status").document["catalogs"]}  # type: ignore[index]
    assert shown == {a.peer: False, b.peer: True}
    assert len(b.store.items()) == 150
    assert len(b.store.items(fingerprint=ENCODER.hex())) == 50


def test_a_home_restored_from_an_old_copy_goes_past_what_it_signed_since() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    newest = open_head(a.whole(a) or b"").version
    heap.remove(a.peer)
    restored = Node(1, "Asolo", names("a", 290), [b.peer])
    heap.add(restored.peer, restored.engine(), clock_ms=-10 * 60_000)  # its clock is behind, too
    assert heap.run(90, lambda: all_whole([restored, b, c], [restored]) and len(c.held(a)) == 290)
    assert open_head(restored.whole(restored) or b"").version > newest
    assert not Replicas(b.database).forks()


def test_items_that_come_while_the_node_runs_become_a_new_version() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    a.write(names("later", 2000))
    assert heap.run(30, lambda: all_whole([a, b, c], [a, b]) and len(c.held(a)) == 2300)
    a.remove(names("later", 2000))
    assert heap.run(30, lambda: all_whole([a, b, c], [a, b]) and len(c.held(a)) == 300)


def test_what_there_is_no_room_for_is_not_fetched_and_the_rest_is() -> None:
    heap = Heap()
    a = Node(1, "Asolo", names("a", 300))
    b = Node(2, "Bella", names("b", 50), [a.peer], items_max=200)
    c = Node(3, "Corso", names("c", 100), [a.peer])
    seat(heap, a, b, c)
    assert heap.run(60, lambda: all_whole([b], [c]) and all_whole([c], [a, b]))
    heap.run(120)
    assert b.held(a) == {}
    status = heap.command(b.peer, "status").document
    assert status is not None
    assert status["refused"] == {}, "that this node has no room is nobody's fault"
    a.remove(names("a", 200))
    assert heap.run(60, lambda: all_whole([b], [a])), "a smaller version fits"
    assert {peer["connected"] for peer in status["peers"]} == {True}


def test_a_full_disk_stops_the_node_with_a_sentence_and_nothing_is_lost(tmp_path: Path) -> None:
    heap = Heap()
    a = Node(1, "Asolo", names("a", 4000))
    c = Node(3, "Corso", [], [a.peer], path=tmp_path / "c.sqlite")
    with c.database.transaction() as connection:
        connection.execute("PRAGMA max_page_count=40")
    seat(heap, a, c)
    with pytest.raises(UserError, match="disk is full"):
        heap.run(60)
    heap.remove(c.peer)
    assert c.whole(a) is None
    with c.database.transaction() as connection:
        connection.execute("PRAGMA max_page_count=100000")
    heap.add(c.peer, c.engine())
    assert heap.run(60, lambda: all_whole([c], [a]))
    assert c.held(a) == a.held(a)


def test_a_replica_whose_store_was_damaged_mends_itself_when_asked() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    heap.remove(b.peer)
    catalog = next(one.catalog for one in b.replicas.held() if one.publisher == a.peer)
    with b.database.transaction() as connection:
        connection.execute("DELETE FROM entry WHERE catalog = ? AND key < x'40'", (catalog,))
    assert b.held(a) != a.held(a)
    heap.add(b.peer, b.engine())
    d = Node(4, "Duomo", [], [b.peer])
    seat(heap, d)
    assert heap.run(120, lambda: all_whole([b, d], [a]) and b.held(a) == d.held(a) == a.held(a))
    status = heap.command(b.peer, "status").document
    assert status is not None
    assert {one["state"] for one in status["catalogs"]} == {"whole"}


def test_a_false_head_among_true_ones_costs_its_teller_points_and_nobody_else_anything() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    false = bytearray(a.whole(a) or b"")
    false[-20] ^= 1

    def tamper(sender: str, receiver: str, data: bytes) -> bytes:
        frame = parse_frame(data)
        if sender != b.peer or not isinstance(frame, Heads) or not frame.heads:
            return data
        heads = (bytes(false), *frame.heads)
        return pack_frame(Heads(heads_digest(heads, frame.forks), heads, frame.forks))

    heap.tamper = tamper
    d = Node(4, "Duomo", [], [b.peer])
    seat(heap, d)
    assert heap.run(60, lambda: all_whole([d], [a, b]))
    status = heap.command(d.peer, "status").document
    assert status is not None
    assert status["refused"] == {"bad_signature": 1}
    assert status["peers"][0]["score"] < 0


def test_a_head_that_counts_other_items_than_it_signs_is_refused() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    head = open_head(a.whole(a) or b"")
    boasting = seal_head(a.identity, replace(head, version=head.version + 1, count=head.count + 1))
    heap._later(c.peer, Gossip(a.peer, a.peer, pack_frame(Announce(boasting))))
    heap.run(30)
    assert c.whole(a) == a.whole(a)
    status = heap.command(c.peer, "status").document
    assert status is not None
    assert status["refused"] == {"malformed": 1}
    assert {peer["score"] for peer in status["peers"]} == {0}, "its replicas have no part in it"
    a.write(["a1"], price=7)
    assert heap.run(30, lambda: all_whole([a, b, c], [a])), "the next honest version is taken"


def test_a_head_that_renames_its_encoder_does_not_make_other_vectors_comparable() -> None:
    """The root does not cover the encoder: the same items under another fingerprint are all here at once."""
    heap = Heap()
    evil = Node(1, "Evil", [], encoder=b"\xcd" * 32)
    evil.store.write_items(evil.catalog, [write_of(f"e{i}", vector=bytes([1 + i]) * 6) for i in range(40)])
    b = Node(2, "Bella", names("b", 50), [evil.peer])
    seat(heap, evil, b)
    assert heap.run(30, lambda: all_whole([b], [evil]))
    head = open_head(evil.whole(evil) or b"")
    renamed = seal_head(evil.identity, replace(head, version=head.version + 1, encoder=ENCODER))
    heap._later(b.peer, Gossip(evil.peer, evil.peer, pack_frame(Announce(renamed))))
    heap.run(60)
    assert b.whole(evil) == evil.whole(evil), "the lie is not taken"
    assert len(load_index(b.store, ENCODER.hex(), 0.5).stored) == 50


def test_a_flood_of_versions_costs_one_look_a_second() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    head = open_head(a.whole(a) or b"")
    for number in range(200):
        count = 4_000_000 if number % 2 else 2_000_000
        flood = seal_head(a.identity, replace(head, version=head.version + 1 + number, count=count))
        heap._later(c.peer, Gossip(a.peer, a.peer, pack_frame(Announce(flood))))
    before = time.process_time()
    heap.run(0.5)
    assert time.process_time() - before < 2


def test_heads_without_items_neither_fill_the_book_nor_the_room() -> None:
    heap = Heap()
    honest = Node(1, "Asolo", names("a", 60))
    evil = Node(2, "Evil", names("e", 5))
    c = Node(3, "Corso", [], [evil.peer], items_max=5_000)
    seat(heap, evil, c)
    heap.run(10)
    for number in range(1200):
        throwaway = identity(1000 + number)
        claim = CatalogHead(throwaway.public, "Ghost", 1, bytes(32), 5_000, ENCODER, 1)
        heap._later(c.peer, Gossip(evil.peer, evil.peer, pack_frame(Announce(seal_head(throwaway, claim)))))
    heap.run(5)
    seat(heap, honest)
    heap._dial(c.peer, f"/heap/{honest.peer}/p2p/{honest.peer}")
    assert heap.run(60, lambda: all_whole([c], [honest]))


def test_two_nodes_with_one_key_do_not_sign_without_end() -> None:
    heap = Heap()
    a, twin = Node(1, "Asolo", names("a", 20)), Node(1, "Asolo", names("t", 20))
    c = Node(3, "Corso", [], [a.peer])
    seat(heap, a, c)
    heap.run(10, lambda: all_whole([c], [a]))
    engine = twin.engine()
    first = engine.step([Started(())], heap.now_ms + 5_000)
    versions = [effect for effect in first if isinstance(effect, Publish)]
    for second in range(60):
        now_ms = heap.now_ms + 5_000 + second * 1_000
        newer = seal_head(a.identity, replace(open_head(a.whole(a) or b""), version=now_ms + 10**6))
        gossip = Gossip(a.peer, a.peer, pack_frame(Announce(newer)))
        versions += [one for one in engine.step([gossip, Tick()], now_ms) if isinstance(one, Publish)]
    assert 1 < len(versions) <= 60 / 3 + 3


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    heap, a, b, c = three()
    heap.run(30, lambda: all_whole([a, b, c], [a, b]))
    heap.seats[c.peer].engine.step([Misbehaved(a.peer, "malformed")], heap.now_ms)
    for seat_of in heap.seats.values():
        seat_of.clock_ms = -8 * 24 * 3_600_000
    a.write(["a1"], price=321)
    assert heap.run(60, lambda: all_whole([a, b, c], [a]) and c.held(a) == a.held(a))
    assert heap.command(c.peer, "status").document
