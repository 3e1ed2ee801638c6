"""One run of a sweep, as a worker does it: a task in, rows out. Light to import: workers load nothing else of it."""

from __future__ import annotations

import importlib
import json
import math
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from node.errors import UserError
from sim.outcome import Outcome, Row

Value: TypeAlias = float | int | str
#: The function that plays a scenario, as "module:function" (name, seed, nodes, parameters) -> Outcome.
PLAY = "sim.scenarios:play"


@dataclass(frozen=True, slots=True)
class Task:
    """What to play. `nodes` None: as many as the scenario has by itself."""

    scenario: str
    seed: int
    nodes: int | None
    parameters: Mapping[str, Value]

    @property
    def key(self) -> str:
        """The same text for the same task, in any process."""
        return json.dumps(asdict(self), sort_keys=True)

    def __str__(self) -> str:
        settings = [f"{name}={value}" for name, value in self.parameters.items()]
        return " ".join([self.scenario, f"seed={self.seed}", *(f"nodes={n}" for n in [self.nodes] if n), *settings])


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a task. The rows are the same in every process; the wall time is not, so it stands beside them."""

    rows: list[Row]
    broken: list[str]
    """Claims of the scenario that did not hold."""
    wall_seconds: float


class RunError(Exception):
    """Why a run failed, in one sentence. Plain text inside, so that it reaches every parent process."""


class _InOneSentence:
    """A context that says what goes wrong in it as RunError."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, UserError):
            raise RunError(str(error)) from error
        if isinstance(error, Exception | SystemExit):
            last = traceback.extract_tb(trace)[-1]
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise RunError(f"{said} ({Path(last.filename).name}, line {last.lineno})") from error


def run_one(task: Task, play: str = PLAY) -> dict[str, Any]:
    """Play a task: a `Run` as a dictionary of plain values. Raises: RunError with whatever went wrong."""
    started = time.perf_counter()
    with _InOneSentence():
        module, _, name = play.partition(":")
        function: Callable[..., Outcome] = getattr(importlib.import_module(module), name)
        outcome = function(task.scenario, task.seed, task.nodes, dict(task.parameters))
        broken = [one.claim for one in outcome.asserted if not one.held]
        return asdict(Run(_rows(task, outcome), broken, time.perf_counter() - started))


def _rows(task: Task, outcome: Outcome) -> list[Row]:
    """Each row of the outcome behind what it is of; a row for an outcome that has none."""
    head = {
        **asdict(task),
        "digest": outcome.digest,
        "events": outcome.events,
        "virtual_seconds": outcome.virtual_seconds,
        "held": outcome.held,
    }
    rows: list[Row] = _plain([{**head, **row, **head} for row in outcome.rows or [{}]])
    return rows


def _plain(value: Any) -> Any:
    """As JSON holds it: numpy's numbers as Python's, and None for what is no number."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"a row holds a {type(value).__name__}, which JSON can't")


def begin_worker(lifeline: Connection) -> None:
    """First in a local worker: it leaves when its parent lets go of `lifeline`, even by dying."""
    threading.Thread(target=_leave_at_end, args=(lifeline,), daemon=True).start()


def _leave_at_end(lifeline: Connection) -> None:
    # Readable only at its end: nothing is ever written.
    lifeline.poll(None)
    os._exit(1)
