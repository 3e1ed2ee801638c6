"""The virtual network: what is sent arrives or is said not to, connections come and go in order, gossip reaches all."""

from __future__ import annotations

import random
from typing import Any

import pytest

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
from sim.network import ASK_MS_MAX, MESH_DEGREE_MAX, PULSE_MS_MAX, Arriving, Link, Network
from sim.schedule import Schedule
from sim.world import address_of


class Wire:
    """A network of ports without engines: what each hears is kept."""

    def __init__(self, ports: int, link: Link, seed: int = 0) -> None:
        self.schedule: Schedule[tuple[int, int, Any]] = Schedule(0)
        self.network = Network(link, random.Random(seed), lambda: self.schedule.now_ms, self._deliver)
        self.heard: list[list[tuple[int, Any]]] = [[] for _ in range(ports)]
        for number in range(ports):
            self.network.join(f"peer{number}")
            self.network.up(number)

    def _deliver(self, delay_ms: int, number: int, event: Any) -> None:
        self.schedule.later(delay_ms, (number, self.network.ports[number].life, event))

    def run(self, until_ms: int = 100_000) -> None:
        while (what := self.schedule.take(until_ms)) is not None:
            number, life, event = what
            if life != self.network.ports[number].life or not self.network.ports[number].up:
                continue
            if isinstance(event, Arriving):
                event = self.network.heard(number, event.forwarder, event.rumour)
                if event is None:
                    continue
            self.heard[number].append((self.schedule.now_ms, event))
            if isinstance(event, Asked):
                self.network.carry_out(number, Answer(event.token, b"answer to " + event.data))

    def connect(self, pairs: list[tuple[int, int]]) -> None:
        for one, other in pairs:
            self.network.carry_out(one, Dial(address_of(f"peer{other}")))
        self.run(self.schedule.now_ms + 5_000)

    def kinds(self, number: int, kind: type) -> list[Any]:
        return [event for _, event in self.heard[number] if isinstance(event, kind)]


def test_a_question_is_answered_after_a_round_trip() -> None:
    wire = Wire(2, Link(latency_ms=50, spread=1.0, bytes_second=0))
    wire.connect([(0, 1)])
    began = wire.schedule.now_ms
    wire.network.carry_out(0, Ask(7, "peer1", b"question"))
    wire.run()
    at_ms, answered = wire.heard[0][-1]
    assert answered == Answered(7, b"answer to question")
    assert at_ms - began == 100


def test_every_question_ends_in_one_event_whatever_breaks() -> None:
    wire = Wire(2, Link(latency_ms=5, broken=0.4))
    wire.connect([(0, 1)])
    for token in range(200):
        wire.network.carry_out(0, Ask(token, "peer1", b"q"))
    wire.run()
    ended = wire.kinds(0, Answered) + wire.kinds(0, Unanswered)
    assert sorted(one.token for one in ended) == list(range(200))
    assert 40 < len(wire.kinds(0, Unanswered)) < 180
    waits = [at for at, event in wire.heard[0] if isinstance(event, Unanswered)]
    assert min(waits) >= ASK_MS_MAX


def test_lost_packets_cost_time_and_nothing_else() -> None:
    ends = []
    for loss in (0.0, 0.3):
        wire = Wire(2, Link(latency_ms=5, loss=loss))
        wire.connect([(0, 1)])
        for token in range(100):
            wire.network.carry_out(0, Ask(token, "peer1", b"q"))
        wire.run()
        assert len(wire.kinds(0, Answered)) == 100
        ends.append(wire.heard[0][-1][0])
    assert ends[1] > ends[0] + 200


def test_bandwidth_makes_large_frames_wait_for_each_other() -> None:
    wire = Wire(2, Link(latency_ms=0, spread=1.0, bytes_second=1_000))
    wire.connect([(0, 1)])
    began = wire.schedule.now_ms
    for token in range(3):
        wire.network.carry_out(0, Ask(token, "peer1", bytes(1_000)))
    wire.run()
    assert [at - began for at, event in wire.heard[1] if isinstance(event, Asked)] == [1_000, 2_000, 3_000]


