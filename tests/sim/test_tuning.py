"""Tuning: the defaults count, the budget is kept, the search finds a plain maximum and repeats."""

from __future__ import annotations

from typing import Any

import pytest

from sim.tuning import Range, tune

SPACE = {"width": Range(1, 64), "rate": Range(1e-4, 1.0), "kind": ("a", "b")}
DEFAULTS = {"width": 8, "rate": 0.1, "kind": "a", "seed": 3}


def hill(params: dict[str, Any]) -> float:
    return -abs(params["width"] - 32) / 32 + (params["kind"] == "b") - abs(params["rate"] - 0.01)


def test_it_finds_a_hill_repeats_and_keeps_to_its_budget() -> None:
    seen: list[dict[str, Any]] = []

    def counted(params: dict[str, Any]) -> float:
        seen.append(params)
        return hill(params)

    tuned = tune(counted, SPACE, DEFAULTS, 30, 0)
    assert len(seen) == len(tuned.trials) == 30
    assert seen[0] == DEFAULTS
    assert tuned.value == max(tuned.trials) == hill(tuned.params)
    assert tuned.params["kind"] == "b"
    assert tuned.params["seed"] == 3
    assert abs(tuned.params["width"] - 32) < 16
    assert tune(hill, SPACE, DEFAULTS, 30, 0) == tuned
    assert all(isinstance(one["width"], int) and 1 <= one["width"] <= 64 for one in seen)
    assert all(1e-4 <= one["rate"] <= 1 for one in seen)


def test_defaults_that_are_best_are_kept_even_outside_the_space() -> None:
    assert (
        tune(lambda params: float(params["width"] == 100), SPACE, {**DEFAULTS, "width": 100}, 5, 0).params["width"]
        == 100
    )


def test_nothing_to_tune_is_one_trial_and_no_budget_is_a_mistake() -> None:
    assert tune(lambda params: 1.0, {}, {"seed": 1}, 9, 0).trials == [1.0]
    with pytest.raises(ValueError, match="at least one trial"):
        tune(hill, SPACE, DEFAULTS, 0, 0)
