"""Each number on vectors of a known make: what is honest passes, one lie of each kind fails its own check."""

from __future__ import annotations

import numpy as np
import pytest

from models.vetting import (
    BARS,
    broken_halves,
    exposure,
    exposure_ratio,
    exposure_shift,
    find_agreement,
    find_spread,
    judge,
    sample,
    twin_share,
)

DIM, N = 64, 120


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def shop(seed: int, n: int = N, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Halves of n items of eight traits, each half with its own noise, and a mean as CLIP's have."""
    ways = [rng(100 + half).normal(size=(8, DIM)) for half in (0, 1)]
    traits = rng(seed).normal(size=(n, 8))
    halves = [
        traits @ way + noise * 8**0.5 * rng(10 * seed + half).normal(size=(n, DIM)) + 2 for half, way in enumerate(ways)
    ]
    image, text = ((half / np.linalg.norm(half, axis=1, keepdims=True)).astype(np.float32) for half in halves)
    return image, text


def test_halves_are_of_unit_length_or_absent() -> None:
    image, text = shop(1)
    assert judge("halves", broken_halves(image, text)).passed
    image[:12] = 0
    assert broken_halves(image, text) == 0, "a half may be absent"
    text[:6] = 0
    text[6:12] *= 1.01
    assert broken_halves(image, text) == pytest.approx(0.1)
    assert not judge("halves", broken_halves(image, text)).passed
    assert not judge("halves", broken_halves(np.full_like(image, np.nan), text)).passed


def test_twins_are_of_other_names_and_alike_in_every_half() -> None:
    image, text = shop(1)
    names = np.arange(N)
    assert twin_share(image, text, names, rng()) == 0
    one_photo = np.repeat(image[:1], N, axis=0)
    assert twin_share(one_photo, text, names, rng()) == 0, "the words still differ"
    one_text = np.repeat(text[:1], N, axis=0)
    assert twin_share(one_photo, one_text, names, rng()) == 1
    assert twin_share(one_photo, one_text, np.zeros(N, np.int64), rng()) == 0, "one thing listed often"
    assert twin_share(np.zeros_like(image), one_text, names, rng()) == 1
    mixed = image.copy()
    mixed[1::2] = 0
    assert twin_share(mixed, one_text, names, rng()) == 1, "pictures differ, but not from those without"


def test_a_collapsed_half_has_no_spread() -> None:
    ours, theirs = shop(1), shop(2)
    honest = find_spread(ours[0], theirs[0])
    assert honest == pytest.approx(1, abs=0.1)
    jitter = ours[0][:1] + 0.02 * rng().normal(size=(N, DIM)).astype(np.float32)
    jitter /= np.linalg.norm(jitter, axis=1, keepdims=True)
    collapsed = find_spread(jitter, theirs[0])
    assert collapsed is not None and not judge("spread", collapsed).passed
    assert find_spread(ours[0][:4], theirs[0]) is None, "four items say nothing"
    assert find_spread(np.zeros_like(jitter), theirs[0]) is None, "absent"
    assert find_spread(ours[0], np.repeat(theirs[0][:1], N, axis=0)) is None, "a reference of one point"


def test_halves_of_different_things_do_not_agree() -> None:
    ours, theirs = shop(1), shop(2)
    honest = find_agreement(ours, theirs, rng())
    assert honest is not None and judge("agreement", honest).passed
    swapped = find_agreement((ours[0], np.roll(ours[1], 7, axis=0)), theirs, rng())
    constant = find_agreement((np.repeat(ours[0][:1], N, axis=0), ours[1]), theirs, rng())
    for value in (swapped, constant):
        assert value is not None and not judge("agreement", value).passed
    assert find_agreement(ours, shop(2, noise=30), rng()) is None, "an encoder that sees nothing judges nobody"
    assert find_agreement((ours[0][:4], ours[1][:4]), theirs, rng()) is None


def test_exposure_counts_places_and_forgives_few() -> None:
    mine = np.array([True, False, False, False])
    assert exposure([np.array([0, 1]), np.array([0, 2])], mine) == 0.5
    assert exposure([], mine) == 0
    assert exposure_ratio(0.25, 0.25, 1000) == 1
    assert exposure_ratio(1.0, 0.05, 300) > BARS["tastes"].limit
    assert exposure_ratio(0.1, 0.01, 10) < 1.5, "one place of ten proves nothing"
    assert exposure_shift(0.05, 0.05, 300) == 1
    assert not judge("shift", exposure_shift(0.05, 0.5, 300)).passed
    assert judge("shift", exposure_shift(0.0, 0.01, 300)).passed, "a shop that was not shown before may begin to be"


def test_bars_are_ceilings_or_floors_and_say_why() -> None:
    for name, bar in BARS.items():
        assert judge(name, bar.limit).passed
        assert judge(name, bar.limit + 1).passed != bar.most
        assert not judge(name, float("nan")).passed
        assert bar.why


def test_a_sample_repeats_and_is_bounded() -> None:
    rows = np.arange(1000)
    assert np.array_equal(sample(rows, rng(3)), sample(rows, rng(3)))
    assert len(set(sample(rows, rng(3)).tolist())) == 300
    assert set(sample(rows[:5], rng()).tolist()) == set(range(5))
