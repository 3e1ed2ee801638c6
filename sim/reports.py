"""What `p2prec sim run` says and leaves: a table for the terminal, JSON, PNG pictures, and one HTML page of it all."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from node.errors import UserError
from node.report import Report
from sim.outcome import Outcome, Row
from sim.report_page import Section, Table, page, printable

if TYPE_CHECKING:
    from sim.plot_style import Picture

# What a row is of; its other keys are figures.
WORDS = ("setting", "model", "platform")
SLICE = "slice"


def report(outcome: Outcome, files: Sequence[Path] = ()) -> Report:
    """What the command answers; a broken assertion is a failed check, exit code 1."""
    return Report(_document(outcome, [str(path) for path in files]), _lines(outcome, files), int(not outcome.held))


def write_report(outcome: Outcome, folder: Path) -> list[Path]:
    """`report.html`, `outcome.json` and the pictures, into a folder that is made; the same outcome, the same bytes.

    Raises: UserError if they cannot be written.
    """
    # matplotlib takes a second to load: only who wants pictures waits.
    from sim.outcome_plots import draw_outcome

    pictures = draw_outcome(outcome)
    contents = {f"{picture.name}.png": picture.png for picture in pictures}
    names = ["report.html", "outcome.json", *contents]
    document = json.dumps(_document(outcome, names), ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    contents = {"report.html": _page(outcome, pictures).encode(), "outcome.json": document.encode(), **contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise UserError(f"cannot write into the folder {folder}: {error.strerror or error}") from None
    return [folder / name for name in contents]


def replay_command(outcome: Outcome) -> str:
    """What runs it again."""
    if outcome.replay:
        return outcome.replay
    nodes = f" --nodes {outcome.nodes}" if outcome.nodes else ""
    return f"p2prec sim run {shlex.quote(outcome.scenario)}{nodes} --seed {outcome.seed}"


def _document(outcome: Outcome, files: list[str]) -> dict[str, Any]:
    document = {
        "scenario": outcome.scenario,
        "seed": outcome.seed,
        "digest": outcome.digest,
        "nodes": outcome.nodes,
        "events": outcome.events,
        "virtual_seconds": outcome.virtual_seconds,
        "wall_seconds": outcome.wall_seconds,
        "rows": outcome.rows,
        "asserted": [{"claim": one.claim, "held": one.held, "figures": one.figures} for one in outcome.asserted],
        "bytes_by_kind": outcome.bytes_by_kind,
        "frames_by_kind": outcome.frames_by_kind,
        "latencies_ms": {name: _percentiles(waits) for name, waits in outcome.latencies_ms.items()},
        "notes": outcome.notes,
        "files": files,
    }
    plain: dict[str, Any] = _plain(document)
    return plain


def _plain(value: Any) -> Any:
    """As JSON has it: no numpy, no NaN, no infinity, no half of a character."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, int):
        return value
    return str(value).encode("utf-8", "replace").decode()


