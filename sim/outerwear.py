"""Outlines of cardigans, jackets, coats, blazers and suits: open or closed in front, something else beneath.

Same contract as `sim.tops`: a cut takes a body and a garment to pieces, from the back to the front.
"""

from __future__ import annotations

from sim.bottoms import Legs, legs
from sim.shapes import Piece, both, box, button, seam, symmetric
from sim.tops import NECK_TOP, Cut, Trunk, collar, half_width, inside_neck, sleeves, trunk
from sim.vocabulary import Rgb

_INNERS: tuple[Rgb, ...] = (
    (246, 246, 246),
    (246, 246, 246),
    (56, 56, 64),
    (176, 198, 226),
    (204, 204, 206),
    (150, 40, 50),
)
_TIES: tuple[Rgb, ...] = ((150, 30, 40), (30, 40, 90), (60, 60, 64), (40, 90, 70))


def _inner(cut: Cut, low: float, wide: float = 0.044) -> list[Piece]:
    """The shirt seen between the fronts of a worn garment, or the lining of one that lies alone."""
    opening = ((-wide, NECK_TOP - 0.006), (wide, NECK_TOP - 0.006), (0.006, low), (-0.006, low))
    if not cut.worn:
        return [Piece(opening, "seam", shade=0.85)]
    neck = ((-0.022, NECK_TOP - 0.006), (0.022, NECK_TOP - 0.006), (0.0, NECK_TOP + 0.03))
    return [Piece(opening, cut.rng.choice(_INNERS)), Piece(neck, cut.body.skin, shade=0.95)]


def _lapels(low: float, reach: float = 0.07, rise: float = 0.0) -> list[Piece]:
    """Two notched lapels that meet at `low`."""
    leaf = (
        (-0.036, NECK_TOP - 0.014),
        (-reach, NECK_TOP + 0.045 + rise),
        (-reach + 0.016, NECK_TOP + 0.053 + rise),
        (-reach + 0.008, NECK_TOP + 0.075 + rise),
        (-0.002, low),
    )
    notch = seam((-reach, NECK_TOP + 0.045 + rise), (-reach + 0.03, NECK_TOP + 0.05 + rise), width=0.003)
    return [*both(Piece(leaf, "fabric", shade=0.84, angle=0.3, volume=0.15)), *both(notch)]


def cardigan(cut: Cut) -> list[Piece]:
    """Cardigans: a deep v, a knitted button band, often worn open."""
    shape = Trunk(hem=0.52 + cut.rng.uniform(-0.015, 0.03), neck=0.046, dip=0.02)
    low = cut.rng.uniform(0.26, 0.33)
    pieces = [trunk(cut, shape), *sleeves(cut, cuffs=True, wide=0.005), *_inner(cut, low, 0.042)]
    if cut.rng.random() < 0.4:
        gap = cut.rng.uniform(0.02, 0.04)
        front = ((-0.008, low - 0.02), (0.008, low - 0.02), (gap, shape.hem + 0.004), (-gap, shape.hem + 0.004))
        pieces.append(Piece(front, pieces[-2].material if cut.worn else "seam", shade=0.96))
        edge = ((-0.044, NECK_TOP - 0.006), (-0.008, low - 0.02), (-gap, shape.hem))
    else:
        edge = ((-0.044, NECK_TOP - 0.006), (-0.005, low), (-0.005, shape.hem))
        pieces += [button(0.0, low + 0.02 + i * (shape.hem - low - 0.04) / 4, 0.0055, "trim") for i in range(5)]
    pieces += both(Piece(edge, "seam", width=0.012))
    y = shape.hem - 0.075
    return [*pieces, *both(seam((-0.078, y), (-0.038, y), width=0.006))]


