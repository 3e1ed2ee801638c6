"""A taste card: what a user takes along from one shop to another, exported at the user's own wish.

It is one coarse vector over the encoder's space and four numbers that say how much its halves and prices count, signed
by the shop that made it, with an expiry and the text that the user agreed to. It has no field for a name, a rating, an
item or a history, and none of them can be put in: the consent is the shop's text, the nonce only makes two cards of one
taste differ. A vector still tells something of whose it is; the noise that was added is stated, so that the receiver
can allow for it, and no further promise is made.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

from protocol import wire
from protocol.envelope import OVERHEAD_BYTES, open_sealed, seal
from protocol.identity import Identity
from protocol.limits import SKEW_MS, VECTOR_BYTES_MAX, RemoteError
from protocol.merkle import HASH_BYTES
from protocol.records import check_vector

DOMAIN = "card/2"
NONCE_BYTES = 16
MIX_BYTES = 8
# Two or three sentences, in any script.
CONSENT_BYTES_MAX = 1000
# As sealed: the longest vector, the longest consent, and room for what else there is.
CARD_BYTES_MAX = 4096
# A year; taste changes, and consent should be asked for again.
LIFETIME_MS_MAX = 366 * 24 * 3_600_000
# Noise ten times as large as the taste leaves nothing of it.
NOISE_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Card:
    """`encoder` is the fingerprint (32 bytes), `vector` two halves as int8 (see protocol/vectors.py).

    `mix` is four signed int16, big-endian, of which only the proportions count: of the image half, the text half
    (neither below 0), z and (z^2 - 1) / sqrt(2), z being how many deviations the logarithm of an item's price is above
    the mean of its shop and currency. An item's score is the sum of the four, each times its number.
    `noise` is the standard deviation of what was added to the vector, relative to its length; 0 means none.
    """

    encoder: bytes
    vector: bytes
    mix: bytes
    nonce: bytes
    issued_ms: int
    expires_ms: int
    consent: str
    noise: float


def seal_card(identity: Identity, card: Card) -> bytes:
    """The card's file, signed by the shop that made it. Raises: RemoteError if it breaks a rule."""
    _check(card)
    return seal(identity, DOMAIN, wire.pack(list(astuple(card))))


def open_card(sealed: bytes) -> tuple[bytes, Card]:
    """Untrusted bytes to (public key of the shop that made it, card). Says nothing of time; see `check_card_fresh`.

    Raises: RemoteError("too_big" | "malformed" | "bad_signature" | "bad_vector").
    """
    opened = open_sealed(DOMAIN, sealed, CARD_BYTES_MAX - OVERHEAD_BYTES)
    fields = wire.parse(opened.body)
    if not (isinstance(fields, list) and len(fields) == 8):
        raise RemoteError("malformed", "not a taste card")
    card = Card(*fields)
    _check(card)
    return opened.public, card


def check_card_fresh(card: Card, now_ms: int) -> None:
    """Raise RemoteError("expired") unless the card is good now."""
    if not card.issued_ms - SKEW_MS <= now_ms <= card.expires_ms:
        raise RemoteError("expired", "a taste card of another time")


def _check(card: Card) -> None:
    bytes_fit = all(
        isinstance(value, bytes) and least <= len(value) <= most
        for value, least, most in (
            (card.encoder, HASH_BYTES, HASH_BYTES),
            (card.mix, MIX_BYTES, MIX_BYTES),
            (card.nonce, NONCE_BYTES, NONCE_BYTES),
            (card.vector, 1, VECTOR_BYTES_MAX),
        )
    )
    times_fit = (
        type(card.issued_ms) is int
        and type(card.expires_ms) is int
        and 0 <= card.issued_ms < card.expires_ms < 2**53
        and card.expires_ms - card.issued_ms <= LIFETIME_MS_MAX
    )
    consent_fits = (
        isinstance(card.consent, str)
        and 0 < len(card.consent.encode("utf-8", "surrogatepass")) <= CONSENT_BYTES_MAX
        and card.consent.isprintable()
    )
    noise_fits = type(card.noise) is float and math.isfinite(card.noise) and 0 <= card.noise <= NOISE_MAX
    if not (
        bytes_fit
        and times_fit
        and consent_fits
        and noise_fits
        and any(card.mix)
        and max(card.mix[0], card.mix[2]) < 128
    ):
        raise RemoteError("malformed", "a field of the taste card")
    check_vector(card.vector, None)
