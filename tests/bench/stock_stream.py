"""One bare stream of py-libp2p as it comes, without this project's guards and patches: the yardstick of bulk transfer.

`python -m tests.bench.stock_stream serve` is the sending process, `pull ADDRESS BYTES` the receiving one; both import
libp2p and nothing of ours, for our patches change its speed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

ROOT = Path(__file__).resolve().parents[2]
WRITE_BYTES = 65_536
NAME = "/p2prec/stock/1"


@contextmanager
def stock_stream() -> Iterator[Callable[[int], float]]:
    """Give a function: so many bytes from one process to another, in seconds, the connection not counted."""
    here = [sys.executable, "-m", "tests.bench.stock_stream"]
    server = subprocess.Popen([*here, "serve"], cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().strip()

    def pull(count: int) -> float:
        done = subprocess.run(
            [*here, "pull", address, str(count)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return float(done.stdout)

    try:
        yield pull
    finally:
        server.kill()
        server.wait()


async def serve() -> None:
    from libp2p import new_host
    from libp2p.abc import INetStream
    from libp2p.custom_types import TProtocol
    from multiaddr import Multiaddr

    listen = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
    host = new_host(listen_addrs=listen)

    async def send(stream: INetStream) -> None:
        missing = int.from_bytes(await stream.read(8), "big")
        while missing:
            missing -= (size := min(WRITE_BYTES, missing))
            await stream.write(bytes(size))
        await stream.close()

    host.set_stream_handler(TProtocol(NAME), send)
    async with host.run(listen_addrs=listen):
        print(host.get_addrs()[0], flush=True)
        await trio.sleep_forever()


async def pull_stream(address: str, count: int) -> float:
    from libp2p import new_host
    from libp2p.custom_types import TProtocol
    from libp2p.peer.peerinfo import info_from_p2p_addr
    from multiaddr import Multiaddr

    listen = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
    host = new_host(listen_addrs=listen)
    async with host.run(listen_addrs=listen):
        info = info_from_p2p_addr(Multiaddr(address))
        await host.connect(info)
        stream = await host.new_stream(info.peer_id, [TProtocol(NAME)])
        started, missing = time.perf_counter(), count
        await stream.write(count.to_bytes(8, "big"))
        while missing:
            missing -= len(await stream.read(WRITE_BYTES))
        seconds = time.perf_counter() - started
        await host.close()
    return seconds


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        trio.run(serve)
    else:
        print(trio.run(pull_stream, sys.argv[2], int(sys.argv[3])))
