"""Blocks as bytes, model by model; of the item-factor table, that no bytes get past the border and break a period."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.factor_table import FACTORS
from models.learning_round import Block, State, run_round
from models.shared_factors import SharedFactors, table_of
from models.shared_model import NO_MOMENTS, Crowd, SharedModel
from models.shared_models import LEARNABLE, shared_model
from node.blocks import pack_block, parse_block
from protocol import factor_rows
from tests.node.network.learning_world import BASIS, ITEMS, items_of, users_of

KEYS = (np.random.default_rng(1).permutation(ITEMS) * 7_000_000).astype(np.uint64)
USERS = users_of(items_of(0), 12, 0)


def model_of(name: str, first: int = 0) -> SharedModel:
    return shared_model(name, items_of(0), USERS[first : first + 6], BASIS, 0, keys_I=KEYS)


TABLES = [model_of("item_factors", first) for first in (0, 6)]
PACKED = pack_block(TABLES[1], TABLES[1].alone()[0], 0)


@pytest.mark.parametrize("name", LEARNABLE)
def test_a_block_comes_back_within_rounding(name: str) -> None:
    model = model_of(name)
    values_V, _ = model.alone()
    received_V = parse_block(model, pack_block(model, values_V, 0))
    assert received_V is not None and model.fits(received_V)
    scores, again = (model.take(one, Crowd(6)).scores(USERS[6:]) for one in (values_V.copy(), received_V))
    assert np.corrcoef(scores.ravel(), again.ravel())[0, 1] > 0.99
    assert parse_block(model, b"") is None and parse_block(model, PACKED[:-1]) is None


def test_both_sides_mean_the_same_size() -> None:
    assert FACTORS == factor_rows.FACTORS
    table = table_of(parse_block(TABLES[1], PACKED))  # type: ignore[arg-type]
    assert table.sums_RC.shape[1] == factor_rows.ROW["shares"].shape[0] + FACTORS


def period(packed: bytes) -> None:
    """What a node that holds a table makes of these bytes: whatever they are, finite values of its own model."""
    model = TABLES[0]
    assert isinstance(model, SharedFactors)
    values_V = parse_block(model, packed)
    for own_V in (model.start(), model.alone()[0]):
        blocks = [] if values_V is None else [Block("stranger", values_V, 3)]
        outcome = run_round(
            model, USERS[:6], State(own_V, NO_MOMENTS, 3), blocks, Crowd(12, 2), np.random.default_rng(0)
        )
        assert np.isfinite(outcome.state.values_V).all() and model.fits(outcome.state.values_V)
        assert np.isfinite(model.take(outcome.state.values_V, Crowd(12, 2)).scores(USERS)).all()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(PACKED) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes_are_refused_or_do_no_harm(changes: list[tuple[int, int]]) -> None:
    spoiled = bytearray(PACKED)
    for place, value in changes:
        spoiled[place] = value
    period(bytes(spoiled))


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(-3, 3), st.integers(0, 30))
def test_numbers_of_any_size_are_refused_or_do_no_harm(seed: int, magnitude: float, rows: int) -> None:
    """Tables of chance, from far too small to far too large, some within every bound."""
    rng, size = np.random.default_rng(seed), 10.0**magnitude
    vectors_UF = rng.normal(size=(rng.integers(0, 20), FACTORS)) * size / FACTORS**0.5
    gram_FF = vectors_UF.T @ vectors_UF / max(len(vectors_UF), 1)
    likers_R = rng.random(rows)
    taste_RF = rng.normal(size=(rows, FACTORS)) * size * likers_R[:, None] / FACTORS
    sums_RC = np.column_stack([likers_R, rng.normal(size=rows), likers_R * rng.random(rows), taste_RF])
    keys_R = np.sort(rng.permutation(KEYS)[:rows])
    period(factor_rows.pack_rows(gram_FF[np.triu_indices(FACTORS)], 0, 0, factor_rows.KEY_MAX, keys_R, sums_RC))
