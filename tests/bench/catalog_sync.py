"""Catalogs between nodes: bulk beside a bare stream, CPU an item, and what a change costs in bytes and trips.

Bulk runs between two real processes over libp2p on 127.0.0.1. What a change costs is counted on the frames that real
engines exchange over a heap of virtual time: the bytes are the same, and a million items need no network.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from node.config import Config, Home, create_home
from node.database import Database
from node.replicas import Replicas
from node.shelf import Shelf
from node.store import Store, Write
from protocol.identity import parse_peer_id
from protocol.merkle import Tree, leaf_hash
from protocol.messages import kind_name, pack_frame, parse_answer
from protocol.records import Item, pack_item
from protocol.sync import CatalogSync
from sim.processes import NodeProcess
from tests.bench.row import Row, alternate
from tests.bench.stock_stream import stock_stream
from tests.node.network.heap import Heap
from tests.node.network.homes import ENCODER, Node, identity

ITEMS, DIM, RUNS = 50_000, 512, 3
STAGE_ITEMS = 20_000
DESCRIPTION = "A dress of soft cotton with short sleeves, a round neck and a printed pattern all over, for warm days. "


def item_of(number: int, price: int = 100) -> bytes:
    """About 400 bytes, as shops' exports make them."""
    return pack_item(
        Item(
            item=f"item-{number}",
            name=f"Printed cotton dress number {number}",
            description=DESCRIPTION,
            brand="Some Brand",
            category="Dresses",
            colour="Blue",
            gender="women",
            price_minor=price,
            currency="GBP",
            image_url=f"https://images.example.com/products/{number}/front.jpg",
            page_url=f"https://shop.example.com/dresses/{number}",
        )
    )


def source_home(folder: Path, items: int, dim: int) -> Home:
    """A node with a catalog of random vectors."""
    home = made_home(folder, 1, "Asolo", dim)
    rng = random.Random(0)
    database = Database(home.database)
    store = Store(database)
    own = store.own_catalog(home.identity.peer_id, "Asolo", ENCODER.hex())
    for start in range(0, items, 4096):
        numbers = range(start, min(items, start + 4096))
        store.write_items(own, [Write(f"item-{n}", item_of(n), rng.randbytes(2 * dim), b"") for n in numbers])
    database.close()
    return home


def made_home(folder: Path, number: int, platform: str, dim: int) -> Home:
    folder.mkdir(parents=True)
    (folder / "key").write_bytes(identity(number).seed)
    return create_home(folder, Config(platform, "tiny", ENCODER.hex(), dim))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def wait_for_line(log: Path, word: str) -> None:
    while word not in log.read_text():
        time.sleep(0.01)


