"""Transports that find each other by multicast DNS, where the machine lets multicast through."""

from __future__ import annotations

import socket

import pytest
import trio

from node.transport import Discovered
from tests.node.libp2p.rig import Peer, running


def multicast_works() -> bool:
    """A datagram to the group of multicast DNS comes back."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hears,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as says,
    ):
        try:
            hears.bind(("", 0))
            group = socket.inet_aton("224.0.0.251") + socket.inet_aton("127.0.0.1")
            hears.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
            hears.settimeout(1)
            says.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            says.sendto(b"hello", ("224.0.0.251", hears.getsockname()[1]))
            return hears.recv(5) == b"hello"
        except OSError:
            return False


def test_two_on_one_network_are_told_of_each_other_and_nothing_is_dialled() -> None:
    if not multicast_works():
        pytest.skip("no multicast here")

    async def main() -> None:
        a, b, c = Peer(1, mdns=True), Peer(2, mdns=True), Peer(3)
        async with running(a, b, c):
            await a.until(lambda: Discovered(b.address) in a.events)
            await b.until(lambda: Discovered(a.address) in b.events)
            assert not c.events
            started = trio.current_time()
        assert trio.current_time() - started < 2.5
        for one in (a, b):
            assert not [event for event in one.events if event == Discovered(one.address)]
            assert all(isinstance(event, Discovered) for event in one.events)

    trio.run(main)
