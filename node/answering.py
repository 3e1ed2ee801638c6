"""Peers' questions to us: how many are taken at once, how long they wait, and who is cut off.

A stream has one question outstanding, so what a peer can make us hold is its streams times one frame each way. A peer
that resets its stream keeps its place until the engine has answered: asking and resetting wins nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import trio

from node.frames import FramedStream, StreamError
from node.transport import Answer, Asked, Hear, Misbehaved
from protocol.limits import RemoteError

# Streams of one peer and of all: 16 and 512 frames of 1 MiB are the most that is held for them, each way.
STREAMS_PER_PEER_MAX = 16
STREAMS_MAX = 512
# A stream without a question is closed after this; the asking side keeps its own for less.
IDLE_SECONDS_MAX = 60.0
# A question that has begun must be whole by then, and an answer taken.
FRAME_SECONDS_MAX = 30.0
# How long the engine may think about an answer.
ANSWER_SECONDS_MAX = 60.0


@dataclass(slots=True)
class _Slot:
    """Where an answer is put."""

    filled: trio.Event = field(default_factory=trio.Event)
    data: bytes | None = None


class Answering:
    """Serves inbound streams: each question is heard with a token, and answered through it."""

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._slots: dict[int, _Slot] = {}
        self._token = 0
        self._streams: Counter[str] = Counter()
        self._scopes: defaultdict[str, set[trio.CancelScope]] = defaultdict(set)

    def answer(self, answer: Answer) -> None:
        """Hand an answer to the stream that waits for it, if one still does."""
        slot = self._slots.pop(answer.token, None)
        if slot is not None:
            slot.data = answer.data
            slot.filled.set()

    def forget(self, peer: str) -> None:
        """The peer is gone: nothing waits for it any more."""
        for scope in list(self._scopes.get(peer, ())):
            scope.cancel()

    async def serve(self, peer: str, stream: FramedStream) -> None:
        """One inbound stream, until either side is done with it."""
        if self._streams[peer] >= STREAMS_PER_PEER_MAX or self._streams.total() >= STREAMS_MAX:
            await stream.reset()
            return
        self._streams[peer] += 1
        try:
            with trio.CancelScope() as scope:
                self._scopes[peer].add(scope)
                await self._serve(peer, stream)
        finally:
            self._scopes[peer].discard(scope)
            self._streams[peer] -= 1
            if not self._streams[peer]:
                del self._streams[peer], self._scopes[peer]

    async def _serve(self, peer: str, stream: FramedStream) -> None:
        try:
            while True:
                with trio.move_on_after(IDLE_SECONDS_MAX) as idle:
                    more = await stream.wait_frame()
                if idle.cancelled_caught or not more:
                    return await stream.close()
                with trio.fail_after(FRAME_SECONDS_MAX):
                    question = await stream.read_frame()
                answer = await self._answer_to(peer, question)
                if answer is None:
                    return await stream.reset()
                with trio.fail_after(FRAME_SECONDS_MAX):
                    await stream.write_frame(answer)
        except (StreamError, trio.TooSlowError):
            await stream.reset()
        except RemoteError as error:
            await stream.reset()
            await self._hear(Misbehaved(peer, error.reason))

    async def _answer_to(self, peer: str, question: bytes) -> bytes | None:
        self._token += 1
        token, slot = self._token, _Slot()
        self._slots[token] = slot
        try:
            await self._hear(Asked(token, peer, question))
            with trio.move_on_after(ANSWER_SECONDS_MAX):
                await slot.filled.wait()
            return slot.data
        finally:
            self._slots.pop(token, None)
