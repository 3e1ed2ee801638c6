"""Nodes on the same local network, found by multicast DNS.

The libp2p mDNS specification (https://github.com/libp2p/specs/blob/master/discovery/mdns.md): a service of the type
`_p2p._udp.local` under a random name, with one TXT entry `dnsaddr=MULTIADDR` for each address. What is found is told on
and nothing else; anybody on the network can say anything. py-libp2p's own discovery blocks the event loop while it
registers and keeps one list of handlers for the whole process, so zeroconf is used directly, in a thread.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio
from zeroconf import ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

from node.multiaddrs import parse_dial

SERVICE = "_p2p._udp.local."
# Addresses of one answer that are told on; a machine with more interfaces names its best ones first.
ADDRESSES_MAX = 16
# A TXT string is counted by one byte.
TXT_BYTES_MAX = 255
LOOKUP_MS = 3000
# Saying goodbye on the network, before the node stops waiting for it.
GOODBYE_SECONDS_MAX = 1.0
_PREFIX = b"dnsaddr="

log = logging.getLogger("p2prec.mdns")


async def run_mdns(peer_id: str, addresses: Sequence[str], found: Callable[[str], None]) -> None:
    """Announce `addresses` and tell the addresses of others, until cancelled. Does without where multicast fails."""
    for name in ("zeroconf", log.name):
        # Strangers' packets decide what it logs, and the command line's stderr is not for that.
        logging.getLogger(name).addHandler(logging.NullHandler())
    logging.getLogger("zeroconf").propagate = False
    token, stop, over = trio.lowlevel.current_trio_token(), threading.Event(), trio.Event()

    def tell(address: str) -> None:
        # Nobody listens any more when `stop` is set, and libp2p itself is going down.
        if not stop.is_set():
            found(address)

    def work() -> None:
        try:
            _announce_and_browse(peer_id, addresses, lambda address: token.run_sync_soon(tell, address), stop)
        except (OSError, trio.RunFinishedError) as error:
            log.warning("no discovery on the local network: %s", error)
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(over.set)

    threading.Thread(target=work, name="mdns", daemon=True).start()
    try:
        await trio.sleep_forever()
    finally:
        stop.set()
        with trio.move_on_after(GOODBYE_SECONDS_MAX) as scope:
            scope.shield = True
            await over.wait()


def _announce_and_browse(
    peer_id: str, addresses: Sequence[str], found: Callable[[str], None], stop: threading.Event
) -> None:
    zeroconf = Zeroconf()
    try:
        name = secrets.token_hex(16)
        hosts = [address.split("/")[2] for address in addresses]
        info = ServiceInfo(
            SERVICE,
            f"{name}.{SERVICE}",
            port=int(addresses[0].split("/")[4]) if addresses else None,
            properties=pack_txt(addresses),
            server=f"{name}.local.",
            parsed_addresses=hosts,
        )
        if addresses:
            zeroconf.register_service(info)
        browser = ServiceBrowser(zeroconf, SERVICE, _Listener(peer_id, info.name, found))
        stop.wait()
        browser.cancel()
    finally:
        zeroconf.close()


class _Listener(ServiceListener):
    """Called in zeroconf's browser thread, which may wait for a lookup."""

    def __init__(self, peer_id: str, own_name: str, found: Callable[[str], None]) -> None:
        self._peer_id = peer_id
        self._own_name = own_name
        self._found = found

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        if name == self._own_name:
            return
        info = ServiceInfo(type_, name)
        # The lookup counts as failed without an address record, which nobody needs who has the TXT record.
        info.request(zc, LOOKUP_MS)
        for address in parse_txt(info.text or b"", self._peer_id):
            self._found(address)

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """A node that went is noticed by its connection."""


def pack_txt(addresses: Sequence[str]) -> bytes:
    """The TXT record of our addresses, but for those that are too long for an entry."""
    entries = [_PREFIX + address.encode() for address in addresses]
    return b"".join(bytes([len(entry)]) + entry for entry in entries[:ADDRESSES_MAX] if len(entry) <= TXT_BYTES_MAX)


def parse_txt(text: bytes, own_peer_id: str) -> list[str]:
    """The addresses in a stranger's TXT record that can be dialled and are not our own."""
    addresses: list[str] = []
    while text and len(addresses) < ADDRESSES_MAX:
        entry, text = text[1 : 1 + text[0]], text[1 + text[0] :]
        address = entry[len(_PREFIX) :].decode("ascii", "replace")
        if not entry.startswith(_PREFIX):
            continue
        try:
            _, peer = parse_dial(address)
        except ValueError:
            continue
        if peer != own_peer_id:
            addresses.append(address)
    return addresses
