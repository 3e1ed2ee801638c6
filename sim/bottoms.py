"""Outlines of what is worn below the waist, and of dresses and jumpsuits.

Same contract as `sim.tops`: a cut takes a body and a garment to pieces, from the back to the front.
"""

from __future__ import annotations

from dataclasses import dataclass

from sim.shapes import Piece, both, box, button, ellipse, limb, seam, symmetric, tilt
from sim.tops import NECK_TOP, Cut, Trunk, half_width, inside_neck, neckline_trim, sleeves, trunk
from sim.vocabulary import Rgb

_THREAD: Rgb = (206, 146, 74)
WAIST = 0.4


@dataclass(frozen=True, slots=True)
class Legs:
    """Half-widths of trouser legs at hip (beyond the body), thigh, knee and hem, and where the hem is.

    `splay` moves the hems apart.
    """

    hip: float
    thigh: float
    knee: float
    ankle: float
    hem: float
    splay: float = 0.0


def legs(cut: Cut, shape: Legs) -> list[Piece]:
    """Two trouser legs and the seat."""
    body = cut.body
    pieces = []
    for side, leg in zip((-1, 1), body.legs, strict=True):
        (xa, ya), (xb, yb), (xc, yc) = leg
        xb, xc = xb + side * shape.splay, xc + side * shape.splay
        if shape.hem <= yb:
            share = (shape.hem - ya) / (yb - ya)
            joints = [(xa, ya), (xa + (xb - xa) * share, shape.hem)]
            widths = [shape.thigh, shape.knee]
        else:
            share = (shape.hem - yb) / (yc - yb)
            joints, widths = (
                [(xa, ya), (xb, yb), (xb + (xc - xb) * share, shape.hem)],
                [shape.thigh, shape.knee, shape.ankle],
            )
        pieces.append(
            Piece(limb(joints, widths), "fabric", angle=tilt(joints[0], joints[-1]), corner=0.005, volume=0.36)
        )
    seat = symmetric(
        [
            (-body.waist - shape.hip * 0.5, WAIST),
            (-body.hip - shape.hip, 0.475),
            (-0.046 - shape.thigh + 0.003, 0.535),
            (-0.02, 0.555),
        ]
    )
    return [
        *pieces,
        Piece(seat, "fabric", corner=0.005, volume=0.24),
        seam((0.0, WAIST + 0.02), (0.0, 0.55), width=0.004),
    ]


def waistband(cut: Cut, extra: float, height: float = 0.02) -> Piece:
    """A band around the waist."""
    width = cut.body.waist + extra
    return Piece(box(-width, WAIST - 0.004, width, WAIST + height), "plain", shade=0.84)


def trousers(cut: Cut) -> list[Piece]:
    """Jeans, trousers, cargo pants, leggings and shorts."""
    rng, kind = cut.rng, cut.garment.category
    loose = {"slim": -0.006, "regular": 0.003, "loose": 0.016}[cut.garment.fit]
    hem = 0.95 + rng.uniform(-0.02, 0.015)
    match kind:
        case "leggings":
            pieces = legs(cut, Legs(0.0, 0.05, 0.031, 0.018, hem))
            return [*pieces, seam((-cut.body.waist, WAIST + 0.03), (cut.body.waist, WAIST + 0.03), width=0.003)]
        case "shorts":
            hem = rng.uniform(0.6, 0.72)
            pieces = legs(cut, Legs(0.01, 0.054 + loose * 0.7, 0.05 + loose * 0.6, 0.06, hem, 0.026))
        case "cargo pants":
            pieces = legs(cut, Legs(0.012, 0.062 + loose, 0.052 + loose, 0.042 + loose, hem))
        case "jeans":
            ankle = rng.choice((0.024, 0.032, 0.042))
            pieces = legs(cut, Legs(0.004, 0.056 + loose * 0.6, 0.036 + loose, ankle + loose, hem))
        case _:
            pieces = legs(cut, Legs(0.006, 0.057 + loose * 0.7, 0.042 + loose, 0.035 + loose, hem))
    pieces.append(waistband(cut, 0.006))
    if kind == "jeans" or cut.garment.pattern == "denim":
        pieces += _denim_details(cut, hem)
    elif kind == "trousers":
        pieces += [line for leg in cut.body.legs for line in [seam(leg[0], leg[1], (leg[2][0], hem), width=0.0035)]]
        pieces += [
            *both(seam((-cut.body.waist + 0.012, WAIST + 0.022), (-cut.body.hip, 0.475), width=0.004)),
            button(0.0, WAIST + 0.008),
        ]
        if rng.random() < 0.3:
            width = cut.body.waist + 0.006
            pieces += [
                Piece(box(-width, WAIST, width, WAIST + 0.013), (44, 34, 30)),
                button(0.0, WAIST + 0.006, 0.008, (190, 180, 150)),
            ]
    elif kind == "shorts":
        pieces += both(Piece(((-0.006, WAIST + 0.02), (-0.012, WAIST + 0.075)), "trim", width=0.004))
        pieces += both(seam((-cut.body.waist + 0.01, WAIST + 0.025), (-cut.body.hip - 0.004, 0.475)))
    if kind == "cargo pants":
        pieces += _cargo_pockets(cut, hem)
    return pieces


