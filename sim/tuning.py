"""Hyper-parameters chosen with the same budget for every model, on validation figures only. Optuna's only door.

Knows neither models nor data: it is given a function from parameters to a figure, higher is better. The first trial is
always the defaults, so that tuning never ends below them on validation data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

Params = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from low to high, both included; `log`: evenly by ratio. Whole numbers when both ends are."""

    low: float
    high: float
    log: bool = True


# name -> a range, or the values to choose from
Space = Mapping[str, Range | tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best parameters of a search, their figure, and each trial's figure in its order."""

    params: Params
    value: float
    trials: list[float]


def tune(score: Callable[[Params], float], space: Space, defaults: Params, trials: int, seed: int) -> Tuned:
    """Search `trials` settings with Optuna's TPE (Bergstra et al. 2011), the defaults first. Seeded: repeats.

    `defaults` may hold values outside the space and parameters beyond it; those go along unchanged.
    Raises: ValueError for fewer trials than one. What `score` raises is passed on.
    """
    if trials < 1:
        raise ValueError("tuning needs at least one trial")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tried: list[Params] = [dict(defaults)]
    values = [score(dict(defaults))]
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(5, trials))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(trials - 1 if space else 0):
        trial = study.ask()
        params = {**defaults, **{name: _drawn(trial, name, room) for name, room in space.items()}}
        value = score(dict(params))
        study.tell(trial, value)
        tried.append(params)
        values.append(value)
    best = max(range(len(values)), key=values.__getitem__)
    return Tuned(tried[best], values[best], values)


class Search:
    """A search that is asked for some settings at once and told their figures: the caller decides where they run.

    Seeded: the same figures in the same batches give the same settings. No defaults; every parameter is in `space`.
    """

    def __init__(self, space: Space, trials: int, seed: int, *, maximise: bool) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # constant_liar: those of one batch keep away from each other.
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(5, trials), constant_liar=True)
        self._study = optuna.create_study(direction="maximize" if maximise else "minimize", sampler=sampler)
        self._space = space
        self._asked: list[optuna.Trial] = []

    def ask(self, count: int) -> list[Params]:
        """The next batch."""
        self._asked = [self._study.ask() for _ in range(count)]
        return [{name: _drawn(trial, name, room) for name, room in self._space.items()} for trial in self._asked]

    def tell(self, figures: Sequence[float | None]) -> None:
        """What the batch gave, in its order; None: nothing."""
        for trial, figure in zip(self._asked, figures, strict=True):
            if figure is None:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(trial, figure)


def _drawn(trial: optuna.Trial, name: str, room: Range | tuple[Any, ...]) -> Any:
    if isinstance(room, tuple):
        return trial.suggest_categorical(name, list(room))
    if isinstance(room.low, int) and isinstance(room.high, int):
        return trial.suggest_int(name, room.low, room.high, log=room.log)
    return trial.suggest_float(name, room.low, room.high, log=room.log)
