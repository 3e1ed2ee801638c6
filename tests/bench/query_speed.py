"""Signed queries to one running node over loopback: how many a second, and how long one takes, beside a plain question.

The yardstick is the smallest question of the same node over the same connection (which heads it holds), so the ratio
is what a query adds: two signatures made, two checked, a commit, and ranking all items.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path

import trio

from node.transport import Answered, Ask, Dial, NetworkEvent, PeerUp, Unanswered
from protocol.identity import Identity
from protocol.messages import AskHeads, AskQuery, Frame, QueryAnswer, pack_frame, parse_answer
from protocol.query import Query, check_answers, open_answer, query_hash, seal_query
from sim.processes import NodeProcess
from tests.bench.catalog_sync import source_home
from tests.bench.row import Row
from tests.node.network.homes import ENCODER, identity

ITEMS, DIM = 20_000, 512
ONE_BY_ONE, AT_ONCE, LANES, RUNS = 100, 400, 16, 5


class Asker:
    """A peer that only asks."""

    def __init__(self, address: str) -> None:
        from node.libp2p_transport import Libp2pTransport

        self.identity = Identity(bytes([9]) * 32)
        self.peer = address.rpartition("/")[2]
        self.to = identity(1).public
        self.address = address
        self.transport = Libp2pTransport(self.identity.seed, ["/ip4/127.0.0.1/tcp/0"])
        self.up = trio.Event()
        self.waiting: dict[int, tuple[trio.Event, list[bytes]]] = {}
        self.rng = random.Random(1)
        self.tokens = 0

    async def hear(self, event: NetworkEvent) -> None:
        if isinstance(event, PeerUp):
            self.up.set()
        elif isinstance(event, Answered):
            done, answer = self.waiting.pop(event.token)
            answer.append(event.data)
            done.set()
        assert not isinstance(event, Unanswered), "a question was not answered"

    async def ask(self, frame: Frame) -> bytes:
        self.tokens += 1
        done, answer = self.waiting[self.tokens] = trio.Event(), []
        self.transport.carry_out(Ask(self.tokens, self.peer, pack_frame(frame)))
        await done.wait()
        return answer[0]

    async def query(self) -> None:
        """One query by vector, its answer verified."""
        now_ms = time.time_ns() // 1_000_000
        query = Query(
            self.to,
            "p2prec",
            self.rng.randbytes(16),
            now_ms,
            now_ms + 60_000,
            "vector",
            self.rng.randbytes(2 * DIM),
            ENCODER,
            10,
        )
        sealed = seal_query(self.identity, query)
        answer = parse_answer(await self.ask(AskQuery(sealed)))
        assert isinstance(answer, QueryAnswer), answer
        signed_by, opened = open_answer(answer.answer)
        check_answers(opened, signed_by, query, query_hash(sealed))
        assert len(opened.items) == 10

    async def plain(self) -> None:
        await self.ask(AskHeads(b""))


async def one_by_one(once: object, times: int) -> float:
    """Median seconds of one."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        await once()  # type: ignore[operator]
        took.append(time.perf_counter() - started)
    return statistics.median(took)


async def at_once(once: object, times: int) -> float:
    """How many a second, LANES at a time."""
    started = time.perf_counter()

    async def lane() -> None:
        for _ in range(times // LANES):
            await once()  # type: ignore[operator]

    async with trio.open_nursery() as lanes:
        for _ in range(LANES):
            lanes.start_soon(lane)
    return times / (time.perf_counter() - started)


async def measure(address: str) -> list[Row]:
    asker = Asker(address)
    async with trio.open_nursery() as nursery:
        await nursery.start(asker.transport.run, asker.hear)
        asker.transport.carry_out(Dial(address))
        await asker.up.wait()
        await asker.query()
        slow = [
            (await one_by_one(asker.query, ONE_BY_ONE), await one_by_one(asker.plain, ONE_BY_ONE)) for _ in range(RUNS)
        ]
        fast = [(await at_once(asker.query, AT_ONCE), await at_once(asker.plain, AT_ONCE)) for _ in range(RUNS)]
        nursery.cancel_scope.cancel()
    return [
        row(f"a signed query, {ITEMS:,} items / asking for heads", [(1e3 * a, 1e3 * b) for a, b in slow], "ms"),
        row("signed queries, 16 at a time / asking for heads", fast, "1/s"),
    ]


def row(name: str, pairs: list[tuple[float, float]], unit: str) -> Row:
    ours, yardstick = (statistics.median(pair[place] for pair in pairs) for place in (0, 1))
    return Row(name, ours, yardstick, statistics.median(a / b for a, b in pairs), unit)


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        home = source_home(Path(folder) / "a", ITEMS, DIM)
        with NodeProcess(home, "--queries-per-minute", "1000000") as node:
            return trio.run(measure, node.ready()["addresses"][0])
