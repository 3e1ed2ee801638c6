"""What an engine hears from a network, what it asks of one, and the interface that carries it out.

A transport moves frames and decides nothing: whom to dial, whom to ask, what to believe and whom to ban is decided by
the engine. It names peers by their peer id, which it has authenticated, and addresses by multiaddr text. Tokens tie an
answer to its question: the engine numbers what it asks, the transport numbers what is asked of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from protocol.limits import Reason

# Why no answer came: no connection, no answer in time, or the peer's side closed the stream.
Why: TypeAlias = Literal["unreachable", "timeout", "reset"]


# -- heard -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A connection stands. `address` (multiaddr with /p2p/) can be dialled again; None for one that came to us.

    Told once when a peer comes up, and once more for a `Dial` that finds it up already.
    """

    peer: str
    address: str | None


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The last connection to this peer is gone."""

    peer: str


@dataclass(frozen=True, slots=True)
class DialFailed:
    """The address did not answer, or another peer than the one named in it did."""

    address: str


@dataclass(frozen=True, slots=True)
class Discovered:
    """A node said on the local network that it can be dialled here. Nobody vouches for it, nothing is dialled."""

    address: str


@dataclass(frozen=True, slots=True)
class Gossip:
    """A frame on the heads topic: who wrote it (signature checked) and who handed it on."""

    author: str
    forwarder: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A peer's frame that waits for an `Answer` with this token. Unanswered ones time out in the transport."""

    token: int
    peer: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The frame that came back for the engine's `Ask` of this token."""

    token: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No frame will come back for the engine's `Ask` of this token."""

    token: int
    why: Why


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """A peer broke a rule below the frames: a frame over the limit, a broken length, a flood."""

    peer: str
    reason: Reason


# -- asked of it -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a frame to a connected peer and bring its answer: one `Answered` or `Unanswered` follows, always."""

    token: int
    peer: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The frame for the peer that `Asked` with this token. Dropped when that peer has gone."""

    token: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """Gossip a frame on the heads topic: at most GOSSIP_BYTES_MAX, and not relied upon."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect: a `PeerUp` or a `DialFailed` with this address follows."""

    address: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close every connection to this peer; a `PeerDown` follows if there was one."""

    peer: str


NetworkEvent: TypeAlias = (
    PeerUp | PeerDown | DialFailed | Discovered | Gossip | Asked | Answered | Unanswered | Misbehaved
)
NetworkEffect: TypeAlias = Ask | Answer | Publish | Dial | HangUp
Hear: TypeAlias = Callable[[NetworkEvent], Awaitable[None]]


class Transport(Protocol):
    """A network as the runtime uses it."""

    @property
    def addresses(self) -> list[str]:
        """Full multiaddrs to be dialled at, once it runs."""

    async def run(self, hear: Hear, *, task_status: Any) -> None:
        """Listen and serve until cancelled; `task_status.started()` when it listens.

        `hear` may wait (back-pressure); no event is lost and none is told twice. Raises: UserError if it can't listen.
        """

    def carry_out(self, effect: NetworkEffect) -> None:
        """Begin an effect and return at once. What comes of it is heard."""
