"""Whom this node is connected to, whom it dials again and when, and whom it trusts less.

Every fault of a peer costs points, by how surely it is no accident; points fade. Who collects BAN_POINTS is hung up
on and stays banned, longer each time, across restarts. Addresses that connected once are remembered.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from node.outbox import Outbox
from node.replicas import Replicas
from node.transport import Dial, HangUp
from protocol.identity import parse_peer_id
from protocol.limits import Reason, RemoteError

# A proof that fails or a forged signature is no accident of honest software, a replay hardly one; who asks too much
# may not know better. What is not listed can happen to anybody: a clock that is off, a catalog that is gone.
POINTS: dict[Reason, float] = {
    **dict.fromkeys(("bad_proof", "bad_signature", "bad_update", "bad_vector", "malformed", "too_big"), 25.0),
    **dict.fromkeys(("replayed", "misdirected", "wrong_network"), 5.0),
    **dict.fromkeys(("over_budget", "over_limit", "not_allowed", "too_many"), 1.0),
}
BAN_POINTS = 100.0
# Points halve in this time: a page that a failing disk damaged now and then is forgiven.
HALF_LIFE_MS = 10 * 60_000
BAN_MS, BAN_MS_MAX = 10 * 60_000, 24 * 3_600_000
# First wait before an address is dialled again; doubles up to the second.
DIAL_MS, DIAL_MS_MAX = 1_000, 5 * 60_000
# Addresses that nobody named are given up after so many fails in a row, about an hour.
FAILS_MAX = 20
# Of one's own accord, not counting those that were named at the start.
DIALLED_MAX = 32
ADDRESSES_MAX = 256
BANS_MAX = 1_000
SCORES_MAX = 1_000


@dataclass(slots=True)
class Score:
    """A peer's faults; `points` as of `at_ms`."""

    points: float = 0.0
    at_ms: int = 0
    faults: Counter[str] = field(default_factory=Counter)

    def now(self, now_ms: int) -> float:
        return self.points * math.pow(0.5, max(0, now_ms - self.at_ms) / HALF_LIFE_MS)


@dataclass(slots=True)
class Connected:
    """A peer that is here. `address` is where it was dialled, None if it came."""

    address: str | None
    since_ms: int


@dataclass(slots=True)
class Wanted:
    """An address to be connected to. `peer` is known once it connected; `named` by the owner, never given up."""

    named: bool
    peer: str | None = None
    dialling: bool = False
    fails: int = 0
    again_ms: int = 0


