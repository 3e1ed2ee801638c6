"""GossipSub as p2prec uses it: one topic, signed messages, and the guards without which py-libp2p 0.8.1 falls over.

A message that does not parse, a key that is none or an exception while forwarding ends stock pubsub, and the process
with it. What a message means is not known here; it is handed on with its author and its forwarder.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import libp2p.peer.peerstore as peerstore_module
import libp2p.pubsub.gossipsub as gossipsub_module
import libp2p.pubsub.pubsub as pubsub_module
import libp2p.pubsub.utils as pubsub_utils
import trio
from libp2p.abc import IHost, INetConn, INetStream, INetwork, INotifee
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStoreError
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub

from node.libp2p_guards import LastingStream, log, quietly
from protocol.identity import PEER_ID_PREFIX, PUBLIC_BYTES
from protocol.limits import GOSSIP_BYTES_MAX, Reason

# A connection older than this beside a new one to the same peer is left over from before its restart; a younger one
# is the other half of two nodes that dialled each other.
STALE_SECONDS = 5.0
# Messages from one forwarder: 5-10 ms of CPU each, so a flood costs a fifth of a core; a burst is a network's heads.
MESSAGES_A_SECOND = 20.0
MESSAGES_BURST = 300.0
# A pubsub frame: the largest message with its signature and envelope, and room for a replay of several.
RPC_BYTES_MAX = 1 << 20

Heard = Callable[[str, str, bytes], None]
Misbehaving = Callable[[str, Reason], None]


def gossipsub() -> GossipSub:
    """The router. Its stock heartbeat is two minutes; adaptation makes it longer, and the spam and eclipse protections
    count our own messages and everybody behind one address. Version 1.2 doubles the cost of small messages."""
    return GossipSub(
        protocols=[PROTOCOL_ID_V11],
        degree=6,
        degree_low=4,
        degree_high=12,
        heartbeat_interval=1,
        time_to_live=60,
        gossip_window=3,
        gossip_history=5,
        adaptive_gossip_enabled=False,
        spam_protection_enabled=False,
        eclipse_protection_enabled=False,
    )


class LastingPubsub(Pubsub):
    """Pubsub that survives what it is sent. `heard` gets (author, forwarder, data) of each new message of others."""

    def __init__(self, host: IHost, topic: str, heard: Heard, misbehaving: Misbehaving) -> None:
        super().__init__(
            host, gossipsub(), strict_signing=True, max_inbound_rpc_size=RPC_BYTES_MAX, allowed_topics={topic}
        )
        # Stock counts from the time in seconds: a node that published faster and restarts repeats numbers, and its
        # messages are dropped as known.
        self.counter = time.time_ns()
        self._topic = topic
        self._heard = heard
        self._misbehaving = misbehaving
        self._forwarder = self.my_id
        self._tokens: dict[ID, tuple[float, float]] = {}
        self.own_record: tuple[bytes, bool] | None = None
        self.records_seen: dict[ID, bytes] = {}

    def forget(self, peer: ID) -> None:
        """Drop what is kept about a peer that went."""
        self._tokens.pop(peer, None)
        self.records_seen.pop(peer, None)

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        if msg_forwarder == self.my_id:
            return await super().push_msg(msg_forwarder, msg)
        # Refused here and not in a validator, whose verdict is kept by author and number: whoever forwards too much
        # could have others' messages refused from everybody.
        if not self._worth_checking(msg_forwarder, msg):
            return
        # Nothing is awaited between this line and notify_subscriptions.
        self._forwarder = msg_forwarder
        try:
            await super().push_msg(msg_forwarder, msg)
        except Exception as error:  # noqa: BLE001
            log.debug("message from %s: %r", msg_forwarder, error)

    def _worth_checking(self, forwarder: ID, msg: rpc_pb2.Message) -> bool:
        if len(msg.data) > GOSSIP_BYTES_MAX:
            # An honest forwarder would have stopped it.
            self._misbehaving(str(forwarder), "too_big")
            return False
        # Other keys than Ed25519 travel beside the id, and parsing them is where stock pubsub dies.
        if not msg.from_id.startswith(PEER_ID_PREFIX) or len(msg.from_id) != len(PEER_ID_PREFIX) + PUBLIC_BYTES:
            return False
        return self._is_msg_seen(msg) is False and self._take_token(forwarder)

    def _take_token(self, forwarder: ID) -> bool:
        now = trio.current_time()
        tokens, then = self._tokens.get(forwarder, (MESSAGES_BURST, now))
        tokens = min(MESSAGES_BURST, tokens + (now - then) * MESSAGES_A_SECOND)
        self._tokens[forwarder] = (max(tokens - 1, 0), now)
        return tokens >= 1

    def notify_subscriptions(self, publish_message: rpc_pb2.Message) -> None:
        """Straight to us: stock puts messages into a channel of 32 and drops the rest."""
        if publish_message.from_id != self.my_id.to_bytes() and self._topic in publish_message.topicIDs:
            self._heard(str(ID(publish_message.from_id)), str(self._forwarder), publish_message.data)

    async def stream_handler(self, stream: INetStream) -> None:
        try:
            await super().stream_handler(stream)
        except Exception as error:  # noqa: BLE001
            log.debug("pubsub stream: %r", error)
            await LastingStream(stream).reset()
            self._handle_dead_peer(stream.muxed_conn.peer_id)

    async def write_msg(self, stream: INetStream, rpc_msg: rpc_pb2.RPC) -> bool:
        """Stock writes one stream from two tasks when it replays to a returning peer; long frames interleave."""
        lock: trio.Lock = stream.__dict__.setdefault("p2prec_lock", trio.Lock())
        async with lock:
            return await super().write_msg(stream, rpc_msg)

    def rejoin(self, peers: set[ID]) -> None:
        """Try again with connected peers that pubsub gave up on; its own retries stop at the first odd error."""
        for peer in peers - set(self.peers):
            self._schedule_peer_stream_retry(peer)


_make_record = peerstore_module.env_to_send_in_RPC
_check_record = pubsub_utils.maybe_consume_signed_record


@contextmanager
def cached_records(pubsub: LastingPubsub) -> Iterator[None]:
    """Sign our peer record once, and check a peer's once: stock makes and checks one with every frame, a good part of
    a small message's cost. At the end the thread that sweeps known messages is stopped; stock leaves it running."""
    for module in (pubsub_module, gossipsub_module):
        setattr(module, "env_to_send_in_RPC", _cached_record)  # noqa: B010
        setattr(module, "maybe_consume_signed_record", _consume_record)  # noqa: B010
    _pubsubs[id(pubsub.host)] = pubsub
    try:
        yield
    finally:
        del _pubsubs[id(pubsub.host)]
        pubsub.seen_messages.stop()


