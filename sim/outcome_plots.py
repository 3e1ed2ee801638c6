"""Pictures of a simulation's outcome, each as PNG (ink on white) and as SVG (in the ink of the page around it).

A door to matplotlib. Writes no file, and the same outcome gives the same bytes.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from math import ceil, isfinite
from typing import Any

import matplotlib
import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.colors import ListedColormap, LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.path import Path as Curve

from sim.outcome import Outcome, Row
from sim.plot_style import COLOURS, DASHES, GREY, INK, STYLE, Picture, label, new_figure, png_of, spread, svg_of
from sim.report_page import duration_text, printable, size_text

SETTINGS = {"isolated": GREY, "p2p": "#0072b2", "pooled": "#e69f00"}
# What is drawn of the rows: ranking and rating errors; where neither is told, the first figure there is.
FIGURES = ("ndcg", "rmse")
BOUNDS = {"floor": ("#e0483e", ":"), "ceiling": ("#009e73", "--")}

# What a reader can tell apart in one picture; the tables hold the rest.
LINES_NAMED_MAX = 12
PANELS_MAX = 12
BARS_MAX = 20
MATRIX_NODES_MAX = 60
LINKS_MAX = 400
NODES_NAMED_MAX = 16


def draw_outcome(outcome: Outcome) -> list[Picture]:
    """Everything that the outcome has to show; an empty one has nothing."""
    drawn: list[tuple[str, str, str, Figure | None]] = []
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # A letter that the font lacks, a label that leaves no room: still a picture.
        warnings.simplefilter("ignore", UserWarning)
        for figure in _figures_of(outcome.rows):
            drawn.append(("quality", f"quality-{_file_name(figure)}", figure, _quality(outcome.rows, figure)))
        for place, (title, lines) in enumerate(outcome.curves.items(), 1):
            drawn.append(("convergence", f"convergence-{place}", title, _curves(title, lines)))
        drawn.append(("bytes", "bytes-by-kind", "bytes by kind", _bytes(outcome)))
        drawn.append(("latencies", "latencies", "latencies, cumulative", _latencies(outcome.latencies_ms)))
        drawn.append(("traffic", "who-talks-to-whom", "who talks to whom", _traffic(outcome)))
        return [
            Picture(about, name, printable(title), png_of(figure), svg_of(figure, name))
            for about, name, title, figure in drawn
            if figure is not None
        ]


def _figures_of(rows: Sequence[Row]) -> list[str]:
    known = dict.fromkeys(key for row in rows for key in row if _number(row.get(key)) is not None)
    figures = [key for key in known if key not in ("setting", "model", "platform", "slice")]
    return [figure for figure in FIGURES if figure in figures] or figures[:1]


def _quality(rows: Sequence[Row], figure_name: str) -> Figure:
    """A panel for each slice and platform, a bar for each model and setting, floor and ceiling as lines across."""
    panels: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if _number(row.get(figure_name)) is not None:
            panels.setdefault((label(row.get("slice")), label(row.get("platform"))), []).append(row)
    shown = list(panels.items())[:PANELS_MAX]
    columns = min(3, len(shown), max(1, len({platform for _, platform in panels})))
    lines = ceil(len(shown) / columns)
    bars = [min(BARS_MAX, sum(not _bound(row) for row in found)) for _, found in shown]
    # Bars of one width everywhere, so a line of panels is as high as its fullest panel asks for.
    heights = [0.4 + 0.25 * max(1, *bars[at : at + columns]) for at in range(0, len(bars), columns)]
    figure = Figure(figsize=(1.6 + 4.2 * columns, 0.8 + sum(heights) + 0.5 * lines), layout="constrained")
    ratios = {"height_ratios": heights}
    grid = figure.subplots(lines, columns, sharex=True, squeeze=False, gridspec_kw=ratios).flatten()
    legend: dict[str, Any] = {}
    for axes, ((part, platform), found) in zip(grid, shown, strict=False):
        _panel(axes, found, figure_name, legend)
        axes.set_title(": ".join(word for word in (part, platform) if word))
    for axes in grid[len(shown) :]:
        axes.remove()
    more = f" (the first {PANELS_MAX} of {len(panels)} panels)" if len(panels) > PANELS_MAX else ""
    figure.supxlabel(f"{label(figure_name)}{more}", fontsize=10)
    if legend:
        order = sorted(legend, key=lambda name: [*SETTINGS, name, *BOUNDS].index(name))
        figure.legend([legend[name] for name in order], order, loc="outside upper left", ncols=6)
    return figure


def _panel(axes: Any, rows: Sequence[Row], figure_name: str, legend: dict[str, Any]) -> None:
    bars = [row for row in rows if not _bound(row)]
    for place, row in enumerate(bars[:BARS_MAX]):
        value, setting = float(row[figure_name]), label(row.get("setting"))
        low, high = (_number(row.get(f"{figure_name}_{end}")) for end in ("low", "high"))
        colour = SETTINGS.get(setting, COLOURS[2])
        drawn = axes.barh(place, value, 0.72, color=colour)
        if low is not None and high is not None and low <= value <= high:
            axes.errorbar(value, place, xerr=[[value - low], [high - value]], color=INK, capsize=2, linewidth=1)
        # Beside the panel, where no line of a bound runs through it.
        axes.annotate(f"{value:#.3g}", (1.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8)
        if setting:
            legend.setdefault(setting, drawn)
    for row in rows:
        if kind := _bound(row):
            colour, dash = BOUNDS[kind]
            legend.setdefault(kind, axes.axvline(float(row[figure_name]), color=colour, linestyle=dash, linewidth=1.5))
    left = len(bars) - BARS_MAX
    names = [", ".join(label(row.get(key)) for key in ("model", "setting") if row.get(key)) for row in bars[:BARS_MAX]]
    axes.set_yticks(range(len(names)), [name or "-" for name in names])
    axes.set_ylim(max(1, len(names)) - 0.4, -0.6)
    axes.set_ylabel(f"and {left} more in the table" if left > 0 else "")
    axes.margins(x=0.02)
    axes.grid(axis="x")
    axes.tick_params(left=False, labelbottom=True)


def _bound(row: Row) -> str:
    """Which bound the row tells of; "" for a model."""
    return next((kind for kind in BOUNDS if str(row.get("model", "")).startswith(kind)), "")


def _curves(title: str, lines: dict[str, list[tuple[float, float]]]) -> Figure | None:
    """Points over virtual time. More lines than can be named are drawn thin and stay nameless."""
    found = {name: [(x, y) for x, y in points if isfinite(x) and isfinite(y)] for name, points in lines.items()}
    found = {name: points for name, points in found.items() if points}
    if not found:
        return None
    figure, axes = new_figure(8.5, 4.2, title)
    named = len(found) <= LINES_NAMED_MAX
    for place, (name, points) in enumerate(found.items()):
        x, y = np.array([points[at] for at in spread(len(points))]).T
        look: dict[str, Any] = {"color": COLOURS[0], "alpha": 0.25, "linewidth": 0.8}
        if named:
            dash = DASHES[place // len(COLOURS) % len(DASHES)]
            look = {"color": COLOURS[place % len(COLOURS)], "linestyle": dash, "linewidth": 1.8}
        axes.plot(x, y, marker="o" if len(x) < 25 and named else "", markersize=3.5, label=label(name) or "-", **look)
    if min(y for points in found.values() for _, y in points) >= 0:
        axes.set_ylim(bottom=0)
    axes.set_xlabel("virtual seconds")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.grid()
    if named:
        figure.legend(loc="outside right upper")
    else:
        axes.set_title(f"{len(found)} lines", loc="right", fontsize=9, color=GREY)
    return figure


def _bytes(outcome: Outcome) -> Figure | None:
    kinds = sorted(outcome.bytes_by_kind.items(), key=lambda one: (-one[1], one[0]))
    if not kinds:
        return None
    if len(kinds) > BARS_MAX:
        rest = kinds[BARS_MAX - 1 :]
        kinds = [*kinds[: BARS_MAX - 1], (f"{len(rest)} other kinds", sum(size for _, size in rest))]
    figure, axes = new_figure(8.5, 1.0 + 0.32 * len(kinds), "bytes by kind")
    axes.barh(range(len(kinds)), [size for _, size in kinds], 0.7, color=COLOURS[0])
    for place, (kind, size) in enumerate(kinds):
        frames = outcome.frames_by_kind.get(kind)
        text = size_text(size) + (f" in {frames:,} frame{'s' * (frames > 1)}" if frames else "")
        axes.annotate(text, (size, place), (5, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_yticks(range(len(kinds)), [label(kind) or "-" for kind, _ in kinds])
    axes.set_ylim(len(kinds) - 0.4, -0.6)
    axes.set_xlim(0, max(1, max(size for _, size in kinds)) * 1.3)
    axes.xaxis.set_major_formatter(lambda value, _: size_text(value))
    axes.tick_params(left=False)
    axes.grid(axis="x")
    return figure


def _latencies(latencies_ms: dict[str, list[int]]) -> Figure | None:
    """Which share waited at most so long; the axis is logarithmic where waits differ by magnitudes."""
    found = {name: np.sort(waits) for name, waits in latencies_ms.items() if waits}
    if not found:
        return None
    figure, axes = new_figure(8.5, 4.2, "latencies: the share that waited no longer")
    least, most = (end(one[at] for one in found.values()) for end, at in ((min, 0), (max, -1)))
    logarithmic = most > 50 * max(1, least)
    for place, (name, waits) in enumerate(found.items()):
        at = spread(len(waits))
        x = np.maximum(waits[at], 1) if logarithmic else waits[at]
        share = 100 * (np.array(at) + 1) / len(waits)
        look: Any = {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place // len(COLOURS) % len(DASHES)]}
        # From nobody at the shortest wait to everybody at the longest.
        axes.step([x[0], *x], [0.0, *share], where="post", linewidth=1.8, label=label(name) or "-", **look)
    axes.set_xscale("log" if logarithmic else "linear")
    axes.xaxis.set_major_formatter(lambda value, _: duration_text(value))
    axes.xaxis.set_minor_formatter(lambda *_: "")
    if not logarithmic:
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="virtual time", ylabel="share of all waits", ylim=(0, 102), yticks=[0, 25, 50, 75, 95])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
    axes.grid()
    if len(found) <= LINES_NAMED_MAX:
        figure.legend(loc="outside right upper")
    return figure


def _traffic(outcome: Outcome) -> Figure | None:
    """A matrix while its lines can be named, a circle of the heaviest links beyond."""
    ends = [place + 1 for one in outcome.traffic for place in (one.sender, one.receiver)]
    if not ends:
        return None
    count = max(len(outcome.names), *ends)
    names = [label(name) for name in outcome.names] + [str(place) for place in range(len(outcome.names), count)]
    if count > MATRIX_NODES_MAX:
        return _circle(outcome, names)
    sizes = np.zeros((count, count))
    for one in outcome.traffic:
        sizes[one.sender, one.receiver] += one.bytes
    return _matrix(sizes, names)


def _matrix(sizes: Any, names: Sequence[str]) -> Figure:
    side = 3.2 + 0.16 * max(12, len(names))
    figure, axes = new_figure(side + 1.2, side, "who talks to whom: bytes sent")
    least, most = (float(end(sizes[sizes > 0], initial=start)) for end, start in ((np.min, np.inf), (np.max, 1)))
    least = min(least, most)
    # Colours that stand out from white and from black paper, which is what silent pairs are left with.
    colours = ListedColormap(matplotlib.colormaps["plasma_r"](np.linspace(0.12, 0.82, 256)))
    norm = LogNorm(least, max(most, least * 1.01))
    image = axes.imshow(np.ma.masked_less_equal(sizes, 0), cmap=colours, norm=norm, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
    ticks = np.geomspace(least, most, 5 if most > 2 * least else 1).tolist()
    bar.set_ticks(ticks, labels=[size_text(tick) for tick in ticks])
    bar.minorticks_off()
    size = 8.5 if len(names) <= 25 else 6
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set(xlabel="receiver", ylabel="sender")
    axes.spines[["top", "right"]].set_visible(True)
    return figure


def _circle(outcome: Outcome, names: Sequence[str]) -> Figure:
    """Nodes on a circle; the heavier a link, the darker its chord; the busiest nodes are named."""
    links: dict[tuple[int, int], int] = {}
    totals = np.zeros(len(names))
    for one in outcome.traffic:
        pair = (min(one.sender, one.receiver), max(one.sender, one.receiver))
        links[pair] = links.get(pair, 0) + one.bytes
        totals[[one.sender, one.receiver]] += one.bytes
    heaviest = sorted(links.items(), key=lambda one: (one[1], one[0]))[-LINKS_MAX:]
    angles = 2 * np.pi * np.arange(len(names)) / len(names)
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    shown = f"{len(names)} nodes, " + (f"the {LINKS_MAX} heaviest of " if len(links) > LINKS_MAX else "")
    figure, axes = new_figure(8, 8, f"who talks to whom: {shown}{len(links):,} links")
    chords = [_chord(places[a], places[b]) for (a, b), _ in heaviest]
    # By place in the order and not by bytes: a few links outweigh all others by far.
    colours = [to_rgba(COLOURS[0], 0.12 + 0.75 * ((place + 1) / len(heaviest)) ** 4) for place in range(len(heaviest))]
    axes.add_collection(PathCollection(chords, facecolors="none", edgecolors=colours, linewidths=1.0))
    axes.scatter(*places.T, s=3 + 90 * totals / max(1, totals.max()), color=COLOURS[1], linewidths=0, zorder=3)
    for node in _apart(np.argsort(-totals, kind="stable").tolist(), len(names)):
        turn = float(np.degrees(angles[node]))
        left = 90 < turn < 270
        look: Any = {"rotation": turn - 180 if left else turn, "ha": "right" if left else "left", "va": "center"}
        axes.text(*(1.04 * places[node]), label(names[node], 18), rotation_mode="anchor", fontsize=8, **look)
    axes.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), aspect="equal")
    axes.axis("off")
    return figure


def _chord(start: Any, end: Any) -> Curve:
    """Bent towards the middle, the more the farther apart: neighbours stay near the rim."""
    bend = 0.85 - 0.4 * float(np.linalg.norm(end - start))
    return Curve([start, bend * (start + end) / 2, end], [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3])


def _apart(nodes: Sequence[int], count: int) -> list[int]:
    """The first of these nodes whose names do not touch on the circle."""
    named: list[int] = []
    for node in nodes:
        gaps = [min((node - other) % count, (other - node) % count) for other in named]
        if len(named) < NODES_NAMED_MAX and min(gaps, default=count) * 360 / count > 2.5:
            named.append(node)
    return named


def _number(value: Any) -> float | None:
    """The value if it is a figure that can be drawn."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number) or not isfinite(value):
        return None
    return float(value)


def _file_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "figure"
