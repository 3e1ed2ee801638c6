"""Transports whose events are kept and can be waited for: in this process, and in one of their own (victim.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio

from node.libp2p_transport import Libp2pTransport
from node.transport import (
    Answer,
    Answered,
    Ask,
    Asked,
    Dial,
    DialFailed,
    Gossip,
    NetworkEvent,
    PeerDown,
    PeerUp,
    Publish,
    Unanswered,
)

ROOT = Path(__file__).resolve().parents[3]
ANY_PORT = "/ip4/127.0.0.1/tcp/0"
SECONDS_MAX = 20.0
Found = TypeVar("Found")


class Peer:
    """A transport in this process that answers every question with its own bytes, unless told otherwise."""

    def __init__(self, seed: int, listen: str = ANY_PORT, network: str = "p2prec", mdns: bool = False) -> None:
        self.transport = Libp2pTransport(bytes([seed]) * 32, [listen], network, mdns)
        self.id = self.transport.peer_id
        self.events: list[NetworkEvent] = []
        self.answer: Callable[[bytes], bytes | None] = lambda data: data
        self._more = trio.Event()
        self._token = 0

    async def hear(self, event: NetworkEvent) -> None:
        self.events.append(event)
        self._more.set()
        self._more = trio.Event()
        if isinstance(event, Asked):
            data = self.answer(event.data)
            if data is not None:
                self.transport.carry_out(Answer(event.token, data))

    async def until(self, find: Callable[[], Found], seconds: float = SECONDS_MAX) -> Found:
        """What `find` returns, looked at after each event, once it is true."""
        with trio.fail_after(seconds):
            while not (found := find()):
                await self._more.wait()
        return found

    def all(self, kind: type[Found]) -> list[Found]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def address(self) -> str:
        return self.transport.addresses[0]

    async def dial(self, address: str) -> PeerUp | DialFailed:
        """The event that a dial ends with."""

        def ends() -> list[PeerUp | DialFailed]:
            return [one for one in self.events if isinstance(one, PeerUp | DialFailed) and one.address == address]

        before = len(ends())
        self.transport.carry_out(Dial(address))
        await self.until(lambda: len(ends()) > before)
        return ends()[-1]

    async def is_up(self, peer: str, seconds: float = SECONDS_MAX) -> None:
        await self.until(lambda: self.ups(peer) > self.downs(peer), seconds)

    def ups(self, peer: str) -> int:
        return sum(one.peer == peer for one in self.all(PeerUp))

    def downs(self, peer: str) -> int:
        return sum(one.peer == peer for one in self.all(PeerDown))

    def begin_ask(self, peer: str, data: bytes) -> int:
        self._token += 1
        self.transport.carry_out(Ask(self._token, peer, data))
        return self._token

    def outcomes(self, token: int) -> list[Answered | Unanswered]:
        return [one for one in self.events if isinstance(one, Answered | Unanswered) and one.token == token]

    async def ask(self, peer: str, data: bytes, seconds: float = SECONDS_MAX) -> Answered | Unanswered:
        token = self.begin_ask(peer, data)
        return (await self.until(lambda: self.outcomes(token), seconds))[0]

    async def hears(self, data: bytes, sender: Peer | Victim, seconds: float = SECONDS_MAX) -> Gossip:
        """Until gossip gets through. A mesh takes a heartbeat to stand, and gossip is not relied upon: said again."""
        with trio.fail_after(seconds):
            while True:
                sender.publish(data)
                with trio.move_on_after(0.5):
                    while not (found := [one for one in self.all(Gossip) if one.data == data]):
                        await self._more.wait()
                    return found[0]

    def publish(self, data: bytes) -> None:
        self.transport.carry_out(Publish(data))


async def eventually(true: Callable[[], object], seconds: float = SECONDS_MAX) -> None:
    """For what no event tells of."""
    with trio.fail_after(seconds):
        while not true():
            await trio.sleep(0.02)


@asynccontextmanager
async def running(*peers: Peer) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for peer in peers:
            await nursery.start(peer.transport.run, peer.hear)
        yield
        nursery.cancel_scope.cancel()


class Victim:
    """A transport in a process of its own: echoes, tells its events, publishes and dials on command."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self.stderr = b""
        self.address = self.id = ""
        self._more = trio.Event()

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    @property
    def port(self) -> int:
        return int(self.address.split("/")[4])

    async def read(self) -> None:
        assert self.process.stdout is not None
        rest = b""
        async for chunk in self.process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            self.events += [json.loads(line) for line in lines]
            self._more.set()
            self._more = trio.Event()

    async def read_errors(self) -> None:
        assert self.process.stderr is not None
        async for chunk in self.process.stderr:
            self.stderr += chunk

    async def until(self, find: Callable[[], Found], seconds: float = SECONDS_MAX) -> Found:
        with trio.fail_after(seconds):
            while not (found := find()):
                await self._more.wait()
        return found

    def told(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return [one for one in self.events if one["kind"] == kind and fields.items() <= one.items()]

    def command(self, name: str, argument: str) -> None:
        assert self.process.stdin is not None
        os.write(self.process.stdin.fileno(), f"{name} {argument}\n".encode())  # type: ignore[attr-defined]

    def publish(self, data: bytes) -> None:
        self.command("publish", data.decode())

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def memory_mb(self) -> float:
        """The most it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1000


@asynccontextmanager
async def victim(seed: int, listen: str = ANY_PORT) -> AsyncIterator[Victim]:
    """Started and listening; ended with the block, by force if need be."""
    async with trio.open_nursery() as nursery:
        command = [sys.executable, "-m", "tests.node.libp2p.victim", str(seed), listen]
        process = await nursery.start(
            lambda task_status: trio.run_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                check=False,
                cwd=ROOT,
                task_status=task_status,
            )
        )
        it = Victim(process)
        nursery.start_soon(it.read)
        nursery.start_soon(it.read_errors)
        try:
            [ready] = await it.until(lambda: it.told("ready"), 60)
            it.address, it.id = ready["address"], ready["peer"]
            yield it
        finally:
            nursery.cancel_scope.cancel()


@contextmanager
def constants(module: Any, **values: float) -> Any:
    """Shorter limits while a test runs."""
    before = {name: getattr(module, name) for name in values}
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