class Bulk:
    """First sync of one catalog between two processes, again and again into fresh homes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = source_home(folder / "a", ITEMS, DIM)
        self.source = NodeProcess(self.home)
        self.source.ready()
        self.runs = 0
        self.bytes = 0
        self.cpu: list[float] = []

    def seconds(self) -> float:
        """From the moment the receiver listens to the moment it holds the root."""
        self.runs += 1
        home = made_home(self.folder / f"c{self.runs}", 10 + self.runs, "Corso", DIM)
        with NodeProcess(home, "--peer", self.source.address) as sink:
            sink.ready()
            before, started = cpu_seconds(sink.process.pid), time.perf_counter()
            # The log line comes with the commit of the last bucket.
            wait_for_line(home.folder / "log", "verified")
            took = time.perf_counter() - started
            self.cpu.append(cpu_seconds(sink.process.pid) - before)
            self.bytes = sum(sink.status()["bytes_in"].values())
        return took


def bulk() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        runs = Bulk(Path(folder))
        with runs.source, stock_stream() as pull:
            runs.seconds()
            speeds = alternate(
                lambda: runs.bytes / 1e6 / runs.seconds(),
                lambda: runs.bytes / 1e6 / pull(runs.bytes),
                RUNS,
            )
        per_cpu = ITEMS / sorted(runs.cpu)[len(runs.cpu) // 2]
        return [
            Row(f"first sync of {ITEMS:,} items / bare libp2p stream", *speeds, "MB/s", ">= 0.5"),
            Row("received, verified and stored / CPU second of the receiver", per_cpu, 1.0, per_cpu, "items/s"),
        ]


class Stages:
    """CPU seconds of each part of a first sync in this thread, without a network between asker and teller."""

    def __init__(self, folder: Path) -> None:
        self.serve = self.verify = self.store = 0.0
        home = source_home(folder / "a", STAGE_ITEMS, DIM)
        with closing(Database(home.database)) as ours, closing(Database(folder / "c.sqlite")) as theirs:
            held = Replicas(ours).held()[0]
            publisher = parse_peer_id(held.publisher)
            source = Shelf(Replicas(ours), held.catalog, publisher)
            replicas = Replicas(theirs)
            catalog = replicas.add(held.publisher, "Asolo", ENCODER.hex(), own=False)
            self._sync(source, replicas, catalog)

    def _sync(self, source: Shelf, replicas: Replicas, catalog: int) -> None:
        root, depth = source.tree().root, source.tree().depth
        tree = Tree(depth, [leaf_hash(depth, bucket, b"") for bucket in range(1 << depth)])
        sync = CatalogSync(source.publisher, root, tree, lambda _: b"", lambda _: None)
        while (question := sync.take("source")) is not None:
            started = time.thread_time()
            packed = pack_frame(source.answer(question))
            served = time.thread_time()
            belief = sync.believe("source", question, parse_answer(packed))
            tree.replace({one.bucket: one.leaf for one in belief.filled})
            verified = time.thread_time()
            replicas.fill(catalog, depth, belief.filled)
            self.serve += served - started
            self.verify += verified - served
            self.store += time.thread_time() - verified
        assert sync.done
        assert tree.root == root


def stages() -> list[Row]:
    """What a CPU second of a receiver is worth before libp2p: hashes and checks, and SQLite."""
    runs = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(Stages(Path(folder)))
    serve, verify, store = (
        STAGE_ITEMS / statistics.median(getattr(run, stage) for run in runs) for stage in ("serve", "verify", "store")
    )
    share = statistics.median(run.store / (run.verify + run.store) for run in runs)
    return [
        Row("hash-verified / CPU second, beside 100,000", verify, 100_000, verify / 100_000, "items/s", ">= 1"),
        Row("stored / CPU second, beside 70,000", store, 70_000, store / 70_000, "items/s", ">= 1"),
        Row("SQLite's share of verifying and storing", share, 1.0, share, ""),
        Row("read and packed by who serves / CPU second", serve, 1.0, serve, "items/s"),
    ]


def changes(items: int, edits: int) -> tuple[int, int, int, float]:
    """(bytes moved, bytes of the changed records, trips, seconds to sign) for `edits` random prices in `items`."""
    with tempfile.TemporaryDirectory() as folder:
        a = Node(1, "Asolo", path=Path(folder) / "a.sqlite")
        fill(a, items)
        c = Node(3, "Corso", named=[a.peer], path=Path(folder) / "c.sqlite")
        heap = Heap()
        heap.keep = False
        heap.add(a.peer, a.engine())
        heap.add(c.peer, c.engine())
        assert heap.run(10_000, lambda: a.whole(a) is not None and a.whole(a) == c.whole(a))
        chosen = random.Random(1).sample(range(items), edits)
        a.store.write_items(a.catalog, [Write(f"item-{n}", item_of(n, 999), vector(n), b"") for n in chosen])
        before = a.whole(a)
        heap.keep = True
        signed = time.perf_counter()
        assert heap.run(100, lambda: a.whole(a) != before)
        signed = time.perf_counter() - signed
        assert heap.run(100, lambda: a.whole(a) == c.whole(a))
        kinds = Counter(kind_name(data) for _, data in heap.said)
        moved = sum(len(data) for _, data in heap.said)
        records = sum(len(item_of(n, 999)) for n in chosen)
        return moved, records, kinds["AskTree"] + kinds["AskFill"] + kinds["AskVectors"], signed


def vector(number: int) -> bytes:
    return random.Random(number).randbytes(32)


def fill(node: Node, items: int) -> None:
    for start in range(0, items, 10_000):
        numbers = range(start, min(items, start + 10_000))
        node.store.write_items(node.catalog, [Write(f"item-{n}", item_of(n), vector(n), b"") for n in numbers])


def run() -> list[Row]:
    rows = bulk() + stages()
    for items, edits in ((100_000, 1), (100_000, 1000), (1_000_000, 1), (1_000_000, 1000)):
        moved, records, trips, signed = changes(items, edits)
        name = f"{edits:,} of {items:,} prices changed"
        if edits == 1:
            rows.append(Row(f"{name}: bytes / 16 KiB", moved, 16_384, moved / 16_384, "bytes", "<= 1"))
            rows.append(Row(f"{name}: round trips / 5", trips, 5, trips / 5, "trips", "<= 1"))
            rows.append(Row(f"{name}: new version / 50 ms", signed, 0.05, signed / 0.05, "s", "<= 1"))
        else:
            allowed = records + 1024 * edits
            rows.append(
                Row(f"{name}: bytes / (records + 1 KiB each)", moved, allowed, moved / allowed, "bytes", "<= 1")
            )
    return rows
