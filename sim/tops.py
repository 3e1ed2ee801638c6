"""Outlines of what is worn above the waist and pulled on: t-shirts, shirts, polos, blouses, kurtas, knitwear.

A cut takes a body and a garment to pieces, from the back to the front. The same cut serves a worn garment, one
laid flat and one folded to a rectangle; the caller decides which by the body's pose and the flags of `Cut`.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import pairwise

from sim.figure import Body
from sim.shapes import Piece, Point, both, box, button, cut_limb, ellipse, limb, mirrored, seam, symmetric, tilt
from sim.vocabulary import Garment

_EASE = {"slim": 0.003, "regular": 0.013, "loose": 0.027}
NECK_TOP = 0.152
_COLLAR: tuple[Point, ...] = ((-0.043, 0.134), (-0.003, 0.168), (-0.034, 0.198), (-0.066, 0.162))
_ROLLED = ("shirt", "kurta", "blouse", "dress")


@dataclass(frozen=True, slots=True)
class Cut:
    """What a cutter works from. `worn`: someone is in it; `folded`: a rectangle with a collar, sleeves behind."""

    garment: Garment
    body: Body
    rng: random.Random
    worn: bool
    folded: bool = False

    @property
    def ease(self) -> float:
        """How far the cloth stands off the body."""
        return _EASE[self.garment.fit] + (0.0 if self.worn else 0.006)


@dataclass(frozen=True, slots=True)
class Trunk:
    """Measures of the part that covers chest and belly; `hem_extra` is flare beyond the hip, `dip` the neckline."""

    hem: float
    hem_extra: float = 0.0
    neck: float = 0.043
    dip: float = 0.03
    waist_in: float = 0.0
    curve: float = 0.0
    straps: bool = False


def half_width(body: Body, y: float, ease: float) -> float:
    """How wide the cloth is at height y."""
    marks = ((0.26, body.chest), (0.385, body.waist), (0.48, body.hip), (1.0, body.hip))
    for (ya, wa), (yb, wb) in pairwise(marks):
        if y <= yb:
            return wa + (wb - wa) * max(0.0, (y - ya) / (yb - ya)) + ease
    return body.hip + ease


def trunk(cut: Cut, shape: Trunk) -> Piece:
    """The front of a garment for the upper body."""
    body, ease = cut.body, cut.ease
    if cut.folded:
        side = body.chest * 0.98
        half: list[Point] = [(-shape.neck, NECK_TOP), (-side, 0.176), (-side, 0.45)]
    else:
        half = [(-shape.neck, NECK_TOP)]
        if shape.straps:
            half += [(-shape.neck - 0.025, NECK_TOP + 0.004), (-shape.neck - 0.022, 0.215), (-body.chest - ease, 0.262)]
        else:
            half += [(-body.shoulder - ease * 0.3, 0.184), (-body.chest - ease, 0.262)]
        straight = max(ease, 0.012 if cut.garment.fit != "slim" else 0.004)
        if shape.hem > 0.4:
            half.append((-half_width(body, 0.385, straight) + shape.waist_in, 0.385))
        if shape.hem > 0.5:
            half.append((-half_width(body, 0.48, ease) - shape.hem_extra * 0.25, 0.48))
        half.append((-half_width(body, shape.hem, ease) - shape.hem_extra, shape.hem))
    low = (0.0, (0.45 if cut.folded else shape.hem) + shape.curve)
    right = tuple(reversed(mirrored(half)))
    dip = NECK_TOP + shape.dip
    if shape.dip > 0.05:
        neckline: tuple[Point, ...] = ((0.0, dip),)
    else:
        neckline = ((shape.neck * 0.62, dip - shape.dip * 0.3), (0.0, dip), (-shape.neck * 0.62, dip - shape.dip * 0.3))
    return Piece((*half, low, *right, *neckline), "fabric", corner=0.007, volume=0.28)


def neckline_trim(shape: Trunk, width: float = 0.006, material: str = "seam") -> Piece:
    """The ribbed edge of the neck."""
    dip = NECK_TOP + shape.dip
    side = shape.neck * 0.62
    middle = [] if shape.dip > 0.05 else [(-side, dip - shape.dip * 0.3)]
    points = [(-shape.neck, NECK_TOP), *middle, (0.0, dip), *mirrored(reversed(middle)), (shape.neck, NECK_TOP)]
    return Piece(tuple(points), "trim" if material == "trim" else "seam", width=width)


def inside_neck(cut: Cut, shape: Trunk) -> list[Piece]:
    """The dark inside of the back, seen through the neck when nobody wears the garment."""
    if cut.worn:
        return []
    return [
        Piece(
            ((-shape.neck, NECK_TOP - 0.004), (shape.neck, NECK_TOP - 0.004), (0.0, NECK_TOP + shape.dip + 0.006)),
            "seam",
        ),
        Piece(ellipse(0.0, NECK_TOP + 0.006, shape.neck + 0.002, 0.014), "seam", shade=0.9),
        Piece(box(-0.009, NECK_TOP - 0.003, 0.009, NECK_TOP + 0.008), (236, 236, 232)),
    ]


def sleeves(cut: Cut, cuffs: bool = False, puff: float = 0.0, wide: float = 0.0) -> list[Piece]:
    """Both sleeves along the arms, as long as the garment says."""
    length = cut.garment.sleeve
    if length == "sleeveless" or cut.folded:
        return _folded_cuff(cut) if cut.folded and length == "long" else []
    loose = 0.6 * cut.ease + wide
    pieces = []
    share = cut.rng.uniform(0.3, 0.44) if length == "short" else 1.0
    # Light tops are often photographed with sleeves rolled to the elbow or cut at three quarters.
    if length == "long" and cut.garment.category in _ROLLED:
        share = cut.rng.choice((1.0, 1.0, 0.9, 0.72))
    for arm in cut.body.arms:
        joints = cut_limb(arm[:3], share)
        widths = (0.034 + loose, 0.031 + loose + puff, 0.0225 + loose + puff * 0.5)
        if len(joints) == 2:
            widths = (0.034 + loose, 0.033 + loose + puff, 0.0)
        pieces.append(
            Piece(
                limb(joints, widths[: len(joints)]), "fabric", shade=0.95, angle=tilt(joints[0], joints[1]),
                corner=0.017, volume=0.3,
            )
        )  # fmt: skip
        if cuffs and length == "long":
            (xa, ya), (xb, yb) = joints[-2], joints[-1]
            long = math.dist((xa, ya), (xb, yb)) or 1.0
            end = (xb + (xb - xa) / long * 0.008, yb + (yb - ya) / long * 0.008)
            start = (xb - (xb - xa) / long * 0.016, yb - (yb - ya) / long * 0.016)
            pieces.append(Piece(limb((start, end), (0.0225 + loose, 0.0215 + loose)), "plain", shade=0.82))
    return pieces


def _folded_cuff(cut: Cut) -> list[Piece]:
    """A long sleeve brought to the front of a folded shirt."""
    side = cut.body.chest * 0.98
    arm = Piece(
        ((-side, 0.28), (-side, 0.34), (-0.03, 0.415), (-0.012, 0.37)), "fabric", shade=0.93, angle=1.0, volume=0.2
    )
    return [arm, Piece(((-0.03, 0.415), (-0.012, 0.37), (0.004, 0.378), (-0.014, 0.423)), "fabric", shade=0.85)]


def collar() -> list[Piece]:
    """Two collar leaves with a stitched edge, which is what is left of a collar in a small picture."""
    leaves = both(Piece(_COLLAR, "fabric", shade=0.86, angle=0.5, volume=0.2))
    return [*leaves, *both(Piece(_COLLAR[1:], "seam", width=0.0045))]


def button_line(y0: float, y1: float, count: int, x: float = 0.0) -> list[Piece]:
    """Buttons in a column."""
    return [button(x, y0 + (y1 - y0) * i / max(1, count - 1), 0.0055, "trim") for i in range(count)]


def _neck_dip(cut: Cut) -> float:
    if cut.garment.neck == "v-neck":
        return cut.rng.uniform(0.075, 0.1)
    return cut.rng.uniform(0.022, 0.045 if cut.body.audience == "women" else 0.032)


def _hem(cut: Cut, regular: float, cropped: float = 0.405) -> float:
    return (cropped if cut.garment.length == "cropped" else regular) + cut.rng.uniform(-0.012, 0.018)


def t_shirt(cut: Cut) -> list[Piece]:
    """T-shirts and tank tops."""
    tank = cut.garment.category == "tank top"
    shape = Trunk(
        hem=_hem(cut, 0.505),
        neck=cut.rng.uniform(0.046, 0.056) if tank else cut.rng.uniform(0.04, 0.052),
        dip=_neck_dip(cut) + (0.02 if tank else 0.0),
        straps=tank and not cut.folded,
    )
    pieces = [*inside_neck(cut, shape), trunk(cut, shape), *sleeves(cut)]
    pieces.append(neckline_trim(shape, 0.006, cut.rng.choice(("seam", "seam", "trim"))))
    if tank:
        pieces += both(
            seam((-shape.neck - 0.024, 0.156), (-shape.neck - 0.021, 0.215), (-cut.body.chest - cut.ease + 0.004, 0.26))
        )
    if not cut.folded:
        pieces.append(seam((-0.08, shape.hem - 0.008), (0.08, shape.hem - 0.008), width=0.0025))
    return pieces


def shirt(cut: Cut) -> list[Piece]:
    """Button-down shirts, and polos with their short placket."""
    polo = cut.garment.category == "polo"
    shape = Trunk(hem=_hem(cut, 0.515), neck=0.042, dip=0.02, curve=0.0 if polo else cut.rng.choice((0.0, 0.018)))
    pieces = [*inside_neck(cut, shape), trunk(cut, shape), *sleeves(cut, cuffs=not polo)]
    low = 0.235 if polo else (0.445 if cut.folded else shape.hem)
    pieces += [seam((-0.011, 0.17), (-0.011, low), width=0.004), seam((0.011, 0.17), (0.011, low), width=0.004)]
    pieces += button_line(0.185, low - 0.02, 3 if polo else 6)
    pieces += collar()
    if not polo and cut.rng.random() < 0.6:
        x = 0.028
        pocket = ((x, 0.25), (x + 0.04, 0.25), (x + 0.04, 0.295), (x + 0.02, 0.302), (x, 0.295))
        pieces += [Piece(pocket, "fabric", shade=0.93), seam((x, 0.25), (x + 0.04, 0.25), width=0.003)]
    if polo and cut.rng.random() < 0.4:
        pieces += collar_tips()
    return pieces


def collar_tips() -> list[Piece]:
    """A contrasting line along a polo's collar."""
    return [*both(Piece(((-0.064, 0.164), (-0.034, 0.196), (-0.004, 0.168)), "trim", width=0.003))]


