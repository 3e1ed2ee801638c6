"""The people who wear the garments: measures, poses, skins, hair and the plain clothes around the garment.

A figure is drawn from simple tubes and ellipses, enough that a picture of a worn t-shirt has a neck, arms and a
pair of trousers below it, as a shop's photograph has. Knows nothing of the garment but which parts it covers.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from sim.shapes import Piece, Point, box, ellipse, limb, mirrored, rounded, symmetric
from sim.vocabulary import Audience, Rgb

SKINS: tuple[Rgb, ...] = (
    (250, 220, 196), (241, 203, 176), (232, 188, 155), (215, 166, 128), (196, 142, 104), (168, 116, 80),
    (134, 88, 60), (98, 62, 44), (72, 46, 34),
)  # fmt: skip
HAIRS: tuple[Rgb, ...] = (
    (24, 20, 20), (24, 20, 20), (34, 26, 24), (34, 26, 24), (48, 34, 28), (72, 46, 30),
    (104, 66, 40), (150, 104, 60), (202, 168, 110), (120, 46, 30), (130, 130, 132),
)  # fmt: skip
#: What people wear under or over the garment on sale: mostly blue jeans and dark trousers.
LOWER_COLOURS: tuple[Rgb, ...] = (
    (44, 58, 88), (58, 76, 112), (84, 108, 148), (36, 40, 56), (24, 24, 28), (24, 24, 28), (30, 34, 40),
    (70, 72, 76), (150, 138, 116), (204, 206, 210), (92, 76, 58), (130, 30, 90), (60, 110, 70),
)  # fmt: skip
UPPER_COLOURS: tuple[Rgb, ...] = (
    (244, 244, 244), (236, 238, 240), (30, 30, 34), (30, 30, 34), (120, 122, 126), (40, 80, 160), (190, 40, 40),
    (210, 190, 60), (60, 130, 80), (50, 150, 190), (150, 30, 80),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Body:
    """Measures in body units, half-widths; joints of the left (x < 0) and right arm and leg from the top down."""

    audience: Audience
    neck: float
    shoulder: float
    chest: float
    waist: float
    hip: float
    arms: tuple[tuple[Point, ...], tuple[Point, ...]]
    legs: tuple[tuple[Point, ...], tuple[Point, ...]]
    skin: Rgb
    hair: Rgb


def _arm(shoulder: float, upper: float, fore: float, side: int) -> tuple[Point, ...]:
    """Shoulder, elbow, wrist and hand; angles from hanging straight down, outward positive."""
    x, y = shoulder - 0.022, 0.196
    joints = [(x, y)]
    for length, angle in ((0.155, upper), (0.135, fore), (0.045, fore * 0.7)):
        x, y = x + length * math.sin(angle), y + length * math.cos(angle)
        joints.append((x, y))
    return tuple((side * px, py) for px, py in joints)


def sample_body(rng: random.Random, audience: Audience) -> Body:
    """A person in one of the poses of a catalogue: arms hanging, a hand on the hip, a step."""
    build = rng.uniform(0.93, 1.08)
    if audience == "men":
        neck, shoulder, chest, waist, hip = 0.033, 0.126, 0.108, 0.092, 0.094
    else:
        neck, shoulder, chest, waist, hip = 0.026, 0.103, 0.090, 0.072, 0.097
    shoulder, chest, waist, hip = (value * build for value in (shoulder, chest, waist, hip))
    arms = []
    for side in (-1, 1):
        if rng.random() < (0.28 if audience == "women" else 0.08):
            upper, fore = rng.uniform(0.5, 0.8), rng.uniform(-0.75, -0.45)
        else:
            upper, fore = rng.uniform(0.1, 0.3), rng.uniform(-0.05, 0.15)
        arms.append(_arm(shoulder, upper, fore, side))
    legs = []
    stance = rng.uniform(0.0, 0.03)
    for side in (-1, 1):
        step = stance + rng.uniform(-0.004, 0.012)
        legs.append(tuple((side * x, y) for x, y in ((0.046, 0.5), (0.05 + step * 0.6, 0.73), (0.046 + step, 0.945))))
    return Body(
        audience, neck, shoulder, chest, waist, hip, (arms[0], arms[1]), (legs[0], legs[1]),
        rng.choice(SKINS), rng.choice(HAIRS),
    )  # fmt: skip


def laid_out(rng: random.Random, body: Body) -> Body:
    """The same measures with straight arms and legs spread evenly, as a garment lies on a table."""
    angle = rng.uniform(0.16, 0.85)
    arm = _arm(body.shoulder, angle, angle - rng.uniform(0.0, 0.12), -1)
    leg = ((-0.046, 0.5), (-0.055, 0.73), (-0.055 - rng.uniform(0.0, 0.03), 0.945))
    return Body(
        body.audience, body.neck, body.shoulder, body.chest, body.waist, body.hip,
        (arm, mirrored(arm)), (leg, mirrored(leg)), body.skin, body.hair,
    )  # fmt: skip


def _skin(points: tuple[Point, ...], body: Body, shade: float = 1.0, corner: float = 0.006) -> Piece:
    return Piece(points, body.skin, shade=shade, corner=corner, volume=0.35)


def torso_and_limbs(body: Body) -> list[Piece]:
    """Bare legs, arms, hands, neck and trunk, to be covered by whatever is worn."""
    pieces = []
    for leg in body.legs:
        knee, ankle = leg[1], leg[2]
        pieces.append(_skin(limb(leg, (0.05, 0.031, 0.017)), body))
        pieces.append(_skin(ellipse(ankle[0] * 1.1, 0.975, 0.022, 0.02), body, 0.9))
        pieces.append(Piece(((knee[0], 0.71), (knee[0], 0.75)), body.skin, shade=0.92, width=0.006))
    for arm in body.arms:
        wrist, hand = arm[2], arm[3]
        pieces.append(_skin(limb(arm[:3], (0.030, 0.023, 0.016)), body, 0.97))
        pieces.append(_skin(limb((wrist, hand), (0.017, 0.013)), body, 0.97, 0.012))
    trunk = symmetric(
        [
            (-body.neck, 0.125), (-body.neck * 1.05, 0.15), (-body.shoulder + 0.02, 0.172), (-body.shoulder, 0.192),
            (-body.chest, 0.27), (-body.waist, 0.385), (-body.hip, 0.48), (-0.09, 0.53),
        ]
    )  # fmt: skip
    pieces.append(_skin(trunk, body))
    pieces.append(Piece(ellipse(0.0, 0.142, body.neck * 0.95, 0.012), body.skin, shade=0.8))
    return pieces


def head(rng: random.Random, body: Body) -> tuple[list[Piece], list[Piece]]:
    """Hair that falls behind the shoulders, and the face with the hair in front."""
    turn = rng.uniform(-0.008, 0.008)
    behind: list[Piece] = []
    long_hair = body.audience == "women" and rng.random() < 0.8
    if long_hair:
        fall = rng.uniform(0.15, 0.27)
        behind.append(
            Piece(
                rounded(symmetric([(-0.02, -0.012), (-0.058, 0.03), (-0.066, 0.1), (-0.07, fall)]), 0.02),
                body.hair,
                volume=0.4,
                corner=0.02,
            )
        )
    face = [
        Piece(ellipse(turn * 0.4, 0.052, 0.05, 0.062), body.hair, volume=0.3),
        Piece(ellipse(turn, 0.072, 0.041, 0.058), body.skin, volume=0.3),
    ]
    brow = 0.043 if body.audience == "men" else 0.05
    fringe = [(-0.045 + turn, 0.07), (-0.047, 0.03), (-0.02, 0.0), (0.02, 0.0), (0.047, 0.03), (0.045 + turn, 0.07)]
    dip = rng.uniform(-0.02, 0.02)
    face.append(
        Piece((*fringe, (0.036 + turn, brow), (dip, brow - 0.016), (-0.036 + turn, brow)), body.hair, corner=0.01)
    )
    if body.audience == "men" and rng.random() < 0.3:
        face.append(Piece(ellipse(turn, 0.108, 0.03, 0.02), body.hair, shade=1.2))
    if long_hair and rng.random() < 0.7:
        end = rng.uniform(0.15, 0.25)
        for side in (-1, 1):
            lock = ((side * 0.04, 0.04), (side * 0.058, 0.06), (side * 0.066, end), (side * 0.046, end + 0.012))
            face.append(Piece((*lock, (side * 0.04, 0.12)), body.hair, corner=0.008, volume=0.2))
    dark = tuple(int(v * 0.35) for v in body.skin)
    for side in (-1, 1):
        face.append(Piece(ellipse(turn + side * 0.016, 0.066, 0.006, 0.0035, count=8), (dark[0], dark[1], dark[2])))
        face.append(Piece(((turn + side * 0.009, 0.058), (turn + side * 0.023, 0.057)), body.hair, width=0.003))
    face.append(Piece(((turn, 0.07), (turn + 0.003, 0.086)), body.skin, shade=0.82, width=0.004))
    mouth = (184, 90, 90) if body.audience == "women" else (150, 92, 82)
    face.append(Piece(ellipse(turn, 0.102, 0.012, 0.0035, count=10), mouth))
    return behind, face


def plain_lower(rng: random.Random, body: Body, colour: Rgb | None = None, wide: float | None = None) -> list[Piece]:
    """Trousers, leggings or jeans below a garment for the upper body; now and then a skirt."""
    colour = colour if colour is not None else rng.choice(LOWER_COLOURS)
    if body.audience == "women" and rng.random() < 0.1:
        hem = rng.uniform(0.62, 0.75)
        skirt = symmetric([(-body.waist, 0.4), (-body.hip - 0.012, 0.5), (-body.hip - 0.03, hem)])
        return [Piece(skirt, colour, corner=0.008, volume=0.35)]
    width = wide if wide is not None else rng.choice((0.006, 0.012, 0.02))
    pieces = [
        Piece(limb(leg, (0.054, 0.036 + width, 0.02 + width)), colour, corner=0.006, volume=0.4) for leg in body.legs
    ]
    seat = symmetric([(-body.waist - 0.006, 0.4), (-body.hip - 0.006, 0.48), (-0.098, 0.53), (0.0, 0.55)])
    pieces.append(Piece(seat, colour, corner=0.006, volume=0.25))
    pieces.append(Piece(((0.0, 0.42), (0.0, 0.54)), colour, shade=0.75, width=0.004))
    if rng.random() < 0.3:
        pieces.append(Piece(box(-body.waist - 0.006, 0.4, body.waist + 0.006, 0.418), (50, 36, 28)))
    return pieces


def plain_upper(rng: random.Random, body: Body) -> list[Piece]:
    """A t-shirt or shirt above a garment for the lower body, with sleeves."""
    colour = rng.choice(UPPER_COLOURS)
    share = rng.choice((2, 3))
    pieces = [
        Piece(limb(arm[:share], (0.04, 0.034, 0.024)[:share]), colour, shade=0.94, corner=0.006, volume=0.35)
        for arm in body.arms
    ]
    hem = rng.uniform(0.41, 0.5)
    trunk = [
        (-body.neck, 0.15), (-body.shoulder, 0.185), (-body.chest - 0.01, 0.27), (-body.waist - 0.012, 0.385),
        (-body.hip - 0.004, hem),
    ]  # fmt: skip
    pieces.append(Piece(symmetric(trunk), colour, corner=0.008, volume=0.35))
    return pieces


def shoes(rng: random.Random, body: Body) -> list[Piece]:
    """Plain shoes seen from the front."""
    colour = rng.choice(((28, 26, 28), (60, 42, 32), (236, 236, 236), (90, 90, 96)))
    return [Piece(ellipse(leg[2][0] * 1.1, 0.978, 0.026, 0.022), colour, volume=0.3, corner=0.004) for leg in body.legs]
