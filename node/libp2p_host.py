"""The libp2p host of a node: which protocols it speaks, how many connections it holds, and which addresses it tells.

Stock, a host also takes connections without any proof of identity, refuses everybody for a minute after a few failures,
and counts the process's memory against its peers. Every limit is named here with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from libp2p import create_yamux_muxer_option, new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.host.basic_host import BasicHost
from libp2p.network.config import ConnectionConfig
from libp2p.rcmgr.connection_limits import ConnectionLimits
from libp2p.rcmgr.manager import ResourceLimits, ResourceManager
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.utils.address_validation import expand_wildcard_address
from multiaddr import Multiaddr

# A connection costs 65 KB and a descriptor; 256 leave room under the usual 1024 descriptors and feed any mesh.
CONNECTIONS_MAX = 256
# Two nodes that dial each other at once have two; the rest is an old one that is being given up.
CONNECTIONS_PER_PEER_MAX = 4
# All streams of all connections: 256 peers with 16 questions each way, and as much again for everything else.
STREAMS_MAX = 16_384


def _concrete(addresses: list[Multiaddr]) -> list[Multiaddr]:
    """0.0.0.0 is where we listen and nowhere to dial; link-local addresses need a zone that only we know."""
    found = [one for address in addresses for one in expand_wildcard_address(address)]
    return [one for one in found if not str(one).startswith("/ip6/fe80:")]


def make_host(seed: bytes, listen: Sequence[Multiaddr]) -> BasicHost:
    """A host that speaks TCP, Noise and Yamux and nothing else, and keeps to our limits."""
    pair = create_new_key_pair(seed)
    host = new_host(
        key_pair=pair,
        listen_addrs=listen,
        # Noise alone: the stock list also takes plaintext, over which anybody may claim any peer id.
        sec_opt={NOISE: NoiseTransport(pair, noise_privkey=create_new_x25519_key_pair().private_key)},
        muxer_opt=create_yamux_muxer_option(),
        # Peers' opinions of our address would be signed into our records.
        disable_identify_address_discovery=True,
        addrs_factory=_concrete,
        connection_config=ConnectionConfig(
            max_connections=CONNECTIONS_MAX,
            max_connections_per_peer=CONNECTIONS_PER_PEER_MAX,
            # No connection is made or pruned by libp2p: whom to keep is the engine's to say.
            min_connections=0,
            low_watermark=0,
            high_watermark=CONNECTIONS_MAX,
        ),
        resource_manager=ResourceManager(
            limits=ResourceLimits(max_connections=2 * CONNECTIONS_MAX, max_streams=STREAMS_MAX),
            connection_limits=ConnectionLimits(
                max_established_inbound=CONNECTIONS_MAX,
                max_established_outbound=CONNECTIONS_MAX,
                max_established_per_peer=CONNECTIONS_PER_PEER_MAX,
                max_established_total=CONNECTIONS_MAX,
            ),
            # Each of these closes the door to everybody when somebody misbehaves or a model is in memory.
            enable_memory_limits=False,
            enable_circuit_breaker=False,
            enable_graceful_degradation=False,
            enable_rate_limiting=False,
            enable_metrics=False,
        ),
    )
    assert isinstance(host, BasicHost)
    return host