def blouse(cut: Cut) -> list[Piece]:
    """Blouses: gathered, wide sleeves, a bow or a yoke."""
    shape = Trunk(
        hem=_hem(cut, 0.49),
        neck=cut.rng.uniform(0.045, 0.058),
        dip=_neck_dip(cut) + 0.01,
        hem_extra=0.03,
        waist_in=0.012,
        curve=0.012,
    )
    pieces = [*inside_neck(cut, shape), trunk(cut, shape), *sleeves(cut, cuffs=True, puff=0.017, wide=0.006)]
    pieces.append(neckline_trim(shape, 0.004))
    for i in range(6):
        x = -0.05 + i * 0.02
        pieces.append(seam((x, 0.36), (x * 1.6, shape.hem - 0.005), width=0.002))
    low = NECK_TOP + shape.dip
    if cut.rng.random() < 0.6:
        pieces += both(Piece(((0.0, low), (-0.034, low - 0.016), (-0.036, low + 0.02)), "fabric", shade=0.8))
        pieces += both(seam((-0.002, low), (-0.014, low + 0.07), width=0.005))
    else:
        pieces += [seam((-0.07, 0.235), (0.07, 0.235), width=0.003), *button_line(low + 0.012, 0.32, 4)]
    return pieces


def kurta(cut: Cut) -> list[Piece]:
    """Kurtas: to the thigh or the knee, a band collar or a slit, side vents, often a trimmed hem."""
    rng = cut.rng
    hem = rng.uniform(0.6, 0.7)
    shape = Trunk(
        hem=hem, neck=0.042, dip=rng.choice((0.025, 0.035, 0.07)), hem_extra=rng.uniform(0.012, 0.035), waist_in=-0.004
    )
    pieces = [*inside_neck(cut, shape), trunk(cut, shape), *sleeves(cut, wide=0.004)]
    low = NECK_TOP + shape.dip
    slit = low + rng.uniform(0.05, 0.11)
    band = rng.choice(("trim", "plain", "accent"))
    yoke: Piece = Piece(box(-0.014, low - 0.004, 0.014, slit), "accent" if band == "accent" else "plain", shade=0.86)
    pieces += [
        yoke,
        *button_line(low + 0.012, slit - 0.012, 4),
        neckline_trim(shape, 0.01, "trim" if band == "trim" else "seam"),
    ]
    if shape.dip < 0.05:
        pieces += both(Piece(((-0.042, 0.132), (-0.002, 0.165), (-0.004, 0.186), (-0.048, 0.156)), "plain", shade=0.84))
    width = half_width(cut.body, hem, cut.ease) + shape.hem_extra
    pieces += both(seam((-width + 0.006, hem - 0.12), (-width + 0.014, hem), width=0.005))
    if rng.random() < 0.4:
        pieces.append(
            Piece(
                box(-width + 0.004, hem - 0.022, width - 0.004, hem - 0.006),
                "accent" if band == "accent" else "trim",
                shade=0.95,
            )
        )
    return pieces


