"""What a sweep is to run: a TOML file, checked, to tasks in their order.

    scenarios = ["churn", "partition"]
    seeds = "0..15"                # both ends included; or a list: [0, 1, 2]
    nodes = [20, 100]              # optional; without: as many as the scenario has by itself

    [parameters]                   # optional: every combination of these lists
    loss = [0.0, 0.01]

or, instead of [parameters], a search by Optuna:

    [study]
    trials = 20
    maximise = "ndcg"              # a figure of the rows; or: minimise = "rmse"
    where = { setting = "p2p" }    # optional: only rows that say so
    seed = 0                       # optional, of the search; default 0
    parallel = 2                   # optional: trials in a batch, default 1; the batch is told before the next is asked

    [study.space]
    own_share = { low = 0.2, high = 0.8 }             # a range, whole numbers where both ends are
    rate = { low = 1e-4, high = 0.1, log = true }     # evenly by ratio
    kind = ["mean", "prior"]                          # a list: one of these

A trial runs every scenario, number of nodes and seed; its figure is the mean over all their rows that `where` selects.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from node.errors import UserError
from sim.outcome import Row
from sim.sweep_run import Task, Value
from sim.tuning import Range, Space

RUNS_MAX = 100_000
CONFIG_BYTES_MAX = 1 << 20
NODES_MAX = 1_000_000
SEED_MAX = 2**63 - 1
RANGE_MAX = 1e15
TEXT_MAX = 200
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
SEEDS = re.compile(r"([0-9]{1,18})\.\.([0-9]{1,18})")

Parameters: TypeAlias = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Study:
    """A search for the parameters with the best figure."""

    trials: int
    seed: int
    parallel: int
    figure: str
    maximise: bool
    where: Mapping[str, Value | bool]
    space: Space

    def selected(self, rows: Sequence[Row]) -> list[float]:
        """The figure in those rows that have it and that `where` selects."""
        chosen = [row.get(self.figure) for row in rows if all(row.get(name) == one for name, one in self.where.items())]
        return [float(one) for one in chosen if isinstance(one, int | float)]

    def value(self, rows: Sequence[Row]) -> float | None:
        """Their mean; None of none."""
        figures = self.selected(rows)
        return math.fsum(figures) / len(figures) if figures else None


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked config."""

    scenarios: tuple[str, ...]
    seeds: tuple[int, ...]
    nodes: tuple[int | None, ...]
    grid: Mapping[str, tuple[Value, ...]]
    study: Study | None

    @property
    def count(self) -> int:
        """How many runs; of a study at most, as a setting that is drawn again is not run again."""
        settings = self.study.trials if self.study else math.prod(map(len, self.grid.values()))
        return settings * len(self.scenarios) * len(self.nodes) * len(self.seeds)

    def settings(self) -> list[Parameters]:
        """Every combination of the grid, the last parameter quickest."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]

    def tasks(self, settings: Sequence[Parameters]) -> Iterator[Task]:
        """The runs of these settings in their order: scenario, nodes, setting, seed, the last quickest."""
        for scenario, nodes, setting, seed in itertools.product(self.scenarios, self.nodes, settings, self.seeds):
            yield Task(scenario, seed, nodes, setting)

    def document(self) -> dict[str, Any]:
        """All of it in plain values; equal for configs that mean the same."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return document


class _WrongError(Exception):
    """What is wrong with a config, without its name."""


