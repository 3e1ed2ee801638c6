"""Taste cards: what is on one, and that it ranks as the taste does that it was made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import PortableTaste, priced
from models.fusion import centre_items
from node.cards import MIX, MIX_MAX, pack_taste, parse_taste
from protocol.card import MIX_BYTES, Card
from protocol.limits import RemoteError

DIM, ITEMS = 32, 200


def card_of(vector: bytes, mix: bytes) -> Card:
    return Card(b"f" * 32, vector, mix, b"n" * 16, 0, 1, "yes", 0.0)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(0.01, 3))
def test_a_taste_comes_back_from_its_card_but_for_its_length(seed: int, text: float, price: float) -> None:
    """The oracle is the taste before it was rounded: what it likes best the card likes best."""
    rng = np.random.default_rng(seed)
    halves = rng.normal(size=(2, ITEMS, DIM)).astype(np.float32)
    items = priced(centre_items(*halves, 0.3), rng.normal(size=ITEMS).astype(np.float32))
    image_D, text_D = rng.normal(size=(2, DIM)).astype(np.float32) / DIM**0.5
    taste = PortableTaste(image_D, np.float32(text) * text_D, np.float32(price) * rng.normal(size=2).astype(np.float32))
    vector, mix = pack_taste(taste)
    assert len(mix) == MIX_BYTES
    back = parse_taste(card_of(vector, mix), DIM)
    before_I, after_I = taste.scores(items), back.scores(items)
    assert np.corrcoef(before_I, after_I)[0, 1] > 0.999


def test_a_half_that_counts_for_little_is_not_one_that_is_missing() -> None:
    ones = np.ones(DIM, np.float32)
    taste = PortableTaste(1e-8 * ones, ones, np.zeros(2, np.float32))
    assert np.frombuffer(pack_taste(taste)[1], MIX).tolist() == [1, MIX_MAX, 0, 0]
    none = PortableTaste(0 * ones, ones, np.zeros(2, np.float32))
    assert np.frombuffer(pack_taste(none)[1], MIX).tolist() == [0, MIX_MAX, 0, 0]


def test_prices_are_on_a_card() -> None:
    """Two things that differ in their price alone: the card of who likes the dear one ranks it first."""
    half = np.tile(np.eye(DIM, dtype=np.float32)[:1], (4, 1))
    items = priced(centre_items(half, half, 0.3), np.array([-1, 1, 0, 0], np.float32))
    taste = PortableTaste(half[0], half[0], np.array([0.5, 0], np.float32))
    scores_I = parse_taste(card_of(*pack_taste(taste)), DIM).scores(items)
    assert scores_I[1] > scores_I[2] == scores_I[3] > scores_I[0]


def test_a_card_of_another_size_is_refused() -> None:
    vector, mix = pack_taste(PortableTaste(*np.ones((2, DIM), np.float32), np.zeros(2, np.float32)))
    with pytest.raises(RemoteError, match="bytes"):
        parse_taste(card_of(vector, mix), DIM + 1)
