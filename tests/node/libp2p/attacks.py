"""What a stranger can send: to the bare port, and after a Noise handshake with a key of its own.

Each attack is an async function of a victim's address. Nothing here uses our own transport.
"""

from __future__ import annotations

import os
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.custom_types import TProtocol
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX
from libp2p.utils import encode_varint_prefixed
from libp2p.utils.varint import encode_uvarint
from multiaddr import Multiaddr

from node.libp2p_host import make_host
from node.multiaddrs import parse_dial

MESHSUB = TProtocol("/meshsub/1.1.0")
ASK = TProtocol("/p2prec/ask/1")
TOPIC = "/p2prec/heads/1"
MULTISTREAM = b"\x13/multistream/1.0.0\n"
NOISE = b"\x07/noise\n"
DRAWN = random.Random(20)


@dataclass
class Stranger:
    """A connection to the victim under a fresh key."""

    host: Any
    victim: ID
    pair: KeyPair

    @property
    def muxed(self) -> Any:
        return self.host.get_network().get_connections(self.victim)[0].muxed_conn

    async def stream(self, protocol: str = MESHSUB) -> INetStream:
        return await self.host.new_stream(self.victim, [TProtocol(protocol)])  # type: ignore[no-any-return]

    async def raw(self, data: bytes) -> None:
        """Bytes where yamux frames should be."""
        await self.muxed.secured_conn.write(data)

    async def bare_stream(self, data: bytes) -> Any:
        """Bytes where a protocol should be agreed upon."""
        stream = await self.muxed.open_stream()
        if data:
            await stream.write(data)
        return stream


@asynccontextmanager
async def stranger(address: str, prepare: Callable[[Any], None] = lambda host: None) -> AsyncIterator[Stranger]:
    target, peer = parse_dial(address)
    seed = os.urandom(32)
    listen = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
    host = make_host(seed, listen)
    prepare(host)
    swarm: Swarm = host.get_network()  # type: ignore[assignment]
    async with host.run(listen_addrs=listen):
        victim = ID.from_base58(peer)
        with trio.fail_after(10):
            await swarm.dial_addr(Multiaddr(target), victim)
        yield Stranger(host, victim, create_new_key_pair(seed))
        with trio.move_on_after(2):
            await host.close()


Attack = Callable[[str], Awaitable[None]]
ATTACKS: dict[str, Attack] = {}


def connected(seconds: float = 0.1) -> Callable[[Callable[[Stranger], Awaitable[None]]], None]:
    """Register an attack that begins with a handshake; what it raises is the victim hanging up on it."""

    def register(attack: Callable[[Stranger], Awaitable[None]]) -> None:
        async def run(address: str) -> None:
            async with stranger(address) as it:
                with trio.move_on_after(8):
                    try:
                        await attack(it)
                    except Exception as error:  # noqa: BLE001
                        assert not isinstance(error, (AssertionError, TypeError, AttributeError)), repr(error)
                    await trio.sleep(seconds)

        ATTACKS[attack.__name__] = run

    return register


def at_the_port(name: str, data: Callable[[], bytes], count: int = 5, hold: float = 0.1) -> None:
    async def run(address: str) -> None:
        port = int(address.split("/")[4])
        held = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", port))
            held.append(one)
            try:
                one.sendall(data())
            except OSError:
                continue
        await trio.sleep(hold)
        for one in held:
            one.close()

    ATTACKS[name] = run


def as_a_server(name: str, reply: Callable[[], bytes], negotiated: bool) -> None:
    """Register an attack on the streams that the victim opens to whoever connects: pubsub and identify."""

    async def serve(stream: INetStream) -> None:
        await stream.write(reply())
        await trio.sleep(0.1)
        await (stream.reset() if DRAWN.random() < 0.5 else stream.close())

    def prepare(host: Any) -> None:
        if not negotiated:
            return host.get_network().set_stream_handler(serve)  # type: ignore[no-any-return]
        for protocol in ("/ipfs/id/1.0.0", MESHSUB):
            host.set_stream_handler(TProtocol(protocol), serve)

    async def run(address: str) -> None:
        for _ in range(3):
            async with stranger(address, prepare):
                await trio.sleep(0.3)

    ATTACKS[name] = run


def signed(pair: KeyPair, data: bytes, sender: bytes | None = None, key: bytes | None = None) -> rpc_pb2.Message:
    sender = ID.from_pubkey(pair.public_key).to_bytes() if sender is None else sender
    message = rpc_pb2.Message(data=data, topicIDs=[TOPIC], from_id=sender, seqno=os.urandom(8))
    message.signature = pair.private_key.sign(PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString())
    message.key = pair.public_key.serialize() if key is None else key
    return message


def rpc(*messages: rpc_pb2.Message) -> bytes:
    return rpc_pb2.RPC(publish=messages).SerializeToString()


