"""Questions and answers over libp2p beside a bare libp2p stream (bulk) and a bare TCP echo (small), two processes.

The bare stream has the same guards under it, so the ratio is what asking and answering costs. `bare_stream` is a
yardstick for others too: `with bare_stream() as pull: seconds = pull(bytes)`.

`python -m tests.bench.stream_speed serve` is the other process.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import trio

from tests.bench.row import Row

ROOT = Path(__file__).resolve().parents[2]
BULK_BYTES = 64 * 1024 * 1024
FRAME_BYTES = 512 * 1024
IN_FLIGHT = 4
WRITE_BYTES = 65_536
BULK_RUNS = 7
SMALL_ASKS = 400
SMALL_BYTES = 100
SMALL_RUNS = 7
BARE = "/p2prec/bare/1"


def run() -> list[Row]:
    rows: list[Row] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            process, address, port = await _start(nursery)
            try:
                await _measure(address, port, rows)
            finally:
                process.kill()
                nursery.cancel_scope.cancel()

    trio.run(main)
    return rows


@contextmanager
def bare_stream() -> Iterator[Callable[[int], float]]:
    """A function that pulls so many bytes over one bare libp2p stream from another process and returns the seconds."""
    command = [sys.executable, "-m", "tests.bench.stream_speed", "serve"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]

        def pull(count: int) -> float:
            async def main() -> float:
                from node.libp2p_transport import Libp2pTransport
                from node.transport import Dial, NetworkEvent, PeerUp

                up = trio.Event()

                async def hear(event: NetworkEvent) -> None:
                    if isinstance(event, PeerUp):
                        up.set()

                transport = Libp2pTransport(bytes([1]) * 32, ["/ip4/127.0.0.1/tcp/0"])
                async with trio.open_nursery() as nursery:
                    await nursery.start(transport.run, hear)
                    transport.carry_out(Dial(address))
                    await up.wait()
                    seconds = await _pull_bare(transport, address, count)
                    nursery.cancel_scope.cancel()
                return seconds

            return trio.run(main)

        try:
            yield pull
        finally:
            process.kill()


async def _start(nursery: trio.Nursery) -> tuple[trio.Process, str, int]:
    command = [sys.executable, "-m", "tests.bench.stream_speed", "serve"]
    process: trio.Process = await nursery.start(
        lambda task_status: trio.run_process(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, check=False, task_status=task_status
        )
    )
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        line += await process.stdout.receive_some(1000)
    address, port = line.decode().split()
    return process, address, int(port)


async def _measure(address: str, port: int, rows: list[Row]) -> None:
    from node.libp2p_transport import Libp2pTransport
    from node.transport import Answered, Ask, Dial, NetworkEvent, PeerUp

    peer = address.rpartition("/")[2]
    transport = Libp2pTransport(bytes([1]) * 32, ["/ip4/127.0.0.1/tcp/0"])
    up, waiting = trio.Event(), dict[int, trio.Event]()
    answered = 0

    async def hear(event: NetworkEvent) -> None:
        nonlocal answered
        if isinstance(event, PeerUp):
            up.set()
        elif isinstance(event, Answered):
            answered += len(event.data)
            waiting.pop(event.token).set()

    async def ask(token: int, data: bytes) -> None:
        done = waiting[token] = trio.Event()
        transport.carry_out(Ask(token, peer, data))
        await done.wait()

    async def pull_asked() -> float:
        """BULK_BYTES in frames, IN_FLIGHT at a time."""
        nonlocal answered
        answered, tokens, started = 0, iter(range(BULK_BYTES // FRAME_BYTES)), time.perf_counter()

        async def one_lane() -> None:
            for token in tokens:
                await ask(token, b"%d" % FRAME_BYTES)

        async with trio.open_nursery() as lanes:
            for _ in range(IN_FLIGHT):
                lanes.start_soon(one_lane)
        assert answered == BULK_BYTES
        return time.perf_counter() - started

    async def ask_small() -> list[float]:
        return [await _timed(partial(ask, token, bytes(SMALL_BYTES))) for token in range(SMALL_ASKS)]

    async def echo_small() -> list[float]:
        stream = await trio.open_tcp_stream("127.0.0.1", port)

        async def once() -> None:
            await stream.send_all(bytes(SMALL_BYTES))
            missing = SMALL_BYTES
            while missing:
                missing -= len(await stream.receive_some(missing))

        async with stream:
            return [await _timed(once) for _ in range(SMALL_ASKS)]

    async def burst_small() -> float:
        started = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for token in range(SMALL_ASKS):
                nursery.start_soon(ask, token, bytes(SMALL_BYTES))
        return SMALL_ASKS / (time.perf_counter() - started)

    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run, hear)
        transport.carry_out(Dial(address))
        await up.wait()
        await pull_asked(), await _pull_bare(transport, address, BULK_BYTES)  # warm
        bulk = [(await pull_asked(), await _pull_bare(transport, address, BULK_BYTES)) for _ in range(BULK_RUNS)]
        small = [(await ask_small(), await echo_small()) for _ in range(SMALL_RUNS)]
        bursts = [await burst_small() for _ in range(SMALL_RUNS)]
        nursery.cancel_scope.cancel()
    speeds = [(BULK_BYTES / asked / 1e6, BULK_BYTES / bare / 1e6) for asked, bare in bulk]
    rows.append(_row("asked in 512 KiB frames / bare libp2p stream", speeds, "MB/s", ">= 0.8"))
    latencies = [(statistics.median(asked) * 1e3, statistics.median(bare) * 1e3) for asked, bare in small]
    rows.append(_row("one small question / raw TCP echo", latencies, "ms"))
    rates = [(burst, 1 / statistics.median(bare)) for burst, (_, bare) in zip(bursts, small, strict=True)]
    rows.append(_row("small questions, 16 streams / raw TCP echoes", rates, "1/s"))


def _row(name: str, pairs: list[tuple[float, float]], unit: str, goal: str | None = None) -> Row:
    ours, bare = (statistics.median(pair[at] for pair in pairs) for at in (0, 1))
    return Row(name, ours, bare, statistics.median(pair[0] / pair[1] for pair in pairs), unit, goal)


async def _timed(once: Callable[[], object]) -> float:
    started = time.perf_counter()
    await once()  # type: ignore[misc]
    return time.perf_counter() - started


async def _pull_bare(transport: object, address: str, count: int) -> float:
    """The seconds that `count` bytes take over a fresh stream of the bare protocol."""
    from libp2p.custom_types import TProtocol
    from libp2p.peer.id import ID

    host = transport._host  # type: ignore[attr-defined]
    stream = await host.new_stream(ID.from_base58(address.rpartition("/")[2]), [TProtocol(BARE)])
    started, missing = time.perf_counter(), count
    await stream.write(count.to_bytes(8, "big"))
    while missing:
        missing -= len(await stream.read(WRITE_BYTES))
    seconds = time.perf_counter() - started
    await stream.close()
    return seconds


async def _serve() -> None:
    """Answer a number with so many bytes, anything else with itself; send bare bytes; echo on a bare TCP port."""
    from libp2p.abc import INetStream
    from libp2p.custom_types import TProtocol

    from node.libp2p_transport import Libp2pTransport
    from node.transport import Answer, Asked, NetworkEvent

    transport = Libp2pTransport(bytes([2]) * 32, ["/ip4/127.0.0.1/tcp/0"])

    async def hear(event: NetworkEvent) -> None:
        if isinstance(event, Asked):
            transport.carry_out(Answer(event.token, bytes(int(event.data)) if event.data.isdigit() else event.data))

    async def send_bare(stream: INetStream) -> None:
        missing, piece = int.from_bytes(await stream.read(8), "big"), bytes(WRITE_BYTES)
        while missing:
            size = min(missing, WRITE_BYTES)
            await stream.write(piece[:size])
            missing -= size
        await stream.close()

    async def echo(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run, hear)
        transport._host.set_stream_handler(TProtocol(BARE), send_bare)
        [listener] = await nursery.start(
            lambda task_status: trio.serve_tcp(echo, 0, host="127.0.0.1", task_status=task_status)
        )
        print(transport.addresses[0], listener.socket.getsockname()[1], flush=True)


if __name__ == "__main__" and sys.argv[1:] == ["serve"]:
    trio.run(_serve)
