"""Signed queries between real engines: what is answered, what is refused and why, and what a receipt proves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from node.config import Config, Home
from node.jobs import Ranker, home_ranker
from node.live_index import home_live_index
from node.session import home_encoder
from node.transport import Ask
from protocol.heads import open_head
from protocol.identity import parse_peer_id
from protocol.limits import SKEW_MS, RemoteError
from protocol.messages import AskQuery, QueryAnswer, Records, Refused, pack_frame
from protocol.query import (
    LIFETIME_MS_MAX,
    RESULTS_MAX,
    AnsweredHead,
    AnsweredItem,
    Query,
    open_answer,
    pack_item_subject,
    seal_answer,
    seal_query,
    verify_receipt,
)
from protocol.records import item_key, record_hash, record_hash_of
from tests.node.network.heap import Heap, parse_frame
from tests.node.network.homes import DIM, ENCODER, Node, identity, vector_of, write_of


def ranker_of(home: Home) -> Ranker:
    return home_ranker(home, home_live_index(home), lambda: home_encoder(home))


class Shops:
    """A asks, B answers; both hold both catalogs."""

    def __init__(self, folder: Path, allow: frozenset[str] | None = None, queries_per_minute: int = 600) -> None:
        self.heap = Heap()
        self.a = Node(1, "Asolo", [f"a{i}" for i in range(40)], path=folder / "a.sqlite")
        (folder / "b").mkdir()
        self.b = Node(
            2,
            "Bella",
            [f"b{i}" for i in range(60)],
            [self.a.peer],
            path=folder / "b" / "node.sqlite",
            allow=allow,
            queries_per_minute=queries_per_minute,
        )
        self.home = Home(folder / "b", Config("Bella", "tiny", ENCODER.hex(), DIM), self.b.identity)
        self.heap.add(self.a.peer, self.a.engine())
        self.heap.add(self.b.peer, self.b.engine(), ranker_of(self.home))
        whole = lambda: self.a.whole(self.b) and self.b.whole(self.a)  # noqa: E731
        assert self.heap.run(30, lambda: bool(whole()))

    def ask(self, kind: str, subject: bytes, k: int = 5) -> dict[str, object]:
        """Through the owner's command at A."""
        reply = self.heap.command(self.a.peer, "query", peer=self.b.peer, kind=kind, subject=subject.hex(), k=k)
        assert reply.document is not None, reply.mistake
        return reply.document

    def send(self, sealed: bytes) -> str:
        """A sealed query as it is, past A's engine. Returns the reason of the refusal, or 'answered'."""
        self.heap.said.clear()
        self.heap._carry_out(self.a.peer, Ask(10**9, self.b.peer, pack_frame(AskQuery(sealed))))
        found: list[str] = []

        def answered() -> bool:
            for sender, data in self.heap.said:
                frame = parse_frame(data)
                if sender == self.b.peer and isinstance(frame, QueryAnswer | Refused):
                    found.append(frame.reason if isinstance(frame, Refused) else "answered")
            return bool(found)

        assert self.heap.run(10, answered)
        return found[0]

    def query(self, **changes: object) -> Query:
        """A valid query of A's to B, now; with changes."""
        query = Query(
            to=self.b.identity.public,
            network="p2prec",
            nonce=b"n" * 16,
            issued_ms=self.heap.now_ms,
            expires_ms=self.heap.now_ms + 60_000,
            kind="vector",
            subject=vector_of("b7"),
            encoder=ENCODER,
            k=3,
        )
        return replace(query, **changes)  # type: ignore[arg-type]


@pytest.fixture
def shops(tmp_path: Path) -> Shops:
    return Shops(tmp_path)


def test_an_answer_names_items_that_the_asker_holds_verified(shops: Shops) -> None:
    document = shops.ask("vector", vector_of("b7"))
    items = document["items"]
    assert isinstance(items, list)
    assert [items[0]["item"], items[0]["platform"], items[0]["verified"]] == ["b7", "Bella", "catalog"]
    assert len(items) == 5
    assert document["unresolved"] == 0
    receipt = verify_receipt(bytes.fromhex(str(document["receipt"])))
    assert receipt.signed_by == shops.b.identity.public
    assert receipt.asked_by == shops.a.identity.public
    assert [item.item for item in receipt.answer.items] == [row["item"] for row in items]