def read_plan(path: Path) -> Plan:
    """Raises: UserError with one sentence about the first thing that is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    if len(content) > CONFIG_BYTES_MAX:
        raise UserError(f"{path} has more than {CONFIG_BYTES_MAX} bytes, so it is no config of a sweep")
    try:
        table = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not TOML: {error}") from None
    try:
        return _plan(table)
    except _WrongError as wrong:
        raise UserError(f"{path}: {wrong}") from None


def _plan(table: dict[str, Any]) -> Plan:
    _only(table, ("scenarios", "seeds", "nodes", "parameters", "study"), "the config")
    scenarios = tuple(_name(one, "scenarios") for one in _list(table, "scenarios"))
    nodes: tuple[int | None, ...] = (None,)
    if "nodes" in table:
        nodes = tuple(_whole(one, "nodes", 1, NODES_MAX) for one in _list(table, "nodes"))
    if "parameters" in table and "study" in table:
        _wrong("give [parameters] or [study], not both; a parameter that a study leaves alone is a list of one")
    study = _study(_table(table, "study")) if "study" in table else None
    given = _table(table, "parameters") if "parameters" in table else {}
    grid = {_name(name, "[parameters]"): _choices(given, name) for name in given}
    first, count, seeds = _seeds(table)
    # Counted before anything is laid out.
    parts = [len(scenarios), count, len(nodes), study.trials if study else math.prod(map(len, grid.values()))]
    if math.prod(parts) > RUNS_MAX:
        _wrong(f"that would be {math.prod(parts)} runs, and a sweep has at most {RUNS_MAX}; take fewer seeds or values")
    return Plan(scenarios, seeds or tuple(range(first, first + count)), nodes, grid, study)


def _seeds(table: dict[str, Any]) -> tuple[int, int, tuple[int, ...]]:
    """The first, how many, and the seeds themselves where they are a list."""
    given = table.get("seeds")
    if isinstance(given, str):
        found = SEEDS.fullmatch(given)
        if not found or int(found[1]) > int(found[2]):
            _wrong(f'seeds must be a list of whole numbers or a text like "0..15", not {_shown(given)}')
        return int(found[1]), int(found[2]) - int(found[1]) + 1, ()
    seeds = tuple(_whole(one, "seeds", 0, SEED_MAX) for one in _list(table, "seeds"))
    return 0, len(seeds), seeds


def _study(table: dict[str, Any]) -> Study:
    _only(table, ("trials", "maximise", "minimise", "where", "seed", "parallel", "space"), "[study]")
    aims = [name for name in ("maximise", "minimise") if name in table]
    if len(aims) != 1:
        _wrong('[study] needs one of maximise and minimise, as maximise = "ndcg"')
    if "trials" not in table:
        _wrong("[study] needs trials, as trials = 20")
    trials = _whole(table["trials"], "trials", 1, RUNS_MAX)
    where = _table(table, "where") if "where" in table else {}
    for name, one in where.items():
        if not isinstance(one, bool):
            _value(one, f"where.{name}")
    rooms = _table(table, "space") if "space" in table else {}
    if not rooms:
        _wrong("[study.space] names no parameter to search, as own_share = { low = 0.2, high = 0.8 }")
    return Study(
        trials,
        _whole(table.get("seed", 0), "[study] seed", 0, 2**32 - 1),
        _whole(table.get("parallel", 1), "parallel", 1, trials),
        _name(table[aims[0]], aims[0]),
        aims[0] == "maximise",
        where,
        {_name(name, "[study.space]"): _room(rooms, name) for name in rooms},
    )


def _room(rooms: dict[str, Any], name: str) -> Range | tuple[Value, ...]:
    if not isinstance(rooms[name], dict):
        return _choices(rooms, name)
    table = rooms[name]
    _only(table, ("low", "high", "log"), name)
    for end in ("low", "high"):
        if isinstance(_value(table.get(end), f"{name}.{end}"), str) or abs(table[end]) > RANGE_MAX:
            _wrong(f"{name}.{end} must be a number up to {RANGE_MAX:g}")
    if table["low"] >= table["high"]:
        _wrong(f"{name}: low must be below high")
    log = table.get("log", False)
    if not isinstance(log, bool):
        _wrong(f"{name}.log must be true or false")
    if log and table["low"] <= 0:
        _wrong(f"{name}: low must be above 0 where log is true")
    return Range(table["low"], table["high"], log)


def _choices(table: dict[str, Any], name: str) -> tuple[Value, ...]:
    return tuple(_value(one, name) for one in _list(table, name))


def _list(table: dict[str, Any], name: str) -> list[Any]:
    """A list that is not empty and names nothing twice."""
    given = table.get(name)
    if not isinstance(given, list):
        _wrong(f"{name} must be a list" + (f", not {_shown(given)}" if name in table else "; there is none"))
    if not given:
        _wrong(f"{name} is empty; a sweep over nothing has no runs")
    seen = set()
    for one in given:
        if isinstance(one, str | int | float) and one in seen:
            _wrong(f"{name} has {_shown(one)} twice")
        if isinstance(one, str | int | float):
            seen.add(one)
    return given


def _table(table: dict[str, Any], name: str) -> dict[str, Any]:
    given = table[name]
    if not isinstance(given, dict):
        _wrong(f"{name} must be a table, not {_shown(given)}")
    return given


def _only(table: dict[str, Any], known: Sequence[str], where: str) -> None:
    for name in table:
        if name not in known:
            _wrong(f"{where} has no {_shown(name)}; there are: {', '.join(known)}")


def _name(given: Any, where: str) -> str:
    if not isinstance(given, str) or not NAME.fullmatch(given):
        _wrong(f"{where}: {_shown(given)} is no name (letters, digits, - and _, at most 64)")
    return given


def _whole(given: Any, where: str, low: int, high: int) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not low <= given <= high:
        _wrong(f"{where} must be whole numbers from {low} to {high}, not {_shown(given)}")
    return given


def _value(given: Any, where: str) -> Value:
    """A parameter's value."""
    if isinstance(given, str) and len(given) <= TEXT_MAX:
        return given
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) < math.inf:
        _wrong(f"{where} must be finite numbers or texts of at most {TEXT_MAX} letters, not {_shown(given)}")
    if isinstance(given, int) and abs(given) > SEED_MAX:
        _wrong(f"{where} has {_shown(given)}, which is beyond 64 bits")
    return given


def _shown(given: Any) -> str:
    """A value in a sentence, and no longer than one."""
    try:
        said = repr(given)
    except ValueError:  # more digits than Python would write
        said = "a number of thousands of digits"
    return said if len(said) <= 80 else f"{said[:77]}..."


def _wrong(what: str) -> NoReturn:
    raise _WrongError(what)