def _percentiles(waits: Sequence[int]) -> dict[str, int | None]:
    """Waits that somebody did wait (nearest rank), not means of two."""
    ordered = sorted(waits)
    # -(-a // b) rounds up.
    found = {f"p{share}": ordered[-(-share * len(ordered) // 100) - 1] if ordered else None for share in (50, 95, 99)}
    return {**found, "max": ordered[-1] if ordered else None, "count": len(ordered)}


def _lines(outcome: Outcome, files: Sequence[Path]) -> list[str]:
    facts = [*_facts(outcome), ("written", ", ".join(str(path) for path in files[:1]))]
    blocks = [
        [f"scenario {printable(outcome.scenario)}, seed {outcome.seed}"],
        *(table.lines() for table in (_quality(outcome.rows), _assertions(outcome)) if table.groups),
        *(table.lines() for table in (_traffic(outcome), _latencies(outcome)) if table.groups),
        [printable(note) for note in outcome.notes],
        [f"{name:9} {printable(value)}" for name, value in facts if value],
    ]
    lines = [line for block in blocks if block for line in ["", *block]]
    return lines[1:]


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    speed = f"{outcome.events / outcome.wall_seconds:,.0f}" if outcome.wall_seconds > 0 else "-"
    virtual, wall = (_figure(_plain(seconds), 1) for seconds in (outcome.virtual_seconds, outcome.wall_seconds))
    return [
        ("nodes", f"{outcome.nodes:,}"),
        ("time", f"{virtual} virtual seconds in {wall} s"),
        ("events", f"{outcome.events:,}, {speed} events/s"),
        ("digest", outcome.digest or "-"),
        ("replay", replay_command(outcome)),
    ]


def _quality(rows: Sequence[Row]) -> Table:
    """One line a row, grouped by slice; columns that say nothing anywhere are left out."""
    plain: list[Row] = _plain(list(rows))
    words = [word for word in WORDS if any(row.get(word) not in (None, "") for row in plain)]
    # In the order of the rows that tell most: bounds tell little.
    keys = dict.fromkeys(key for row in sorted(plain, key=lambda row: -len(row)) for key in row)
    figures = [key for key in keys if key not in (*WORDS, SLICE) and any(row.get(key) is not None for row in plain)]
    columns = {key: _figures([row.get(key) for row in plain]) for key in figures}
    groups: dict[str, list[list[str]]] = {}
    for place, row in enumerate(plain):
        cells = [printable(_or(row.get(word), "-")) for word in words]
        cells += [columns[key][place] for key in figures]
        groups.setdefault(printable(_or(row.get(SLICE), "")), []).append(cells)
    return Table([*words, *map(printable, figures)], list(groups.items()), len(words))


def _or(value: Any, otherwise: str) -> str:
    return otherwise if value in (None, "") else str(value)


def _figures(values: list[Any]) -> list[str]:
    """A column with as many digits as its greatest figure asks for, the same in every line."""
    numbers = [abs(value) for value in values if isinstance(value, int | float)]
    greatest = max(numbers, default=0)
    if all(isinstance(value, int) for value in numbers) or (greatest > 1 and all(value % 1 == 0 for value in numbers)):
        digits = 0
    else:
        digits = 1 if greatest >= 1000 else 2 if greatest >= 10 else 4
    return [_figure(value, digits) for value in values]


def _figure(value: Any, digits: int) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        # A figure that is not 0 does not look like 0.
        return f"{value:.1e}" if value and abs(value) < 0.5 * 10.0**-digits else f"{value:,.{digits}f}"
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _assertions(outcome: Outcome) -> Table:
    rows = [
        ["HELD" if one.held else "BROKEN", printable(one.claim), printable(one.figures)] for one in outcome.asserted
    ]
    return Table(["", "asserted", "figures"], [("", rows)] if rows else [], 3, marked=True)


def _traffic(outcome: Outcome) -> Table:
    """The heaviest kind first."""
    weights = outcome.bytes_by_kind
    kinds = sorted(dict.fromkeys([*weights, *outcome.frames_by_kind]), key=lambda kind: (-weights.get(kind, 0), kind))
    total = sum(weights.values())
    rows = [_kind(kind, outcome.frames_by_kind.get(kind), weights.get(kind, 0), total) for kind in kinds]
    if len(rows) > 1:
        rows.append(_kind("all", sum(outcome.frames_by_kind.values()) or None, total, total))
    return Table(["kind", "frames", "bytes", "share", "bytes/frame"], [("", rows)] if rows else [])


def _kind(name: str, frames: int | None, size: int, total: int) -> list[str]:
    share = f"{100 * size / total:.1f} %" if total else "-"
    return [printable(name), _figure(frames, 0), f"{size:,}", share, f"{size / frames:,.0f}" if frames else "-"]


def _latencies(outcome: Outcome) -> Table:
    rows = []
    for name, waits in outcome.latencies_ms.items():
        found = _percentiles(waits)
        rows.append([printable(name), *(_figure(found[key], 0) for key in ("count", "p50", "p95", "p99", "max"))])
    return Table(["waited for (ms)", "count", "p50", "p95", "p99", "max"], [("", rows)] if rows else [])


def _page(outcome: Outcome, pictures: Sequence[Picture]) -> str:
    """The sections of the HTML report; one that has nothing to tell says so."""
    broken = sum(not one.held for one in outcome.asserted)
    number = len(outcome.asserted)
    verdict = "Nothing was asserted." if not number else f"All {number} assertions held."
    if broken:
        verdict = f"{broken} of {number} assertions broke."
    sections = [
        Section("What was run", facts=[("scenario", outcome.scenario), ("seed", str(outcome.seed)), *_facts(outcome)]),
        _section("What was asserted", "", _assertions(outcome)),
        _section(
            "Quality",
            "A row that starts with floor is what chance reaches, one that starts with ceiling the best that anybody "
            "can; pictures show both as lines. A dash: not measured.",
            _quality(outcome.rows),
            [picture for picture in pictures if picture.about == "quality"],
        ),
        _section("Convergence", "", None, [picture for picture in pictures if picture.about == "convergence"]),
        _section(
            "Bytes by kind",
            "All frames that were sent, by what they carry.",
            _traffic(outcome),
            [picture for picture in pictures if picture.about == "bytes"],
        ),
        _section(
            "Latencies",
            "In virtual milliseconds; the curve tells which share waited no longer.",
            _latencies(outcome),
            [picture for picture in pictures if picture.about == "latencies"],
        ),
        _section("Who talks to whom", "", None, [picture for picture in pictures if picture.about == "traffic"]),
        Section("Notes", outcome.notes or ["Nothing was noted."]),
    ]
    return page(f"{outcome.scenario}, seed {outcome.seed}", verdict, outcome.held if number else None, sections)


def _section(title: str, sentence: str, table: Table | None, pictures: Sequence[Picture] = ()) -> Section:
    tables = [table] if table is not None and table.groups else []
    if not tables and not pictures:
        return Section(title, ["Nothing was recorded."])
    svgs = [(picture.title, picture.svg) for picture in pictures]
    return Section(title, [sentence] if sentence else [], tables=tables, pictures=svgs)