def _denim_details(cut: Cut, hem: float) -> list[Piece]:
    """Stitching, a brass button, curved pockets, turn-ups."""
    waist, hip = cut.body.waist, cut.body.hip
    pocket = ((-waist + 0.016, WAIST + 0.02), (-waist + 0.014, WAIST + 0.045), (-hip + 0.002, WAIST + 0.058))
    lines = [*both(Piece(pocket, _THREAD, width=0.003))]
    if cut.garment.category != "skirt":
        lines.append(Piece(((0.008, WAIST + 0.02), (0.009, 0.5), (0.0, 0.525)), _THREAD, width=0.003))
        for leg in cut.body.legs:
            x = leg[1][0] if hem <= 0.74 else leg[2][0]
            lines.append(Piece(((x - 0.026, hem - 0.01), (x + 0.026, hem - 0.01)), _THREAD, width=0.003))
    return [*lines, button(0.0, WAIST + 0.008, 0.006, (186, 150, 92))]


def _cargo_pockets(cut: Cut, hem: float) -> list[Piece]:
    """Large pockets on the thighs, tied hems."""
    pieces: list[Piece] = []
    for side, leg in ((-1, cut.body.legs[0]), (1, cut.body.legs[1])):
        x = leg[1][0] + side * 0.036
        pieces.append(Piece(box(x - 0.03, 0.63, x + 0.03, 0.72), "fabric", shade=0.86, volume=0.15))
        pieces.append(Piece(box(x - 0.033, 0.622, x + 0.033, 0.65), "fabric", shade=0.76))
        pieces.append(seam((leg[2][0] - 0.045, hem - 0.014), (leg[2][0] + 0.045, hem - 0.014), width=0.006))
    return pieces


def skirt(cut: Cut) -> list[Piece]:
    """Skirts: a-line, pencil or pleated."""
    rng, body = cut.rng, cut.body
    hem = {"mini": 0.6, "knee": 0.73, "maxi": 0.93}[cut.garment.length] + rng.uniform(-0.02, 0.02)
    kind = rng.choice(("a-line", "pencil", "pleated"))
    flare = {"a-line": 0.06, "pencil": 0.002, "pleated": 0.07}[kind] * (hem - WAIST) / 0.33 + cut.ease
    top, hip = body.waist + 0.004, body.hip + 0.01 + (0.0 if kind == "pencil" else 0.012)
    outline = [(-top, WAIST - 0.004), (-hip, 0.485), (-hip - flare, hem)]
    curve = 0.0 if kind == "pencil" else 0.014
    half = symmetric(outline)
    middle = len(outline)
    points = (*half[:middle], (0.0, hem + curve), *half[middle:])
    pieces = [Piece(points, "fabric", corner=0.006, volume=0.34)]
    if kind != "pencil":
        for i in range(-3, 4):
            pieces.append(
                seam(
                    (i * top / 3.6, WAIST + 0.03),
                    (i * (hip + flare) / 3.4, hem),
                    width=0.005 if kind == "pleated" else 0.002,
                )
            )
    pieces.append(waistband(cut, 0.006))
    if cut.garment.pattern == "denim":
        pieces += [*_denim_details(cut, hem), seam((0.0, WAIST + 0.02), (0.0, hem), width=0.003)]
    return pieces


