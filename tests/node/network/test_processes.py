"""Real processes over real sockets: the same scenario as the heap's, kills, restarts, edits while running, privacy."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from node import cli
from node.config import Home, load_home
from node.control import ask_node
from node.database import Database
from node.store import Rating, Store
from protocol.limits import PAGE_BYTES
from protocol.messages import FRAMES
from sim.processes import NodeProcess, wait_until
from tests.node.libp2p.attacks import ATTACKS
from tests.node.network.heap import Heap
from tests.node.network.homes import Node, write_home, write_of
from tests.node.network.processes import contents, roots

Start = Callable[..., NodeProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a node and wait until it is ready; what still runs at the end is killed."""
    with ExitStack() as stack:

        def begin(home: Home, *peers: NodeProcess, arguments: tuple[str, ...] = ()) -> NodeProcess:
            named = [word for peer in peers for word in ("--peer", peer.address)]
            process = stack.enter_context(NodeProcess(home, *named, *arguments))
            process.ready()
            return process

        yield begin


def names(platform: str, n: int) -> list[str]:
    return [f"{platform}{i}" for i in range(n)]


def three_homes(folder: Path) -> tuple[Home, Home, Home]:
    return (
        write_home(folder / "a", 1, "Asolo", names("a", 600)),
        write_home(folder / "b", 2, "Bella", names("b", 400)),
        write_home(folder / "c", 3, "Corso", []),
    )


def agree(*homes: Home) -> bool:
    first = roots(homes[0])
    return len(first) == 2 and all(roots(home) == first for home in homes[1:])


def edit(home: Home, items: list[str], price: int, gone: list[str]) -> None:
    """What an import and a removal beside the running node do."""
    database = Database(home.database)
    store = Store(database)
    own = next(one for one in store.catalogs() if one.own)
    store.write_items(own.catalog, [write_of(item, price, platform=own.platform) for item in items])
    store.remove_items(own.catalog, gone)
    database.close()


def heap_contents(folder: Path) -> list[dict[tuple[str, str], tuple[bytes, bytes]]]:
    """The scenario of `test_three_processes...`, by the heap."""
    homes = three_homes(folder)
    heap = Heap()
    a = Node(1, "Asolo", path=homes[0].database)
    b = Node(2, "Bella", named=[a.peer], path=homes[1].database)
    c = Node(3, "Corso", named=[a.peer], path=homes[2].database)
    for node in (a, b, c):
        heap.add(node.peer, node.engine())
    assert heap.run(60, lambda: agree(*homes))
    before = roots(homes[0])
    edit(homes[0], ["a1", "a2", "new"], 777, ["a3"])
    assert heap.run(60, lambda: agree(*homes) and roots(homes[2]) != before)
    return [contents(home) for home in homes]


def test_three_processes_end_with_the_same_verified_catalogs_as_the_heap(tmp_path: Path, start: Start) -> None:
    homes = three_homes(tmp_path / "real")
    a = start(homes[0])
    b = start(homes[1], a)
    c = start(homes[2], a)
    wait_until(lambda: agree(*homes))
    before = roots(homes[0])
    edit(homes[0], ["a1", "a2", "new"], 777, ["a3"])
    wait_until(lambda: agree(*homes) and roots(homes[2]) != before)
    real = [contents(home) for home in homes]
    assert real == heap_contents(tmp_path / "heap")
    assert real[0] == real[1] == real[2]
    for node in (a, b, c):
        status = node.status()
        assert status["refused"] == {}
        assert {one["state"] for one in status["catalogs"]} <= {"whole", "empty"}
        assert node.stop() == 0


def test_a_receiver_killed_again_and_again_completes(tmp_path: Path, start: Start) -> None:
    """kill -9 in the middle of a sync; the next start goes on from the verified buckets."""
    source = write_home(tmp_path / "a", 1, "Asolo", names("a", 20_000))
    sink = write_home(tmp_path / "c", 3, "Corso", [])
    a = start(source)
    kills_wanted = int(os.environ.get("P2PREC_KILLS", "4"))
    for kills in range(kills_wanted):
        c = start(sink, a)
        enough = 12_000 // kills_wanted * kills
        wait_until(lambda enough=enough: len(contents(sink)) > enough or roots(sink) == roots(source))  # type: ignore[misc]
        c.kill()
    start(sink, a)
    wait_until(lambda: roots(sink) == roots(source), 120)
    assert contents(sink) == contents(source)
    assert a.status()["refused"] == {}
    # What a killed receiver had asked for is sent again, ten pages at the most; what it had stored is not.
    sizes = [len(packed) + len(vector) for (_, packed), (_, vector) in contents(source).items()]
    assert a.status()["bytes_out"]["Fill"] < 1.2 * sum(sizes) + kills_wanted * 10 * PAGE_BYTES