def _rib(cut: Cut, hem: float) -> list[Piece]:
    """The ribbed edge at the bottom of knitwear."""
    width = half_width(cut.body, hem, cut.ease)
    edge = symmetric([(-width - 0.001, hem - 0.026), (-width + 0.006, hem + 0.006)])
    ribs = [seam((x, hem - 0.024), (x, hem + 0.004), width=0.002) for x in (width * (i / 5 - 1) for i in range(1, 10))]
    return [Piece(edge, "plain", shade=0.84), *ribs]


def sweater(cut: Cut) -> list[Piece]:
    """Sweaters: heavy sleeves, ribbed neck, cuffs and hem."""
    high = cut.garment.neck == "turtleneck"
    shape = Trunk(hem=_hem(cut, 0.5), neck=0.041, dip=0.012 if high else _neck_dip(cut))
    pieces = [*inside_neck(cut, shape), trunk(cut, shape), *sleeves(cut, cuffs=True, wide=0.006)]
    pieces.append(neckline_trim(shape, 0.011))
    if high:
        pieces.append(
            Piece(symmetric([(-0.036, 0.118), (-0.046, 0.168)]), "fabric", shade=0.88, volume=0.3, corner=0.005)
        )
        pieces.append(seam((-0.037, 0.136), (0.037, 0.136), width=0.003))
    return pieces if cut.folded else pieces + _rib(cut, shape.hem)


