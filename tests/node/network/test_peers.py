"""Dialling, backing off, and trusting less: over a database and a list of effects, without engines."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from node.database import Database
from node.events import Effect
from node.outbox import Outbox
from node.peers import BAN_MS, BAN_POINTS, DIAL_MS_MAX, DIALLED_MAX, FAILS_MAX, HALF_LIFE_MS, Peers
from node.replicas import Replicas
from node.transport import Dial, HangUp
from protocol.limits import REASONS, Reason
from tests.node.network.homes import identity

A, ME = identity(1).peer_id, identity(2).peer_id
ADDRESS = f"/ip4/10.0.0.1/tcp/1/p2p/{A}"


class Rig:
    def __init__(self, *named: str, database: Database | None = None) -> None:
        self.database = database or Database(Path(":memory:"))
        self.outbox = Outbox()
        self.peers = Peers(Replicas(self.database), self.outbox, ME, named, random.Random(1))
        self.now_ms = 10**12

    def tick(self, milliseconds: int = 0) -> list[Effect]:
        self.now_ms += milliseconds
        self.peers.tick(self.now_ms)
        return self.outbox.take_effects()


def test_a_named_address_is_dialled_until_it_answers_and_again_when_it_is_lost() -> None:
    rig = Rig(ADDRESS)
    assert rig.tick() == [Dial(ADDRESS)]
    assert rig.tick(60_000) == [], "one dial at a time"
    waits = []
    for _ in range(30):
        rig.peers.dial_failed(ADDRESS, rig.now_ms)
        started = rig.now_ms
        while not rig.tick(500):
            pass
        waits.append(rig.now_ms - started)
    assert waits[0] < 3_000
    assert 0.7 * DIAL_MS_MAX < waits[-1] < 1.3 * DIAL_MS_MAX
    rig.peers.up(A, ADDRESS, rig.now_ms)
    assert rig.tick(10**7) == []
    rig.peers.down(A, rig.now_ms)
    assert rig.tick(3_000) == [Dial(ADDRESS)]


def test_an_address_that_connected_once_is_tried_after_a_restart_and_given_up_in_the_end() -> None:
    first = Rig()
    first.peers.up(A, ADDRESS, first.now_ms)
    again = Rig(database=first.database)
    assert again.tick() == [Dial(ADDRESS)]
    dials = 1
    for _ in range(FAILS_MAX - 1):
        again.peers.dial_failed(ADDRESS, again.now_ms)
        dials += len(again.tick(2 * DIAL_MS_MAX))
    again.peers.dial_failed(ADDRESS, again.now_ms)
    assert dials == FAILS_MAX
    assert again.tick(10**8) == []


def test_what_the_local_network_offers_is_dialled_up_to_a_limit() -> None:
    rig = Rig()
    for number in range(2 * DIALLED_MAX):
        rig.peers.discovered(f"/ip4/10.0.0.{number}/tcp/1/p2p/{identity(100 + number).peer_id}")
    assert len(rig.tick()) == DIALLED_MAX
    rig.peers.discovered(f"/ip4/10.0.0.1/tcp/1/p2p/{ME}")
    assert rig.tick() == []


def test_oneself_is_never_dialled() -> None:
    assert Rig(f"/ip4/10.0.0.1/tcp/1/p2p/{ME}").tick() == []


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_points_or_is_nobodys_fault(reason: Reason) -> None:
    rig = Rig()
    rig.peers.up(A, None, rig.now_ms)
    banned = [rig.peers.fault(A, reason, rig.now_ms) for _ in range(int(BAN_POINTS))]
    assert any(banned) == (rig.outbox.take_effects() == [HangUp(A)]) == (reason not in HARMLESS)


HARMLESS = ("expired", "not_found", "busy", "wrong_encoder")


def test_points_fade_and_bans_grow_and_outlive_a_restart() -> None:
    rig = Rig(ADDRESS)
    rig.tick()
    rig.peers.up(A, ADDRESS, rig.now_ms)
    for _ in range(3):
        assert not rig.peers.fault(A, "bad_proof", rig.now_ms)
    assert rig.peers.score(A, rig.now_ms + HALF_LIFE_MS) == pytest.approx(37.5)
    rig.now_ms += 20 * HALF_LIFE_MS
    assert not rig.peers.fault(A, "bad_proof", rig.now_ms)
    for _ in range(2):
        rig.peers.fault(A, "bad_proof", rig.now_ms)
    assert rig.peers.fault(A, "bad_proof", rig.now_ms)
    assert rig.outbox.take_effects() == [HangUp(A)]
    rig.peers.down(A, rig.now_ms)
    assert rig.tick(BAN_MS // 2) == [], "a banned peer is not dialled"
    again = Rig(ADDRESS, database=rig.database)
    again.now_ms = rig.now_ms
    assert not again.peers.up(A, None, again.now_ms)
    assert again.outbox.take_effects() == [HangUp(A)]
    assert again.peers.up(A, None, again.now_ms + BAN_MS)
    (report,) = [one for one in again.peers.report(again.now_ms) if one["peer_id"] == A]
    assert report["banned_seconds"] == BAN_MS // 2000
    again.now_ms += BAN_MS
    for _ in range(4):
        again.peers.fault(A, "bad_proof", again.now_ms)
    assert again.peers.banned(A, again.now_ms + int(1.9 * BAN_MS)), "the second ban is longer"
