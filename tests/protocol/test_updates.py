"""Model updates and their values as bytes: what round-trips, what is refused, and that no hostile bytes get through."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protocol import wire
from protocol.envelope import OVERHEAD_BYTES, seal
from protocol.identity import Identity
from protocol.limits import REASONS, SKEW_MS, RemoteError
from protocol.updates import (
    DOMAIN,
    UPDATE_BYTES_MAX,
    ModelUpdate,
    check_update_time,
    open_update,
    seal_update,
)
from protocol.weights import CHUNK, pack_weights, parse_weights, weights_bytes

ME = Identity(bytes(range(32)))
UPDATE = ModelUpdate(
    ME.public, "taste_prior", "phi-1/tiny-128", b"\xab" * 32, 3, 1_700_000_000_000, 5, 8_000, b"values"
)

sections = st.lists(
    arrays(np.float64, st.integers(0, 200), elements=st.floats(-1e6, 1e6, allow_subnormal=False)),
    min_size=1,
    max_size=4,
)


@given(sections)
def test_values_come_back_within_half_a_step(given_sections: list[np.ndarray]) -> None:
    lengths = [len(one) for one in given_sections]
    packed = pack_weights(given_sections)
    assert len(packed) == weights_bytes(lengths)
    for before_S, after_S in zip(given_sections, parse_weights(packed, lengths), strict=True):
        for at in range(0, len(before_S), CHUNK):
            before_C, after_C = before_S[at : at + CHUNK], after_S[at : at + CHUNK]
            # Half a step, and what float32 rounds off the scale; below float32's own range all is 0.
            assert np.abs(before_C - after_C).max() <= np.abs(before_C).max() / 127 * 0.501 + 1e-35


@given(sections)
def test_what_was_sent_once_is_sent_again_unchanged(given_sections: list[np.ndarray]) -> None:
    lengths = [len(one) for one in given_sections]
    once = parse_weights(pack_weights(given_sections), lengths)
    twice = parse_weights(pack_weights(once), lengths)
    for one, other in zip(once, twice, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-35)


@given(st.binary(max_size=300), st.lists(st.integers(0, 100), max_size=3))
def test_any_bytes_are_finite_values_or_refused(packed: bytes, lengths: list[int]) -> None:
    try:
        values = parse_weights(packed, lengths)
    except RemoteError as error:
        assert error.reason == "bad_update"
    else:
        assert [len(one) for one in values] == lengths
        assert all(np.isfinite(one).all() for one in values)


@pytest.mark.parametrize("scale", [np.nan, np.inf, -1.0, 1e7])
def test_a_scale_that_is_no_scale_is_refused(scale: float) -> None:
    with pytest.raises(RemoteError, match="bad_update"):
        parse_weights(np.float32(scale).tobytes() + b"\x01", [1])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_what_can_not_travel_is_not_packed(value: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        pack_weights([np.array([1.0, value])])


def test_an_update_comes_back_as_it_was() -> None:
    assert open_update(seal_update(ME, UPDATE)) == UPDATE


def test_the_largest_update_fits_and_a_larger_one_does_not() -> None:
    room = UPDATE_BYTES_MAX - OVERHEAD_BYTES - len(seal_update(ME, UPDATE)) + OVERHEAD_BYTES + len(UPDATE.values) - 8
    assert open_update(seal_update(ME, replace(UPDATE, values=bytes(room)))).values == bytes(room)
    with pytest.raises(RemoteError, match="too_big"):
        open_update(seal_update(ME, replace(UPDATE, values=bytes(UPDATE_BYTES_MAX - 1))))


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"model": "é"},
        {"model": "m" * 49},
        {"features": 7},
        {"encoder": b"short"},
        {"age": -1},
        {"age": True},
        {"made_ms": 2**63},
        {"users_log2": 21},
        {"epsilon_milli": 1.5},
        {"values": b""},
        {"values": "text"},
    ],
    ids=str,
)
def test_a_field_that_breaks_a_rule_is_refused_on_both_sides(wrong: dict[str, object]) -> None:
    update = replace(UPDATE, **wrong)
    with pytest.raises(RemoteError, match="malformed"):
        seal_update(ME, update)
    with pytest.raises(RemoteError, match="malformed"):
        open_update(seal(ME, DOMAIN, wire.pack(list(astuple(update))[1:])))


def test_an_update_is_signed_by_its_source_alone() -> None:
    with pytest.raises(ValueError, match="source"):
        seal_update(Identity(b"\1" * 32), UPDATE)
    sealed = bytearray(seal_update(ME, UPDATE))
    sealed[-1] ^= 1
    with pytest.raises(RemoteError, match="bad_signature"):
        open_update(bytes(sealed))


def test_a_seal_for_something_else_is_no_update() -> None:
    with pytest.raises(RemoteError, match="bad_signature"):
        open_update(seal(ME, "head/1", wire.pack(list(astuple(UPDATE))[1:])))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_update_or_a_remote_error(packed: bytes) -> None:
    with pytest.raises(RemoteError) as caught:
        open_update(packed)
    assert caught.value.reason in REASONS


def test_an_update_from_the_future_is_of_another_time() -> None:
    check_update_time(UPDATE, UPDATE.made_ms - SKEW_MS)
    with pytest.raises(RemoteError, match="expired"):
        check_update_time(UPDATE, UPDATE.made_ms - SKEW_MS - 1)
