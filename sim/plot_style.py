"""How pictures look: colours, paper and ink, labels, and a figure as PNG and as SVG. A door to matplotlib."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sim.report_page import printable

# A colour that nothing else has, so that the page may put its own ink in its place.
INK = "#1d2329"
GREY = "#8a939d"
# Okabe and Ito's, told apart by colour-blind eyes, on white and on black paper; without their yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1")
DASHES = ("-", "--", ":", "-.")
# What a reader can tell apart in one picture.
POINTS_MAX = 500
LETTERS_MAX = 32

STYLE: Any = {
    "svg.hashsalt": "p2prec",
    # Names are names, whatever dollars are in them.
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    # Inches between what is drawn and the edge.
    "figure.constrained_layout.w_pad": 0.09,
    "figure.constrained_layout.h_pad": 0.09,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "none",
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture; `about` says which section of the page it belongs to."""

    about: str
    name: str
    title: str
    png: bytes
    svg: str


def new_figure(width: float, height: float, title: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(label(title, 80))
    return figure, axes


def spread(count: int) -> list[int]:
    """At most POINTS_MAX places, evenly, with both ends."""
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, POINTS_MAX))})


def label(value: Any, letters_max: int = LETTERS_MAX) -> str:
    """A label: one short line. The blank is for matplotlib, which hides labels with a leading underscore."""
    text = printable("" if value is None else value).strip()
    if len(text) > letters_max:
        # Out of the middle: keys begin alike.
        tail = letters_max // 2 - 1
        text = f"{text[: letters_max - tail - 1]}…{text[-tail:]}"
    return f" {text}" if text.startswith("_") else text


def png_of(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def svg_of(figure: Figure, name: str) -> str:
    """Without what stands before the element, with the page's ink, and with names that are unique in the page."""
    buffer = BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg ") :].replace(INK, "currentColor")
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
