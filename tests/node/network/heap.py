"""Real engines over a heap of virtual time instead of a network: every run of a scenario is the same run.

Every frame that leaves an engine is kept in `said`, and `tamper` may change it on its way.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from node.engine import Engine
from node.events import Command, Effect, Event, JobDone, Rank, Reply, Started, StartJob, Tick, Train
from node.jobs import Ranker
from node.learner import Learner
from node.transport import (
    Answer,
    Answered,
    Ask,
    Asked,
    Dial,
    DialFailed,
    Gossip,
    HangUp,
    PeerDown,
    PeerUp,
    Publish,
    Unanswered,
)
from protocol.messages import FRAMES, GOSSIP, QUESTIONS, Frame, parse_answer, parse_gossip, parse_question

LATENCY_MS = 20
Tamper = Callable[[str, str, bytes], bytes | None]


@dataclass
class Seat:
    """One node at the heap."""

    engine: Engine
    ranker: Ranker | None = None
    learner: Learner | None = None
    clock_ms: int = 0
    """How far its clock is ahead."""
    peers: list[str] = field(default_factory=list)
    replies: dict[int, Reply] = field(default_factory=dict)


def parse_frame(data: bytes) -> Frame:
    """A frame of whatever kind."""
    frame, _ = FRAMES[data[1]]
    if frame in QUESTIONS:
        return parse_question(data)
    return parse_gossip(data) if frame in GOSSIP else parse_answer(data)


class Heap:
    """Nodes by peer id; an address is /heap/PEER/p2p/PEER."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.tamper: Tamper = lambda sender, receiver, data: data
        self.keep = True
        self.seats: dict[str, Seat] = {}
        self.said: list[tuple[str, bytes]] = []
        self._heap: list[tuple[int, int, str, Event]] = []
        self._order = count()
        self._asked: dict[int, tuple[str, int]] = {}

    def add(
        self,
        peer: str,
        engine: Engine,
        ranker: Ranker | None = None,
        clock_ms: int = 0,
        learner: Learner | None = None,
    ) -> None:
        """A node starts."""
        self.seats[peer] = Seat(engine, ranker, learner, clock_ms)
        self._later(peer, Started((f"/heap/{peer}/p2p/{peer}",)), 0)
        self._later(peer, Tick(), 0)

    def remove(self, peer: str) -> None:
        """A node stops, or is killed: nobody hears from it again, and what was on its way to it is lost."""
        self._heap = [one for one in self._heap if one[2] != peer]
        heapq.heapify(self._heap)
        for other in self.seats.pop(peer).peers:
            self._part(other, peer)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; True as soon as `until` holds."""
        end_ms = self.now_ms + int(seconds * 1000)
        while not until():
            if not self._heap or self._heap[0][0] > end_ms:
                self.now_ms = end_ms
                return until()
            self.now_ms, _, peer, event = heapq.heappop(self._heap)
            if peer in self.seats:
                if isinstance(event, Tick):
                    self._later(peer, Tick(), 1000)
                seat = self.seats[peer]
                for effect in seat.engine.step([event], self.now_ms + seat.clock_ms):
                    self._carry_out(peer, effect)
        return True

    def command(self, me: str, name: str, /, **arguments: Any) -> Reply:
        """An owner's command and its reply."""
        token = next(self._order)
        self._later(me, Command(token, name, arguments), 0)
        assert self.run(60, lambda: token in self.seats[me].replies)
        return self.seats[me].replies[token]

    def _later(self, peer: str, event: Event, delay_ms: int = LATENCY_MS) -> None:
        heapq.heappush(self._heap, (self.now_ms + delay_ms, next(self._order), peer, event))

    def _send(self, sender: str, receiver: str, data: bytes, event: Callable[[bytes], Event]) -> None:
        if self.keep:
            self.said.append((sender, data))
        changed = self.tamper(sender, receiver, data)
        if changed is not None:
            self._later(receiver, event(changed))

    def _carry_out(self, me: str, effect: Effect) -> None:
        seat = self.seats[me]
        match effect:
            case Ask(token, peer, data) if peer in seat.peers:
                number = next(self._order)
                self._asked[number] = (me, token)
                self._send(me, peer, data, lambda data: Asked(number, me, data))
            case Ask(token):
                self._later(me, Unanswered(token, "unreachable"))
            case Answer(number, data):
                asker, token = self._asked.pop(number)
                self._send(me, asker, data, lambda data: Answered(token, data))
            case Publish(data):
                for peer in self._reachable(me):
                    self._send(me, peer, data, lambda data: Gossip(me, me, data))
            case Dial(address):
                self._dial(me, address)
            case HangUp(peer):
                self._part(me, peer)
                self._part(peer, me)
            case StartJob(token, Rank() as job):
                assert seat.ranker is not None
                self._later(me, JobDone(token, seat.ranker.run([job])[0]), 5)
            case StartJob(token, Train() as job):
                assert seat.learner is not None
                self._later(me, JobDone(token, seat.learner.run(job)), 100)
            case Reply(token):
                seat.replies[token] = effect

    def _dial(self, me: str, address: str) -> None:
        peer = address.rpartition("/")[2]
        if peer not in self.seats:
            self._later(me, DialFailed(address))
        elif peer not in self.seats[me].peers:
            self.seats[me].peers.append(peer)
            self.seats[peer].peers.append(me)
            self._later(me, PeerUp(peer, address))
            self._later(peer, PeerUp(me, None))

    def _part(self, me: str, peer: str) -> None:
        if me in self.seats and peer in self.seats[me].peers:
            self.seats[me].peers.remove(peer)
            self._later(me, PeerDown(peer))

    def _reachable(self, me: str) -> list[str]:
        """Everybody that gossip reaches from here, over whatever connections."""
        found = [me]
        for one in found:
            found += [peer for peer in self.seats[one].peers if peer not in found]
        return found[1:]
