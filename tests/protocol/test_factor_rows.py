"""Parts of an item-factor table as bytes: what comes back, what is refused, and one part frozen."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from protocol.factor_rows import (
    FACTORS,
    HEAD_BYTES,
    KEY_MAX,
    ROW,
    ROWS_MAX,
    TRIANGLE,
    pack_rows,
    parse_rows,
    row_key,
)
from protocol.limits import RemoteError
from protocol.updates import UPDATE_BYTES_MAX

keys = st.lists(st.integers(0, KEY_MAX), max_size=30, unique=True).map(lambda found: np.array(sorted(found), np.uint64))
numbers = st.floats(-1, 1, allow_subnormal=False)


@given(keys, st.data())
def test_rows_come_back_within_what_rounding_takes(keys_R: np.ndarray, data: st.DataObject) -> None:
    sums_RC = data.draw(arrays(np.float64, (len(keys_R), 3 + FACTORS), elements=numbers))
    gram_T = data.draw(arrays(np.float64, TRIANGLE, elements=numbers))
    packed = pack_rows(gram_T, 0.25, 5, KEY_MAX, keys_R, sums_RC)
    assert len(packed) == HEAD_BYTES + len(keys_R) * ROW.itemsize
    gram, least, low, last, found_R, rows_RC = parse_rows(packed)
    assert (least, low, last) == (0.25, 5, KEY_MAX) and found_R.tolist() == keys_R.tolist()
    np.testing.assert_allclose(gram, gram_T, rtol=1e-6, atol=1e-30)
    # float16 has eleven bits, and below 6e-5 fewer.
    np.testing.assert_allclose(rows_RC[:, :3], sums_RC[:, :3], rtol=1e-3, atol=6e-8)
    step_R = np.abs(sums_RC[:, 3:]).max(axis=1, initial=0) / 127
    assert (
        np.abs(rows_RC[:, 3:] - sums_RC[:, 3:]) <= 0.51 * step_R[:, None] + 127 * (1e-3 * step_R[:, None] + 6e-8)
    ).all()


def test_a_full_part_fits_into_an_update() -> None:
    packed = pack_rows(
        np.zeros(TRIANGLE), 0, 0, KEY_MAX, np.arange(ROWS_MAX, dtype=np.uint64), np.zeros((ROWS_MAX, 19))
    )
    assert UPDATE_BYTES_MAX - 1_000 < len(packed) + 500 < UPDATE_BYTES_MAX
    with pytest.raises(ValueError, match="do not fit"):
        pack_rows(np.zeros(TRIANGLE), 0, 0, 1, np.arange(ROWS_MAX + 1, dtype=np.uint64), np.zeros((ROWS_MAX + 1, 19)))


def test_a_part_is_frozen() -> None:
    sums_RC = np.arange(2 * (3 + FACTORS)).reshape(2, -1) / 64
    packed = pack_rows(np.arange(TRIANGLE) / 32, 0.5, 3, KEY_MAX, np.array([7, 2**40], np.uint64), sums_RC)
    assert hashlib.sha256(packed).hexdigest() == "a1bc21145518a148541f0b7b467651a376a41441ee74c365c6483dad4a8f7601"


def test_the_key_of_a_row_is_the_hash_of_publisher_and_item() -> None:
    digest = hashlib.sha256(b"p2prec/row/1\x00shop\x00caf\xc3\xa9").hexdigest()
    assert f"{row_key('shop', 'café'):012x}" == digest[:12]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: packed[:-1],
        lambda packed: packed[: HEAD_BYTES - 1],
        lambda packed: b"",
        lambda packed: packed + packed[-ROW.itemsize :],
        lambda packed: b"\xff" * 4 + packed[4:],
        lambda packed: packed[: 4 * TRIANGLE] + b"\x00\x00\x80\xbf" + packed[4 * TRIANGLE + 4 :],
        lambda packed: packed[: HEAD_BYTES - 12] + packed[HEAD_BYTES - 6 : HEAD_BYTES] + bytes(6) + packed[HEAD_BYTES:],
        lambda packed: packed[: HEAD_BYTES + 6] + b"\x00\x7c" + packed[HEAD_BYTES + 8 :],
        lambda packed: packed + bytes(ROW.itemsize * ROWS_MAX),
    ],
)
def test_what_is_no_part_is_refused(spoil: object) -> None:
    assert callable(spoil)
    packed = pack_rows(np.ones(TRIANGLE), 0, 0, KEY_MAX, np.array([3, 9], np.uint64), np.full((2, 19), 0.5))
    parse_rows(packed)
    with pytest.raises(RemoteError) as caught:
        parse_rows(spoil(packed))
    assert caught.value.reason == "bad_update"


@given(st.binary(max_size=HEAD_BYTES + 4 * ROW.itemsize))
def test_no_bytes_do_anything_but_be_refused_or_parsed(data: bytes) -> None:
    began = time.perf_counter()
    try:
        *_, sums_RC = parse_rows(data)
    except RemoteError as error:
        assert error.reason == "bad_update"
    else:
        assert np.isfinite(sums_RC).all()
    assert time.perf_counter() - began < 1
