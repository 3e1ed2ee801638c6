"""What a sweep says: all rows in the order of the config, what failed and why, and the best of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from node.report import Report
from sim.outcome import Row
from sim.sweep_log import ROWS, SweepLog
from sim.sweep_plan import Parameters, Plan
from sim.sweep_run import Task

LINES_MAX = 100
#: What a row is of; every other key is a figure.
WORDS = ("setting", "model", "platform", "slice")
HEAD = (*(one.name for one in fields(Task)), "digest", "events", "virtual_seconds", "held")


@dataclass(frozen=True, slots=True)
class Trial:
    """Parameters that a study tried, and what they gave; None: nothing, or not everywhere."""

    parameters: Parameters
    value: float | None


def report_of(
    plan: Plan, tasks: Mapping[str, Task], log: SweepLog, failed: Mapping[str, str], trials: list[Trial] | None
) -> Report:
    """Exit code 1 where a run failed, or a claim of a scenario did not hold."""
    runs = {key: log.runs[key] for key in tasks if key in log.runs}
    broken = [{**asdict(tasks[key]), "claims": run.broken} for key, run in runs.items() if run.broken]
    document: dict[str, Any] = {
        "runs": len(tasks),
        # In the order of the config, not of the accidents.
        "failed": [{**asdict(tasks[key]), "why": failed[key]} for key in tasks if key in failed],
        "broken": broken,
        "folder": str(log.folder),
        "wall_seconds": math.fsum(run.wall_seconds for run in runs.values()),
        "rows": [row for run in runs.values() for row in run.rows],
    }
    lines = _table(document["rows"])
    if plan.study and trials is not None:
        document["best"] = _best(trials, maximise=plan.study.maximise)
        document["trials"] = [asdict(one) for one in trials]
        lines.append(_best_line(document["best"], plan.study.figure))
    lines += [f"failed: {tasks[key]}: {failed[key]}" for key in tasks if key in failed][:LINES_MAX]
    lines += [f"did not hold: {tasks[key]}: {claim}" for key, run in runs.items() for claim in run.broken][:LINES_MAX]
    lines.append(_last_line(document, log))
    return Report(document, lines, int(bool(failed or broken)))


def figures_of(row: Row) -> dict[str, float]:
    """The numbers of a row that are not about the run itself."""
    known = (*HEAD, *WORDS)
    return {
        name: value
        for name, value in row.items()
        if name not in known and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _best(trials: list[Trial], *, maximise: bool) -> dict[str, Any] | None:
    """The first of the best; None where no trial has a figure."""
    sign = 1 if maximise else -1
    known = [(sign * one.value, -place) for place, one in enumerate(trials) if one.value is not None]
    if not known:
        return None
    place = -max(known)[1]
    return {"trial": place, **asdict(trials[place])}


def _best_line(best: dict[str, Any] | None, figure: str) -> str:
    if best is None:
        return f"no trial has a {figure}"
    settings = " ".join(f"{name}={value}" for name, value in best["parameters"].items())
    return f"best: {figure} {best['value']:.6g} with {settings} (trial {best['trial']}, the first is 0)"


def _table(rows: list[Row]) -> list[str]:
    """A line for rows that differ in nothing but their seed: the mean of each figure."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        settings = [f"{name}={value}" for name, value in row["parameters"].items()]
        nodes = [f"nodes={row['nodes']}"] if row["nodes"] else []
        words = [str(row[name]) for name in WORDS if row.get(name)]
        groups.setdefault((row["scenario"], *nodes, *settings, *words), []).append(row)
    lines = []
    for name, group in list(groups.items())[:LINES_MAX]:
        figures: dict[str, list[float]] = {}
        for row in group:
            for figure, value in figures_of(row).items():
                figures.setdefault(figure, []).append(value)
        said = ", ".join(f"{figure} {math.fsum(values) / len(values):.4g}" for figure, values in figures.items())
        seeds, held = len({row["seed"] for row in group}), sum(bool(row["held"]) for row in group)
        count = f"{seeds} seed{'s' * (seeds != 1)}"
        lines.append(f"{' '.join(name)}: {said or f'{held} of {len(group)} held'} ({count})")
    if len(groups) > LINES_MAX:
        lines.append(f"and {len(groups) - LINES_MAX} more lines; --json has all")
    return lines


def _last_line(document: dict[str, Any], log: SweepLog) -> str:
    failed, broken = len(document["failed"]), len(document["broken"])
    said = f"{document['runs']} runs, {failed} failed" + (f", {broken} did not hold" if broken else "")
    again = "; the same command runs again those that failed" if failed else ""
    return f"{said}; {document['wall_seconds']:.1f} s of one core; kept in {log.folder / ROWS}{again}"
