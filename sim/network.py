"""The virtual network: connections, frames on their way, and the gossip mesh, as node.libp2p_transport has them.

Every link has a latency, a spread of it (which reorders), a bandwidth, a loss of packets, which TCP mends and which
therefore costs time, a share of streams that break, and of frames told twice. Of a question or answer whose stream
broke the asker hears after the transport's deadline; a gossip message is then lost, and the mesh has other ways. Knows
nothing of what frames mean; the engines decide everything.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from node.asking import ANSWER_SECONDS_MAX
from node.events import Event
from node.transport import (
    Answer,
    Answered,
    Ask,
    Asked,
    Dial,
    DialFailed,
    Gossip,
    HangUp,
    NetworkEffect,
    PeerDown,
    PeerUp,
    Publish,
    Unanswered,
)
from protocol.messages import kind_name

# node.libp2p_pubsub's: links of the topic mesh that a node makes itself, and how many others may make with it.
MESH_DEGREE, MESH_DEGREE_MAX = 6, 12
# TCP's, as Linux has them: a packet's payload, and how long it waits at least before it sends one again.
PACKET_BYTES, RESEND_MS_MIN, RESEND_MS_MAX = 1_400, 200, 120_000
# As the transport's own; a dial is given up and a connection without a pulse dropped as in node.libp2p_transport.
ASK_MS_MAX, DIAL_MS_MAX, PULSE_MS_MAX = round(1000 * ANSWER_SECONDS_MAX), 15_000, 20_000


@dataclass(frozen=True, slots=True)
class Link:
    """Every link is like this; `latency_ms` one way, drawn between it and `spread` times it. `loss` is a
    share of packets, `broken` and `doubled` of frames; `bytes_second` is what a node can send, 0 for no limit."""

    latency_ms: int = 50
    spread: float = 1.5
    loss: float = 0.0
    broken: float = 0.0
    doubled: float = 0.0
    bytes_second: int = 12_500_000


@dataclass(slots=True)
class Port:
    """A node's end of the network. `side` numbers the part of a partition that it is in."""

    number: int
    peer: str
    up: bool = False
    life: int = 0
    """Counts starts: what was on its way to an earlier life is lost."""
    peers: dict[int, None] = field(default_factory=dict)
    mesh: dict[int, None] = field(default_factory=dict)
    told_ms: dict[int, int] = field(default_factory=dict)
    """When it last hears of the coming or going of each."""
    side: int = 0
    free_ms: int = 0
    """When everything sent so far has left."""
    asked: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    """Questions that wait here for an answer: token -> (asker, its life, its token, until when it waits)."""


@dataclass(slots=True)
class Rumour:
    """A gossip message, and which nodes have it."""

    author: int
    data: bytes
    seen: set[int]


Deliver: TypeAlias = Callable[[int, int, Event], None]
"""(delay in ms, number of the node, event)"""
Tamper: TypeAlias = Callable[[int, int, bytes], bytes | None]
"""(sender, receiver, frame) -> the frame that arrives, or None"""


