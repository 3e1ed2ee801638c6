"""Taste cards: exactly what they say, signed, in their time, and with room for nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.card import (
    CARD_BYTES_MAX,
    CONSENT_BYTES_MAX,
    DOMAIN,
    LIFETIME_MS_MAX,
    NOISE_MAX,
    Card,
    check_card_fresh,
    open_card,
    seal_card,
)
from protocol.envelope import seal
from protocol.identity import Identity
from protocol.limits import SKEW_MS, RemoteError
from protocol.query import SUBJECT_BYTES_MAX
from protocol.vectors import pack_vectors, parse_vectors
from protocol.wire import pack

SHOP = Identity(b"s" * 32)
NOW = 1_700_000_000_000
CARD = Card(
    b"f" * 32,
    bytes(range(64)),
    b"\x40\x00\x7f\xff\xf0\x00\x00\x03",
    b"n" * 16,
    NOW,
    NOW + 86_400_000,
    "Recommend to me, until tomorrow.",
    0.0,
)
# Frozen: cards are files in people's hands.
FROZEN = (
    "93c420fec1428673f6afe89264b3807344ae8b269d125a503855202687db5a7128579fc440b6c80e0d06a1b5c0c285ceb781"
    "d67720423bab8d69e0f3d231bb245998c39eecd889f7ae4319c3614bc062e7f98575c2ff5093eba0850ae9ce6760491e0887"
    "00c4be98c4206666666666666666666666666666666666666666666666666666666666666666c44000010203040506070809"
    "0a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b"
    "3c3d3e3fc40840007ffff0000003c4106e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6ecf0000018bcfe56800cf0000018bd50bc400"
    "d9205265636f6d6d656e6420746f206d652c20756e74696c20746f6d6f72726f772ecb0000000000000000"
)


def test_a_card_opens_as_it_was_sealed() -> None:
    assert open_card(seal_card(SHOP, CARD)) == (SHOP.public, CARD)
    assert open_card(seal_card(SHOP, replace(CARD, noise=0.25)))[1].noise == 0.25


def test_a_frozen_card_opens() -> None:
    assert seal_card(SHOP, CARD).hex() == FROZEN
    assert open_card(bytes.fromhex(FROZEN)) == (SHOP.public, CARD)


def test_there_is_no_field_for_people() -> None:
    assert [field.name for field in fields(Card)] == [
        "encoder", "vector", "mix", "nonce", "issued_ms", "expires_ms", "consent", "noise"
    ]  # fmt: skip


def test_the_vector_is_one_that_ranks() -> None:
    image, text = np.random.default_rng(0).normal(size=(2, 1, 512)).astype(np.float32)
    (packed,) = pack_vectors(image, text)
    _, card = open_card(seal_card(SHOP, replace(CARD, vector=packed)))
    image_back, _ = parse_vectors([card.vector], 512)
    assert float((image_back @ image.T)[0, 0] / np.linalg.norm(image)) > 0.9998


def test_the_largest_card_fits_its_file_and_a_query() -> None:
    largest = replace(
        CARD,
        vector=b"\x01" * limits.VECTOR_BYTES_MAX,
        consent="x" * CONSENT_BYTES_MAX,
        issued_ms=2**53 - 2,
        expires_ms=2**53 - 1,
        noise=0.1,
    )
    sealed = seal_card(SHOP, largest)
    assert len(sealed) <= CARD_BYTES_MAX <= SUBJECT_BYTES_MAX
    assert open_card(sealed)[1] == largest


@given(st.data())
def test_any_other_byte_is_refused(data: st.DataObject) -> None:
    sealed = bytearray(seal_card(SHOP, CARD))
    place = data.draw(st.integers(0, len(sealed) - 1))
    with pytest.raises(RemoteError):
        open_card(bytes(sealed[:place]))
    with pytest.raises(RemoteError):
        open_card(bytes(sealed) + b"\0")
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteError):
        open_card(bytes(sealed))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_remote_errors_only(sealed: bytes) -> None:
    with pytest.raises(RemoteError):
        open_card(sealed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"encoder": b"short"}, "malformed"),
        ({"nonce": b""}, "malformed"),
        ({"vector": b""}, "malformed"),
        ({"vector": bytes(64)}, "bad_vector"),
        ({"vector": b"\x01" * 63}, "bad_vector"),
        ({"vector": b"\x01" * (limits.VECTOR_BYTES_MAX + 2)}, "malformed"),
        ({"vector": "text"}, "malformed"),
        ({"mix": b"\x01" * 7}, "malformed"),
        ({"mix": bytes(8)}, "malformed"),
        ({"mix": b"\xff" + b"\x01" * 7}, "malformed"),
        ({"mix": b"\x01\x01\x80\x01" + b"\x01" * 4}, "malformed"),
        ({"mix": [1, 1, 1, 1]}, "malformed"),
        ({"issued_ms": -1}, "malformed"),
        ({"issued_ms": True}, "malformed"),
        ({"expires_ms": NOW}, "malformed"),
        ({"expires_ms": NOW + LIFETIME_MS_MAX + 1}, "malformed"),
        ({"consent": ""}, "malformed"),
        ({"consent": "x" * (CONSENT_BYTES_MAX + 1)}, "malformed"),
        ({"consent": "a\x1b[2J"}, "malformed"),
        ({"consent": b"bytes"}, "malformed"),
        ({"noise": -0.1}, "malformed"),
        ({"noise": NOISE_MAX + 1}, "malformed"),
        ({"noise": float("nan")}, "malformed"),
        ({"noise": 0}, "malformed"),
    ],
)
def test_cards_that_break_a_rule_are_neither_sealed_nor_opened(change: dict[str, object], reason: str) -> None:
    bad = replace(CARD, **change)  # type: ignore[arg-type]
    values = [getattr(bad, field.name) for field in fields(Card)]
    for attempt in (lambda: seal_card(SHOP, bad), lambda: open_card(seal(SHOP, DOMAIN, pack(values)))):
        with pytest.raises(RemoteError) as caught:
            attempt()
        assert caught.value.reason == reason


@pytest.mark.parametrize("body", [[], [1] * 8, [1] * 7, "card", None])
def test_other_bodies_are_no_cards(body: object) -> None:
    with pytest.raises(RemoteError):
        open_card(seal(SHOP, DOMAIN, pack(body)))


def test_nothing_else_that_is_signed_is_a_card() -> None:
    values = [getattr(CARD, field.name) for field in fields(Card)]
    with pytest.raises(RemoteError, match="bad_signature"):
        open_card(seal(SHOP, "query/1", pack(values)))


def test_cards_expire() -> None:
    for now in (NOW, NOW - SKEW_MS, CARD.expires_ms):
        check_card_fresh(CARD, now)
    for now in (NOW - SKEW_MS - 1, CARD.expires_ms + 1):
        with pytest.raises(RemoteError) as caught:
            check_card_fresh(CARD, now)
        assert caught.value.reason == "expired"
