"""Keys and peer ids, against the specification's vector, RFC 8032 and cryptography itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.identity import Identity, parse_peer_id, peer_id, verify
from protocol.limits import RemoteError

seeds = st.binary(min_size=32, max_size=32)


def test_rfc_8032_vector_2() -> None:
    identity = Identity(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    assert identity.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = identity.sign(b"\x72")
    assert signature.hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")
    verify(identity.public, b"\x72", signature)


def test_a_peer_id_made_by_another_implementation() -> None:
    # The Ed25519 example of https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
    example = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
    assert peer_id(parse_peer_id(example)) == example


@given(seeds)
def test_peer_ids_go_both_ways(seed: bytes) -> None:
    identity = Identity(seed)
    assert identity.peer_id.startswith("12D3KooW")
    assert parse_peer_id(identity.peer_id) == identity.public


@given(seeds, st.binary(), st.integers(0, 511))
def test_one_flipped_bit_of_the_signature_is_refused(seed: bytes, message: bytes, bit: int) -> None:
    identity = Identity(seed)
    signature = bytearray(identity.sign(message))
    verify(identity.public, message, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RemoteError) as caught:
        verify(identity.public, message, bytes(signature))
    assert caught.value.reason == "bad_signature"


@given(st.text(max_size=80))
def test_other_texts_are_no_peer_ids(text: str) -> None:
    with pytest.raises(RemoteError):
        parse_peer_id(text)


@pytest.mark.parametrize(
    "text", ["", "1", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "1" + "2" * 51, "z" * 10_000]
)
def test_known_texts_that_are_no_ed25519_peer_ids(text: str) -> None:
    with pytest.raises(RemoteError):
        parse_peer_id(text)


def test_a_public_key_of_the_wrong_length_is_a_bad_signature() -> None:
    with pytest.raises(RemoteError):
        verify(b"short", b"", bytes(64))
