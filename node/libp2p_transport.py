"""A node's network over libp2p: TCP with Noise and Yamux, questions over streams, heads over GossipSub.

`node/transport.py` says what is heard and what can be asked for; this file carries it out and decides nothing about
peers. Protocols of the network NAME: the stream protocol `/NAME/ask/1` (an unsigned varint counts the bytes of a frame;
question and answer alternate) and the GossipSub topic `/NAME/heads/1`. Importing this costs two seconds and 80 MB, so
it is imported by who runs a node and nobody else.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias, assert_never

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from node import libp2p_guards as guards
from node.answering import Answering
from node.asking import Asking
from node.errors import UserError
from node.frames import FramedStream, StreamError
from node.libp2p_host import CONNECTIONS_MAX, make_host
from node.libp2p_pubsub import ConnectionWatch, LastingPubsub, cached_records
from node.multiaddrs import check_port_free, parse_dial, parse_listen
from node.transport import (
    Answer,
    Ask,
    Dial,
    DialFailed,
    Discovered,
    Gossip,
    HangUp,
    Hear,
    Misbehaved,
    NetworkEffect,
    PeerDown,
    PeerUp,
    Publish,
)
from protocol.identity import Identity
from protocol.limits import GOSSIP_BYTES_MAX, Reason

# Handshakes cost 13 ms of CPU each, on both sides.
DIALS_MAX = 16
# A listener that accepts and then stays silent would hold a dial for minutes.
DIAL_SECONDS_MAX = 15.0
# GossipSub drops what is published faster than its queue of 32 drains.
PUBLISH_SECONDS = 0.02
PUBLISH_WAITING_MAX = 32
# Gossip and the like, heard and not yet taken by the engine; it is not relied upon, so the newest is dropped.
HEARD_MAX = 1024
# How often connections are counted even if nobody told of a change.
CENSUS_SECONDS = 1.0
# Every so many censuses, connected peers that pubsub gave up on are tried again.
REJOIN_CENSUSES = 15
SHUTDOWN_SECONDS_MAX = 2.0
# For an inbound question whose connection is not announced yet.
ANNOUNCE_SECONDS_MAX = 5.0


# What is told from places that must not wait for the engine.
_Told: TypeAlias = Gossip | Misbehaved | Discovered


class _Attempt:
    """A dial under way, and whether the peer's coming up was already told with its address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.told = False


