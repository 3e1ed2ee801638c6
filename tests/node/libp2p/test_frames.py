"""Frames on a stream that is cut wherever it can be, and what isn't a frame."""

from __future__ import annotations

import pytest
import trio

from node.errors import UserError
from node.frames import FramedStream, StreamError, pack_frame
from node.mdns import pack_txt, parse_txt
from node.multiaddrs import parse_dial, parse_listen
from protocol.identity import Identity
from protocol.limits import FRAME_BYTES_MAX, RemoteError

PEER = Identity(bytes(32)).peer_id


UNFIT = """
    /ip4/1.2.3.4 /ip4/1.2.3.4/udp/1 /ip4/1.2.3.4/udp/1/quic-v1 /ip4/300.2.3.4/tcp/1 /dns4/a/tcp/1 localhost:1
    /ip4/1.2.3.4/tcp/65536 /ip4/1.2.3.4/tcp/-1 /ip4/1.2.3.4/tcp/1/ws /ip4/1.2.3.4/tcp/\u0661 /ip4//tcp/1 /
""".split()  # noqa: SIM905


class Pieces:
    """A byte stream that hands out what it was given, piece by piece, and then ends."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.asked: list[int] = []

    async def read(self, count: int) -> bytes:
        self.asked.append(count)
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if piece[count:]:
            self.pieces.insert(0, piece[count:])
        return piece[:count]

    async def write(self, data: bytes) -> None:
        self.pieces.append(data)

    async def close(self) -> None: ...

    async def reset(self) -> None: ...


def read(*pieces: bytes) -> bytes:
    return trio.run(FramedStream(Pieces(*pieces)).read_frame)


@pytest.mark.parametrize("size", [1, 127, 128, 16_383, 16_384, 300_000, FRAME_BYTES_MAX])
def test_a_frame_comes_back(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert read(pack_frame(data[:size])) == data[:size]


def test_a_frame_may_be_cut_anywhere() -> None:
    frame = pack_frame(b"x" * 200)
    for at in range(1, len(frame)):
        assert read(frame[:at], frame[at:]) == b"x" * 200
    assert read(*[bytes([byte]) for byte in frame]) == b"x" * 200


def test_an_end_inside_a_frame_is_an_error_and_before_one_is_not() -> None:
    frame = pack_frame(b"x" * 200)
    for at in range(1, len(frame)):
        with pytest.raises(StreamError):
            read(frame[:at])
    assert not trio.run(FramedStream(Pieces()).wait_frame)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"\x00", "malformed"),
        (b"\x80\x00", "malformed"),
        (b"\x81\x00", "malformed"),
        (b"\x81\x80\x40", "too_big"),
        (b"\xff\xff\xff\x7f", "too_big"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "too_big"),
        (b"\x01ab", "malformed"),
    ],
)
def test_what_is_no_frame_is_refused_before_more_is_read(head: bytes, reason: str) -> None:
    stream = Pieces(head, b"more")
    with pytest.raises(RemoteError) as error:
        trio.run(FramedStream(stream).read_frame)
    assert error.value.reason == reason
    assert stream.pieces == [b"more"]


def test_two_frames_one_after_the_other_on_one_stream() -> None:
    async def main() -> None:
        pieces = Pieces(pack_frame(b"one"))
        stream = FramedStream(pieces)
        assert await stream.wait_frame()
        assert stream.begun
        assert await stream.read_frame() == b"one"
        assert not stream.begun
        await stream.write_frame(b"two")
        assert await stream.read_frame() == b"two"

    trio.run(main)


def test_our_own_frames_keep_to_the_limit() -> None:
    with pytest.raises(AssertionError):
        pack_frame(bytes(FRAME_BYTES_MAX + 1))
    with pytest.raises(AssertionError):
        pack_frame(b"")


@pytest.mark.parametrize("text", UNFIT)
def test_an_address_to_listen_at_is_ip_and_tcp(text: str) -> None:
    with pytest.raises(UserError, match=r"/ip4/0\.0\.0\.0/tcp/4001"):
        parse_listen(text)


def test_an_address_to_dial_names_its_peer() -> None:
    assert parse_listen("/ip4/0.0.0.0/tcp/0") == "/ip4/0.0.0.0/tcp/0"
    assert parse_dial(f"/ip6/::1/tcp/7/p2p/{PEER}") == ("/ip6/::1/tcp/7", PEER)
    assert parse_dial(f"/dns4/shop.example/tcp/7/p2p/{PEER}") == ("/dns4/shop.example/tcp/7", PEER)
    for text in (
        "/ip4/1.2.3.4/tcp/7",
        f"/ip4/1.2.3.4/tcp/0/p2p/{PEER}",
        f"/ip4/1.2.3.4/tcp/7/p2p/{PEER[:-1]}",
        "/ip4/1.2.3.4/tcp/7/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        f"/dns4/{'a' * 64}/tcp/7/p2p/{PEER}",
        f"/dns4/a..b/tcp/7/p2p/{PEER}",
        f"/ip4/1.2.3.4/tcp/7/p2p/{PEER}/p2p-circuit",
    ):
        with pytest.raises(ValueError):
            parse_dial(text)


def test_discovery_entries_of_strangers() -> None:
    other = f"/ip4/1.2.3.4/tcp/7/p2p/{PEER}"
    assert parse_txt(pack_txt([other]), "me") == [other]
    assert parse_txt(pack_txt([other]), PEER) == []
    junk = b"\x05hello\x0cdnsaddr=/ip4\x00\x09dnsaddr=\xff"
    assert parse_txt(junk + pack_txt([other]) + b"\xffcut", "me") == [other]
    assert len(parse_txt(pack_txt([other]) * 500, "me")) == 16
