"""Heads that travel among two and three transports, and what is not let through."""

from __future__ import annotations

import pytest
import trio

from node import libp2p_pubsub
from node.transport import Gossip, Misbehaved, Publish
from protocol.limits import GOSSIP_BYTES_MAX
from tests.node.libp2p.rig import Peer, constants, eventually, running


def test_two_hear_each_other_and_not_themselves() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        async with running(a, b):
            await a.dial(b.address)
            assert await a.hears(b"from b", b) == Gossip(b.id, b.id, b"from b")
            assert await b.hears(b"from a", a) == Gossip(a.id, a.id, b"from a")
            largest = bytes(GOSSIP_BYTES_MAX)
            assert await b.hears(largest, a) == Gossip(a.id, a.id, largest)
            assert {one.author for one in a.all(Gossip)} == {b.id}

    trio.run(main)


def test_a_middle_one_hands_on() -> None:
    async def main() -> None:
        a, b, c = Peer(1), Peer(2), Peer(3)
        async with running(a, b, c):
            await a.dial(b.address)
            await c.dial(b.address)
            assert await c.hears(b"from a", a) == Gossip(a.id, b.id, b"from a")
            assert await a.hears(b"from c", c) == Gossip(c.id, b.id, b"from c")

    trio.run(main)


def test_networks_of_other_names_do_not_mix() -> None:
    async def main() -> None:
        a, b, c = Peer(1, network="one"), Peer(2, network="one"), Peer(3, network="two")
        async with running(a, b, c):
            await a.dial(b.address)
            await a.dial(c.address)
            await c.is_up(a.id)
            c.publish(b"from c")
            await a.hears(b"from b", b)
            assert {one.author for one in a.all(Gossip)} == {b.id}
            outcome = await a.ask(c.id, b"x")
            assert getattr(outcome, "why", "") == "reset"

    trio.run(main)


def test_a_burst_is_paced_and_the_newest_are_kept() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        async with running(a, b):
            await a.dial(b.address)
            await b.hears(b"ready", a)
            for i in range(100):
                a.publish(b"%d" % i)
            await b.until(lambda: any(one.data == b"99" for one in b.all(Gossip)))
            heard = [int(one.data) for one in b.all(Gossip) if one.data != b"ready"]
            assert heard == sorted(set(heard))
            assert heard[-32:] == list(range(68, 100))

    trio.run(main)


def test_our_own_frames_keep_to_the_limit() -> None:
    async def main() -> None:
        a = Peer(1)
        async with running(a):
            for data in (b"", bytes(GOSSIP_BYTES_MAX + 1)):
                with pytest.raises(AssertionError):
                    a.transport.carry_out(Publish(data))

    trio.run(main)


def test_a_frame_over_the_limit_is_the_forwarder_s_fault() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        with constants(libp2p_pubsub, GOSSIP_BYTES_MAX=1000):
            async with running(a, b):
                await a.dial(b.address)
                await b.hears(b"ready", a)
                a.publish(bytes(1001))
                await b.until(lambda: b.all(Misbehaved))
                assert b.all(Misbehaved) == [Misbehaved(a.id, "too_big")]
                await b.hears(b"still there", a)
                assert not [one for one in b.all(Gossip) if len(one.data) > 1000]

    trio.run(main)


def test_who_forwards_too_much_is_not_heard_and_costs_nobody_else_their_place() -> None:
    async def main() -> None:
        a, b, c = Peer(1), Peer(2), Peer(3)
        with constants(libp2p_pubsub, MESSAGES_BURST=5.0, MESSAGES_A_SECOND=0.001):
            async with running(a, b, c):
                await a.dial(b.address)
                await c.dial(b.address)
                await b.until(lambda: b.ups(a.id) and b.ups(c.id))
                for i in range(20):
                    a.publish(b"flood %d" % i)
                await eventually(lambda: not a.transport._publishing)
                assert await b.hears(b"from c", c) == Gossip(c.id, c.id, b"from c")
                assert sum(one.author == a.id for one in b.all(Gossip)) <= 5

    trio.run(main)


def test_who_published_fast_and_restarts_is_heard_at_once() -> None:
    """Its messages are numbered on from before: a number used twice would be dropped as known."""

    async def main() -> None:
        a = Peer(1)
        async with running(a):
            for turn in range(2):
                b = Peer(2)
                async with running(b):
                    await b.dial(a.address)
                    await b.hears(b"ready %d" % turn, a)
                    for i in range(30):
                        b.publish(b"%d of turn %d" % (i, turn))
                    await a.until(lambda turn=turn: any(one.data == b"29 of turn %d" % turn for one in a.all(Gossip)))  # type: ignore[misc]
                    heard = {one.data for one in a.all(Gossip)}
                    assert {b"%d of turn %d" % (i, turn) for i in range(30)} <= heard
                await a.until(lambda turn=turn: a.downs(b.id) > turn)  # type: ignore[misc]  # noqa: B023

    trio.run(main)
