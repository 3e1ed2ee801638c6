"""What a node learned as bytes for others, and others' bytes as values: where the models meet the protocol."""

from __future__ import annotations

import numpy as np

from models.factor_table import FactorTable
from models.shared_factors import TRIANGLE, SharedFactors
from models.shared_model import DenseModel, InvalidBlockError, SharedModel
from protocol.factor_rows import FACTORS, ROWS_MAX, pack_rows, parse_rows
from protocol.limits import RemoteError
from protocol.weights import Values, pack_weights, parse_weights


def pack_block(model: SharedModel, values_V: Values, chance: int) -> bytes:
    """As it is sent; of an item-factor table the part that `chance` draws. Raises: ValueError for what can't travel."""
    if isinstance(model, SharedFactors):
        part = model.part(values_V, ROWS_MAX, chance)
        return pack_rows(part.gram_FF[TRIANGLE], part.least, part.low, part.high - 1, part.keys_R, part.sums_RC)
    assert isinstance(model, DenseModel)
    return pack_weights(model.send(values_V))


def parse_block(model: SharedModel, packed: bytes) -> Values | None:
    """What an honest node could have sent, or None."""
    try:
        if isinstance(model, SharedFactors):
            return model.receive_part(_part(packed))
        assert isinstance(model, DenseModel)
        return model.receive(parse_weights(packed, model.sections))
    # The last two are what algebra raises of numbers that it can do nothing with.
    except (InvalidBlockError, RemoteError, ValueError, ArithmeticError):
        return None


def _part(packed: bytes) -> FactorTable:
    """Raises: RemoteError."""
    gram_T, least, low, last, keys_R, sums_RC = parse_rows(packed)
    gram_FF = np.zeros((FACTORS, FACTORS))
    gram_FF[TRIANGLE] = gram_T
    return FactorTable(keys_R, sums_RC, gram_FF + np.triu(gram_FF, 1).T, low, last + 1, least)