def test_gossip_reaches_everybody_once_over_a_mesh() -> None:
    wire = Wire(30, Link(latency_ms=10))
    chance = random.Random(1)
    wire.connect([(number, chance.randrange(number)) for number in range(1, 30)])
    assert all(len(port.mesh) <= MESH_DEGREE_MAX for port in wire.network.ports)
    wire.network.carry_out(4, Publish(b"news"))
    wire.run()
    for number in range(30):
        heard = wire.kinds(number, Gossip)
        assert len(heard) == (number != 4)
        assert all((one.author, one.data) == ("peer4", b"news") for one in heard)


def test_a_port_that_goes_down_hears_nothing_more_and_others_hear_so() -> None:
    wire = Wire(3, Link(latency_ms=10))
    wire.connect([(0, 1), (0, 2)])
    wire.network.carry_out(1, Ask(1, "peer0", b"on its way"))
    wire.network.down(0)
    wire.run()
    assert [type(event) for _, event in wire.heard[1]][-1] is PeerDown
    assert not wire.kinds(0, Asked)
    wire.network.carry_out(1, Dial(address_of("peer0")))
    wire.run(200_000)
    assert wire.kinds(1, DialFailed)
    wire.network.up(0)
    wire.network.carry_out(1, Dial(address_of("peer0")))
    wire.run(300_000)
    assert len(wire.kinds(1, PeerUp)) == 2


def test_a_partition_parts_and_heals() -> None:
    wire = Wire(4, Link(latency_ms=10))
    wire.connect([(0, 1), (2, 3), (1, 2)])
    wire.network.divide({0: 0, 1: 0, 2: 1, 3: 1})
    wire.network.carry_out(0, Publish(b"left"))
    wire.network.carry_out(1, Dial(address_of("peer2")))
    wire.run()
    assert wire.kinds(1, Gossip)
    assert not wire.kinds(2, Gossip)
    assert [one.peer for one in wire.kinds(1, PeerDown)] == ["peer2"]
    assert wire.kinds(1, DialFailed)
    wire.network.divide(dict.fromkeys(range(4), 0))
    wire.connect([(1, 2)])
    wire.network.carry_out(0, Publish(b"whole again"))
    wire.run(400_000)
    assert [one.data for one in wire.kinds(3, Gossip)] == [b"whole again"]


@pytest.mark.parametrize("seed", range(5))
def test_comings_and_goings_are_heard_in_their_order(seed: int) -> None:
    wire = Wire(2, Link(latency_ms=100, spread=3.0), seed)
    chance = random.Random(seed)
    for _ in range(30):
        if chance.random() < 0.5:
            wire.network.carry_out(0, Dial(address_of("peer1")))
        else:
            wire.network.carry_out(0, HangUp("peer1"))
        wire.run(wire.schedule.now_ms + chance.choice([0, 50, 1_000]))
    wire.run(wire.schedule.now_ms + 10_000)
    for number in (0, 1):
        here = False
        for event in wire.kinds(number, PeerUp | PeerDown):  # type: ignore[arg-type]
            if isinstance(event, PeerDown):
                assert here, "gone without having come"
            here = isinstance(event, PeerUp)
        assert here == bool(wire.network.ports[number].peers)


def test_a_broken_connection_is_noticed_by_its_end_and_not_by_asking() -> None:
    wire = Wire(2, Link(latency_ms=10))
    wire.connect([(0, 1)])
    wire.network.divide({0: 0, 1: 1})
    asked_ms = wire.schedule.now_ms
    wire.network.carry_out(0, Ask(7, "peer1", b"question"))
    wire.run()
    (down_ms,) = [at_ms for at_ms, event in wire.heard[0] if isinstance(event, PeerDown)]
    assert down_ms - asked_ms >= PULSE_MS_MAX // 2
    assert [at_ms for at_ms, event in wire.heard[0] if event == Unanswered(7, "unreachable")] == [down_ms]