def test_by_item_leaves_the_item_out(shops: Shops) -> None:
    document = shops.ask("item", pack_item_subject(shops.a.identity.public, "a3"))
    items = document["items"]
    assert isinstance(items, list)
    assert "a3" not in [row["item"] for row in items]
    assert {row["platform"] for row in items} <= {"Asolo", "Bella"}


def test_what_the_asker_does_not_hold_is_fetched_and_checked_by_hash(shops: Shops) -> None:
    shops.b.write(["fresh"])
    # A never hears of the new version: everything but the query is dropped on its way to it.
    shops.heap.tamper = lambda sender, receiver, data: (
        None if receiver == shops.a.peer and type(parse_frame(data)).__name__ in ("Announce", "Heads") else data
    )
    shops.heap.run(5)
    document = shops.ask("vector", vector_of("fresh"))
    items = document["items"]
    assert isinstance(items, list)
    assert [items[0]["item"], items[0]["verified"]] == ["fresh", "record"]


def test_100_answers_in_100_verify(shops: Shops) -> None:
    for number in range(100):
        document = shops.ask("vector", vector_of(f"b{number % 60}"), k=1 + number % 10)
        verify_receipt(bytes.fromhex(str(document["receipt"])))


REFUSALS: dict[str, Callable[[Shops], bytes]] = {
    "wrong_network": lambda s: seal_query(s.a.identity, s.query(network="other")),
    "expired": lambda s: seal_query(
        s.a.identity,
        s.query(issued_ms=s.heap.now_ms - 2 * SKEW_MS - 60_000, expires_ms=s.heap.now_ms - SKEW_MS - 1000),
    ),
    "bad_signature": lambda s: flipped(seal_query(s.a.identity, s.query())),
    "misdirected": lambda s: seal_query(s.a.identity, s.query(to=identity(77).public)),
    "over_limit": lambda s: seal_query(s.a.identity, s.query(k=RESULTS_MAX + 1)),
    "not_found": lambda s: seal_query(
        s.a.identity, s.query(kind="item", subject=pack_item_subject(s.a.identity.public, "nothing"))
    ),
    "wrong_encoder": lambda s: seal_query(s.a.identity, s.query(encoder=b"\xcd" * 32)),
    "malformed": lambda s: b"\x93garbage",
}


def flipped(sealed: bytes) -> bytes:
    """One bit of the body, which is the end of the sealed bytes."""
    return sealed[:-20] + bytes([sealed[-20] ^ 1]) + sealed[-19:]


@pytest.mark.parametrize("reason", REFUSALS)
def test_each_refusal_has_its_own_reason(shops: Shops, reason: str) -> None:
    assert shops.send(REFUSALS[reason](shops)) == reason
    status = shops.heap.command(shops.b.peer, "status").document
    assert status is not None
    assert status["refused"] == {reason: 1}


def test_a_lifetime_over_the_limit_is_refused(shops: Shops) -> None:
    query = shops.query(expires_ms=shops.heap.now_ms + LIFETIME_MS_MAX + 1)
    assert shops.send(seal_query(shops.a.identity, query)) == "over_limit"


def test_a_query_is_answered_once_also_across_a_restart(shops: Shops) -> None:
    sealed = seal_query(shops.a.identity, shops.query())
    assert shops.send(sealed) == "answered"
    assert shops.send(sealed) == "replayed"
    shops.heap.remove(shops.b.peer)
    shops.heap.add(shops.b.peer, shops.b.engine(), ranker_of(shops.home))
    assert shops.heap.run(30, lambda: shops.b.peer in shops.heap.seats[shops.a.peer].peers)
    assert shops.send(sealed) == "replayed"


def test_a_query_brought_by_somebody_else_is_refused(shops: Shops) -> None:
    assert shops.send(seal_query(identity(9), shops.query())) == "misdirected"


def test_who_is_not_on_the_list_is_refused(tmp_path: Path) -> None:
    shops = Shops(tmp_path, allow=frozenset({identity(5).peer_id}))
    assert shops.send(seal_query(shops.a.identity, shops.query())) == "not_allowed"
    document = shops.ask("vector", vector_of("b1"))
    assert document == {"peer_id": shops.b.peer, "refused": "not_allowed"}


def test_who_is_on_the_list_is_answered(tmp_path: Path) -> None:
    shops = Shops(tmp_path, allow=frozenset({identity(1).peer_id}))
    assert shops.send(seal_query(shops.a.identity, shops.query())) == "answered"