def dress(cut: Cut) -> list[Piece]:
    """Dresses: a fitted bodice over a skirt that flares from the waist."""
    rng, body, garment = cut.rng, cut.body, cut.garment
    hem = {"mini": 0.62, "knee": 0.73, "maxi": 0.93}[garment.length] + rng.uniform(-0.02, 0.02)
    bodice = _bodice(cut)
    flare = rng.uniform(0.02, 0.09) * (hem - WAIST) / 0.3 + cut.ease
    top, hip = half_width(body, 0.385, cut.ease * 0.6), body.hip + 0.012 + cut.ease
    lower = symmetric([(-top, 0.38), (-hip, 0.48), (-hip - flare, hem)])
    points = (*lower[:3], (0.0, hem + 0.012), *lower[3:])
    pieces = [*inside_neck(cut, bodice), Piece(points, "fabric", corner=0.006, volume=0.34), *sleeves(cut, puff=0.005)]
    pieces += [seam((i * top / 2.8, 0.41), (i * (hip + flare) / 2.5, hem), width=0.003) for i in range(-2, 3)]
    pieces += [trunk(cut, bodice), *_joined_waist(cut, top)]
    return [*pieces, neckline_trim(bodice, 0.004)]


def _bodice(cut: Cut) -> Trunk:
    deep = cut.garment.neck == "v-neck"
    return Trunk(
        hem=0.392,
        neck=cut.rng.uniform(0.042, 0.058),
        dip=cut.rng.uniform(0.075, 0.1) if deep else cut.rng.uniform(0.028, 0.048),
        straps=cut.garment.sleeve == "sleeveless",
    )


def _joined_waist(cut: Cut, top: float) -> list[Piece]:
    """A sash, a belt or only a seam."""
    kind = cut.rng.choice(("seam", "seam", "sash", "belt"))
    if kind == "seam":
        return [seam((-top, 0.388), (top, 0.388), width=0.004)]
    strip = box(-top - 0.002, 0.378, top + 0.002, 0.4)
    return [Piece(strip, "plain", shade=0.8)] if kind == "sash" else [Piece(strip, (58, 40, 30))]


def jumpsuit(cut: Cut) -> list[Piece]:
    """Jumpsuits: a bodice and long wide legs in one cloth, buttoned in front."""
    bodice = _bodice(cut)
    loose = {"slim": 0.0, "regular": 0.008, "loose": 0.02}[cut.garment.fit]
    hem = cut.rng.uniform(0.88, 0.95)
    pieces = [*inside_neck(cut, bodice), *legs(cut, Legs(0.008, 0.06 + loose, 0.046 + loose, 0.04 + loose, hem))]
    pieces += [*sleeves(cut, puff=0.004), trunk(cut, bodice)]
    top = half_width(cut.body, 0.385, cut.ease * 0.6)
    low = NECK_TOP + bodice.dip
    pieces += [seam((0.0, low), (0.0, 0.5), width=0.005)]
    pieces += [button(0.0, low + 0.015 + i * (0.37 - low) / 4, 0.005, "trim") for i in range(4)]
    pieces += [*_joined_waist(cut, top), neckline_trim(bodice, 0.004)]
    if cut.rng.random() < 0.5:
        pieces += both(Piece(ellipse(-0.05, 0.25, 0.018, 0.02, count=6), "fabric", shade=0.88))
    return pieces
