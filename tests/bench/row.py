"""One figure beside its yardstick, and how pairs of runs are taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`ratio` is ours / yardstick; `goal` says what it should be."""

    name: str
    ours: float
    yardstick: float
    ratio: float
    unit: str
    goal: str | None = None


def seconds_of(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def alternate(ours: Callable[[], float], yardstick: Callable[[], float], times: int) -> tuple[float, float, float]:
    """Medians of both and of their ratios, run by turns so that a slow minute hits both."""
    pairs = [(ours(), yardstick()) for _ in range(times)]
    return (
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
        statistics.median(pair[0] / pair[1] for pair in pairs),
    )
