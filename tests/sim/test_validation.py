"""Tuning on validation data: every parameter exists, the test set stays out of it, and the cut is of the same kind."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest

from models.interactions import Interactions
from models.registry import MODELS, model_class
from models.splits import NAMES, Split, make_split, random_split
from sim.evaluation_data import World
from sim.spaces import SPACES
from sim.tuning import Range
from sim.validation import Tuner, make_model, validation_split

PLATFORM_I = np.arange(40) % 2


def world(seed: int = 0) -> World:
    """Two kinds of users and of items: each kind of user likes one kind of item, and rates half of everything."""
    rng = np.random.default_rng(seed)
    users, items = np.nonzero(rng.random((60, 40)) < 0.5)
    values = np.where(users % 3 == items % 3, 5, rng.integers(1, 4, len(users))).astype(np.float32)
    at = rng.permutation(len(users)).astype(np.int64)
    ratings = Interactions(users, items, values, 60, 40, at, (1.0, 5.0))
    names = [str(one) for one in range(60)]
    return World(names, names[:40], ratings, None, False, None, PLATFORM_I, ["a", "b"], {}, [])


def test_every_space_speaks_of_parameters_that_the_model_has() -> None:
    assert set(SPACES) <= set(MODELS)
    for name, space in SPACES.items():
        defaults = inspect.signature(model_class(name).__init__).parameters
        for parameter, room in space.items():
            start = defaults[parameter].default
            if isinstance(room, Range) and start is not None:
                assert start == 0 or room.low <= start <= room.high, (name, parameter)
            elif not isinstance(room, Range):
                assert start in room, (name, parameter)


@pytest.mark.parametrize("name", NAMES)
def test_the_validation_part_is_cut_alike_and_never_from_the_test_set(name: str) -> None:
    whole = world()
    split = make_split(name, whole.ratings, 1, platform_I=PLATFORM_I)
    inner = validation_split(split, 2, whole)
    assert inner.name == split.name

    def pairs(ratings: Interactions) -> set[tuple[int, int]]:
        return set(zip(ratings.users.tolist(), ratings.items.tolist(), strict=True))

    assert pairs(inner.train) | pairs(inner.given) | pairs(inner.test) <= pairs(split.train)
    assert not pairs(inner.train) & pairs(inner.test)


def test_tuning_sees_only_the_training_set_and_repeats() -> None:
    """What is chosen is the same whatever the test set says."""
    whole = world()
    split = random_split(whole.ratings, 1)
    upside_down = replace(split, test=replace(split.test, values=6 - split.test.values))
    tuner = Tuner(whole, whole.model_items(), 4.0, 5, 6)
    assert tuner.params_for("item_knn", 3, split) == tuner.params_for("item_knn", 3, upside_down)


def test_what_is_chosen_is_the_best_on_validation_data() -> None:
    """A bad start in reach of better ones is left, and the better one holds on the test set."""
    whole = world()
    split = random_split(whole.ratings, 1)
    chosen = Tuner(whole, whole.model_items(), 4.0, 5, 12).params_for("low_rank", 3, split)

    def error(params: dict[str, float]) -> float:
        model = make_model("low_rank", 3, 4.0, **params).fit(split.train, whole.model_items())
        said = model.predict(split.train.histories())[split.test.users, split.test.items]  # type: ignore[attr-defined]
        return float(np.sqrt(((said - split.test.values) ** 2).mean()))

    assert chosen
    assert error(chosen) < error({})


def test_nothing_to_tune_is_the_defaults_and_a_tiny_set_is_said() -> None:
    whole = world()
    split = random_split(whole.ratings, 1)
    assert Tuner(whole, whole.model_items(), 4.0, 5, 5).params_for("most_liked", 0, split) == {}
    one = replace(
        split.train, users=split.train.users[:1], items=split.train.items[:1], values=split.train.values[:1], at=None
    )
    with pytest.raises(Exception, match="too few ratings to hold some out"):
        Tuner(whole, whole.model_items(), 4.0, 5, 5).params_for("ease", 0, Split("random", one, one, split.test))