# host -> its pubsub; several hosts only in tests
_pubsubs: dict[int, LastingPubsub] = {}


def _cached_record(host: IHost) -> tuple[bytes, bool]:
    pubsub = _pubsubs.get(id(host))
    if pubsub is None:
        return _make_record(host)
    # Our addresses are those we listen at, and don't change while we run.
    pubsub.own_record = pubsub.own_record or _make_record(host)
    return pubsub.own_record


def _consume_record(msg: rpc_pb2.RPC, host: IHost, peer_id: ID) -> bool:
    pubsub = _pubsubs.get(id(host))
    if pubsub is None or not msg.HasField("senderRecord"):
        return _check_record(msg, host, peer_id)
    if pubsub.records_seen.get(peer_id) == msg.senderRecord:
        return True
    good = _check_record(msg, host, peer_id)
    # Only of peers that are connected, so that `forget` bounds it.
    if good and peer_id in host.get_network().get_connections_map():
        pubsub.records_seen[peer_id] = msg.senderRecord
    return good


class ConnectionWatch(INotifee):
    """Tells of connections, and drops what a peer left behind when it restarted with the same key.

    Stock, while the old connection is still believed in, the new one gets no pubsub hello, and the restarted peer stays
    deaf for ever.
    """

    def __init__(self, pubsub: LastingPubsub, changed: Callable[[], Awaitable[None]]) -> None:
        self._pubsub = pubsub
        self._changed = changed

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        peer = conn.muxed_conn.peer_id
        stale = [
            one
            for one in network.get_connections(peer)
            if one is not conn and time.time() - getattr(one, "_created_at", 0.0) > STALE_SECONDS
        ]
        for one in stale:
            # The socket first: a goodbye to a peer that takes no bytes would be cut off, and a close that is cut off
            # half-way leaves the connection in libp2p's list.
            await quietly(one.muxed_conn.secured_conn.close)  # type: ignore[attr-defined]
        if stale:
            # At once: a hello that has come over the new connection would be forgotten with the old one's.
            self._pubsub._handle_dead_peer(peer)
        for one in stale:
            await quietly(one.close)
        await self._changed()

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        peer = conn.muxed_conn.peer_id
        if not network.get_connections(peer):
            self._pubsub.forget(peer)
            # What a peer told of itself: libp2p would dial its addresses on its own, and keeps the lists of a thousand.
            with suppress(PeerStoreError):
                self._pubsub.host.get_peerstore().clear_peerdata(peer)
            # Kept for ever by a connector that we give nothing to do; strangers make up ids at will.
            network.auto_connector._recent_disconnects.pop(peer, None)  # type: ignore[attr-defined]
        await self._changed()

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None:
        pass

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None:
        pass

    async def listen(self, network: INetwork, multiaddr: Any) -> None:
        pass

    async def listen_close(self, network: INetwork, multiaddr: Any) -> None:
        pass
