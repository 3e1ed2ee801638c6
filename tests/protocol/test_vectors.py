"""Vectors as int8: the direction survives, absence survives, and damage is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocol.limits import RemoteError
from protocol.vectors import pack_vectors, parse_vectors


def unit(rows_ID: np.ndarray) -> np.ndarray:
    return (rows_ID / np.maximum(np.linalg.norm(rows_ID, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def test_the_cosine_to_the_original_stays_above_0_9998() -> None:
    rng = np.random.default_rng(3)
    image, text = unit(rng.normal(size=(500, 512))), unit(rng.standard_t(3, size=(500, 512)))
    image_back, text_back = parse_vectors(pack_vectors(image, text), 512)
    assert (image * image_back).sum(axis=1).min() > 0.9998
    # Heavy tails waste levels on one large number; CLIP has such dimensions too.
    assert (text * text_back).sum(axis=1).min() > 0.995
    assert np.allclose(np.linalg.norm(image_back, axis=1), 1, atol=1e-6)


halves = hnp.arrays(np.float32, (3, 8), elements=st.floats(-1, 1, width=32))


@given(halves, halves)
def test_quantising_twice_changes_nothing(image: np.ndarray, text: np.ndarray) -> None:
    text[:, 0] = 1
    image, text = unit(image), unit(text)
    once = pack_vectors(image, text)
    assert pack_vectors(*parse_vectors(once, 8)) == once


def test_a_missing_half_stays_missing() -> None:
    text = unit(np.random.default_rng(0).normal(size=(2, 512)))
    image_back, text_back = parse_vectors(pack_vectors(np.zeros((2, 512), np.float32), text), 512)
    assert not image_back.any()
    assert np.allclose((text_back * text).sum(axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("packed", [bytes(16), b"\x01" * 15, b"\x01" * 17, b""])
def test_wrong_lengths_and_empty_items_are_refused(packed: bytes) -> None:
    with pytest.raises(RemoteError) as caught:
        parse_vectors([packed], 8)
    assert caught.value.reason == "bad_vector"


def test_not_a_number_never_gets_as_far_as_bytes() -> None:
    with pytest.raises(ValueError, match="NaN"):
        pack_vectors(np.full((1, 8), np.nan, np.float32), np.ones((1, 8), np.float32))


def test_nothing_packs_to_nothing() -> None:
    empty = np.empty((0, 8), np.float32)
    assert pack_vectors(empty, empty) == []
    assert parse_vectors([], 8)[0].shape == (0, 8)
