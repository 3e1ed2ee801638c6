"""py-libp2p as the guards know it. A failure here means: read what changed, then keep, mend or drop the guard."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import inspect
import logging
import threading
from pathlib import Path
from types import ModuleType

import libp2p.network.connection.swarm_connection as swarm_connection
import pytest
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from multiaddr import Multiaddr

from node import libp2p_guards, libp2p_host
from tests.node.libp2p.rig import Peer, running

# Each function that is replaced, overridden or relied upon inside, by a digest of its source.
KNOWN = {
    "libp2p.stream_muxer.yamux.yamux:Yamux._write_frame": "982bcf0d7f49",
    "libp2p.stream_muxer.yamux.yamux:Yamux._measure_rtt_loop": "c3d14b884252",
    "libp2p.stream_muxer.yamux.yamux:Yamux._read_data_body": "4c7030600ccc",
    "libp2p.stream_muxer.yamux.yamux:Yamux.handle_incoming": "909ffc4a4ab8",
    "libp2p.stream_muxer.yamux.yamux:Yamux.start": "972d73ce794c",
    "libp2p.stream_muxer.yamux.yamux:Yamux._cleanup_on_error": "f5a031d9fdd4",
    "libp2p.network.swarm:Swarm._handle_inbound_connection": "141d9b6a37f2",
    "libp2p.network.swarm:Swarm._do_handle_inbound_connection": "257b7e7a81c2",
    "libp2p.network.swarm:Swarm.upgrade_inbound_raw_conn": "da228ec8f047",
    "libp2p.network.swarm:Swarm.dial_addr": "fdbe46635041",
    "libp2p.network.swarm:Swarm.add_conn": "99d18ab675e7",
    "libp2p.network.connection.swarm_connection:SwarmConn.close": "5420c22e4498",
    "libp2p.network.connection.swarm_connection:SwarmConn._cleanup": "fb70ac9a96d7",
    "libp2p.network.connection.swarm_connection:SwarmConn._handle_muxed_stream": "1281c0daa0af",
    "libp2p.pubsub.pubsub:Pubsub.push_msg": "64330e789625",
    "libp2p.pubsub.pubsub:Pubsub.validate_msg": "1a3e20144c08",
    "libp2p.pubsub.pubsub:Pubsub.notify_subscriptions": "1a4e47eb256e",
    "libp2p.pubsub.pubsub:Pubsub.stream_handler": "e54fa8793aba",
    "libp2p.pubsub.pubsub:Pubsub.continuously_read_stream": "ae223ea1bc58",
    "libp2p.pubsub.pubsub:Pubsub.write_msg": "38e5a084c214",
    "libp2p.pubsub.pubsub:Pubsub._handle_dead_peer": "b745c1831174",
    "libp2p.pubsub.pubsub:Pubsub._schedule_peer_stream_retry": "6a6fbbfa45c1",
    "libp2p.pubsub.gossipsub:GossipSub.send_recent_messages": "c06592d8010a",
    "libp2p.pubsub.utils:maybe_consume_signed_record": "c2e158c58314",
    "libp2p.peer.peerstore:env_to_send_in_RPC": "6e17b49b7cac",
    "libp2p.network.auto_connector:AutoConnector.record_disconnect": "0536bd9141af",
    "libp2p.transport.tcp.tcp:_open_reuseport_listeners": "e407331c2f90",
}


def source_of(name: str) -> str:
    """From the file, for the object in memory may be patched."""
    module, _, path = name.partition(":")
    text = Path(inspect.getfile(importlib.import_module(module))).read_text("utf-8")
    found: ast.AST = ast.parse(text)
    for part in path.split("."):
        found = next(node for node in ast.iter_child_nodes(found) if getattr(node, "name", None) == part)
    return ast.get_source_segment(text, found) or ""


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_guarded_is_what_was_read(name: str) -> None:
    assert hashlib.sha256(source_of(name).encode()).hexdigest()[:12] == KNOWN[name]


def test_the_version_is_the_one_that_was_read() -> None:
    assert importlib.metadata.version("libp2p") == "0.8.1"


def test_stock_takes_connections_without_proof_of_identity_and_ours_does_not() -> None:
    listen = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
    stock = new_host(key_pair=create_new_key_pair(bytes(32)), listen_addrs=listen)
    ours = libp2p_host.make_host(bytes(32), listen)
    kinds = [
        {str(one) for one in host.get_network().upgrader.security_multistream.transports}  # type: ignore[attr-defined]
        for host in (stock, ours)
    ]
    assert "/plaintext/2.0.0" in kinds[0]
    assert kinds[1] == {"/noise"}


def test_stock_settings_that_are_overridden() -> None:
    stock = GossipSub([PROTOCOL_ID_V11], 6, 4, 12)
    assert stock.heartbeat_interval == 120
    assert stock.adaptive_gossip_enabled
    host = new_host(key_pair=create_new_key_pair(bytes(32)))
    threads = threading.active_count()
    pubsub = Pubsub(host, stock)
    assert pubsub.counter < 10**12, "seconds, not nanoseconds"
    assert threading.active_count() == threads + 1, "a thread that nobody stops"
    pubsub.seen_messages.stop()


def test_stock_logs_to_the_root_logger() -> None:
    assert "logging.debug(" in source_of("libp2p.network.connection.swarm_connection:SwarmConn.close")
    libp2p_guards.quiet_logging()
    assert not isinstance(getattr(swarm_connection, "logging"), ModuleType)  # noqa: B009
    [handler] = logging.getLogger("libp2p").handlers
    assert not isinstance(handler, logging.StreamHandler)


def test_the_log_is_rationed(caplog: pytest.LogCaptureFixture) -> None:
    libp2p_guards.quiet_logging()
    with caplog.at_level(logging.WARNING, "p2prec.libp2p"):
        for i in range(500):
            logging.getLogger("libp2p.anything").warning("line %d", i)
    assert 0 < len(caplog.records) <= 2 * libp2p_guards.LOG_LINES_A_MINUTE  # a minute may have ended between


def test_patches_are_in_place_and_installing_twice_changes_nothing() -> None:
    libp2p_guards.install()
    libp2p_guards.install()
    import libp2p.network.swarm as swarm
    import libp2p.pubsub.gossipsub as gossipsub
    import libp2p.pubsub.pubsub as pubsub
    from libp2p.stream_muxer.yamux.yamux import Yamux

    assert swarm._HAPPY_EYEBALLS_DELAY == 0
    assert Yamux._read_data_body.__module__ == Yamux._write_frame.__module__ == libp2p_guards.__name__

    async def main() -> None:
        async with running(Peer(1)):
            for module in (gossipsub, pubsub):
                for name in ("env_to_send_in_RPC", "maybe_consume_signed_record"):
                    assert getattr(module, name).__module__ == "node.libp2p_pubsub"

    trio.run(main)
