"""Hyper-parameters chosen on a part of the training set, with the same number of trials for every model.

The part is cut off as the test set was (across platforms, by time, ...), so that what is tuned for is what is judged;
the test set itself is not touched. Models that predict ratings are tuned for their error, all others for their lists.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.evaluation import ALL, judge
from models.fusion import Items
from models.leak_guard import twin_groups
from models.recommender import RatingPredictor, Recommender
from models.registry import model_class
from models.splits import Split, make_split, random_split
from node.errors import UserError
from sim.evaluation_data import World
from sim.spaces import SPACES
from sim.tuning import Params, tune

SHARE = 0.1
"""Of the training ratings, where the split itself is random."""


@dataclass(frozen=True, slots=True)
class Tuner:
    """Everything about a tuning but model and split. `trials` includes the model's defaults, which come first."""

    world: World
    items: Items
    relevant: float
    k: int
    trials: int

    def params_for(self, name: str, seed: int, split: Split) -> Params:
        """The best parameters found for a model; empty when its defaults are, or when it has none to tune.

        Raises: UserError when the training set is too small to be cut again.
        """
        space = SPACES.get(name, {})
        if not space:
            return {}
        try:
            inner = validation_split(split, seed + 1, self.world)
        except ValueError as error:
            raise UserError(f"too few ratings to hold some out for tuning ({error}); leave --trials away") from None
        by_error = issubclass(model_class(name), RatingPredictor) and not self.world.implicit

        def score(params: Params) -> float:
            model = make_model(name, seed, self.relevant, **params).fit(inner.train, self.items)
            verdict = judge(model, inner, self.relevant, self.k)
            ndcg_U = verdict.slices[ALL].figures["ndcg"]
            figure = -verdict.rmse if by_error else np.nanmean(ndcg_U) if (ndcg_U == ndcg_U).any() else 0.0
            return float(figure)

        return tune(score, space, {}, self.trials, seed).params


def validation_split(split: Split, seed: int, world: World) -> Split:
    """The training set cut once more, as it was cut from the rest. Raises: ValueError when that is impossible."""
    if split.name in ("random", "given"):
        return random_split(split.train, seed, SHARE)
    group_I = twin_groups(world.vectors_ID) if split.name == "new-item" and world.vectors_ID is not None else None
    return make_split(split.name, split.train, seed, group_I=group_I, platform_I=world.platform_I)


def make_model(name: str, seed: int, relevant: float | None = None, **params: Any) -> Recommender:
    """A model by name, seeded where it takes a seed, and told what is relevant (when given) where it asks.

    Raises: ValueError for an unknown name.
    """
    kind = model_class(name)
    takes = inspect.signature(kind.__init__).parameters
    known = {"seed": seed, "relevant": relevant}
    return kind(**{key: value for key, value in known.items() if key in takes}, **params)