def junk_control() -> bytes:
    whole = rpc_pb2.RPC()
    control = whole.control
    have = control.ihave.add()
    have.topicID = TOPIC
    have.messageIDs.extend([b"\xff\xfe", b"zz", b""])
    control.iwant.add().messageIDs.extend([b"\xff", b"abc"])
    control.graft.add().topicID = "nope"
    prune = control.prune.add()
    prune.topicID, prune.backoff = TOPIC, 2**62
    peer = prune.peers.add()
    peer.peerID, peer.signedPeerRecord = b"\xff" * 7, b"zz"
    control.idontwant.add().messageIDs.extend([b"\xff"])
    return whole.SerializeToString()


at_the_port("garbage", lambda: os.urandom(4096), count=20)
at_the_port("garbage after the handshake began", lambda: MULTISTREAM + NOISE + os.urandom(2000), count=20)
at_the_port("a huge length", lambda: MULTISTREAM + b"\xff\xff\xff\xff\x7f" + b"a" * 5000)
at_the_port("http", lambda: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
at_the_port("not utf-8 before security", lambda: MULTISTREAM + b"\x05\xff\xfe\xfd\xfc\n")
at_the_port("empty tokens", lambda: b"\x00\x00\x00" + MULTISTREAM + b"\x00")
at_the_port("sockets that say nothing", lambda: b"", count=100, hold=0.5)
at_the_port("sockets that stop half-way", lambda: MULTISTREAM, count=20, hold=0.5)


as_a_server("garbage instead of protocols", lambda: os.urandom(500), negotiated=False)
as_a_server("protocols not utf-8", lambda: MULTISTREAM + b"\x05\xff\xfe\xfd\xfc\n", negotiated=False)
as_a_server("silence instead of protocols", lambda: b"\x13", negotiated=False)
as_a_server("garbage from pubsub and identify", lambda: os.urandom(500), negotiated=True)
as_a_server("lengths without end", lambda: b"\xff" * 9 + b"\x01", negotiated=True)
as_a_server("bad protobufs", lambda: encode_varint_prefixed(os.urandom(300)), negotiated=True)


async def plaintext(address: str) -> None:
    """Claim to be somebody without proof. Agreed upon, it would make every peer id worthless."""
    with socket.create_connection(("127.0.0.1", int(address.split("/")[4]))) as one:
        one.settimeout(5)
        for token in (b"/plaintext/2.0.0\n", b"/secio/1.0.0\n", b"/tls/1.0.0\n"):
            one.sendall((MULTISTREAM if token.startswith(b"/pl") else b"") + bytes([len(token)]) + token)
            answer = b""
            while b"na\n" not in answer:
                assert token not in answer, "an unproven identity was accepted"
                more = await trio.to_thread.run_sync(one.recv, 1000)
                assert more
                answer += more


ATTACKS["plaintext"] = plaintext


@connected()
async def pubsub_garbage(it: Stranger) -> None:
    await (await it.stream()).write(os.urandom(5000))


@connected()
async def pubsub_bad_protobuf(it: Stranger) -> None:
    stream = await it.stream()
    for _ in range(3):
        await stream.write(encode_varint_prefixed(os.urandom(300)))


@connected()
async def pubsub_oversize_prefix(it: Stranger) -> None:
    await (await it.stream()).write(encode_uvarint(2**40) + b"x" * 100)


@connected()
async def pubsub_overlong_varint(it: Stranger) -> None:
    await (await it.stream()).write(b"\xff" * 20)


@connected()
async def pubsub_reset_inside_a_message(it: Stranger) -> None:
    stream = await it.stream()
    await stream.write(encode_uvarint(1000) + b"x" * 10)
    await stream.reset()


@connected()
async def pubsub_keys_that_are_none(it: Stranger) -> None:
    hashed = b"\x12\x20" + b"\1" * 32
    for key in (b"garbage", b"\x08\x00\x12\x04abcd", b"\x08\x63\x12\x04abcd", b""):
        for sender in (hashed, b"\0", b"\x00\x24\x08\x01\x12\x20" + b"\xff" * 32):
            await (await it.stream()).write(encode_varint_prefixed(rpc(signed(it.pair, b"zz", sender, key))))


@connected()
async def pubsub_wrong_signatures(it: Stranger) -> None:
    message = signed(it.pair, b"forged")
    for signature in (b"", b"x", b"\0" * 64, message.signature[::-1]):
        message.signature = signature
        await (await it.stream()).write(encode_varint_prefixed(rpc(message)))


@connected()
async def pubsub_message_without_a_number(it: Stranger) -> None:
    await (await it.stream()).write(encode_varint_prefixed(b"\x12\x08\x12\x01z\x22\x01t\x08\x01"))


@connected()
async def pubsub_junk_control(it: Stranger) -> None:
    await (await it.stream()).write(encode_varint_prefixed(junk_control()))


@connected()
async def pubsub_junk_record(it: Stranger) -> None:
    junk = rpc_pb2.RPC(senderRecord=b"junk" * 10).SerializeToString()
    await (await it.stream()).write(encode_varint_prefixed(junk))


@connected()
async def pubsub_subscriptions_without_end(it: Stranger) -> None:
    stream = await it.stream()
    for i in range(20):
        topics = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=f"{i}-{j}" * 10) for j in range(1000)]
        await stream.write(encode_varint_prefixed(rpc_pb2.RPC(subscriptions=topics).SerializeToString()))


