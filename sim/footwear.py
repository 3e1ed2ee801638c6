"""Outlines of shoes from the side: sneakers, boots, formal shoes, heels and sandals.

A shoe has its own unit, its length: the heel is at x = -0.5, the toe at x = 0.5, the ground at y = 0. `pair`
places one or two of them; `feet` stands them below a pair of trouser legs, as shops photograph worn shoes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from sim.shapes import Piece, Point, button, ellipse
from sim.vocabulary import Garment, Rgb

_DARK_SOLES: tuple[Rgb, ...] = ((40, 32, 28), (28, 26, 26), (90, 66, 44))
_LIGHT_SOLES: tuple[Rgb, ...] = ((244, 244, 244), (226, 222, 212), (60, 60, 64), (196, 150, 100))
_INSOLES: tuple[Rgb, ...] = ((214, 186, 148), (180, 140, 100), (60, 52, 48), (236, 226, 210))
#: Middle and width of the bands across a sandal.
_BANDS = ((0.22, 0.16), (-0.05, 0.1))


def sneaker(rng: random.Random) -> list[Piece]:
    """A padded collar, laces, a thick sole, a flash on the side."""
    high = rng.uniform(0.0, 0.06)
    upper = (
        (-0.46, -0.1), (-0.47, -0.3 - high), (-0.4, -0.35 - high), (-0.3, -0.31 - high),
        (-0.2, -0.33 - high), (-0.1, -0.3),
        (0.1, -0.2), (0.3, -0.155), (0.42, -0.13), (0.47, -0.07), (0.46, -0.03), (-0.46, -0.03),
    )  # fmt: skip
    lift = rng.uniform(0.075, 0.11)
    sole = (
        (-0.5, -lift),
        (-0.2, -lift + 0.01),
        (0.1, -lift + 0.02),
        (0.44, -lift + 0.005),
        (0.5, -0.06),
        (0.44, 0.0),
        (-0.46, 0.0),
        (-0.51, -0.03),
    )
    pieces = [
        Piece(((-0.4, -0.33 - high), (-0.3, -0.29 - high), (-0.2, -0.31 - high), (-0.27, -0.25)), "seam", shade=0.8),
        Piece(upper, "fabric", corner=0.03, volume=0.32),
        Piece(((0.22, -0.165), (0.42, -0.13), (0.47, -0.06), (0.26, -0.06)), "plain", shade=0.88, corner=0.02),
        Piece(sole, rng.choice(_LIGHT_SOLES), corner=0.02, volume=0.15),
        Piece(((-0.46, -0.1), (-0.46, -0.27), (-0.38, -0.25), (-0.33, -0.1)), "plain", shade=0.82),
    ]
    for i in range(4):
        x, y = -0.13 + i * 0.072, -0.305 + i * 0.033
        pieces.append(Piece(((x, y), (x + 0.045, y + 0.05)), "trim", width=0.018))
    flash: dict[str, Sequence[Point]] = {
        "curve": ((-0.28, -0.14), (-0.12, -0.1), (0.1, -0.19), (-0.1, -0.14)),
        "bars": ((-0.2, -0.26), (-0.14, -0.26), (-0.04, -0.09), (-0.1, -0.09)),
    }
    kind = rng.choice(("curve", "bars", "none"))
    if kind != "none":
        pieces.append(Piece(tuple(flash[kind]), "accent"))
    if kind == "bars":
        pieces.append(Piece(tuple((x + 0.1, y + 0.01) for x, y in flash["bars"]), "accent"))
    return pieces


def boot(rng: random.Random) -> list[Piece]:
    """A shaft above the ankle, laces or a zip, a sturdy sole with a heel."""
    tall = rng.choice((0.55, 0.62, 0.75, 0.95))
    width = 0.0 if tall < 0.7 else 0.03
    upper = (
        (-0.44 - width, -tall), (-0.06 + width, -tall), (-0.09, -0.36), (0.12, -0.26), (0.36, -0.2), (0.46, -0.12),
        (0.46, -0.06), (-0.44, -0.06), (-0.4, -0.3),
    )  # fmt: skip
    sole = ((-0.45, -0.085), (0.47, -0.085), (0.48, -0.035), (-0.1, -0.03), (-0.14, 0.0), (-0.44, 0.0))
    pieces = [Piece(upper, "fabric", corner=0.025, volume=0.32), Piece(sole, rng.choice(_DARK_SOLES), corner=0.008)]
    if rng.random() < 0.6:
        steps = [(-0.13 + 0.02 * (i % 2) + max(0, i - 3) * 0.04, -tall + 0.06 + i * (tall - 0.3) / 5) for i in range(6)]
        pieces += [Piece(((x, y), (x + 0.075, y - 0.015)), "trim", width=0.016) for x, y in steps]
    else:
        pieces.append(Piece(((-0.26, -tall + 0.02), (-0.25, -0.12)), "seam", width=0.014))
    cuff = (
        (-0.45 - width, -tall - 0.01),
        (-0.05 + width, -tall - 0.01),
        (-0.055 + width, -tall + 0.045),
        (-0.445 - width, -tall + 0.045),
    )
    return [*pieces, Piece(cuff, "plain", shade=0.78)]


def formal_shoe(rng: random.Random) -> list[Piece]:
    """A low leather shoe with a thin sole, laced, strapped or slipped on."""
    upper = (
        (-0.46, -0.04), (-0.48, -0.2), (-0.42, -0.25), (-0.3, -0.21), (-0.18, -0.225), (-0.06, -0.24),
        (0.1, -0.17), (0.32, -0.12),
        (0.48, -0.07), (0.5, -0.035), (0.3, -0.03),
    )  # fmt: skip
    sole = ((-0.48, -0.055), (-0.22, -0.05), (0.5, -0.045), (0.5, -0.02), (-0.16, -0.015), (-0.18, 0.0), (-0.47, 0.0))
    pieces = [
        Piece(
            ((-0.42, -0.245), (-0.3, -0.2), (-0.18, -0.215), (-0.06, -0.24), (-0.2, -0.16), (-0.36, -0.16)),
            (64, 50, 42),
        ),
        Piece(upper, "fabric", corner=0.025, volume=0.34),
        Piece(sole, rng.choice(_DARK_SOLES), corner=0.006),
    ]
    kind = rng.choice(("laces", "strap", "apron"))
    if kind == "laces":
        pieces += [
            Piece(((-0.1 + i * 0.05, -0.235 + i * 0.02), (-0.06 + i * 0.05, -0.19 + i * 0.015)), "seam", width=0.014)
            for i in range(3)
        ]
    elif kind == "strap":
        pieces += [
            Piece(((-0.06, -0.24), (0.04, -0.2), (-0.02, -0.06), (-0.1, -0.06)), "plain", shade=0.76),
            button(-0.03, -0.15, 0.022, (200, 190, 160)),
        ]
    else:
        pieces.append(Piece(((-0.04, -0.17), (0.16, -0.11), (0.38, -0.085)), "seam", width=0.01))
    return pieces


def heel(rng: random.Random) -> list[Piece]:
    """A pump on a high heel, or a strapped sandal on one."""
    rise = rng.uniform(0.3, 0.42)
    arch = ((-0.42, -rise), (-0.2, -rise * 0.72), (0.06, -0.06), (0.44, -0.03))
    spike = rng.choice((0.025, 0.05, 0.09))
    pieces = [
        Piece(
            ((-0.46, -rise - 0.02), (-0.3, -rise + 0.05), (-0.36 - spike * 0.1, 0.0), (-0.37 - spike, 0.0)),
            "plain",
            shade=0.8,
            volume=0.2,
        )
    ]
    if rng.random() < 0.65:
        upper = (
            (-0.47, -rise - 0.14), (-0.43, -rise - 0.16), (-0.34, -rise - 0.02),
            (-0.1, -rise * 0.55 - 0.05), (0.12, -0.17), (0.3, -0.14), (0.5, -0.03),
            (0.44, -0.01), (0.1, -0.025), (-0.2, -rise * 0.6), (-0.44, -rise + 0.02),
        )  # fmt: skip
        pieces.append(Piece(upper, "fabric", corner=0.02, volume=0.3))
    else:
        pieces.append(
            Piece(
                (*arch, (0.46, 0.0), (0.06, -0.02), (-0.22, -rise * 0.6), (-0.44, -rise + 0.05)), rng.choice(_INSOLES)
            )
        )
        pieces.append(
            Piece(((0.14, -0.19), (0.34, -0.14), (0.38, -0.02), (0.1, -0.03)), "fabric", corner=0.015, volume=0.25)
        )
        pieces.append(
            Piece(((-0.43, -rise - 0.16), (-0.25, -rise - 0.13), (-0.26, -rise - 0.08), (-0.44, -rise - 0.1)), "fabric")
        )
        pieces.append(Piece(((-0.43, -rise - 0.14), (-0.42, -rise)), "fabric", width=0.03))
    return [*pieces, Piece(((0.02, -0.03), (0.44, -0.008)), "seam", width=0.018)]


def sandal(rng: random.Random) -> list[Piece]:
    """A flat sole with straps, or a thong seen from above at a slant."""
    thick = rng.uniform(0.05, 0.09)
    top = (
        (-0.47, -thick - 0.05),
        (-0.3, -thick - 0.09),
        (0.1, -thick - 0.06),
        (0.4, -thick - 0.07),
        (0.49, -thick),
        (0.2, -thick + 0.02),
        (-0.44, -thick + 0.01),
    )
    side = (
        (-0.48, -thick - 0.03),
        (-0.1, -thick + 0.01),
        (0.3, -thick + 0.01),
        (0.5, -thick - 0.01),
        (0.49, -0.02),
        (0.3, 0.0),
        (-0.46, 0.0),
    )
    pieces = [
        Piece(side, rng.choice((*_DARK_SOLES, *_LIGHT_SOLES)), corner=0.02),
        Piece(top, rng.choice(("plain", *_INSOLES)), shade=0.9, corner=0.02),
    ]
    cloth = _thong(thick) if rng.random() < 0.5 else _bands(thick)
    return [*pieces, *cloth]


def _thong(thick: float) -> list[Piece]:
    """A strap on either side, meeting between the toes."""
    far = ((0.3, -0.07), (0.1, -0.2), (-0.16, -0.02), (-0.06, 0.0), (0.1, -0.13))
    near = ((0.31, -0.06), (0.14, -0.19), (0.2, 0.015), (0.12, 0.015), (0.06, -0.15))
    return [Piece(tuple((x, y - thick) for x, y in strap), "fabric", volume=0.2) for strap in (far, near)]


def _bands(thick: float) -> list[Piece]:
    """Two bands across the foot and a strap around the heel."""
    across = [((x - w / 2, 0.0), (x - w / 3, -0.17), (x + w / 3, -0.16), (x + w / 2, 0.01)) for x, w in _BANDS]
    around = ((-0.46, -0.04), (-0.42, -0.24), (-0.12, -0.2), (-0.08, -0.02), (-0.13, -0.16), (-0.39, -0.19))
    pieces = [Piece(tuple((x, y - thick) for x, y in band), "fabric", corner=0.02, volume=0.25) for band in across]
    return [*pieces, Piece(tuple((x, y - thick) for x, y in around), "fabric")]


_SHOES = {"sneakers": sneaker, "boots": boot, "formal shoes": formal_shoe, "heels": heel, "sandals": sandal}


def _moved(pieces: Sequence[Piece], dx: float, dy: float, shade: float = 1.0) -> list[Piece]:
    return [
        replace(piece, points=tuple((x + dx, y + dy) for x, y in piece.points), shade=piece.shade * shade)
        for piece in pieces
    ]


def pair(garment: Garment, rng: random.Random) -> list[Piece]:
    """One shoe alone, or two with the further one behind; in shoe lengths."""
    near = _SHOES[garment.category](rng)
    if rng.random() < 0.62:
        return near
    dx, dy = rng.uniform(0.08, 0.2), rng.uniform(-0.14, -0.06)
    return [*_moved(near, dx, dy, 0.9), *near]


def feet(garment: Garment, rng: random.Random, skin: Rgb, lower: Rgb) -> list[Piece]:
    """Two shoes with ankles and trouser hems above them; in shoe lengths."""
    near = _SHOES[garment.category](rng)
    opening = max(0.3, -min(y for piece in near for _, y in piece.points) - 0.04)
    hem = -opening - rng.uniform(-0.04, 0.16)
    pieces: list[Piece] = []
    for dx, dy, shade in ((rng.uniform(0.16, 0.34), -0.1, 0.9), (0.0, 0.0, 1.0)):
        leg = [
            Piece(((-0.4, -1.4), (-0.12, -1.4), (-0.12, -opening + 0.14), (-0.37, -opening + 0.14)), skin, volume=0.35),
            Piece(ellipse(-0.05, -0.09, 0.4, 0.07), skin, shade=0.95),
            Piece(((-0.48, -1.45), (-0.04, -1.45), (-0.05, hem), (-0.47, hem + 0.02)), lower, corner=0.02, volume=0.35),
        ]
        pieces += _moved([*leg, *near], dx, dy, shade)
    return pieces