def test_a_replica_that_altered_its_pages_is_refused_and_the_catalog_comes_from_elsewhere(
    tmp_path: Path, start: Start
) -> None:
    """A stops; D meets B, whose copy of A's catalog has one bit flipped in every record, then C, whose copy is true."""
    homes = three_homes(tmp_path)
    a = start(homes[0])
    b = start(homes[1], a)
    c = start(homes[2], a)
    wait_until(lambda: agree(*homes))
    assert a.stop() == b.stop() == c.stop() == 0
    database = Database(homes[1].database)
    with database.transaction() as connection:
        rows = connection.execute("SELECT slot, packed FROM item").fetchall()
        connection.executemany(
            "UPDATE item SET packed = ? WHERE slot = ?",
            [(packed[:-1] + bytes([packed[-1] ^ 1]), slot) for slot, packed in rows],
        )
    database.close()
    b = start(homes[1])
    d_home = write_home(tmp_path / "d", 4, "Duomo", [])
    d = start(d_home, b)
    wait_until(lambda: d.status()["refused"].get("bad_proof", 0) >= 1)
    start(homes[2], d)
    wait_until(lambda: roots(d_home) == roots(homes[2]))
    assert contents(d_home) == contents(homes[2])
    status = d.status()
    scores = {peer["peer_id"]: peer["score"] - peer["banned_seconds"] for peer in status["peers"]}
    assert scores[homes[1].identity.peer_id] < 0 == scores[homes[2].identity.peer_id]


@pytest.mark.slow
def test_a_node_goes_on_under_everything_that_is_known_to_crash_or_hang_a_host(tmp_path: Path, start: Start) -> None:
    """The whole list of tests/node/libp2p/attacks.py against a node at work: it syncs, stays small and stops."""
    homes = three_homes(tmp_path)
    a = start(homes[0])
    start(homes[1], a)
    wait_until(lambda: agree(homes[0], homes[1]))
    before = memory_mb(a.process.pid)

    async def attack_all() -> None:
        for name, attack in ATTACKS.items():
            with trio.fail_after(60):
                await attack(a.address)
            assert a.process.poll() is None, name

    trio.run(attack_all)
    edit(homes[0], ["a1", "new"], 777, ["a2"])
    wait_until(lambda: agree(homes[0], homes[1]) and any("new" in str(key) for key in contents(homes[1])))
    assert memory_mb(a.process.pid) < before + 200
    assert a.status()["refused"]
    assert a.stop() == 0


def memory_mb(pid: int) -> float:
    """Resident set."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def test_one_node_a_home_and_a_stopped_one_reads_its_store(tmp_path: Path, start: Start) -> None:
    home = write_home(tmp_path / "a", 1, "Asolo", names("a", 10))
    a = start(home)
    second = NodeProcess(home)
    with second:
        assert second.process.wait(timeout=30) == 2
    assert "already" in (home.folder / "log").read_text()
    a.process.send_signal(signal.SIGINT)
    assert a.process.wait(timeout=10) == 0
    assert ask_node(home, "status") is None
    assert load_home(home.folder).identity == home.identity


def test_a_restarted_node_finds_its_peers_again(tmp_path: Path, start: Start) -> None:
    homes = three_homes(tmp_path)
    a = start(homes[0])
    b = start(homes[1], a)
    wait_until(lambda: agree(homes[0], homes[1]))
    b.kill()
    again = start(homes[1])
    wait_until(lambda: any(peer["connected"] for peer in again.status()["peers"]))
    edit(homes[1], ["later"], 5, [])
    wait_until(lambda: agree(homes[0], homes[1]) and any("later" in str(record) for _, record in contents(homes[0])))


def test_nothing_of_people_leaves_a_busy_node(tmp_path: Path, start: Start) -> None:
    """Every byte that a node hands to its transport, searched for planted names, bios and ratings.

    The node serves its catalog, signs edits, recommends to its users, asks and answers queries, and sends a taste card.
    """
    homes = three_homes(tmp_path)
    planted = ["zq-ada-lovelace", "zq-bio-likes-velvet"]
    database = Database(homes[0].database)
    publisher = homes[0].identity.peer_id
    ratings = [(user, f"a{i}", 8.765432 - i % 9, 1234567890123 + i) for user in planted for i in range(20)]
    Store(database).write_ratings(Rating(user, publisher, item, value, at_ms) for user, item, value, at_ms in ratings)
    database.close()
    capture, card = tmp_path / "capture", tmp_path / "card"
    a = start(homes[0], arguments=("--capture", str(capture)))
    b = start(homes[1], a)
    wait_until(lambda: agree(homes[0], homes[1]))
    edit(homes[0], ["a1"], 5, ["a2"])
    wait_until(lambda: agree(homes[0], homes[1]))
    for words in (
        ("recommend", planted[0]),
        ("card", "export", planted[0], "--out", str(card)),
        ("query", b.home.identity.peer_id, "--card", str(card)),
        ("query", b.home.identity.peer_id, "--item", "a7"),
    ):
        assert cli.run([*words, "--home", str(homes[0].folder), "--json"]) == 0
    assert cli.run(["query", publisher, "--item", "a7", "--home", str(homes[1].folder), "--json"]) == 0
    assert a.stop() == 0
    said = capture.read_bytes()
    kinds = {FRAMES[frame[1]][0].__name__ for frame in captured(said)}
    assert {"Fill", "Heads", "AskQuery", "QueryAnswer", "Announce"} <= kinds
    assert b"Asolo" in said
    secrets = [word.encode() for word in (*planted, "lovelace", "velvet")]
    for _, _, value, at_ms in ratings:
        secrets += [struct.pack(">d", value), struct.pack("<d", value), struct.pack(">f", value), str(value).encode()]
        secrets += [struct.pack(">Q", at_ms), str(at_ms).encode()]
    assert not [secret for secret in secrets if secret in said]


def captured(said: bytes) -> Iterator[bytes]:
    """The frames of a capture file."""
    at = 0
    while at < len(said):
        size = int.from_bytes(said[at : at + 4], "big")
        yield said[at + 4 : at + 4 + size]
        at += 4 + size
    assert at == len(said)