class Network:
    """Ports by number; an address is /sim/PEER/p2p/PEER."""

    def __init__(self, link: Link, rng: random.Random, now: Callable[[], int], deliver: Deliver) -> None:
        self.link = link
        self._rng = rng
        self._now = now
        self._deliver = deliver
        self.ports: list[Port] = []
        self._numbers: dict[str, int] = {}
        self._last_token = 0
        self.tamper: Tamper | None = None
        self.sent: dict[tuple[int, int], list[int]] = {}
        """(sender, receiver) -> frames and bytes"""
        self.bytes_by_kind: dict[str, int] = {}
        self.frames_by_kind: dict[str, int] = {}

    def join(self, peer: str) -> Port:
        """A place for a node that is not up yet."""
        port = Port(len(self.ports), peer)
        self.ports.append(port)
        self._numbers[peer] = port.number
        return port

    def up(self, number: int) -> None:
        port = self.ports[number]
        port.up, port.life, port.free_ms = True, port.life + 1, 0

    def down(self, number: int) -> None:
        """The process is gone, and its sockets with it: others hear so after a latency."""
        port = self.ports[number]
        port.up = False
        for other in list(port.peers):
            self._part(other, number)
        port.peers.clear()
        port.mesh.clear()
        port.asked.clear()

    def divide(self, sides: dict[int, int]) -> None:
        """From now on frames pass only between nodes of one side; broken connections are noticed after a pulse."""
        for number, side in sides.items():
            self.ports[number].side = side
        for port in self.ports:
            for other in [one for one in port.peers if not self._reaches(port.number, one)]:
                del port.peers[other]
                port.mesh.pop(other, None)
                self._tell(self._rng.randint(PULSE_MS_MAX // 2, PULSE_MS_MAX), port, other, PeerDown(self._name(other)))
        for port in self.ports:
            self._graft(port)

    def carry_out(self, me: int, effect: NetworkEffect) -> None:
        """What an engine decided."""
        match effect:
            case Ask():
                self._ask(me, effect)
            case Answer():
                self._answer(me, effect)
            case Publish():
                self._spread(me, Rumour(me, effect.data, {me}))
            case Dial():
                self._dial(me, effect.address)
            case HangUp():
                other = self._numbers[effect.peer]
                self._part(me, other)
                self._part(other, me)

    def heard(self, me: int, forwarder: int, rumour: Rumour) -> Gossip | None:
        """A gossip message has arrived: None if it was here before; else it is handed on, and to be heard."""
        if me in rumour.seen:
            return None
        rumour.seen.add(me)
        self._spread(me, rumour, but=forwarder)
        return Gossip(self._name(rumour.author), self._name(forwarder), rumour.data)

    # -- questions ---------------------------------------------------------------------------------------------------

    def _ask(self, me: int, ask: Ask) -> None:
        other = self._numbers[ask.peer]
        if other not in self.ports[me].peers:
            # Nobody knows of a broken connection before its end is told.
            left_ms = self.ports[me].told_ms.get(other, 0) - self._now()
            self._deliver(max(left_ms, 0), me, Unanswered(ask.token, "unreachable"))
            return
        self._last_token += 1
        token = self._last_token
        until_ms = self._now() + ASK_MS_MAX
        self.ports[other].asked[token] = (me, self.ports[me].life, ask.token, until_ms)
        if not self._send(me, other, ask.data, lambda data: Asked(token, self._name(me), data), until_ms):
            del self.ports[other].asked[token]
            self._deliver(ASK_MS_MAX, me, Unanswered(ask.token, "timeout"))

    def _answer(self, me: int, answer: Answer) -> None:
        asker, life, token, until_ms = self.ports[me].asked.pop(answer.token, (0, -1, 0, 0))
        if self.ports[asker].life != life or asker not in self.ports[me].peers:
            return
        if not self._send(me, asker, answer.data, lambda data: Answered(token, data), until_ms):
            self._deliver(until_ms - self._now(), asker, Unanswered(token, "timeout"))

    def _send(self, me: int, other: int, data: bytes, event: Callable[[bytes], Event], until_ms: int) -> bool:
        """Whether the frame will be there in time: the asker waits no longer, and closes the stream."""
        delay_ms = self._delay_ms(me, other, data)
        if self._breaks() or self._now() + delay_ms > until_ms:
            return False
        changed = self.tamper(me, other, data) if self.tamper is not None else data
        if changed is None:
            return False
        self._deliver(delay_ms, other, event(changed))
        if self.link.doubled and self._rng.random() < self.link.doubled:
            self._deliver(delay_ms + self._latency_ms(), other, event(changed))
        return True

    def _delay_ms(self, me: int, other: int, data: bytes) -> int:
        """Until the last byte arrives: what was sent before leaves first."""
        size, kind = len(data), kind_name(data)
        self.bytes_by_kind[kind] = self.bytes_by_kind.get(kind, 0) + size
        self.frames_by_kind[kind] = self.frames_by_kind.get(kind, 0) + 1
        count = self.sent.setdefault((me, other), [0, 0])
        count[0] += 1
        count[1] += size
        lost_ms = self._resent_ms(size) if self.link.loss else 0
        if not self.link.bytes_second:
            return lost_ms + self._latency_ms()
        port, now_ms = self.ports[me], self._now()
        port.free_ms = max(port.free_ms, now_ms) + 1000 * size // self.link.bytes_second
        return port.free_ms - now_ms + lost_ms + self._latency_ms()

    def _resent_ms(self, size: int) -> int:
        """What lost packets cost: each round of losses a timeout, twice as long each time (RFC 6298)."""
        wait_ms, timeout_ms = 0, max(RESEND_MS_MIN, 2 * self.link.latency_ms)
        packets = -(-size // PACKET_BYTES)
        while packets and self._rng.random() < 1 - (1 - self.link.loss) ** packets:
            wait_ms += timeout_ms
            timeout_ms, packets = min(2 * timeout_ms, RESEND_MS_MAX), 1
        return wait_ms

    def _breaks(self) -> bool:
        return bool(self.link.broken) and self._rng.random() < self.link.broken

    def _latency_ms(self) -> int:
        return round(self.link.latency_ms * self._rng.uniform(1, self.link.spread))

    # -- gossip ------------------------------------------------------------------------------------------------------

    def _spread(self, me: int, rumour: Rumour, but: int | None = None) -> None:
        """To every neighbour in the mesh, but for who brought it."""
        for other in self.ports[me].mesh:
            if other not in (but, rumour.author):
                delay_ms = self._delay_ms(me, other, rumour.data)
                if not self._breaks():
                    self._deliver(delay_ms, other, Arriving(me, rumour))  # type: ignore[arg-type]

    def _graft(self, port: Port) -> None:
        """Links of the mesh, up to the degree, with connected peers that have room."""
        for other in port.peers:
            if len(port.mesh) >= MESH_DEGREE:
                return
            theirs = self.ports[other].mesh
            if other not in port.mesh and len(theirs) < MESH_DEGREE_MAX and port.number in self.ports[other].peers:
                port.mesh[other] = None
                theirs[port.number] = None

    # -- connections -------------------------------------------------------------------------------------------------

    def _dial(self, me: int, address: str) -> None:
        peer = address.rpartition("/")[2]
        other = self._numbers.get(peer)
        if other is None or not self.ports[other].up:
            self._deliver(self._latency_ms(), me, DialFailed(address))
        elif not self._reaches(me, other):
            self._deliver(DIAL_MS_MAX, me, DialFailed(address))
        else:
            # TCP and Noise take three trips.
            delay_ms = 3 * self._latency_ms()
            self._tell(delay_ms, self.ports[me], other, PeerUp(peer, address))
            if other not in self.ports[me].peers:
                self.ports[me].peers[other] = None
                self.ports[other].peers[me] = None
                self._tell(delay_ms, self.ports[other], me, PeerUp(self._name(me), None))
                self._graft(self.ports[me])
                self._graft(self.ports[other])

    def _part(self, me: int, other: int) -> None:
        """`me` loses its connection to `other`."""
        port = self.ports[me]
        if other not in port.peers:
            return
        del port.peers[other]
        if port.mesh.pop(other, 0) is None:
            self.ports[other].mesh.pop(me, None)
            self._graft(port)
        if port.up:
            self._tell(self._latency_ms(), port, other, PeerDown(self._name(other)))

    def _tell(self, delay_ms: int, port: Port, other: int, event: PeerUp | PeerDown) -> None:
        """Of a connection's coming and going, in that order."""
        now_ms = self._now()
        at_ms = max(now_ms + delay_ms, port.told_ms.get(other, 0))
        port.told_ms[other] = at_ms
        self._deliver(at_ms - now_ms, port.number, event)

    def _reaches(self, me: int, other: int) -> bool:
        return self.ports[me].side == self.ports[other].side

    def _name(self, number: int) -> str:
        return self.ports[number].peer


@dataclass(frozen=True, slots=True)
class Arriving:
    """A gossip message at a node's door."""

    forwarder: int
    rumour: Rumour
