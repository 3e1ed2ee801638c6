"""A power cut undoes what was not on the disk, as a whole, and nothing else; and nodes live with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.events import Event
from node.transport import Answered, Gossip
from protocol.heads import open_head, seal_head
from protocol.messages import Announce, pack_frame
from sim.checkers import quarantined
from sim.disk import Disk
from sim.network import Link
from sim.seat import Seat
from sim.settled import unsettled
from sim.stage import Cast, Options, Stage
from sim.world import World


def write(disk: Disk, user: str, *, durable: bool) -> None:
    with disk.step(durable=durable), disk.transaction() as connection:
        connection.execute("INSERT INTO rating VALUES (?, 'p', 'i', 7, 1)", (user,))


def users(disk: Disk) -> list[object]:
    return [user for (user,) in disk.rows("SELECT user FROM rating ORDER BY user")]


@pytest.fixture
def disk() -> Disk:
    found = Disk()
    found.fragile = True
    return found


def test_what_was_not_durable_is_undone_back_to_what_was(disk: Disk) -> None:
    write(disk, "ada", durable=True)
    write(disk, "ben", durable=False)
    write(disk, "cat", durable=False)
    assert users(disk) == ["ada", "ben", "cat"]
    disk.cut_power()
    assert users(disk) == ["ada"]
    write(disk, "dan", durable=True)
    disk.cut_power()
    assert users(disk) == ["ada", "dan"], "and it can be written again"


def test_a_durable_write_takes_what_came_before_along(disk: Disk) -> None:
    write(disk, "ada", durable=False)
    with disk.transaction() as connection:
        connection.execute("INSERT INTO rating VALUES ('ben', 'p', 'i', 7, 1)")
    disk.cut_power()
    assert users(disk) == ["ada", "ben"]


def test_a_durable_step_that_writes_nothing_makes_nothing_safe(disk: Disk) -> None:
    write(disk, "ada", durable=False)
    with disk.step(durable=True):
        users(disk)
    with disk.transaction() as connection:
        connection.execute("DELETE FROM rating WHERE user = 'nobody'")
    disk.cut_power()
    assert users(disk) == []


def test_a_proof_that_came_with_an_answer_outlives_a_power_cut_once_it_was_told() -> None:
    """Whoever was told of it must find it there."""
    stage = Stage(Options(3), Cast(3, 5, 0, learning=False), Link())
    seat = stage.seats[2]
    seat.database.fragile = True
    stage.start()
    stage.run(300, lambda: not unsettled(stage.seats))
    stage.world.stop(seat)
    thief = stage.seats[0]
    head = open_head(thief.whole()[thief.peer])
    forged = seal_head(thief.identity, replace(head, root=head.root[::-1]))
    stage.world.tell(stage.seats[1], Gossip(thief.peer, thief.peer, pack_frame(Announce(forged))))
    stage.run(5)
    cut: list[Event] = []

    def watch(world: World, here: Seat, event: Event) -> None:
        if here is seat and not cut and thief.peer in quarantined(seat):
            cut.append(event)
            world.cut_power(seat)

    stage.world.watch = watch
    stage.world.start(seat)
    stage.run(60)
    assert isinstance(cut[0], Answered), "it came as an answer, which need not be written durably"
    assert thief.peer in quarantined(seat)