class Peers:
    """Connections, addresses and scores of other nodes, by peer id."""

    def __init__(self, replicas: Replicas, outbox: Outbox, me: str, named: Sequence[str], rng: random.Random) -> None:
        self._replicas = replicas
        self._outbox = outbox
        self._me = me
        self._rng = rng
        self.connected: dict[str, Connected] = {}
        self._scores: dict[str, Score] = {}
        self._bans = {peer: (until_ms, times) for peer, until_ms, times in replicas.bans()}
        self._wanted = {address: Wanted(named=True, peer=peer_in(address)) for address in named}
        for address, peer in replicas.addresses()[:DIALLED_MAX]:
            self._wanted.setdefault(address, Wanted(named=False, peer=peer))

    # -- connections -------------------------------------------------------------------------------------------------

    def up(self, peer: str, address: str | None, now_ms: int) -> bool:
        """A peer connected, or a dial found it connected. False when it is banned, and hung up on."""
        if self.banned(peer, now_ms):
            self._outbox.add(HangUp(peer))
            return False
        before = self.connected.get(peer)
        if before is None or address is not None:
            self.connected[peer] = Connected(address, before.since_ms if before else now_ms)
        if address is not None:
            wanted = self._wanted.setdefault(address, Wanted(named=False))
            wanted.peer, wanted.dialling, wanted.fails = peer, False, 0
            self._replicas.add_address(address, peer, now_ms, ADDRESSES_MAX)
        return True

    def down(self, peer: str, now_ms: int) -> bool:
        """A peer is gone. False when it was not here, or banned."""
        for wanted in self._wanted.values():
            if wanted.peer == peer:
                wanted.dialling, wanted.again_ms = False, now_ms + self._jittered(DIAL_MS)
        return self.connected.pop(peer, None) is not None

    def dial(self, address: str) -> None:
        """Connect to an address that the owner names, and stay connected."""
        wanted = self._wanted.setdefault(address, Wanted(named=True, peer=peer_in(address)))
        wanted.named, wanted.again_ms, wanted.fails = True, 0, 0

    def discovered(self, address: str) -> None:
        """An address found on the local network: dialled, and dropped when it does not answer."""
        if len(self._wanted) < DIALLED_MAX:
            self._wanted.setdefault(address, Wanted(named=False, peer=peer_in(address)))

    def dial_failed(self, address: str, now_ms: int) -> None:
        wanted = self._wanted.get(address)
        if wanted is None:
            return
        wanted.dialling, wanted.fails = False, wanted.fails + 1
        if wanted.fails >= FAILS_MAX and not wanted.named:
            del self._wanted[address]
            return
        wanted.again_ms = now_ms + self._jittered(min(DIAL_MS << min(wanted.fails - 1, 12), DIAL_MS_MAX))

    def tick(self, now_ms: int) -> None:
        """Dial whatever is wanted, not connected, and due."""
        for address, wanted in self._wanted.items():
            here = wanted.peer is not None and (wanted.peer in self.connected or wanted.peer == self._me)
            if here or wanted.dialling or 0 < wanted.again_ms - now_ms <= 2 * DIAL_MS_MAX:
                continue
            if wanted.peer is not None and self.banned(wanted.peer, now_ms):
                continue
            wanted.dialling = True
            self._outbox.add(Dial(address))

    def due_ms(self, now_ms: int) -> int:
        """When an address is to be dialled next."""
        due_ms = now_ms + DIAL_MS_MAX
        for wanted in self._wanted.values():
            here = wanted.peer is not None and (wanted.peer in self.connected or wanted.peer == self._me)
            if not here and not wanted.dialling:
                # A clock that was set back: as in `tick`.
                due_ms = min(due_ms, wanted.again_ms if wanted.again_ms - now_ms <= 2 * DIAL_MS_MAX else now_ms)
        return due_ms

    def _jittered(self, milliseconds: int) -> int:
        """So that nodes that lost each other at once don't all come back at once."""
        return int(milliseconds * self._rng.uniform(0.75, 1.25))

    # -- trust -------------------------------------------------------------------------------------------------------

    def fault(self, peer: str, reason: Reason, now_ms: int) -> bool:
        """Count a fault. True when it was the last straw: the peer is banned and hung up on."""
        score = self._scores.pop(peer, None) or Score()
        score.points = score.now(now_ms) + POINTS.get(reason, 0.0)
        score.at_ms = now_ms
        score.faults[reason] += 1
        self._scores[peer] = score
        if len(self._scores) > SCORES_MAX:
            del self._scores[next(iter(self._scores))]
        # What a banned peer had sent before it was hung up on is not held against it twice.
        if score.points < BAN_POINTS or self.banned(peer, now_ms):
            return False
        self._ban(peer, now_ms)
        score.points = 0.0
        return True

    def banned(self, peer: str, now_ms: int) -> bool:
        return self._bans.get(peer, (0, 0))[0] > now_ms

    def score(self, peer: str, now_ms: int) -> float:
        """Points against a peer; 0 is spotless."""
        score = self._scores.get(peer)
        return score.now(now_ms) if score else 0.0

    def report(self, now_ms: int) -> list[dict[str, object]]:
        """What `p2prec node peers` shows."""
        known = [*self.connected, *(peer for peer in self._scores if peer not in self.connected)]
        known += [peer for peer, (until_ms, _) in self._bans.items() if until_ms > now_ms and peer not in known]
        return [
            {
                "peer_id": peer,
                "connected": peer in self.connected,
                "address": self.connected[peer].address if peer in self.connected else None,
                "score": 0.0 - round(self.score(peer, now_ms), 1),
                "faults": dict(sorted(self._scores[peer].faults.items())) if peer in self._scores else {},
                "banned_seconds": max(0, self._bans.get(peer, (0, 0))[0] - now_ms) // 1000,
            }
            for peer in known
        ]

    def _ban(self, peer: str, now_ms: int) -> None:
        times = self._bans.get(peer, (0, 0))[1] + 1
        until_ms = now_ms + min(BAN_MS << min(times - 1, 12), BAN_MS_MAX)
        self._bans[peer] = (until_ms, times)
        self._replicas.write_ban(peer, until_ms, times, BANS_MAX)
        if len(self._bans) > BANS_MAX:
            del self._bans[min(self._bans, key=lambda one: (self._bans[one][0], one))]
        self._outbox.add(HangUp(peer))


def peer_in(address: str) -> str | None:
    """The peer id at the end of a multiaddr, if it names one."""
    _, found, peer = address.rpartition("/p2p/")
    try:
        parse_peer_id(peer)
    except RemoteError:
        return None
    return peer if found else None
