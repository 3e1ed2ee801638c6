"""The node in production: trio feeds the engine and carries out what it decides.

    network ─┐                                   ┌─► transport
    clock ───┼─► events ─► Engine.step (thread) ─┼─► jobs (thread) ─► events
    control ─┘                                   └─► replies

Steps run one at a time in a worker thread: they touch the disk, and the network's task must not wait for it.
"""

from __future__ import annotations

import fcntl
import math
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from node.config import Home
from node.control import serve_control
from node.database import DatabaseBusyError
from node.engine import Engine
from node.errors import UserError
from node.events import (
    Command,
    Effect,
    Event,
    JobDone,
    Rank,
    Ranked,
    Reply,
    Say,
    Started,
    StartJob,
    Tick,
    Train,
    Trained,
)
from node.jobs import NOTHING, Ranker
from node.learner import Learner
from node.transport import NetworkEvent, Transport

# Events waiting for the next step; the network waits when it is full. A frame each: 64 MiB at the very most.
EVENTS_MAX = 64
# One step takes up to this many, for one commit.
STEP_EVENTS_MAX = 32
# Queries that wait are ranked together, for they read the same items.
JOBS_TOGETHER_MAX = 16
TICK_SECONDS = 1.0
Ready = Callable[[list[str]], None]


class Runtime:
    """One engine, one transport, one ranker, one learner."""

    def __init__(
        self,
        home: Home,
        engine: Engine,
        transport: Transport,
        ranker: Ranker,
        learner: Learner,
        beside: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`beside`: what runs for as long as the node does, and ends it where it fails."""
        self._home = home
        self._engine = engine
        self._transport = transport
        self._ranker = ranker
        self._learner = learner
        self._beside = beside
        self._not_learning = ""
        self._send: trio.MemorySendChannel[Event]
        self._receive: trio.MemoryReceiveChannel[Event]
        self._send, self._receive = trio.open_memory_channel[Event](EVENTS_MAX)
        self._replies: dict[int, trio.MemorySendChannel[Reply]] = {}
        self._last_command = 0
        # The engine orders no more than it lets wait.
        self._ranks_in, self._ranks_out = trio.open_memory_channel[tuple[int, Rank]](math.inf)
        self._trains_in, self._trains_out = trio.open_memory_channel[tuple[int, Train]](math.inf)

    async def run(self, ready: Ready) -> None:
        """Serve until cancelled; `ready` hears the addresses. Raises: UserError from the disk or the network."""
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_control, self._home, self._command)
            await nursery.start(self._run_transport)
            addresses = self._transport.addresses
            await self._send.send(Started(tuple(addresses)))
            nursery.start_soon(self._run_engine)
            nursery.start_soon(self._run_clock)
            nursery.start_soon(self._run_ranking)
            nursery.start_soon(self._run_learning)
            if self._beside is not None:
                nursery.start_soon(self._beside)
            ready(addresses)

    async def run_until_stopped(self, ready: Ready) -> None:
        """`run` until SIGTERM or SIGINT."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.run, ready)
                async for _ in signals:
                    nursery.cancel_scope.cancel()

    async def _run_transport(self, *, task_status: Any) -> None:
        await self._transport.run(self._hear, task_status=task_status)

    async def _hear(self, event: NetworkEvent) -> None:
        await self._send.send(event)

    async def _run_clock(self) -> None:
        while True:
            await self._send.send(Tick())
            await trio.sleep(TICK_SECONDS)

    async def _run_engine(self) -> None:
        """Everything that waits, in one step; then what it decided."""
        while True:
            events = [await self._receive.receive()]
            while len(events) < STEP_EVENTS_MAX:
                try:
                    events.append(self._receive.receive_nowait())
                except trio.WouldBlock:
                    break
            effects = await self._step(events)
            # The step may outlast the transport of a node that stops: what is decided is written, and left unsaid.
            await trio.lowlevel.checkpoint_if_cancelled()
            for effect in effects:
                self._carry_out(effect)

    async def _step(self, events: list[Event]) -> list[Effect]:
        """One step; where another process holds the database, the same step again until it lets go."""
        said = False
        while True:
            try:
                return await trio.to_thread.run_sync(self._engine.step, events, time.time_ns() // 1_000_000)
            except DatabaseBusyError as error:
                if not said:
                    self._say(str(error))
                said = True

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Reply):
            waiting = self._replies.pop(effect.token, None)
            if waiting is not None:
                waiting.send_nowait(effect)
        elif isinstance(effect, StartJob):
            if isinstance(effect.job, Rank):
                self._ranks_in.send_nowait((effect.token, effect.job))
            else:
                self._trains_in.send_nowait((effect.token, effect.job))
        elif isinstance(effect, Say):
            self._say(effect.sentence)
        else:
            self._transport.carry_out(effect)

    async def _run_ranking(self) -> None:
        """Whatever waits, together, one batch at a time."""
        while True:
            started = [await self._ranks_out.receive()]
            while len(started) < JOBS_TOGETHER_MAX:
                try:
                    started.append(self._ranks_out.receive_nowait())
                except trio.WouldBlock:
                    break
            for (token, _), result in zip(started, await self._rank([job for _, job in started]), strict=True):
                await self._send.send(JobDone(token, result))

    async def _run_learning(self) -> None:
        """One period of one model after the other: nobody waits for them."""
        while True:
            token, job = await self._trains_out.receive()
            await self._send.send(JobDone(token, await self._train(job)))

    async def _rank(self, jobs: list[Rank]) -> list[Ranked]:
        try:
            return await trio.to_thread.run_sync(self._ranker.run, jobs, abandon_on_cancel=True)  # type: ignore[call-arg]
        except UserError as error:
            # The askers are refused; what is wrong here is the owner's to hear.
            self._say(str(error))
            return [NOTHING for _ in jobs]

    async def _train(self, job: Train) -> Trained | None:
        try:
            return await trio.to_thread.run_sync(self._learner.run, job, abandon_on_cancel=True)  # type: ignore[call-arg]
        except (UserError, ValueError, ArithmeticError) as error:
            # Numbers that learning cannot bear are no reason to stop serving. Once a period would be once a minute.
            if str(error) != self._not_learning:
                self._not_learning = str(error)
                self._say(f"learning {job.model}: {error}")
            return None

    def _say(self, sentence: str) -> None:
        print(time.strftime("%H:%M:%S"), sentence, file=sys.stderr, flush=True)

    async def _command(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """A command line's request, through the engine. Raises: UserError with the engine's sentence."""
        self._last_command += 1
        send, receive = trio.open_memory_channel[Reply](math.inf)
        self._replies[self._last_command] = send
        await self._send.send(Command(self._last_command, name, arguments))
        reply = await receive.receive()
        if reply.document is None:
            raise UserError(reply.mistake or "the node can't say")
        return reply.document


def run_node(runtime: Runtime, ready: Ready) -> None:
    """Serve until stopped by a signal. Raises: UserError."""
    try:
        trio.run(runtime.run_until_stopped, ready)
    except BaseExceptionGroup as group:
        mistakes = group.subgroup(UserError)
        if mistakes is None or group.split(UserError)[1] is not None:
            raise
        raise first_leaf(mistakes) from None


def first_leaf(group: BaseExceptionGroup[UserError]) -> UserError:
    first = group.exceptions[0]
    return first_leaf(first) if isinstance(first, BaseExceptionGroup) else first


@contextmanager
def locked(home: Home) -> Iterator[None]:
    """One running node a home. Raises: UserError when there is one. The lock ends with the process, however it ends."""
    try:
        stream = home.lock.open("w")
    except OSError as error:
        raise UserError(f"can't lock {home.lock}: {error.strerror}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"a node is running in {home.folder} already; stop it first") from error
        yield
