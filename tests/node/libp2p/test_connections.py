"""Dialling, peers that come and go, are killed, freeze or come back, and a shutdown that leaves nothing behind."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
from libp2p.stream_muxer.yamux.yamux import TYPE_PING

from node import libp2p_guards, libp2p_host, libp2p_pubsub, libp2p_transport
from node.errors import UserError
from node.libp2p_transport import _id
from node.transport import Answered, Dial, DialFailed, Gossip, HangUp, PeerDown, PeerUp, Publish
from protocol.identity import Identity
from tests.node.libp2p.rig import Peer, constants, eventually, free_port, running, victim


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_the_peer_id_and_the_addresses_are_the_identity_s() -> None:
    async def main() -> None:
        peer = Peer(7)
        assert peer.id == Identity(bytes([7]) * 32).peer_id
        assert peer.transport.addresses == []
        async with running(peer):
            assert peer.address.startswith("/ip4/127.0.0.1/tcp/")
            assert peer.address.endswith(f"/p2p/{peer.id}")
        wild = Peer(8, "/ip4/0.0.0.0/tcp/0")
        async with running(wild):
            assert wild.transport.addresses
            assert not any("/0.0.0.0/" in one for one in wild.transport.addresses)

    trio.run(main)


def test_a_taken_port_and_an_unfit_address_are_the_owner_s_mistakes() -> None:
    with pytest.raises(UserError, match="tcp"):
        Peer(1, "/ip4/127.0.0.1/udp/4001/quic-v1")

    async def main() -> None:
        a = Peer(1)
        async with running(a):
            # also one that shares its port with everybody, as libp2p's listeners do
            taken = a.address.split("/p2p/")[0]
            with pytest.raises(UserError, match=taken):
                await Peer(2, taken).transport.run(a.hear)
        with pytest.raises(UserError, match=r"192\.0\.2\.77"):
            await Peer(2, "/ip4/192.0.2.77/tcp/4001").transport.run(a.hear)
        async with running(Peer(2, taken)):
            pass

    trio.run(main)


def test_dials_that_lead_nowhere() -> None:
    async def main() -> None:
        a, b, c = Peer(1), Peer(2), Peer(3)
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            nobody = f"/ip4/127.0.0.1/tcp/{free_port()}/p2p/{b.id}"
            async with running(a, b):
                for address in [
                    "nonsense",
                    b.address.split("/p2p/")[0],
                    a.address,
                    nobody,
                    b.address.replace(b.id, c.id),
                ]:
                    assert await a.dial(address) == DialFailed(address)
                with constants(libp2p_transport, DIAL_SECONDS_MAX=0.5):
                    address = f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}/p2p/{b.id}"
                    assert await a.dial(address) == DialFailed(address)
                # a failed dial does not stand in the way of a good one
                assert await a.dial(b.address) == PeerUp(b.id, b.address)
                assert a.ups(b.id) == 1

    trio.run(main)


def test_every_dial_has_its_event_and_a_peer_comes_up_once() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        async with running(a, b):
            for _ in range(5):
                a.transport.carry_out(Dial(b.address))
            await a.until(lambda: a.ups(b.id) == 5)
            await b.is_up(a.id)
            assert b.ups(a.id) == 1
            # a peer that came to us can still be dialled, so that its address is known
            assert await b.dial(a.address) == PeerUp(a.id, a.address)
            a.transport.carry_out(HangUp(b.id))
            await a.until(lambda: a.downs(b.id) == 1)
            await b.until(lambda: b.downs(a.id) == 1)
            a.transport.carry_out(HangUp(b.id))
            assert await a.dial(b.address) == PeerUp(b.id, b.address)

    trio.run(main)


def test_two_that_dial_each_other_at_once_stay_connected() -> None:
    async def main() -> None:
        for turn in range(5):
            a, b = Peer(1), Peer(2)
            async with running(a, b):
                a.transport.carry_out(Dial(b.address))
                b.transport.carry_out(Dial(a.address))
                await a.until(lambda a=a, b=b: PeerUp(b.id, b.address) in a.events)  # type: ignore[misc]
                await b.until(lambda a=a, b=b: PeerUp(a.id, a.address) in b.events)  # type: ignore[misc]
                assert await a.ask(b.id, b"x") == Answered(1, b"x")
                assert await b.ask(a.id, b"y") == Answered(1, b"y")
                await a.hears(b"from b %d" % turn, b)
                await b.hears(b"from a %d" % turn, a)
                assert not a.all(PeerDown) + b.all(PeerDown)

    trio.run(main)


def test_a_killed_peer_comes_back_with_its_key_and_port() -> None:
    """The traps of a restart: the dead connection still believed in, and numbers of messages used again."""

    async def main() -> None:
        a, port = Peer(1), free_port()
        listen = f"/ip4/127.0.0.1/tcp/{port}"
        async with running(a):
            for turn in range(2):
                async with victim(2, listen) as it:
                    # the second time the victim dials, and we may not have noticed that the first one died
                    if turn == 0:
                        assert isinstance(await a.dial(it.address), PeerUp)
                    else:
                        it.command("dial", a.address)
                        await it.until(lambda it=it: it.told("PeerUp"))  # type: ignore[misc]
                        await a.is_up(it.id)
                    assert isinstance(await a.ask(it.id, b"x"), Answered)
                    for i in range(20):
                        it.publish(b"burst %d" % i)
                    await a.hears(b"to us %d" % turn, it)
                    with trio.fail_after(10):
                        while not it.told("Gossip", data=f"to it {turn}"):
                            a.publish(b"to it %d" % turn)
                            await trio.sleep(0.1)
                    it.process.kill()
                    await a.until(lambda turn=turn, it=it: a.downs(it.id) == turn + 1)  # type: ignore[misc]

    trio.run(main)


def test_a_peer_that_restarts_inside_a_connection_that_is_still_believed_in() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        with constants(libp2p_guards, PULSE_SECONDS=60), constants(libp2p_pubsub, STALE_SECONDS=0.0):
            async with running(a):
                async with running(b):
                    await b.dial(a.address)
                    await a.hears(b"before", b)
                    [old] = a.transport._swarm.get_connections()
                    # b goes without its socket being closed, as in a power cut
                    held = [one.muxed_conn.secured_conn for one in b.transport._swarm.get_connections()]
                    for one in held:
                        one.close = trio.lowlevel.checkpoint  # type: ignore[attr-defined]
                assert not old.is_closed
                again = Peer(2)
                async with running(again):
                    await again.dial(a.address)
                    await a.hears(b"after", again)
                    await again.hears(b"back", a)
                    assert isinstance(await a.ask(again.id, b"x"), Answered)
                    await eventually(lambda: old not in a.transport._swarm.get_connections(), 5)
                    assert len(a.transport._swarm.get_connections()) == 1
                    assert not a.downs(b.id)

    trio.run(main)


def test_a_frozen_peer_is_noticed_even_in_the_middle_of_a_large_question() -> None:
    async def main() -> None:
        a = Peer(1)
        quick = constants(libp2p_guards, PULSE_SECONDS=0.5, PONG_SECONDS_MAX=1.0, WRITE_SECONDS_MAX=2.0)
        with quick:
            async with running(a), victim(2) as it:
                await a.dial(it.address)
                assert isinstance(await a.ask(it.id, b"x"), Answered)
                it.process.send_signal(signal.SIGSTOP)
                tokens = [a.begin_ask(it.id, bytes(1 << 20)) for _ in range(20)]
                await a.until(lambda: a.downs(it.id), 10)
                await a.until(lambda: all(a.outcomes(token) for token in tokens), 5)
                it.process.send_signal(signal.SIGCONT)
                await it.until(lambda: it.told("PeerDown"))
                assert isinstance(await a.dial(it.address), PeerUp)
                assert isinstance(await a.ask(it.id, b"x"), Answered)

    trio.run(main)


def test_a_peer_whose_pongs_are_late_is_kept_while_anything_comes_from_it() -> None:
    async def main() -> None:
        a, b = Peer(1), Peer(2)
        with constants(libp2p_guards, PULSE_SECONDS=0.2, PONG_SECONDS_MAX=0.5):
            async with running(a, b):
                await a.dial(b.address)
                await b.is_up(a.id)
                [connection] = b.transport._swarm.get_connections()
                muxed: Any = connection.muxed_conn
                write = muxed._write_frame

                async def without_pongs(data: bytes) -> None:
                    if data[1] != TYPE_PING:
                        await write(data)

                muxed._write_frame = without_pongs
                with trio.move_on_after(4):
                    while True:
                        assert isinstance(await a.ask(b.id, b"x"), Answered)
                        await trio.sleep(0.05)
                assert not a.downs(b.id)
                await a.until(lambda: a.downs(b.id), 10)

    trio.run(main)


def test_inbound_connections_come_and_go_without_using_up_the_places() -> None:
    async def main() -> None:
        with constants(libp2p_host, CONNECTIONS_MAX=4):
            a, b = Peer(1), Peer(2)
            async with running(a, b):
                for turn in range(12):
                    assert isinstance(await b.dial(a.address), PeerUp)
                    await a.until(lambda turn=turn: a.ups(b.id) == turn + 1)  # type: ignore[misc]
                    b.transport.carry_out(HangUp(a.id))
                    await b.until(lambda turn=turn: b.downs(a.id) == turn + 1)  # type: ignore[misc]
                    await a.until(lambda turn=turn: a.downs(b.id) == turn + 1)  # type: ignore[misc]
                others = [Peer(seed) for seed in range(3, 8)]
                async with running(*others):
                    ends = [await one.dial(a.address) for one in others]
                    await trio.testing.wait_all_tasks_blocked(0.05)
                    assert sum(isinstance(end, PeerUp) for end in ends[:4]) == 4
                    assert len(a.transport._swarm.get_connections()) == 4
                    # nothing is kept of who went
                    assert not a.transport._swarm.auto_connector._recent_disconnects
                    assert not a.transport._host.get_peerstore().has_peer(_id(b.id))

    trio.run(main)


def test_shutdown_is_quick_and_clean_in_the_middle_of_everything(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        before: list[tuple[int, int]] = []
        for turn in range(6):
            peers = [Peer(seed) for seed in range(1, 5)]
            async with running(*peers):
                for one in peers[1:]:
                    assert isinstance(await one.dial(peers[0].address), PeerUp)
                await peers[0].until(lambda peers=peers: len(peers[0].all(PeerUp)) == 3)  # type: ignore[misc]
                for one in peers[1:]:
                    for _ in range(20):
                        one.begin_ask(peers[0].id, bytes(300_000))
                        one.transport.carry_out(Publish(b"p" * 1000))
                        peers[0].begin_ask(one.id, bytes(300_000))
                await peers[0].until(lambda peers=peers: peers[0].all(Gossip) and peers[0].all(Answered))  # type: ignore[misc]
                started = trio.current_time()
            assert trio.current_time() - started < 2.5
            if turn > 1:
                before.append((descriptors(), threading.active_count()))
        # A collection of garbage may leave fewer.
        assert all(last <= first for first, last in zip(before[0], before[-1], strict=True))

    trio.run(main)
    assert capfd.readouterr() == ("", "")


def test_nothing_of_libp2p_reaches_the_terminal() -> None:
    """In a process of its own, for pytest puts handlers of its own on the root logger."""

    async def main() -> None:
        async with victim(2) as it:
            a = Peer(1)
            for _ in range(3):
                async with running(a):
                    await a.dial(it.address)
                    await it.until(lambda: len(it.told("PeerUp")) > len(it.told("PeerDown")))
                    for _ in range(5):
                        a.begin_ask(it.id, bytes(300_000))
                await it.until(lambda: len(it.told("PeerUp")) == len(it.told("PeerDown")))
            for _ in range(5):
                with socket.create_connection(("127.0.0.1", it.port)) as garbage:
                    garbage.sendall(bytes(range(256)) * 20)
            it.command("dial", f"/ip4/127.0.0.1/tcp/{free_port()}/p2p/{a.id}")
            await it.until(lambda: it.told("DialFailed"))
            it.command("stop", "")
            await it.until(lambda: it.told("stopped"), 5)
            await it.process.wait()
            assert it.process.returncode == 0
            assert it.stderr == b""
            # every line of stdout was one of our own: Victim.read would have failed on another

    trio.run(main)