def hoodie(cut: Cut) -> list[Piece]:
    """Hoodies: a hood behind the neck, a pouch, cords."""
    shape = Trunk(hem=_hem(cut, 0.505), neck=0.044, dip=0.035)
    if cut.worn:
        hood = symmetric([(-0.03, 0.105), (-0.062, 0.125), (-0.075, 0.17), (-0.04, 0.2)])
        hole = symmetric([(-0.028, 0.115), (-0.046, 0.14), (-0.02, 0.19)])
    else:
        hood = symmetric([(-0.03, 0.045), (-0.062, 0.085), (-0.073, 0.165), (-0.04, 0.2)])
        hole = symmetric([(-0.022, 0.07), (-0.043, 0.105), (-0.04, 0.16), (-0.012, 0.2)])
    pieces = [trunk(cut, shape), *sleeves(cut, cuffs=True, wide=0.008)]
    pieces += [Piece(hood, "fabric", shade=0.88, corner=0.016, volume=0.35)]
    pieces += [Piece(hole, cut.body.skin if cut.worn else "seam", shade=0.85, corner=0.012)]
    top = shape.hem - 0.12 if cut.garment.length != "cropped" else shape.hem - 0.1
    pouch = symmetric([(-0.045, top), (-0.072, top + 0.075)])
    if cut.rng.random() < 0.4:
        pieces.append(Piece(((0.0, 0.19), (0.0, shape.hem)), "trim", width=0.005))
    pieces += [
        Piece(pouch, "fabric", shade=0.9, corner=0.004),
        seam((-0.045, top), (-0.072, top + 0.075)),
        seam((0.045, top), (0.072, top + 0.075)),
    ]
    pieces += both(Piece(((-0.018, 0.185), (-0.021, 0.265)), "trim", width=0.006))
    return pieces + _rib(cut, shape.hem)
