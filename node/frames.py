"""Frames on a byte stream: an unsigned varint that counts the bytes, then the bytes.

The two sides take turns, one frame each, so a byte that comes before its turn breaks a rule like a frame that is too
long or empty does. What a stream is made of is not known here: it reads, writes, closes and resets, and every way to
fail is `StreamError`.
"""

from __future__ import annotations

from typing import Protocol

from protocol.limits import FRAME_BYTES_MAX, RemoteError

# A frame of FRAME_BYTES_MAX counts itself in three bytes; a longer count can only be over the limit or padded.
VARINT_BYTES_MAX = 4
# What one read asks for: yamux hands out 64 KiB at a time, and asking for less costs a window update each.
READ_BYTES = 65_536


class StreamError(Exception):
    """The stream was reset, cut short, or went with its connection."""


class ByteStream(Protocol):
    """What frames travel on."""

    async def read(self, count: int) -> bytes:
        """1 to `count` bytes; none at the peer's orderly end. Raises: StreamError."""

    async def write(self, data: bytes) -> None:
        """Raises: StreamError."""

    async def close(self) -> None:
        """End our side in order. Never raises, never waits long."""

    async def reset(self) -> None:
        """Drop both sides at once. Never raises, never waits long."""


def pack_frame(data: bytes) -> bytes:
    """The frame of `data`, which our own side keeps within the limit."""
    assert 0 < len(data) <= FRAME_BYTES_MAX, len(data)
    head, count = bytearray(), len(data)
    while count > 127:
        head.append(count & 127 | 128)
        count >>= 7
    head.append(count)
    return bytes(head) + data


def parse_length(head: bytes) -> tuple[int, int] | None:
    """(length, bytes it takes) at the start of `head`; None while it isn't whole. Raises: RemoteError."""
    length = 0
    for at, byte in enumerate(head[:VARINT_BYTES_MAX]):
        length |= (byte & 127) << 7 * at
        if byte < 128:
            if length == 0 or (at and byte == 0):
                raise RemoteError("malformed", "an empty frame or a padded length")
            if length > FRAME_BYTES_MAX:
                raise RemoteError("too_big", f"a frame of {length} bytes")
            return length, at + 1
    if len(head) >= VARINT_BYTES_MAX:
        raise RemoteError("too_big", "a length of more than four bytes")
    return None


class FramedStream:
    """Whole frames over a byte stream, one reader and one writer."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._head = b""
        self.reset = stream.reset
        self.close = stream.close

    @property
    def begun(self) -> bool:
        """Some bytes of a frame that is not yet read are here."""
        return bool(self._head)

    async def write_frame(self, data: bytes) -> None:
        """Raises: StreamError."""
        # One write: each costs the layers below a turn of their locks, the copy costs a tenth of a millisecond a MiB.
        await self._stream.write(pack_frame(data))

    async def wait_frame(self) -> bool:
        """Wait until a frame begins: False when the peer ended the stream instead. Raises: StreamError."""
        if not self._head:
            self._head = await self._stream.read(READ_BYTES)
        return bool(self._head)

    async def read_frame(self) -> bytes:
        """The peer's next frame. Raises: StreamError, and RemoteError before a byte over the limit is waited for."""
        while (found := parse_length(self._head)) is None:
            self._head += await self._more(READ_BYTES)
        length, begin = found
        chunks, missing = [self._head[begin:]], length + begin - len(self._head)
        while missing > 0:
            chunks.append(await self._more(min(READ_BYTES, missing)))
            missing -= len(chunks[-1])
        if missing < 0:
            raise RemoteError("malformed", "bytes before their turn")
        self._head = b""
        return b"".join(chunks)

    async def _more(self, count: int) -> bytes:
        data = await self._stream.read(count)
        if not data:
            raise StreamError("ended inside a frame")
        return data
