"""The one door to cryptography: a node's Ed25519 key, and the peer id that other nodes know it by.

The peer id is libp2p's: base58 of the identity multihash of the protobuf-wrapped public key
(https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md). The key is kept as its 32-byte seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.limits import RemoteError

SEED_BYTES = 32
PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
# identity multihash (0x00) of 36 bytes (0x24): key type Ed25519 (08 01), 32 bytes of data (12 20)
PEER_ID_PREFIX = bytes.fromhex("002408011220")
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)


@dataclass(frozen=True)
class Identity:
    """A key pair, made from a seed that the caller drew and keeps."""

    seed: bytes

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def public(self) -> bytes:
        """32 bytes."""
        return self._key.public_key().public_bytes(*_RAW)

    @cached_property
    def peer_id(self) -> str:
        return peer_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """64 bytes; deterministic (RFC 8032)."""
        return self._key.sign(message)


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Raise RemoteError("bad_signature") unless `signature` is `public`'s over exactly these bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise RemoteError("bad_signature") from error


def peer_id(public: bytes) -> str:
    """The libp2p peer id of a 32-byte Ed25519 public key, as base58 text (12D3Koo...)."""
    return _base58(PEER_ID_PREFIX + public)


def parse_peer_id(text: str) -> bytes:
    """The public key inside a peer id. Raises RemoteError("malformed") unless it is an Ed25519 one."""
    number = 0
    # 38 bytes need at most 52 digits; the bound keeps a long text from costing quadratic time.
    if not text or len(text) > 52 or any(letter not in ALPHABET for letter in text):
        raise RemoteError("malformed", "not a peer id")
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    size = len(PEER_ID_PREFIX) + PUBLIC_BYTES
    raw = number.to_bytes(52, "big")[-size:]
    public = raw[len(PEER_ID_PREFIX) :]
    if peer_id(public) != text:
        raise RemoteError("malformed", "not an Ed25519 peer id")
    return public


def _base58(raw: bytes) -> str:
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return ALPHABET[0] * (len(raw) - len(raw.lstrip(b"\0"))) + text
