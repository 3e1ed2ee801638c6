"""Flat geometry of a picture before it is painted: outlined pieces in body units.

The unit is the height of a standing person: x = 0 is the middle, y = 0 the crown, y = 1 the soles. A piece says
what it is made of (the garment's cloth, a seam, skin of a given colour) but not where on the picture it lies or
how its cloth looks; the camera and the painter know that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from sim.vocabulary import Rgb

Point = tuple[float, float]
#: "fabric" is the patterned cloth, "plain" its colour without the pattern, "seam" its dark edge, "accent" the
#: second colour of its pattern, "trim" a colour that stands out from it.
Material = Literal["fabric", "plain", "seam", "accent", "trim"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One filled outline, or a line of `width` along the points when `width` is given.

    `angle` turns the cloth (radians), `corner` is how far corners are cut back, `volume` in [0, 1] is how much
    darker the rim is than the middle. Lengths are in body units.
    """

    points: tuple[Point, ...]
    material: Material | Rgb
    shade: float = 1.0
    angle: float = 0.0
    corner: float = 0.0
    volume: float = 0.0
    width: float | None = None


def mirrored(points: Iterable[Point]) -> tuple[Point, ...]:
    """The same points on the other side of the body."""
    return tuple((-x, y) for x, y in points)


def symmetric(half: Sequence[Point]) -> tuple[Point, ...]:
    """A closed outline from its left half, given from top to bottom with x <= 0."""
    return (*half, *mirrored(reversed(half)))


def ellipse(x: float, y: float, rx: float, ry: float, *, count: int = 20) -> tuple[Point, ...]:
    """The outline of an ellipse."""
    turns = (2 * math.pi * i / count for i in range(count))
    return tuple((x + rx * math.cos(t), y + ry * math.sin(t)) for t in turns)


def box(x0: float, y0: float, x1: float, y1: float) -> tuple[Point, ...]:
    """The outline of an upright rectangle."""
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def limb(joints: Sequence[Point], widths: Sequence[float]) -> tuple[Point, ...]:
    """The outline of a tube along `joints` with half-width `widths` at each."""
    left: list[Point] = []
    right: list[Point] = []
    for i, (x, y) in enumerate(joints):
        (xa, ya), (xb, yb) = joints[max(0, i - 1)], joints[min(len(joints) - 1, i + 1)]
        length = math.hypot(xb - xa, yb - ya) or 1.0
        nx, ny = -(yb - ya) / length * widths[i], (xb - xa) / length * widths[i]
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    return (*left, *reversed(right))


def along(a: Point, b: Point, share: float) -> Point:
    """The point `share` of the way from a to b."""
    return (a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share)


def cut_limb(joints: Sequence[Point], share: float) -> tuple[Point, ...]:
    """The first `share` of a jointed line, by length."""
    lengths = [math.dist(a, b) for a, b in pairwise(joints)]
    left = share * sum(lengths)
    kept = [joints[0]]
    for a, b, length in zip(joints, joints[1:], lengths, strict=False):
        if left <= length:
            return (*kept, along(a, b, left / length))
        kept.append(b)
        left -= length
    return tuple(kept)


def tilt(a: Point, b: Point) -> float:
    """How far the line from a down to b leans from upright, in radians."""
    return math.atan2(a[0] - b[0], b[1] - a[1])


def rounded(points: Sequence[Point], corner: float, times: int = 2) -> tuple[Point, ...]:
    """Cut every corner back by at most `corner`, twice, so that long edges stay straight."""
    outline = tuple(points)
    for _ in range(times):
        cut: list[Point] = []
        for a, b in zip(outline, (*outline[1:], outline[0]), strict=True):
            share = min(0.25, corner / (math.dist(a, b) or 1.0))
            cut += [along(a, b, share), along(a, b, 1 - share)]
        outline = tuple(cut)
        corner /= 2.5
    return outline


def bounds(pieces: Iterable[Piece]) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of everything in the pieces."""
    xs, ys = zip(*(point for piece in pieces for point in piece.points), strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def seam(*points: Point, width: float = 0.004, shade: float = 1.0) -> Piece:
    """A stitched line."""
    return Piece(tuple(points), "seam", shade=shade, width=width)


def both(piece: Piece) -> tuple[Piece, Piece]:
    """A piece and its mirror image."""
    other = replace(piece, points=mirrored(piece.points), angle=-piece.angle)
    return piece, other


def button(x: float, y: float, radius: float = 0.0045, material: Material | Rgb = "seam") -> Piece:
    """A round button."""
    return Piece(ellipse(x, y, radius, radius, count=10), material)
