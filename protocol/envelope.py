"""Seal and open: bytes with their author's signature.

The signature covers the body exactly as sent, behind a domain that says what kind of thing it is: a sealed head can
never be taken for a sealed query, and nothing is re-encoded before it is checked.

    sealed    = msgpack [public key 32, signature 64, body]
    signature = Ed25519 over "p2prec" 00 domain 00 body
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol import wire
from protocol.identity import PUBLIC_BYTES, SIGNATURE_BYTES, Identity, verify
from protocol.limits import RemoteError

# What msgpack and the two fixed fields add to a body, at the most.
OVERHEAD_BYTES = 1 + 2 + PUBLIC_BYTES + 2 + SIGNATURE_BYTES + 5


@dataclass(frozen=True, slots=True)
class Opened:
    """A verified body and who signed it (32-byte public key)."""

    public: bytes
    body: bytes


def seal(identity: Identity, domain: str, body: bytes) -> bytes:
    """Sign `body` as this identity. Equal input gives equal bytes."""
    return wire.pack([identity.public, identity.sign(_signed(domain, body)), body])


def open_sealed(domain: str, sealed: bytes, body_bytes_max: int, *, verified: bool = False) -> Opened:
    """Untrusted bytes to a verified body; `verified`: they were once, and only their form is looked at.

    Raises: RemoteError("too_big" | "malformed" | "bad_signature").
    """
    if len(sealed) > body_bytes_max + OVERHEAD_BYTES:
        raise RemoteError("too_big", f"a sealed {domain} over {body_bytes_max} bytes")
    parts = wire.parse(sealed)
    if not (isinstance(parts, list) and len(parts) == 3 and all(isinstance(part, bytes) for part in parts)):
        raise RemoteError("malformed", "not a sealed message")
    public, signature, body = parts
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        raise RemoteError("malformed", "a key or signature of the wrong length")
    if len(body) > body_bytes_max:
        raise RemoteError("too_big", f"a {domain} of {len(body)} bytes")
    if not verified:
        verify(public, _signed(domain, body), signature)
    return Opened(public, body)


def _signed(domain: str, body: bytes) -> bytes:
    return b"p2prec\0" + domain.encode() + b"\0" + body