class Libp2pTransport:
    """See node.transport.Transport. `seed` is the Ed25519 seed of the node's identity."""

    def __init__(self, seed: bytes, listen: Sequence[str], network: str = "p2prec", mdns: bool = False) -> None:
        self.peer_id = Identity(seed).peer_id
        self.topic = f"/{network}/heads/1"
        self.ask_protocol = TProtocol(f"/{network}/ask/1")
        self._listen = [Multiaddr(parse_listen(text)) for text in listen]
        self._seed = seed
        self._mdns = mdns
        self._up: dict[str, str | None] = {}
        self._attempts: dict[str, _Attempt] = {}
        self._dial_locks: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)
        self._dials = trio.CapacityLimiter(DIALS_MAX)
        self._census_lock = trio.Lock()
        self._announced = trio.Event()
        self._change = trio.Event()
        self._told_in, self._told_out = trio.open_memory_channel[_Told](HEARD_MAX)
        self._publishing: deque[bytes] = deque(maxlen=PUBLISH_WAITING_MAX)
        self._published = trio.Event()
        self._addresses: list[str] = []

    @property
    def addresses(self) -> list[str]:
        return list(self._addresses)

    # -- running -----------------------------------------------------------------------------------------------------

    async def run(self, hear: Hear, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """See node.transport.Transport. Leaves nothing open, within SHUTDOWN_SECONDS_MAX."""
        for address in self._listen:
            check_port_free(str(address))
        guards.install()
        self._hear = hear
        self._up.clear()
        self._host = host = make_host(self._seed, self._listen)
        swarm: Swarm = host.get_network()  # type: ignore[assignment]
        self._swarm = swarm
        pubsub = LastingPubsub(host, self.topic, self._heard, self._misbehaving)
        guards.release_inbound_slots(swarm)
        guards.guard_streams(swarm, self._flooded)
        swarm.register_notifee(ConnectionWatch(pubsub, self._changed))
        self._answering = Answering(hear)
        host.set_stream_handler(self.ask_protocol, self._serve)
        with cached_records(pubsub):
            async with (
                host.run(listen_addrs=self._listen),
                background_trio_service(pubsub.router),  # type: ignore[arg-type]
                background_trio_service(pubsub),
            ):
                await pubsub.wait_until_ready()
                await pubsub.subscribe(self.topic)
                listening = len(swarm.listeners) == len({str(one) for one in self._listen})
                if listening:
                    await self._serve_until_cancelled(pubsub, task_status)
        if not listening:
            raise UserError(f"Can't listen at {', '.join(map(str, self._listen))}; give another --listen address.")

    async def _serve_until_cancelled(self, pubsub: LastingPubsub, task_status: Any) -> None:
        self._addresses = [str(address) for address in self._host.get_addrs()]
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._asking = Asking(nursery, self._hear, self._stands, self._open_stream)
            nursery.start_soon(self._count_regularly, pubsub)
            nursery.start_soon(self._publish, pubsub)
            nursery.start_soon(self._tell_all)
            if self._mdns:
                from node.mdns import run_mdns

                nursery.start_soon(run_mdns, self.peer_id, self.addresses, self._discovered)
            try:
                task_status.started()
                await trio.sleep_forever()
            finally:
                await self._close()

    async def _close(self) -> None:
        """Connections side by side, for each takes a fifth of a second, and then the host."""
        with trio.move_on_after(SHUTDOWN_SECONDS_MAX) as scope:
            scope.shield = True
            async with trio.open_nursery() as nursery:
                for connection in self._swarm.get_connections():
                    nursery.start_soon(guards.close_connection, connection)
            await guards.quietly(self._host.close)

    # -- connections -------------------------------------------------------------------------------------------------

    def _stands(self, peer: str) -> bool:
        return any(map(guards.is_open, self._swarm.get_connections(_id(peer))))

    async def _changed(self) -> None:
        """Told by libp2p, from inside its own work, which must not wait for the engine."""
        self._change.set()

    async def _count_regularly(self, pubsub: LastingPubsub) -> None:
        censuses = 0
        while True:
            self._change = trio.Event()
            await self._census()
            self._asking.tidy()
            censuses += 1
            if censuses % REJOIN_CENSUSES == 0:
                pubsub.rejoin({_id(peer) for peer in self._up})
            with trio.move_on_after(CENSUS_SECONDS):
                await self._change.wait()

    async def _census(self) -> None:
        """Compare the connections with what was told, and tell the difference."""
        async with self._census_lock:
            standing = {
                str(peer): [one for one in connections if guards.is_open(one)]
                for peer, connections in self._swarm.get_connections_map().items()
            }
            for peer in [peer for peer in self._up if not standing.get(peer)]:
                del self._up[peer]
                self._answering.forget(peer)
                await self._hear(PeerDown(peer))
            for peer, connections in standing.items():
                if connections and peer not in self._up:
                    attempt = self._attempts.get(peer)
                    ours = attempt is not None and any(map(guards.is_outbound, connections))
                    address = attempt.address if attempt is not None and ours else None
                    if attempt is not None and ours:
                        attempt.told = True
                    self._up[peer] = address
                    await self._hear(PeerUp(peer, address))
            self._announced.set()
            self._announced = trio.Event()

    async def _dial(self, address: str) -> None:
        """Tells a PeerUp or a DialFailed with this address, one of them and once."""
        try:
            target, peer = parse_dial(address)
        except ValueError:
            return await self._hear(DialFailed(address))
        if peer == self.peer_id:
            return await self._hear(DialFailed(address))
        lock = self._dial_locks[peer]
        async with self._dials, lock:
            attempt = _Attempt(address)
            if not self._stands(peer):
                self._attempts[peer] = attempt
                try:
                    with trio.move_on_after(DIAL_SECONDS_MAX):
                        await guards.gone_if_failing(self._swarm.dial_addr, Multiaddr(target), _id(peer))
                except StreamError as error:
                    guards.log.debug("dial %s: %s", address, error)
            await self._census()
            self._attempts.pop(peer, None)
            if not attempt.told:
                stands = peer in self._up
                if stands:
                    self._up[peer] = address
                await self._hear(PeerUp(peer, address) if stands else DialFailed(address))
        if not lock.statistics().tasks_waiting:
            self._dial_locks.pop(peer, None)

    async def _hang_up(self, peer: str) -> None:
        for connection in self._swarm.get_connections(_id(peer)):
            await guards.close_connection(connection)

    async def _flooded(self, peer: str) -> None:
        self._misbehaving(peer, "too_many")

    # -- questions ---------------------------------------------------------------------------------------------------

    async def _open_stream(self, peer: str) -> FramedStream:
        if not self._stands(peer):  # libp2p would dial whatever address it remembers
            raise StreamError("not connected")
        stream = await guards.gone_if_failing(self._host.new_stream, _id(peer), [self.ask_protocol])
        return FramedStream(guards.LastingStream(stream))

    async def _serve(self, stream: INetStream) -> None:
        peer = str(stream.muxed_conn.peer_id)
        with trio.move_on_after(ANNOUNCE_SECONDS_MAX):
            while peer not in self._up:
                await self._announced.wait()
        await self._answering.serve(peer, FramedStream(guards.LastingStream(stream)))

    # -- gossip ------------------------------------------------------------------------------------------------------

    def _heard(self, author: str, forwarder: str, data: bytes) -> None:
        self._tell(Gossip(author, forwarder, data))

    def _misbehaving(self, peer: str, reason: Reason) -> None:
        self._tell(Misbehaved(peer, reason))

    def _tell(self, event: _Told) -> None:
        try:
            self._told_in.send_nowait(event)
        except trio.WouldBlock:
            guards.log.debug("the engine is behind: dropped %s", type(event).__name__)

    async def _tell_all(self) -> None:
        async for event in self._told_out:
            await self._hear(event)

    async def _publish(self, pubsub: LastingPubsub) -> None:
        while True:
            self._published = trio.Event()
            while self._publishing:
                data = self._publishing.popleft()
                try:
                    await guards.gone_if_failing(pubsub.publish, self.topic, data)
                except StreamError as error:
                    guards.log.debug("publish: %s", error)
                await trio.sleep(PUBLISH_SECONDS)
            await self._published.wait()

    def _discovered(self, address: str) -> None:
        self._tell(Discovered(address))

    # -- effects -----------------------------------------------------------------------------------------------------

    def carry_out(self, effect: NetworkEffect) -> None:
        """See node.transport.Transport."""
        match effect:
            case Ask():
                self._asking.ask(effect)
            case Answer():
                self._answering.answer(effect)
            case Publish():
                assert 0 < len(effect.data) <= GOSSIP_BYTES_MAX, len(effect.data)
                self._publishing.append(effect.data)
                self._published.set()
            case Dial():
                self._nursery.start_soon(self._dial, effect.address)
            case HangUp():
                self._nursery.start_soon(self._hang_up, effect.peer)
            case _:
                assert_never(effect)


@lru_cache(4 * CONNECTIONS_MAX)
def _id(peer: str) -> ID:
    return ID.from_base58(peer)
