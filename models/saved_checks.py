"""What a saved model must be before it is believed: whoever can write the file can also write the digest that fits it.

Parameters are held against the constructor's annotations, arrays against the axes in their names, and the whole
against a few histories that it must be able to serve. What passes may still be a bad model, but it answers in numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import numpy as np
import numpy.typing as npt

from models.interactions import RATING_MAX, History
from models.recommender import Arrays, RatingPredictor, Recommender

#: Its square is the last that float32 holds, and no rating can teach a model a number near it.
NUMBER_MAX = 1e18
#: A few models keep nothing an item but the number of items; ten thousand shops' worth would be a lie.
ITEMS_MAX = 10_000_000
#: What seeds of numpy and torch may be.
INT_MAX = 2**63 - 1
#: The only parameter that speaks of ratings, which may be below 0.
SIGNED = "relevant"
#: More ratings than this tell no more about a model.
TRIED = 30
BROKEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError)
"""What numpy, scipy and torch raise of arrays that do not go together."""


def check_params(kind: type[Recommender], params: Mapping[str, Any]) -> None:
    """Raise ValueError unless a model of that class takes these parameters, each of its type and not out of bounds."""
    wanted = inspect.signature(kind.__init__, eval_str=True).parameters
    for name, value in params.items():
        if name not in wanted or wanted[name].kind is not inspect.Parameter.KEYWORD_ONLY:
            raise ValueError(f"there are parameters that {kind.name} does not know: {name}")
        if not _fits(value, wanted[name].annotation, signed=name == SIGNED):
            raise ValueError(f"the parameter {name} of {kind.name} cannot be {value!r:.40}")


def check_numbers(arrays: Arrays) -> None:
    """Raise ValueError unless every array holds flags or finite numbers of a sane size."""
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"the array {name} holds {array.dtype}")
        if array.dtype.kind != "b" and not (np.abs(array.astype(np.float64)) <= NUMBER_MAX).all():
            raise ValueError(f"the array {name} holds a number that is not finite, or beyond {NUMBER_MAX:g}")
        if array.dtype.kind == "i" and (array < 0).any():
            raise ValueError(f"the array {name} holds a row below 0")
        if name.endswith("n_items") and not (array.ndim == 0 and array <= ITEMS_MAX):
            raise ValueError(f"the array {name} is no number of items up to {ITEMS_MAX}")


def check_serves(model: Recommender, n_items: int | None = None) -> None:
    """Raise ValueError unless the model answers somebody unknown, and somebody with few and with more ratings, over
    `n_items` where that is known.
    """
    try:
        with np.errstate(all="ignore"):
            sound = _serves(model, n_items)
    except BROKEN as error:
        raise ValueError(f"the arrays do not go together in a {model.name} model of these parameters") from error
    if not sound:
        raise ValueError(f"the arrays make a {model.name} model whose answers are no finite numbers")


def _serves(model: Recommender, known: int | None) -> bool:
    n_items = model.scores([_history(0)]).shape[1]
    if known not in (None, n_items):
        raise ValueError(f"there are {n_items} items, not {known}")
    histories = [_history(n) for n in sorted({0, min(1, n_items), min(TRIED, n_items)})]
    answers: list[npt.NDArray[Any]] = [model.scores(histories)]
    if isinstance(model, RatingPredictor):
        answers.append(model.predict(histories))
        if not model.low <= model.high:
            return False
    parts = [model.contributions(one, item) for one in histories for item in range(min(1, n_items))]
    return (
        all(one.shape == (len(histories), n_items) and one.dtype == np.float32 for one in answers)
        and all(len(part) in map(len, histories) for part in parts)
        and all(bool(np.isfinite(one).all()) for one in [*answers, *parts])
    )


def _history(n: int) -> History:
    """The first n items, liked and disliked by turns, beyond doubt on any scale."""
    return History(np.arange(n), np.resize([RATING_MAX, -RATING_MAX], n).astype(np.float32))


def _fits(value: Any, wanted: Any, *, signed: bool) -> bool:
    """Whether a value out of JSON is what an annotation says."""
    origin, inside = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return True
    if origin is UnionType:
        return any(_fits(value, one, signed=signed) for one in inside)
    if origin is Sequence:
        return isinstance(value, list | tuple) and all(_fits(one, inside[0], signed=signed) for one in value)
    if origin in (Mapping, dict):
        return isinstance(value, Mapping) and all(_fits(one, inside[1], signed=signed) for one in value.values())
    if wanted is float:
        return type(value) in (int, float) and abs(value) <= NUMBER_MAX and (signed or value >= 0)
    if wanted is int:
        return type(value) is int and 0 <= value <= INT_MAX
    return type(value) is (NoneType if wanted is None else wanted)
