"""Sealed things and catalog heads: only the author's exact bytes open, and only as what they were sealed for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits, wire
from protocol.envelope import OVERHEAD_BYTES, open_sealed, seal
from protocol.heads import AT_MS_MAX, COUNT_MAX, HEAD_BYTES_MAX, VERSION_MAX, CatalogHead, is_fork, open_head, seal_head
from protocol.identity import Identity
from protocol.limits import RemoteError

ADA, EVE = Identity(b"a" * 32), Identity(b"e" * 32)
HEAD = CatalogHead(ADA.public, "Asolo", 3, b"r" * 32, 1373, b"f" * 32, 1_700_000_000_000)
# Frozen: heads already signed must open for ever.
FROZEN = (
    "93c420af06a3e3291714e4f356c19c9b15cd1951ec6e6662aa77be07547f289383341dc440d5588c989cad70a36dfbc8"
    "9589b40417959bc179b83ccf4343157faa5e955b831c041c08efa2b376aa41ff42cfd9eb6695fa2dad7f3bcd13b5eb95"
    "d2e0f0da0cc45896a541736f6c6f03c42072727272727272727272727272727272727272727272727272727272727272"
    "72cd055dc4206666666666666666666666666666666666666666666666666666666666666666cf0000018bcfe56800"
)


@given(st.binary(max_size=300), st.text("abc/1", max_size=8))
def test_what_is_sealed_opens_as_the_same(body: bytes, domain: str) -> None:
    opened = open_sealed(domain, seal(ADA, domain, body), 300)
    assert (opened.public, opened.body) == (ADA.public, body)
    with pytest.raises(RemoteError) as caught:
        open_sealed(domain + "x", seal(ADA, domain, body), 300)
    assert caught.value.reason == "bad_signature"


@given(st.data())
def test_any_other_byte_is_refused(data: st.DataObject) -> None:
    sealed = bytearray(seal_head(ADA, HEAD))
    place = data.draw(st.integers(0, len(sealed) - 1))
    with pytest.raises(RemoteError):
        open_head(bytes(sealed[:place]))
    with pytest.raises(RemoteError):
        open_head(bytes(sealed) + b"\0")
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteError):
        open_head(bytes(sealed))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_remote_errors_only(sealed: bytes) -> None:
    with pytest.raises(RemoteError):
        open_head(sealed)


def test_a_frozen_head_opens() -> None:
    assert seal_head(ADA, HEAD).hex() == FROZEN
    assert open_head(bytes.fromhex(FROZEN)) == HEAD


def test_someone_elses_signature_makes_someone_elses_head() -> None:
    stolen = seal(EVE, "head/1", wire.parse(seal_head(ADA, HEAD))[2])
    assert open_head(stolen) == replace(HEAD, publisher=EVE.public)
    with pytest.raises(ValueError, match="publisher"):
        seal_head(EVE, HEAD)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": VERSION_MAX + 1},
        {"version": True},
        {"version": 1.0},
        {"count": -1},
        {"count": COUNT_MAX + 1},
        {"at_ms": AT_MS_MAX + 1},
        {"root": b"r" * 31},
        {"encoder": "f" * 32},
        {"platform": ""},
        {"platform": "a\nb"},
        {"platform": "x" * (limits.ATTRIBUTE_BYTES_MAX + 1)},
        {"platform": 5},
    ],
)
def test_fields_out_of_range_are_refused_though_well_signed(change: dict[str, object]) -> None:
    body = {"platform": "Asolo", "version": 3, "root": b"r" * 32, "count": 1, "encoder": b"f" * 32, "at_ms": 1} | change
    with pytest.raises(RemoteError) as caught:
        open_head(seal(ADA, "head/1", wire.pack(list(body.values()))))
    assert caught.value.reason == "malformed"


def test_a_body_over_its_limit_is_refused() -> None:
    with pytest.raises(RemoteError) as caught:
        open_sealed("d", seal(ADA, "d", bytes(301)), 300)
    assert caught.value.reason == "too_big"
    assert len(seal(ADA, "d", bytes(300))) <= 300 + OVERHEAD_BYTES
    largest = replace(
        HEAD, platform="x" * limits.ATTRIBUTE_BYTES_MAX, version=VERSION_MAX, count=COUNT_MAX, at_ms=AT_MS_MAX
    )
    assert len(seal_head(ADA, largest)) <= HEAD_BYTES_MAX


def test_two_words_for_one_version_are_a_fork() -> None:
    assert is_fork(HEAD, replace(HEAD, root=b"s" * 32))
    assert not is_fork(HEAD, HEAD)
    assert not is_fork(HEAD, replace(HEAD, version=4, root=b"s" * 32))
    assert not is_fork(HEAD, replace(HEAD, publisher=EVE.public, root=b"s" * 32))