def jacket(cut: Cut) -> list[Piece]:
    """Jackets: a zip, a stand-up collar and a ribbed hem, or the collar and pockets of denim."""
    rng = cut.rng
    hem = (0.415 if cut.garment.length == "cropped" else 0.49) + rng.uniform(-0.01, 0.015)
    shape = Trunk(hem=hem, neck=0.044, dip=0.012)
    pieces = [*inside_neck(cut, shape), trunk(cut, shape), *sleeves(cut, cuffs=True, wide=0.012)]
    width = half_width(cut.body, hem, cut.ease)
    if cut.garment.pattern == "denim":
        thread: Rgb = (206, 146, 74)
        pocket = ((-0.078, 0.25), (-0.03, 0.25), (-0.03, 0.285), (-0.054, 0.296), (-0.078, 0.285), (-0.078, 0.25))
        pieces += [*collar(), seam((0.0, 0.18), (0.0, hem), width=0.005)]
        pieces += [
            *both(Piece(pocket, thread, width=0.003)),
            *both(Piece(((-0.03, 0.296), (-0.016, hem - 0.02)), thread, width=0.003)),
        ]
        pieces += [button(0.006, 0.2 + i * (hem - 0.22) / 5, 0.005, (186, 150, 92)) for i in range(6)]
    else:
        stand = symmetric([(-0.04, NECK_TOP - 0.024), (-0.048, NECK_TOP + 0.02), (-0.01, NECK_TOP + 0.034)])
        pieces.append(Piece(stand, "plain", shade=0.82, corner=0.006, volume=0.2))
        if rng.random() < 0.35:
            pieces += _inner(cut, hem, 0.026)
            pieces += both(Piece(((-0.027, NECK_TOP), (-0.006, hem)), (190, 190, 196), width=0.004))
        else:
            pieces.append(Piece(((0.0, NECK_TOP - 0.02), (0.0, hem)), "trim", width=0.006))
        pieces += both(seam((-0.075, hem - 0.06), (-0.05, hem - 0.12), width=0.006))
        if rng.random() < 0.35:
            pieces += [seam((-0.09, y), (0.09, y), width=0.004) for y in (0.26, 0.31, 0.36, 0.41) if y < hem - 0.04]
    band = symmetric([(-width - 0.002, hem - 0.028), (-width + 0.008, hem + 0.006)])
    return [*pieces, Piece(band, "plain", shade=0.76, corner=0.003)]


def coat(cut: Cut) -> list[Piece]:
    """Coats: to the knee or below, wide lapels, one or two rows of buttons, sometimes a belt."""
    rng = cut.rng
    hem = {"knee": 0.7, "maxi": 0.85}[cut.garment.length] + rng.uniform(-0.02, 0.02)
    shape = Trunk(hem=hem, neck=0.046, dip=0.016, hem_extra=rng.uniform(0.012, 0.04))
    low = rng.uniform(0.26, 0.32)
    pieces = [trunk(cut, shape), *sleeves(cut, wide=0.014), *_inner(cut, low), *_lapels(low, 0.082)]
    pieces.append(seam((0.0, low), (0.0, hem), width=0.004))
    columns = (-0.03, 0.03) if rng.random() < 0.55 else (0.008,)
    pieces += [button(x, low + 0.025 + row * 0.055, 0.0075) for x in columns for row in range(3)]
    if rng.random() < 0.5:
        width = half_width(cut.body, 0.4, cut.ease) + 0.008
        pieces += [
            Piece(box(-width, 0.39, width, 0.412), "plain", shade=0.72),
            Piece(box(-0.016, 0.386, 0.016, 0.416), "seam"),
        ]
    return [
        *pieces,
        *both(Piece(((-0.085, 0.48), (-0.045, 0.472), (-0.045, 0.488), (-0.085, 0.496)), "plain", shade=0.78)),
    ]


def _tailored(cut: Cut, low: float, shape: Trunk) -> list[Piece]:
    """The upper part that blazers and suits share."""
    rng = cut.rng
    pieces = [trunk(cut, shape), *sleeves(cut, wide=0.006), *_inner(cut, low, 0.04)]
    if cut.worn and (cut.garment.category == "suit" or rng.random() < 0.35):
        tie = ((-0.008, 0.163), (0.008, 0.163), (0.013, low - 0.02), (0.0, low), (-0.013, low - 0.02))
        pieces.append(Piece(tie, rng.choice(_TIES)))
    pieces += [*_lapels(low, 0.068), seam((0.0, low), (0.012, shape.hem), width=0.004)]
    pieces += [button(0.006, low + 0.014 + 0.035 * i, 0.006) for i in range(2)]
    y = shape.hem - 0.075
    flap = ((-0.084, y), (-0.038, y + 0.004), (-0.038, y + 0.016), (-0.084, y + 0.012))
    pieces += [*both(Piece(flap, "fabric", shade=0.8)), seam((0.045, 0.262), (0.075, 0.256), width=0.005)]
    return pieces


def blazer(cut: Cut) -> list[Piece]:
    """Blazers: tailored, notched lapels, to the hip."""
    shape = Trunk(hem=0.525 + cut.rng.uniform(-0.01, 0.02), neck=0.042, dip=0.014, waist_in=0.006, hem_extra=0.006)
    return _tailored(cut, cut.rng.uniform(0.3, 0.35), shape)


def suit(cut: Cut) -> list[Piece]:
    """Suits: a blazer and trousers of one cloth."""
    shape = Trunk(hem=0.52, neck=0.042, dip=0.014, waist_in=0.006, hem_extra=0.004)
    lower = legs(cut, Legs(0.008, 0.058, 0.044, 0.036, 0.955))
    lower += [seam(leg[0], leg[1], leg[2], width=0.0035) for leg in cut.body.legs]
    return [*lower, *_tailored(cut, cut.rng.uniform(0.29, 0.33), shape)]
