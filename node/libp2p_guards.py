"""What py-libp2p 0.8.1 needs around it before a stranger may connect: every guard and patch, each with its reason.

Stock, one malformed message ends the process, a peer that reconnects 250 times closes it to everybody, and a restart
with the same key leaves a node deaf. Nothing of p2prec is decided here. tests/node/libp2p/test_upstream.py fails when
a patched name moves or a bug is gone. Broad handlers stand only where libp2p lets anything out (tests/test_tidy.py
names them): around one inbound stream and around one call into libp2p. Pubsub's guards
are in node/libp2p_pubsub.py, what is merely configured in node/libp2p_host.py.
"""

from __future__ import annotations

import logging
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import libp2p.network.connection.swarm_connection as swarm_connection
import libp2p.network.swarm as swarm_module
import libp2p.stream_muxer.yamux.yamux as yamux_module
import trio
from libp2p.abc import INetConn, INetStream
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.network.swarm import Swarm
from libp2p.rcmgr import Direction
from libp2p.security.noise.io import MAX_PLAINTEXT_LENGTH as NOISE_BYTES_MAX
from libp2p.stream_muxer.yamux.yamux import Yamux

from node.frames import StreamError

# Lines of libp2p's log passed on a minute; peers decide how many it writes.
LOG_LINES_A_MINUTE = 20
# Streams that one peer may hold open here: 16 questions (32 from js-libp2p), pubsub, identify and pings.
INBOUND_STREAMS_MAX = 64
# Bytes received on one connection and not yet read: 16 questions and 16 answers of 1 MiB, and some air.
UNREAD_BYTES_MAX = 40 * 1024 * 1024
# A frame of 64 KiB that the socket does not take in this time goes to nobody.
WRITE_SECONDS_MAX = 10.0
# Frames of 12 bytes that wait to be sent; a peer that takes bytes never lets it come to a hundred.
OUTBOX_FRAMES_MAX = 10_000
# Between pings, and until the answer must be here: a frozen peer is gone in 25 s, one that computes for 10 s is not.
PULSE_SECONDS = 10.0
PONG_SECONDS_MAX = 10.0
# Closing a stream sends one frame; nobody waits longer for that.
CLOSE_SECONDS_MAX = 1.0

log = logging.getLogger("p2prec.libp2p")


class _Quiet(logging.Handler):
    """Hands a few lines a minute to our logger, and none to stderr, where logging's last resort would put them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._minute, self._lines = 0, 0

    def emit(self, record: logging.LogRecord) -> None:
        minute = int(record.created // 60)
        if minute != self._minute:
            self._minute, self._lines = minute, 0
        self._lines += 1
        if self._lines <= LOG_LINES_A_MINUTE:
            log.log(record.levelno, "%s", record.getMessage()[:300])


def quiet_logging() -> None:
    """The command line prints JSON; libp2p would print warnings beside it on every ordinary disconnect."""
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    theirs = logging.getLogger("libp2p")
    theirs.handlers[:] = [_Quiet()]
    theirs.propagate = False
    theirs.setLevel(logging.WARNING)
    # This file calls logging.warning() and logging.debug(), and each call installs a stderr handler on the root.
    setattr(swarm_connection, "logging", logging.getLogger("libp2p.network.connection"))  # noqa: B010


# -- connections -----------------------------------------------------------------------------------------------------


class _Outbox:
    """Frames without a body that wait for their connection's next write."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.more = trio.Event()
        # when the peer was last heard of
        self.heard_at = 0.0


def _outbox_of(connection: Yamux) -> _Outbox:
    outbox: _Outbox = connection.__dict__.setdefault("p2prec_outbox", _Outbox())
    return outbox


async def _write_frame(self: Yamux, data: bytes) -> None:
    """Queue a frame without a body (a stream's beginning and end, credit, pings), write one with a body.

    Stock, the task that reads a connection writes such frames itself and waits for the socket: when both sides send
    much at once, each waits for the other to read, and the connection stands still.
    """
    if len(data) > yamux_module.HEADER_SIZE:
        return await _write_whole(self, data)
    outbox = _outbox_of(self)
    outbox.frames.append(data)
    outbox.more.set()
    if len(outbox.frames) > OUTBOX_FRAMES_MAX:
        await self.secured_conn.close()
        raise ConnectionClosedError("the peer asks for answers and takes none")
    await trio.lowlevel.checkpoint()


