"""The written rule for halves: centred, masked, never shrunk; against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fusion import (
    Items,
    centre,
    centre_items,
    similarity,
    similarity_between,
    similarity_sum,
    text_similarity,
)


def world(seed: int, n: int = 40, dim: int = 16, missing: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Unit halves off-centre, as CLIP's are, some of them missing (never both)."""
    rng = np.random.default_rng(seed)
    halves = rng.normal(size=(2, n, dim)) + 2 * rng.normal(size=(2, 1, dim))
    halves /= np.linalg.norm(halves, axis=2, keepdims=True)
    gone = rng.random(n) < missing
    side = rng.integers(0, 2, n)
    halves[side[gone], np.flatnonzero(gone)] = 0
    return halves[0].astype(np.float32), halves[1].astype(np.float32)


def plain_similarity(items: Items, a: int, b: int) -> float:
    """Rule 3, word for word."""
    total = weight = 0.0
    for half, half_weight in ((items.image_ID, items.image_weight), (items.text_ID, 1 - items.image_weight)):
        if half[a].any() and half[b].any():
            total += half_weight * float(half[a] @ half[b]) / float(np.linalg.norm(half[a]) * np.linalg.norm(half[b]))
            weight += half_weight
    return total / weight if weight else 0.0


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_similarity_is_the_masked_weighted_mean(seed: int, image_weight: float) -> None:
    items = centre_items(*world(seed), image_weight)
    rows = np.arange(len(items))
    fast = similarity(items, rows)
    assert np.allclose(similarity_between(items, rows[:3], rows), fast[:3][:, rows], atol=1e-6)
    slow = np.array([[plain_similarity(items, a, b) for b in rows] for a in rows])
    assert np.allclose(fast, slow, atol=1e-5)
    assert np.allclose(fast, fast.T, atol=1e-6)
    assert np.abs(fast).max() <= 1 + 1e-5


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.4]))
def test_a_weighted_sum_of_similarities_needs_no_table(seed: int, image_weight: float, missing: float) -> None:
    items = centre_items(*world(seed, missing=missing), image_weight)
    rng = np.random.default_rng(seed)
    rows, weights = rng.integers(0, 40, 7), rng.normal(size=7).astype(np.float32)
    assert np.allclose(similarity_sum(items, rows, weights), weights @ similarity(items, rows), atol=1e-4)


def test_a_missing_half_neither_shrinks_nor_adds() -> None:
    image, text = world(5, missing=0)
    # Item 1 is item 0 without its picture; item 2 is a picture without a text.
    image[1], text[1], text[2] = 0, text[0], 0
    items = centre_items(image, text, 0.5)
    assert similarity(items, np.array([0]))[0, 1] == pytest.approx(1, abs=1e-5)
    # A picture alone and a text alone have nothing in common to compare.
    assert similarity(items, np.array([1]))[0, 2] == 0


def test_centring_takes_the_common_part_out() -> None:
    image, text = world(9, n=500, missing=0)
    raw = float((image @ image.T)[np.triu_indices(500, 1)].mean())
    items = centre_items(image, text, 1.0)
    centred = float(similarity(items, np.arange(500))[np.triu_indices(500, 1)].mean())
    assert raw > 0.5
    assert abs(centred) < 0.05


def test_few_items_are_not_erased_by_their_own_mean() -> None:
    image, text = world(1, n=1, missing=0)
    items = centre_items(image, text, 0.5)
    assert np.allclose(np.linalg.norm(items.text_ID, axis=1), 1, atol=1e-5)
    assert text_similarity(items, text)[0, 0] > 0.4


def test_a_text_finds_the_item_it_describes_by_either_half() -> None:
    """CLIP's geometry: pictures are their texts, moved by a common gap and blurred."""
    rng = np.random.default_rng(3)
    _, text = world(3, n=60, dim=128, missing=0)
    image = text + 0.1 * rng.normal(size=text.shape[1]) + 0.03 * rng.normal(size=text.shape)
    image = (image / np.linalg.norm(image, axis=1, keepdims=True)).astype(np.float32)
    for image_weight in (0.0, 0.5, 1.0):
        found = text_similarity(centre_items(image, text, image_weight), text).argmax(axis=1)
        assert (found == np.arange(60)).mean() > 0.9, image_weight


def test_absent_rows_stay_absent_and_a_row_equal_to_the_mean_is_no_nan() -> None:
    rows = np.array([[0, 0], [1, 0], [0.6, 0.8]], np.float32)
    centred = centre(rows, np.array([1, 0], np.float32))
    assert not centred[0].any()
    assert np.isfinite(centred).all()


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_zero_to_one_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="image_weight"):
        centre_items(*world(0), weight)


def test_some_items_are_centred_as_all_were() -> None:
    rng = np.random.default_rng(3)
    halves = rng.normal(size=(2, 9, 6)).astype(np.float32)
    halves /= np.linalg.norm(halves, axis=2, keepdims=True)
    halves[0, 4] = 0
    items = centre_items(halves[0], halves[1], 0.4)
    rows = np.array([7, 4, 0])
    some = items.at(rows)
    assert len(some) == 3 and some.image_weight == 0.4
    for name in ("image_ID", "text_ID", "has_image_I", "has_text_I"):
        np.testing.assert_array_equal(getattr(some, name), getattr(items, name)[rows])
    np.testing.assert_array_equal(some.image_mean_D, items.image_mean_D)
    assert len(items.at(np.empty(0, np.int64))) == 0
