"""Our questions to peers: a small pool of streams to each, a queue behind it, and one outcome for every question.

A stream carries one question at a time and is kept for the next, because opening one costs two round trips. Whether a
peer is connected and how a stream to it is opened is told from outside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from node.frames import FramedStream, StreamError
from node.transport import Answered, Ask, Hear, Misbehaved, Unanswered, Why
from protocol.limits import Reason, RemoteError

# Streams to one peer at once. js-libp2p takes 32 of a protocol, our own serving 16.
STREAMS_MAX = 16
# Questions to one peer that wait for a stream; more is an engine that doesn't wait for answers.
WAITING_MAX = 1024
# From the question's first moment to its answer's last byte: 1 MiB at 280 kbit/s.
ANSWER_SECONDS_MAX = 30.0
# Idle streams kept to one peer, and for how long: less than the 60 s after which the serving side closes them.
IDLE_MAX = 8
IDLE_SECONDS_MAX = 45.0


@dataclass(slots=True)
class _Line:
    """What there is towards one peer."""

    waiting: deque[tuple[Ask, float]] = field(default_factory=deque)
    idle: list[tuple[FramedStream, float]] = field(default_factory=list)
    busy: int = 0


class Asking:
    """`stands` says whether a peer is connected; `open_stream` raises StreamError when it can't."""

    def __init__(
        self,
        nursery: trio.Nursery,
        hear: Hear,
        stands: Callable[[str], bool],
        open_stream: Callable[[str], Awaitable[FramedStream]],
    ) -> None:
        self._nursery = nursery
        self._hear = hear
        self._stands = stands
        self._open_stream = open_stream
        self._lines: dict[str, _Line] = {}

    def ask(self, ask: Ask) -> None:
        """Queue a question; its one outcome is heard."""
        if not self._stands(ask.peer):
            return self._nursery.start_soon(self._hear, Unanswered(ask.token, "unreachable"))
        line = self._lines.setdefault(ask.peer, _Line())
        if len(line.waiting) >= WAITING_MAX:
            return self._nursery.start_soon(self._hear, Unanswered(ask.token, "reset"))
        line.waiting.append((ask, trio.current_time() + ANSWER_SECONDS_MAX))
        if line.busy < STREAMS_MAX:
            line.busy += 1
            self._nursery.start_soon(self._work, ask.peer, line)

    def tidy(self) -> None:
        """Close streams that idled too long, and forget peers that have nothing left."""
        oldest = trio.current_time() - IDLE_SECONDS_MAX
        for peer, line in list(self._lines.items()):
            gone = not self._stands(peer)
            old = [stream for stream, since in line.idle if gone or since < oldest]
            line.idle = [(stream, since) for stream, since in line.idle if not gone and since >= oldest]
            for stream in old:
                self._nursery.start_soon(stream.close)
            if not (line.busy or line.idle or line.waiting):
                del self._lines[peer]

    async def _work(self, peer: str, line: _Line) -> None:
        """Answer one question after the other on one stream, until none waits."""
        stream: FramedStream | None = None
        while line.waiting:
            ask, deadline = line.waiting.popleft()
            outcome, stream = await self._exchange(ask, deadline, stream, line)
            await self._hear(outcome)
        # No checkpoint between the last look at the queue and this: a question that comes later starts a new task.
        line.busy -= 1
        if stream is None:
            return
        if len(line.idle) < IDLE_MAX and self._stands(peer):
            line.idle.append((stream, trio.current_time()))
        else:
            await stream.close()

    async def _exchange(
        self, ask: Ask, deadline: float, stream: FramedStream | None, line: _Line
    ) -> tuple[Answered | Unanswered, FramedStream | None]:
        """The outcome, and the stream if it can be used again."""
        if stream is None:
            stream = _youngest(line)
        used_before = stream is not None
        why: Why = "timeout"
        fault: Reason | None = None
        with trio.move_on_at(deadline):
            while True:
                try:
                    if stream is None:
                        stream = await self._open_stream(ask.peer)
                    await stream.write_frame(ask.data)
                    if not await stream.wait_frame():
                        raise StreamError("closed instead of answering")
                    return Answered(ask.token, await stream.read_frame()), stream
                except StreamError:
                    # A kept stream may have died while it idled, which says nothing about this question: once more.
                    retry = used_before and stream is not None and not stream.begun and self._stands(ask.peer)
                    why = "reset" if self._stands(ask.peer) else "unreachable"
                    if not retry:
                        break
                    assert stream is not None
                    await stream.reset()
                    stream, used_before = None, False
                except RemoteError as error:
                    why, fault = "reset", error.reason
                    break
        if stream is not None:
            await stream.reset()
        if fault is not None:
            await self._hear(Misbehaved(ask.peer, fault))
        return Unanswered(ask.token, why), None


def _youngest(line: _Line) -> FramedStream | None:
    """The stream used last is the one most surely alive."""
    oldest = trio.current_time() - IDLE_SECONDS_MAX
    if line.idle and line.idle[-1][1] >= oldest:
        return line.idle.pop()[0]
    return None