async def _write_whole(self: Yamux, data: bytes = b"") -> None:
    """What is queued and then `data`: they leave whole, or the connection is closed.

    Stock, a cancelled write (a deadline, a closed stream) leaves half an encrypted frame on the wire and the peer drops
    the connection; and a peer that takes no bytes holds the write lock, and with it close(), for ever.
    """
    async with self._write_lock:
        outbox = _outbox_of(self)
        frames, outbox.frames = outbox.frames, []
        whole = b"".join((*frames, data))
        if not whole:  # another writer has taken what was queued, and an empty write would read as the end
            return
        with trio.move_on_after(WRITE_SECONDS_MAX) as scope:
            scope.shield = True
            await self.secured_conn.write(whole)
        if scope.cancelled_caught:
            await self.secured_conn.close()
            raise ConnectionClosedError("the peer takes no bytes")
    await trio.lowlevel.checkpoint()


async def _tend(self: Yamux) -> None:
    """In the place of the loop that measures round trips: send what is queued, and ping."""
    outbox, read = _outbox_of(self), self.secured_conn.read

    async def noting_read(n: int | None = None) -> bytes:
        data = await read(n)
        outbox.heard_at = trio.current_time()
        return data

    self.secured_conn.read = noting_read  # type: ignore[method-assign]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pulse, self)
        while not self.event_shutting_down.is_set():
            outbox.more = trio.Event()
            if not outbox.frames:
                await outbox.more.wait()
            # Caught here, one by one: a group that holds a cancellation beside an error is no Exception, and would
            # end the whole host.
            try:
                await _write_whole(self)
            except Exception as error:  # noqa: BLE001
                log.debug("sending: %r", error)
                return await quietly(self.secured_conn.close)


async def _pulse(self: Yamux) -> None:
    """Close a connection that goes silent: stock measures round trips and ignores that no answer comes back.

    Any byte is a sign of life, for on a slow link an answer waits behind megabytes that were sent before it. (Stock's
    health monitor looks at one connection after the other, five seconds each, and redials by itself.)
    """
    outbox = _outbox_of(self)
    await trio.sleep(0.5)
    while not self.event_shutting_down.is_set():
        self._ping_id += 1
        answered = self._ping_event = trio.Event()
        self._ping_sent_time = trio.current_time()
        frame = struct.pack(yamux_module.YAMUX_HEADER_FORMAT, 0, yamux_module.TYPE_PING, 1, 0, self._ping_id)
        try:
            await self._write_frame(frame)
        except ConnectionClosedError:
            return
        with trio.move_on_after(PONG_SECONDS_MAX):
            await answered.wait()
        # If it was our own loop that stood still, the answer is in the socket: let it be read first.
        with trio.move_on_after(1):
            await answered.wait()
        if not answered.is_set() and outbox.heard_at < self._ping_sent_time:
            return await quietly(self.secured_conn.close)
        with trio.move_on_after(PULSE_SECONDS):
            await self.event_shutting_down.wait()


_read_data_body = Yamux._read_data_body


async def _read_bounded_body(self: Yamux, length: int) -> bytes:
    """Stock keeps whatever is sent beyond the receive window and logs it: memory without limit. Here it hangs up."""
    if length + sum(map(len, self.stream_buffers.values())) > UNREAD_BYTES_MAX:
        raise trio.TooSlowError  # the one exception that its reading loop answers by closing the connection
    return await _read_data_body(self, length)


def release_inbound_slots(swarm: Swarm) -> None:
    """Give an inbound connection's place back when it ends.

    Stock, the handler of an accepted connection sleeps until shutdown and keeps its place in the inbound limiter: after
    250 connections in all, open or not, the node takes no more.
    """
    upgrade = swarm.upgrade_inbound_raw_conn

    async def until_closed(raw_conn: Any, maddr: Any) -> Any:
        muxed_conn: Any = await upgrade(raw_conn, maddr)
        await muxed_conn.event_closed.wait()
        raise SwarmException("the connection has ended")  # caught by the handler, which closes and returns

    swarm.upgrade_inbound_raw_conn = until_closed  # type: ignore[method-assign]


