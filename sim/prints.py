"""Pictures printed on the front of a garment: badges, stars, landscapes, portraits, panels, splashes, letters.

A print is drawn in its own unit, half its width, and placed by the caller. Its inks stand out from the cloth
around it, so that a graphic garment can be told from a plain one when the picture is small.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from sim.shapes import Piece, Point, ellipse
from sim.vocabulary import Rgb

_INKS: tuple[Rgb, ...] = (
    (220, 60, 60), (250, 200, 60), (60, 120, 220), (40, 40, 44), (246, 246, 246), (80, 170, 110), (240, 130, 40),
)  # fmt: skip
#: An outline in print units and which of the two inks fills it.
Mark = tuple[Sequence[Point], int]
_SQUARE: tuple[Point, ...] = ((-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95))


def _badge(_: random.Random) -> list[Mark]:
    return [(ellipse(0, 0, 1, 1), 0), (ellipse(0, 0, 0.6, 0.6), 1)]


def _star(_: random.Random) -> list[Mark]:
    reach = (1.0, 0.45) * 5
    return [([(r * math.sin(i * math.pi / 5), -r * math.cos(i * math.pi / 5)) for i, r in enumerate(reach)], 0)]


def _landscape(_: random.Random) -> list[Mark]:
    return [(_SQUARE, 1), ([(-0.95, 0.95), (-0.4, -0.4), (0.1, 0.3), (0.5, -0.2), (0.95, 0.95)], 0)]


def _portrait(_: random.Random) -> list[Mark]:
    eyes: list[Mark] = [(ellipse(side * 0.25, -0.25, 0.12, 0.1), 1) for side in (-1, 1)]
    return [(ellipse(0, -0.2, 0.6, 0.75), 0), ([(-0.9, 1), (-0.5, 0.4), (0.5, 0.4), (0.9, 1)], 0), *eyes]


def _panel(_: random.Random) -> list[Mark]:
    return [(_SQUARE, 0), (ellipse(0, -0.1, 0.5, 0.6), 1)]


def _splash(rng: random.Random) -> list[Mark]:
    marks: list[Mark] = []
    for _ in range(9):
        x, y, r = rng.uniform(-0.9, 0.9), rng.uniform(-0.9, 0.9), rng.uniform(0.15, 0.45)
        marks.append((ellipse(x, y, r, r * rng.uniform(0.4, 1.0), count=9), rng.choice((0, 1))))
    return marks


def _letters(rng: random.Random, top: float = -0.8, lines: int = 3) -> list[Mark]:
    """Blocks as wide as letters; nothing to read."""
    marks: list[Mark] = []
    for line in range(lines):
        x, y = -1.0, top + line * 0.62
        while x < 0.9:
            step = rng.uniform(0.16, 0.36)
            marks.append((((x, y), (x + step, y), (x + step, y + 0.42), (x, y + 0.42)), 0))
            x += step + 0.09
    return marks


_KINDS: tuple[Callable[[random.Random], list[Mark]], ...] = (
    _badge, _star, _landscape, _portrait, _panel, _splash, _letters,
)  # fmt: skip


def motif(rng: random.Random, x: float, y: float, *, size: float, ground: Rgb) -> list[Piece]:
    """A print of half-width `size` with its middle at (x, y) on cloth of the colour `ground`."""
    inks = [ink for ink in _INKS if sum(abs(a - b) for a, b in zip(ink, ground, strict=True)) > 150]
    pair = rng.sample(inks, 2)
    kind = rng.choice(_KINDS)
    marks = kind(rng)
    if kind is not _letters and rng.random() < 0.4:
        marks += _letters(rng, top=1.12, lines=1)
    return [Piece(tuple((x + u * size, y + v * size) for u, v in points), pair[ink]) for points, ink in marks]
