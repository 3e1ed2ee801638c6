"""Addresses as text, read without libp2p: where to listen and whom to dial.

p2prec speaks TCP: `/ip4/0.0.0.0/tcp/4001` to listen at, `/ip4/192.0.2.7/tcp/4001/p2p/12D3Koo...` or `/dns4/NAME/...`
to dial.
"""

from __future__ import annotations

import ipaddress
import re
import socket

from node.errors import UserError
from protocol.identity import parse_peer_id
from protocol.limits import RemoteError

_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}")
HOST_NAME_LETTERS_MAX = 253


def parse_listen(text: str) -> str:
    """The multiaddr of an IP address and a TCP port. Raises: UserError."""
    try:
        kind, host, port = _split(text)
        if kind not in ("ip4", "ip6"):
            raise ValueError
    except ValueError:
        raise UserError(f"Can't listen at {text[:100]!r}; give an address such as /ip4/0.0.0.0/tcp/4001.") from None
    return f"/{kind}/{host}/tcp/{port}"


def parse_dial(text: str) -> tuple[str, str]:
    """(multiaddr up to the port, peer id) of an address that names its peer. Raises: ValueError."""
    front, _, peer = text.rpartition("/p2p/")
    kind, host, port = _split(front)
    if port == 0:
        raise ValueError("port 0 is nowhere")
    try:
        parse_peer_id(peer)
    except RemoteError as error:
        raise ValueError(str(error)) from error
    return f"/{kind}/{host}/tcp/{port}", peer


def check_port_free(listen: str) -> None:
    """Raise UserError if another program listens there.

    libp2p shares a port (SO_REUSEPORT) with whoever shares it too, such as another node of ours: each would get every
    second connection.
    """
    kind, host, port = _split(listen)
    with socket.socket(socket.AF_INET if kind == "ip4" else socket.AF_INET6) as probe:
        # Ports of connections that ended a moment ago count as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"Can't listen at {listen} ({reason}); give another address or port.") from error


def _split(text: str) -> tuple[str, str, int]:
    match text.split("/"):
        case ["", "ip4", host, "tcp", port]:
            kind, host = "ip4", str(ipaddress.IPv4Address(host))
        case ["", "ip6", host, "tcp", port]:
            kind, host = "ip6", str(ipaddress.IPv6Address(host))
        case ["", "dns" | "dns4" | "dns6" as kind, host, "tcp", port]:
            if len(host) > HOST_NAME_LETTERS_MAX or not all(map(_LABEL.fullmatch, host.split("."))):
                raise ValueError("not a host name")
        case _:
            raise ValueError("not a TCP address")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65_536):
        raise ValueError("not a port")
    return kind, host, int(port)