def test_a_budget_is_a_peers_own(tmp_path: Path) -> None:
    shops = Shops(tmp_path, queries_per_minute=10)
    outcomes = [shops.send(seal_query(shops.a.identity, shops.query(nonce=bytes([n]) * 16))) for n in range(20)]
    assert outcomes[0] == "answered"
    assert outcomes[-1] == "over_budget"
    assert set(outcomes) == {"answered", "over_budget"}
    shops.heap.run(60)
    assert shops.send(seal_query(shops.a.identity, shops.query(nonce=b"z" * 16))) == "answered"


def test_a_receipt_with_any_byte_changed_is_not_valid(shops: Shops) -> None:
    receipt = bytes.fromhex(str(shops.ask("vector", vector_of("b7"))["receipt"]))
    verify_receipt(receipt)
    for place in range(len(receipt)):
        changed = receipt[:place] + bytes([receipt[place] ^ 0x20]) + receipt[place + 1 :]
        with pytest.raises(RemoteError):
            verify_receipt(changed)


def test_a_query_to_somebody_who_is_not_here_says_so(shops: Shops) -> None:
    reply = shops.heap.command(
        shops.a.peer, "query", peer=identity(50).peer_id, kind="vector", subject=vector_of("b7").hex(), k=3
    )
    assert reply.mistake is not None
    assert "not connected" in reply.mistake
    assert parse_peer_id(shops.b.peer) == shops.b.identity.public
    assert len(item_key("b7")) == 16


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("nonsense", {}),
        ("query", {}),
        ("query", {"peer": 5, "kind": [], "subject": "zz", "k": "a"}),
        ("query", {"peer": "x", "kind": "text", "subject": "zz", "k": 1}),
        ("query", {"peer": "x", "kind": "text", "subject": "", "k": None}),
        ("query", {"peer": identity(1).peer_id, "kind": "text", "subject": "00", "k": 1}),
        ("query", {"peer": identity(2).peer_id, "kind": "nonsense", "subject": "00", "k": 1}),
        ("query", {"peer": identity(2).peer_id, "kind": "text", "subject": "00", "k": -(2**70)}),
        ("dial", {"address": 7}),
        ("dial", {"address": "/ip4/1.2.3.4/tcp/1/p2p/nobody"}),
    ],
)
def test_a_command_that_makes_no_sense_is_a_sentence(shops: Shops, name: str, arguments: dict[str, object]) -> None:
    reply = shops.heap.command(shops.a.peer, name, **arguments)
    assert reply.document is None
    assert reply.mistake
    assert shops.heap.command(shops.a.peer, "status").document


def test_an_item_in_an_honest_shops_name_is_not_shown_as_verified(shops: Shops) -> None:
    """B answers with A's own true head and an item that A never had: A holds that version, and knows better."""
    forged = write_of("free-phone")

    def tamper(sender: str, receiver: str, data: bytes) -> bytes:
        frame = parse_frame(data)
        if sender != shops.b.peer or not isinstance(frame, QueryAnswer):
            return data
        _, answer = open_answer(frame.answer)
        head = open_head(shops.a.whole(shops.a) or b"")
        honest = AnsweredHead(head.publisher, head.version, head.root)
        item = AnsweredItem(0, "free-phone", record_hash(forged.packed, forged.vector), 1.0)
        return pack_frame(QueryAnswer(seal_answer(shops.b.identity, replace(answer, heads=(honest,), items=(item,)))))

    shops.heap.tamper = tamper
    document = shops.ask("vector", vector_of("b7"))
    assert document["items"] == []
    assert document["unresolved"] == 1


def test_a_record_that_is_none_is_a_sentence_and_not_silence(shops: Shops) -> None:
    junk = b"\xc1junk"

    def tamper(sender: str, receiver: str, data: bytes) -> bytes:
        frame = parse_frame(data)
        if sender != shops.b.peer:
            return data
        if isinstance(frame, QueryAnswer):
            _, answer = open_answer(frame.answer)
            unknown = AnsweredHead(identity(99).public, 1, bytes(32))
            item = AnsweredItem(0, "x", record_hash_of(junk, bytes(32)), 1.0)
            return pack_frame(
                QueryAnswer(seal_answer(shops.b.identity, replace(answer, heads=(unknown,), items=(item,))))
            )
        return pack_frame(Records(((junk, bytes(32)),))) if isinstance(frame, Refused | Records) else data

    shops.heap.tamper = tamper
    document = shops.ask("vector", vector_of("b7"))
    assert document["items"] == []
    status = shops.heap.command(shops.a.peer, "status").document
    assert status is not None
    assert status["peers"][0]["score"] < 0
