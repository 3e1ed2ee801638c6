"""A js-libp2p peer, written from docs/protocol.md alone, against real nodes over sockets on 127.0.0.1."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from libp2p.host.ping import PingService
from libp2p.peer.id import ID

from node.config import Home
from node.database import Database
from node.jobs import rule_of
from node.replicas import Replicas
from node.store import Store
from node.transport import Answered, Gossip, Misbehaved, PeerUp
from protocol.heads import CatalogHead, seal_head
from protocol.identity import Identity, peer_id
from protocol.limits import FRAME_BYTES_MAX, GOSSIP_BYTES_MAX
from protocol.messages import Announce, AskHeads, Refused, pack_frame, parse_answer
from protocol.query import pack_item_subject, verify_receipt
from protocol.records import parse_item
from sim.processes import NodeProcess, wait_until
from tests.interop.javascript import FOLDER, JsPeer, RefusedByJsError, install
from tests.node.libp2p.rig import Peer, running
from tests.node.network.homes import DIM, ENCODER, vector_of, write_home, write_of
from tests.node.network.processes import contents, roots

pytestmark = pytest.mark.slow
DOCUMENT = FOLDER.parents[1] / "docs" / "protocol.md"
ITEMS = [f"a{i}" for i in range(600)]
AT_MS = 1_700_000_000_000
StartJs = Callable[..., JsPeer]
StartNode = Callable[..., NodeProcess]


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    install()
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("interop")


@pytest.fixture(scope="module")
def asolo(stack: ExitStack, folder: Path) -> NodeProcess:
    """A node with 600 items: a tree of depth 5."""
    node = stack.enter_context(NodeProcess(write_home(folder / "asolo", 1, "Asolo", ITEMS)))
    node.ready()
    return node


@pytest.fixture(scope="module")
def js(stack: ExitStack, folder: Path, asolo: NodeProcess) -> JsPeer:
    """A peer that dialled the node and is in its mesh."""
    peer = stack.enter_context(JsPeer(7, folder / "js.log"))
    peer.ask("dial", address=asolo.address)
    peer.wait(event="graft", peer=peer_of(asolo))
    return peer


@pytest.fixture
def start_js(stack: ExitStack, tmp_path: Path) -> Iterator[StartJs]:
    with ExitStack() as mine:
        yield lambda seed, **settings: mine.enter_context(JsPeer(seed, tmp_path / "js.log", **settings))


@pytest.fixture
def start_node(stack: ExitStack) -> Iterator[StartNode]:
    with ExitStack() as mine:

        def begin(home: Home, *arguments: str, listen: str = "/ip4/127.0.0.1/tcp/0") -> NodeProcess:
            node = mine.enter_context(NodeProcess(home, *arguments, listen=listen))
            node.ready()
            return node

        yield begin


def peer_of(node: NodeProcess) -> str:
    return node.home.identity.peer_id


def sell(home: Home, *items: str) -> None:
    """What an import beside the running node does; the node signs a new version."""
    database = Database(home.database)
    store = Store(database)
    own = next(one for one in store.catalogs() if one.own)
    store.write_items(own.catalog, [write_of(item, platform=own.platform) for item in items])
    database.close()


def own_head(home: Home) -> str:
    """As it is sealed."""
    database = Database(home.database)
    [held] = [one for one in Replicas(database).held() if one.own]
    database.close()
    assert held.head is not None
    return held.head.hex()


def flipped(sealed: str, place: int) -> str:
    """One bit of it."""
    raw = bytearray.fromhex(sealed)
    raw[place] ^= 1
    return raw.hex()


def things(count: int, price: int = 100) -> list[dict[str, Any]]:
    """Items as the js peer sells them."""
    return [
        {
            "item": {"item": f"j{i}", "name": f"Thing {i}", "price_minor": price, "currency": "EUR"},
            "vector": (bytes([i % 127 + 1]) * 2 * DIM).hex(),
        }
        for i in range(count)
    ]


# -- bytes -----------------------------------------------------------------------------------------------------------


def test_javascript_makes_the_documents_example_bit_by_bit(js: JsPeer) -> None:
    example = js.ask("example", path=str(DOCUMENT))
    assert example["lines"] >= 17
    assert example["differ"] == []


# -- reading a node --------------------------------------------------------------------------------------------------


def test_js_dials_pings_and_identifies_a_node(js: JsPeer, asolo: NodeProcess) -> None:
    assert js.ask("dial", address=asolo.address)["peer"] == peer_of(asolo)
    assert js.ask("ping", peer=peer_of(asolo))["ms"] < 1000
    told = js.ask("identify", peer=peer_of(asolo))
    assert told["peer"] == peer_of(asolo)
    assert {"/p2prec/ask/1", "/meshsub/1.1.0", "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"} <= set(told["protocols"])
    assert (told["encryption"], told["muxer"]) == ("/noise", "/yamux/1.0.0")
    assert asolo.address.split("/p2p/")[0] in told["addresses"]
    assert js.peer in {one["peer_id"] for one in asolo.status()["peers"] if one["connected"]}


def test_js_reads_and_verifies_a_whole_catalog(js: JsPeer, asolo: NodeProcess) -> None:
    listed = js.ask("heads", peer=peer_of(asolo))
    assert listed["again"], "the digest did not stand for the list"
    assert (peer_of(asolo), "Asolo") in [(one["publisher"], one["platform"]) for one in listed["heads"]]
    read = js.ask("walk", peer=peer_of(asolo), publisher=peer_of(asolo))
    held = {record.hex(): vector.hex() for record, vector in contents(asolo.home).values()}
    assert {one["record"]: one["vector"] for one in read["items"]} == held
    assert (read["depth"], read["tree"], read["head"]["count"]) == (5, 1, len(held))
    assert read["records"] == [one["item"]["item"] for one in read["items"][:100]]
    assert read["vector"] == read["items"][0]["vector"]


def test_js_hears_a_new_head_by_gossip_and_keeps_the_node_in_its_mesh(js: JsPeer, asolo: NodeProcess) -> None:
    before = js.now()
    sell(asolo.home, "new")
    head = js.wait(after=before, event="gossip", frame="Announce", publisher=peer_of(asolo))
    assert (head["author"], head["platform"], head["encoder"]) == (peer_of(asolo), "Asolo", ENCODER.hex())
    assert head["root"] == roots(asolo.home)[peer_of(asolo)]
    state = js.ask("state")
    assert peer_of(asolo) in state["mesh"]
    assert state["scores"][peer_of(asolo)] == 0


@pytest.mark.parametrize("place", [40, -1], ids=["signature", "body"])
def test_a_forged_head_is_refused_on_both_sides(place: int, js: JsPeer, asolo: NodeProcess) -> None:
    sealed = own_head(asolo.home)
    assert js.ask("open", sealed=sealed)["publisher"] == peer_of(asolo)
    forged = flipped(sealed, place)
    with pytest.raises(RefusedByJsError) as caught:
        js.ask("open", sealed=forged)
    assert caught.value.reason == "bad_signature"
    refused = asolo.status()["refused"].get("bad_signature", 0)
    before = roots(asolo.home)
    js.ask("announce", sealed=forged)
    wait_until(lambda: asolo.status()["refused"].get("bad_signature", 0) > refused)
    assert roots(asolo.home) == before


def test_sixteen_questions_at_once_are_all_answered(js: JsPeer, asolo: NodeProcess) -> None:
    question = pack_frame(AskHeads(b"")).hex()
    answers = js.ask("exchange", peer=peer_of(asolo), questions=[question] * 16)["answers"]
    assert len(set(answers)) == 1
    assert parse_answer(bytes.fromhex(answers[0]))


def test_what_is_no_question_is_refused_and_not_cut_off(start_js: StartJs, asolo: NodeProcess) -> None:
    other = start_js(6)
    other.ask("dial", address=asolo.address)
    answers = other.ask("exchange", peer=peer_of(asolo), questions=["c0", "921063"])["answers"]
    assert [parse_answer(bytes.fromhex(one)) for one in answers] == [Refused("malformed")] * 2


# -- what js publishes -----------------------------------------------------------------------------------------------


def test_a_node_holds_what_js_publishes_and_a_new_price_moves_no_vector(start_js: StartJs, asolo: NodeProcess) -> None:
    other = start_js(9)
    other.ask("dial", address=asolo.address)
    other.wait(event="subscribed", peer=peer_of(asolo))

    def serve(version: int, items: list[dict[str, Any]]) -> dict[str, Any]:
        root = other.ask("serve", platform="Nove", version=version, encoder=ENCODER.hex(), items=items)["root"]
        wait_until(lambda: roots(asolo.home).get(other.peer) == root)
        counts: dict[str, Any] = other.ask("state")["counts"]
        return counts

    counts = serve(AT_MS, things(70))
    assert (counts["added"], counts["changed"]) == (70, 0)
    held = [one for one in asolo.status()["catalogs"] if one["publisher"] == other.peer]
    assert [(one["platform"], one["items_known"], one["state"]) for one in held] == [("Nove", 70, "whole")]
    counts = serve(AT_MS + 1, [*things(1, price=90), *things(70)[2:]])
    assert (counts["added"], counts["changed"]) == (70, 1), "more than the difference travelled"
    prices = {
        item.item: item.price_minor
        for item in (
            parse_item(cast(bytes, packed)) for publisher, packed in contents(asolo.home) if publisher == other.peer
        )
    }
    assert prices == {f"j{i}": 90 if i == 0 else 100 for i in range(70) if i != 1}
    assert not asolo.status()["refused"].get("bad_proof")


def test_a_fork_by_js_is_found_told_and_never_forgiven(start_js: StartJs, js: JsPeer, asolo: NodeProcess) -> None:
    other = start_js(19)
    other.ask("dial", address=asolo.address)
    other.wait(event="subscribed", peer=peer_of(asolo))
    other.ask("fork", version=AT_MS, encoder=ENCODER.hex())
    told = js.wait(event="gossip", frame="Forked", publisher=other.peer)
    assert told["author"] == peer_of(asolo)
    listed = js.ask("heads", peer=peer_of(asolo))
    assert listed["forks"] == 1
    assert other.peer not in {one["publisher"] for one in listed["heads"]}


# -- queries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vector", "item", "card"])
def test_js_asks_a_signed_query_and_its_receipt_verifies_here(kind: str, js: JsPeer, asolo: NodeProcess) -> None:
    vector = vector_of("a5").hex()
    subject = pack_item_subject(asolo.home.identity.public, "a5").hex() if kind == "item" else vector
    card = {"consent": "I take my taste along.", "noise": 0.25} if kind == "card" else None
    now = time.time_ns() // 1_000_000
    found = js.ask(
        "query", peer=peer_of(asolo), kind=kind, subject=subject, k=5, encoder=ENCODER.hex(), card=card, now=now
    )
    assert (found["model"], len(found["items"]), found["again"]) == (rule_of(kind), 5, "replayed")
    assert (found["items"][0]["item"] == "a5") is (kind != "item"), "an item is not near itself"
    assert all(one["record"]["item"] == one["item"] for one in found["items"])
    receipt = verify_receipt(bytes.fromhex(found["receipt"]))
    assert (peer_id(receipt.asked_by), peer_id(receipt.signed_by)) == (js.peer, peer_of(asolo))
    assert [one.item for one in receipt.answer.items] == [one["item"] for one in found["items"]]


def test_an_old_query_is_refused_with_its_reason(start_js: StartJs, asolo: NodeProcess) -> None:
    other = start_js(20)
    other.ask("dial", address=asolo.address)
    now = time.time_ns() // 1_000_000 - 10**9
    with pytest.raises(RefusedByJsError) as caught:
        other.ask(
            "query",
            peer=peer_of(asolo),
            kind="vector",
            subject=vector_of("a5").hex(),
            k=5,
            encoder=ENCODER.hex(),
            now=now,
        )
    assert caught.value.reason == "expired"


# -- a node dials, and either side restarts --------------------------------------------------------------------------


def test_a_node_dials_js_and_either_side_restarts(tmp_path: Path, start_js: StartJs, start_node: StartNode) -> None:
    home = write_home(tmp_path / "bella", 2, "Bella", ["b1"])
    other = start_js(10)
    node = start_node(home, "--peer", other.address)
    other.wait(event="connect", peer=peer_of(node))
    other.wait(event="asked", kind=1)
    assert other.ask("walk", peer=peer_of(node), publisher=peer_of(node))["items"][0]["item"]["item"] == "b1"

    other.kill()
    wait_until(lambda: not any(one["connected"] for one in node.status()["peers"]))
    again = start_js(10, listen=other.address.split("/p2p/")[0])
    again.wait(event="subscribed", peer=peer_of(node))
    sell(home, "b2")
    assert again.wait(event="gossip", publisher=peer_of(node), count=2)["author"] == peer_of(node)

    node.kill()
    again.wait(event="disconnect", peer=peer_of(node))
    before = again.now()
    start_node(home, listen=node.address.split("/p2p/")[0])
    again.wait(after=before, event="subscribed", peer=peer_of(node))
    assert [one["count"] for one in again.ask("heads", peer=peer_of(node))["heads"]] == [2]


# -- the transport alone: pings by Python, the largest frames, unsigned messages, a reconnect ------------------------


async def in_thread(call: Callable[..., Any], *arguments: Any, **fields: Any) -> Any:
    return await trio.to_thread.run_sync(partial(call, *arguments, **fields))


async def said_until_heard(peer: Peer, data: bytes, other: JsPeer, **fields: Any) -> dict[str, Any]:
    """A mesh takes a heartbeat to stand, and gossip is not relied upon: said again until it is heard."""
    waiting = other.begin("wait", fields=fields)
    async with trio.open_nursery() as nursery:

        async def say() -> None:
            while True:
                peer.publish(data)
                await trio.sleep(0.3)

        nursery.start_soon(say)
        event: dict[str, Any] = await in_thread(other.take, waiting)
        nursery.cancel_scope.cancel()
    return event


def test_python_dials_pings_and_asks_js(start_js: StartJs) -> None:
    other = start_js(11)

    async def scenario() -> None:
        peer = Peer(12)
        async with running(peer):
            assert await peer.dial(other.address) == PeerUp(other.peer, other.address)
            [microseconds] = await PingService(peer.transport._host).ping(ID.from_base58(other.peer))
            assert 0 <= microseconds < 1e6
            answered = await peer.ask(other.peer, pack_frame(AskHeads(b"")))
            assert isinstance(answered, Answered)
            assert parse_answer(answered.data).heads == ()  # type: ignore[union-attr]
            largest = await peer.ask(other.peer, bytes(FRAME_BYTES_MAX))
            assert isinstance(largest, Answered)
            assert parse_answer(largest.data) == Refused("malformed")

    trio.run(scenario)


def test_the_largest_frame_passes_and_a_longer_one_does_not(start_js: StartJs) -> None:
    other = start_js(13)

    async def scenario() -> None:
        peer = Peer(14)
        async with running(peer):
            await in_thread(other.ask, "dial", address=peer.address)
            assert await in_thread(other.ask, "echo", peer=peer.id, size=FRAME_BYTES_MAX) == {"same": True}
            with pytest.raises(RefusedByJsError):
                await in_thread(other.ask, "echo", peer=peer.id, size=FRAME_BYTES_MAX + 1)
            await peer.until(lambda: Misbehaved(other.peer, "too_big") in peer.events)

    trio.run(scenario)


def test_messages_without_a_true_signature_are_dropped(start_js: StartJs) -> None:
    other = start_js(15)
    first, second, last = (bytes([number]) * 100 for number in (1, 2, 3))

    async def scenario() -> None:
        peer = Peer(16)
        async with running(peer):
            await in_thread(other.ask, "dial", address=peer.address)
            await in_thread(other.wait, event="subscribed", peer=peer.id)
            await in_thread(other.ask, "unsigned", peer=peer.id, data=first.hex())
            await in_thread(other.ask, "unsigned", peer=peer.id, data=second.hex(), signature="07" * 64)
            heard = await peer.hears(last, other)  # type: ignore[arg-type]
            assert (heard.author, heard.forwarder) == (other.peer, other.peer)
            assert {one.data for one in peer.all(Gossip)} == {last}

    trio.run(scenario)


@pytest.mark.parametrize("message_id", ["spec", "default"])
def test_a_node_asks_only_for_messages_that_it_lacks(message_id: str, start_js: StartJs) -> None:
    """With the document's message id. With js-libp2p's own, the node asks again for everything that it has."""
    other = start_js(5, messageId=message_id)
    unknown = "00" * 46

    async def scenario() -> None:
        peer = Peer(6)
        async with running(peer):
            await in_thread(other.ask, "dial", address=peer.address)
            await peer.hears(b"by js", other)  # type: ignore[arg-type]
            await said_until_heard(peer, b"by python", other, event="gossip", author=peer.id)
            told = await in_thread(other.ask, "ihave", peer=peer.id, unknown=unknown)
            assert len(told["told"]) >= 3
            wanted = (await in_thread(other.wait, event="iwant", peer=peer.id))["ids"]
            assert unknown in wanted
            assert (wanted == [unknown]) is (message_id == "spec")

    trio.run(scenario)


def test_gossip_of_the_largest_size_survives_a_reconnect_both_ways(start_js: StartJs) -> None:
    """A peer that returns is sent the latest messages again, beside new ones."""
    other = start_js(17)
    publisher = Identity(bytes([18]) * 32)

    async def exchange(peer: Peer, turn: int) -> None:
        for number in range(3):
            data = bytes([turn, number]) * (GOSSIP_BYTES_MAX // 2)
            await peer.hears(data, other)  # type: ignore[arg-type]
            peer.publish(bytes([turn, number + 100]) * (GOSSIP_BYTES_MAX // 2))
        head = CatalogHead(publisher.public, "Head", 1 + turn, bytes(32), 0, ENCODER, AT_MS)
        frame = pack_frame(Announce(seal_head(publisher, head)))
        told = await said_until_heard(peer, frame, other, event="gossip", version=1 + turn)
        assert told["author"] == peer.id

    async def scenario() -> None:
        peer = Peer(18)
        async with running(peer):
            for turn in range(3):
                await in_thread(other.ask, "dial", address=peer.address)
                await exchange(peer, turn)
                await in_thread(other.ask, "hangup", peer=peer.id)
                await peer.until(lambda before=turn: peer.downs(other.peer) > before)  # type: ignore[misc]
            assert not peer.all(Misbehaved)

    trio.run(scenario)