@connected(0.3)
async def pubsub_flipped_bytes(it: Stranger) -> None:
    for i in range(60):
        body = bytearray(rpc(signed(it.pair, b"x" * 50)) if i % 2 else junk_control())
        for _ in range(DRAWN.randint(1, 6)):
            body[DRAWN.randrange(len(body))] = DRAWN.randrange(256)
        await (await it.stream()).write(encode_varint_prefixed(bytes(body)))
        await trio.sleep(0.003)


@connected(0.3)
async def pubsub_flood(it: Stranger) -> None:
    stream = await it.stream()
    for _ in range(20):
        await stream.write(encode_varint_prefixed(rpc(*[signed(it.pair, os.urandom(500)) for _ in range(50)])))


@connected()
async def identify_and_ping_garbage(it: Stranger) -> None:
    for protocol in ("/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0"):
        for i in range(8):
            stream = await it.stream(protocol)
            data = os.urandom(DRAWN.choice([1, 33, 400]))
            await stream.write(data if i % 2 else encode_varint_prefixed(data))
            await (stream.reset() if i % 3 else stream.close())


@connected()
async def ask_garbage(it: Stranger) -> None:
    for data in (os.urandom(5000), b"\xff" * 50, b"\0", b"\x81\x80\x40", b"\x10short", encode_uvarint(2**62)):
        stream = await it.stream(ASK)
        await stream.write(data)
        await (stream.reset() if len(data) % 2 else stream.close())


@connected()
async def ask_and_reset(it: Stranger) -> None:
    for _ in range(100):
        stream = await it.stream(ASK)
        await stream.write(b"\x04hold")
        await stream.reset()


@connected()
async def ask_and_never_read(it: Stranger) -> None:
    """A megabyte echoed on each of sixteen streams, none of which is read."""
    for _ in range(16):
        stream = await it.stream(ASK)
        await stream.write(encode_uvarint(1 << 20) + bytes(1 << 20))


@connected()
async def protocol_not_utf8(it: Stranger) -> None:
    for _ in range(3):
        await it.bare_stream(MULTISTREAM + b"\x05\xff\xfe\xfd\xfc\n")


@connected()
async def protocol_overlong(it: Stranger) -> None:
    for _ in range(3):
        await it.bare_stream(b"\xff" * 10 + b"\x01" + b"a" * 100)


@connected()
async def protocol_garbage(it: Stranger) -> None:
    for _ in range(10):
        await it.bare_stream(os.urandom(300))


@connected()
async def streams_opened_and_reset(it: Stranger) -> None:
    for i in range(40):
        await (await it.bare_stream(b"" if i % 2 else MULTISTREAM[:6])).reset()


@connected()
async def streams_without_end(it: Stranger) -> None:
    for i in range(2000):
        await it.raw(struct.pack("!BBHII", 0, 1, 1, 1001 + 2 * i, 0))


@connected()
async def yamux_garbage(it: Stranger) -> None:
    await it.raw(os.urandom(5000))


@connected()
async def yamux_headers_that_are_none(it: Stranger) -> None:
    await it.raw(struct.pack("!BBHII", 9, 0, 0, 7, 0) * 10)
    await it.raw(struct.pack("!BBHII", 0, 77, 0, 7, 0) * 10)
    await it.raw(struct.pack("!BBHII", 0, 0, 0, 9999, 5) + b"hello")
    await it.raw(struct.pack("!BBHII", 0, 1, 1, 9999, 0) * 3)


@connected()
async def yamux_window_overflow(it: Stranger) -> None:
    await it.raw(struct.pack("!BBHII", 0, 1, 1, 9999, 2**32 - 1))
    await it.raw(struct.pack("!BBHII", 0, 1, 0, 9999, 2**32 - 1) * 100)


@connected()
async def yamux_two_gigabytes_announced(it: Stranger) -> None:
    stream = await it.bare_stream(b"")
    await it.raw(struct.pack("!BBHII", 0, 0, 0, stream.stream_id, 2**31))
    for _ in range(400):
        await it.raw(b"x" * 65_000)


@connected()
async def yamux_beyond_the_window(it: Stranger) -> None:
    """400 MB on a stream whose handler waits for an answer, whatever window was granted."""
    stream = await it.stream(ASK)
    await stream.write(b"\x04hold")
    number = stream.muxed_stream.stream_id  # type: ignore[attr-defined]
    frame = struct.pack("!BBHII", 0, 0, 0, number, 60_000) + bytes(60_000)
    for _ in range(7000):
        await it.raw(frame)


@connected()
async def yamux_pings_without_end(it: Stranger) -> None:
    for _ in range(100):
        await it.raw(struct.pack("!BBHII", 0, 2, 1, 0, 7) * 500)