def guard_streams(swarm: Swarm, flooded: Callable[[str], Awaitable[None]]) -> None:
    """Stock, any exception of any stream's handler (a protocol name that isn't UTF-8) ends the whole process.

    `flooded` is told of a peer that opens more streams than it can use; stock accepts any number.
    """
    inner = swarm.common_stream_handler
    open_streams: Counter[str] = Counter()

    async def guarded_stream(stream: INetStream) -> None:
        peer = str(stream.muxed_conn.peer_id)
        open_streams[peer] += 1
        try:
            if open_streams[peer] > INBOUND_STREAMS_MAX:
                await stream.reset()
                if open_streams[peer] == INBOUND_STREAMS_MAX + 1:
                    await flooded(peer)
                return
            await inner(stream)
        except Exception as error:  # noqa: BLE001
            log.debug("stream of %s: %r", peer, error)
            await LastingStream(stream).reset()
        finally:
            open_streams[peer] -= 1
            if not open_streams[peer]:
                del open_streams[peer]

    swarm.set_stream_handler(guarded_stream)


def is_open(connection: INetConn) -> bool:
    """libp2p lists connections for a while after they ended."""
    muxed: Any = connection.muxed_conn
    return not (connection.is_closed or muxed.event_shutting_down.is_set())


def is_outbound(connection: INetConn) -> bool:
    return getattr(connection, "direction", None) == Direction.OUTBOUND


async def close_connection(connection: INetConn) -> None:
    """In order if the peer takes our goodbye in time, and by its socket if not."""
    await quietly(connection.close)
    await quietly(connection.muxed_conn.secured_conn.close)  # type: ignore[attr-defined]


class LastingStream:
    """A libp2p stream as `node.frames.ByteStream`: one exception, b"" for the end, and closing that never fails."""

    def __init__(self, stream: INetStream) -> None:
        self._stream = stream

    async def read(self, count: int) -> bytes:
        try:
            return await self._stream.read(count)
        except StreamEOF:
            # yamux says the same of a stream whose connection went
            if self._stream.muxed_conn.is_closed:
                raise StreamError("the connection is gone") from None
            return b""
        except Exception as error:
            raise StreamError(repr(error)) from error

    async def write(self, data: bytes) -> None:
        try:
            await self._stream.write(data)
        except Exception as error:
            raise StreamError(repr(error)) from error

    async def close(self) -> None:
        await quietly(self._stream.close)

    async def reset(self) -> None:
        await quietly(self._stream.reset)


async def quietly(closing: Callable[[], Awaitable[None]]) -> None:
    """Close something of libp2p's, whatever it says, even while being cancelled."""
    with trio.move_on_after(CLOSE_SECONDS_MAX) as scope:
        scope.shield = True
        try:
            await closing()
        except Exception as error:  # noqa: BLE001
            log.debug("closing: %r", error)


async def gone_if_failing(call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """What a call into libp2p returns; StreamError for whatever it raises, which is no closed list."""
    try:
        return await call(*arguments)
    except Exception as error:
        raise StreamError(repr(error)) from error


def install() -> None:
    """Patch the modules, once a process; doing it again changes nothing."""
    quiet_logging()
    # Stock, every dial of one address waits 250 ms for a second one that does not exist.
    swarm_module._HAPPY_EYEBALLS_DELAY = 0.0
    # With its header a frame of 64 KiB needs two encrypted messages and two sends; this is the most that fits one.
    yamux_module.MAX_MESSAGE_SIZE = NOISE_BYTES_MAX
    Yamux._write_frame = _write_frame  # type: ignore[method-assign]
    Yamux._measure_rtt_loop = _tend  # type: ignore[method-assign]
    Yamux._read_data_body = _read_bounded_body  # type: ignore[method-assign]
