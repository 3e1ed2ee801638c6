"""Cloth: the patterns of garments as pictures the size of the frame.

A `Cloth` draws its parameters once, so a sleeve cut at another angle shows the same stripes as the front. Sizes
are shares of the frame's side, not of the body: a stripe must stay wider than three pixels when the picture is
reduced to 64, or it can't be told from a plain cloth. Deterministic given the random generator passed in.
"""

from __future__ import annotations

import math
import random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from sim.vocabulary import COLOURS, Rgb

Field = npt.NDArray[np.float32]

_BLOSSOMS: tuple[Rgb, ...] = (
    (246, 246, 246), (240, 90, 130), (250, 205, 70), (225, 60, 60), (150, 100, 210), (250, 170, 195),
    (255, 140, 60), (110, 170, 230), (30, 30, 40),
)  # fmt: skip


def luminance(colour: Rgb) -> float:
    """How bright a colour looks, 0 to 255."""
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def scaled(colour: Rgb, factor: float) -> Rgb:
    """A colour made darker or brighter, within range."""
    red, green, blue = (int(max(0.0, min(255.0, value * factor))) for value in colour)
    return red, green, blue


def mixed(a: Rgb, b: Rgb, share: float) -> Rgb:
    """`share` of b in a."""
    red, green, blue = (int(x * (1 - share) + y * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def noise(rng: np.random.Generator, pixels: int, columns: int, rows: int | None = None) -> Field:
    """Smooth random values in [0, 1] with `columns` x `rows` bumps."""
    grid = (rng.random((rows or columns, columns)) * 255).astype(np.uint8)
    picture = Image.fromarray(grid).resize((pixels, pixels), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.float32) / np.float32(255)


def _distance(a: Rgb, b: Rgb) -> int:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


def accent_colour(base: Rgb, rng: random.Random) -> Rgb:
    """A second colour that can be told from the first in a small picture."""
    light = luminance(base)
    if light < 90:
        options = [
            (244, 244, 240),
            (244, 244, 240),
            (210, 210, 214),
            (236, 206, 110),
            mixed(base, (255, 255, 255), 0.6),
        ]
    elif light > 185:
        options = [(40, 40, 60), (30, 60, 140), (170, 30, 40), (90, 90, 95), (40, 100, 60), (220, 90, 120)]
    else:
        options = [(246, 246, 242), (246, 246, 242), scaled(base, 0.32), (25, 25, 30)]
    return rng.choice([colour for colour in options if _distance(colour, base) > 150] or [(250, 250, 250)])


class Cloth:
    """One garment's material: its colours and its pattern, cut at any angle."""

    def __init__(self, pattern: str, colour: str, pixels: int, rng: random.Random) -> None:
        self.pattern = pattern
        self.pixels = pixels
        dye = rng.uniform(0.86, 1.14)
        tint = [rng.uniform(-10, 10) for _ in range(3)]
        red, green, blue = (int(max(6, min(251, v * dye + t))) for v, t in zip(COLOURS[colour][0], tint, strict=True))
        self.base: Rgb = (red, green, blue)
        self.accent = accent_colour(self.base, rng)
        light = luminance(self.base)
        self.seam = (
            scaled(self.base, 0.6 if light < 200 else 0.72) if light > 60 else mixed(self.base, (160, 160, 166), 0.42)
        )
        self.trim: Rgb = (238, 238, 238) if light < 170 else (62, 62, 68)
        self._seed = rng.getrandbits(48)
        self._cuts: dict[int, Image.Image] = {}

    def cut(self, angle: float = 0.0) -> Image.Image:
        """The cloth turned by `angle` radians, rounded to twentieths; patterns without a direction stay."""
        turned = self.pattern in ("striped", "checked", "cable knit", "denim")
        step = round(angle * 20) if turned else 0
        if step not in self._cuts:
            self._cuts[step] = self._weave(step / 20)
        return self._cuts[step]

    def plain(self) -> Image.Image:
        """The cloth without its pattern."""
        return Image.new("RGB", (self.pixels, self.pixels), self.base)

    def _weave(self, angle: float) -> Image.Image:
        rng = random.Random(self._seed)
        bumps = np.random.default_rng(self._seed)
        y, x = np.mgrid[0 : self.pixels, 0 : self.pixels].astype(np.float32) / self.pixels
        u = (x - 0.5) * math.cos(angle) + (y - 0.5) * math.sin(angle)
        v = (y - 0.5) * math.cos(angle) - (x - 0.5) * math.sin(angle)
        match self.pattern:
            case "striped":
                field = self._striped(u, v, rng)
            case "checked":
                field = self._checked(u, v, rng)
            case "camouflage":
                field = self._camouflage(bumps)
            case "tie-dye":
                field = self._tie_dye(x, y, rng, bumps)
            case "denim":
                field = self._denim(u, v, rng, bumps)
            case "cable knit":
                field = self._cable_knit(u, v, rng)
            case "polka dot" | "floral":
                return self._dotted(rng) if self.pattern == "polka dot" else self._floral(rng)
            case _:
                return self.plain()
        return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))

    def _canvas(self) -> Field:
        return np.broadcast_to(np.array(self.base, np.float32), (self.pixels, self.pixels, 3)).copy()

    def _striped(self, u: Field, v: Field, rng: random.Random) -> Field:
        period, duty = rng.uniform(0.065, 0.13), rng.uniform(0.27, 0.4)
        across = v if rng.random() < 0.72 else u
        phase = (across + 2 + rng.random()) % period / period
        field = self._canvas()
        field[phase < duty] = self.accent
        if rng.random() < 0.25:
            third = rng.choice(_BLOSSOMS)
            field[(phase > duty + 0.2) & (phase < duty + 0.3)] = third
        return field

    def _checked(self, u: Field, v: Field, rng: random.Random) -> Field:
        period, duty, weight = rng.uniform(0.08, 0.15), rng.uniform(0.28, 0.4), rng.uniform(0.38, 0.46)
        shift = 2 + rng.random()
        along, across = (u + shift) % period / period, (v + shift) % period / period
        cover = ((along < duty).astype(np.float32) + (across < duty)) * weight
        field = self._canvas() * (1 - cover[..., None]) + np.array(self.accent, np.float32) * cover[..., None]
        if rng.random() < 0.4:
            thread = mixed(self.base, rng.choice(_BLOSSOMS), 0.6)
            middle = (1 + duty) / 2
            field[(abs(along - middle) < 0.05) | (abs(across - middle) < 0.05)] = thread
        return field

    def _camouflage(self, bumps: np.random.Generator) -> Field:
        field = self._canvas()
        light = luminance(self.base)
        patches = (
            (0.58, scaled(self.base, 0.55 if light > 60 else 2.6)),
            (0.62, mixed(self.base, (235, 225, 190) if light < 200 else (120, 120, 110), 0.5)),
            (0.7, scaled(self.base, 0.25) if light > 60 else (90, 92, 84)),
        )
        for threshold, colour in patches:
            field[noise(bumps, self.pixels, 12, 14) > threshold] = colour
        return field

    def _tie_dye(self, x: Field, y: Field, rng: random.Random, bumps: np.random.Generator) -> Field:
        dx, dy = x - rng.uniform(0.32, 0.68), y - rng.uniform(0.32, 0.68)
        radius, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
        wobble = noise(bumps, self.pixels, 14) * 4
        arms = rng.choice((2, 3, 4, 5))
        bleached = 0.42 + 0.42 * np.sin(arms * turn + radius / rng.uniform(0.035, 0.07) + wobble)
        deep = 0.5 + 0.5 * np.sin(2 * turn - radius / 0.055 + wobble + 2)
        pale = [(250, 250, 250), (250, 250, 250), (250, 230, 120), (120, 220, 230), (250, 150, 190)]
        if luminance(self.base) > 185:
            pale = [(120, 190, 230), (240, 130, 170), (150, 120, 210), (120, 130, 140)]
        other = np.array(rng.choice(pale), np.float32)
        field = self._canvas() * (1 - bleached[..., None] * 0.85) + other * bleached[..., None] * 0.85
        return np.asarray(field * (1 - deep[..., None] * 0.2), np.float32)

    def _denim(self, u: Field, v: Field, rng: random.Random, bumps: np.random.Generator) -> Field:
        twill = 0.94 + 0.06 * np.sign(np.sin((u + v) * self.pixels * 1.6))
        wash = 0.84 + 0.32 * noise(bumps, self.pixels, 9)
        worn = rng.uniform(0.15, 0.7) * (np.exp(-(((u + 0.09) / 0.05) ** 2)) + np.exp(-(((u - 0.09) / 0.05) ** 2)))
        grain = 0.92 + 0.16 * noise(bumps, self.pixels, min(96, self.pixels))
        dye = mixed(self.base, (70, 90, 130), 0.3 if luminance(self.base) < 220 else 0.06)
        shade = twill * wash * (1 + 0.6 * worn * (noise(bumps, self.pixels, 5) * 0.6 + 0.5)) * grain
        return np.asarray(np.array(dye, np.float32) * shade[..., None], np.float32)

    def _cable_knit(self, u: Field, v: Field, rng: random.Random) -> Field:
        period = rng.uniform(0.09, 0.14)
        phase = (u + 2) % period / period
        strand = np.sin(v * 2 * math.pi / (period * rng.uniform(0.5, 0.7)) + np.sin(2 * math.pi * phase) * 2.4)
        bulge = np.abs(np.sin(math.pi * phase))
        shade = 0.62 + 0.3 * bulge + 0.34 * strand * bulge
        shade[phase < 0.14] = 0.5
        lift = 1.0 if luminance(self.base) > 60 else 2.2
        return np.asarray(self._canvas() * (shade * lift)[..., None], np.float32)

    def _dotted(self, rng: random.Random) -> Image.Image:
        picture = self.plain()
        draw = ImageDraw.Draw(picture)
        period = rng.uniform(0.075, 0.13) * self.pixels
        radius = period * rng.uniform(0.24, 0.33)
        for row in range(-1, int(self.pixels / period) + 3):
            for column in range(-1, int(self.pixels / period) + 3):
                x, y = (column + 0.5 * (row % 2)) * period, row * period * 0.9
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=self.accent)
        return picture

    def _floral(self, rng: random.Random) -> Image.Image:
        picture = self.plain()
        draw = ImageDraw.Draw(picture)
        blossoms = [colour for colour in _BLOSSOMS if _distance(colour, self.base) > 150]
        blossoms = rng.sample(blossoms, min(rng.choice((1, 2, 3)), len(blossoms)))
        leaf = (50, 130, 60) if _distance((50, 130, 60), self.base) > 130 else (170, 210, 120)
        size = rng.uniform(0.028, 0.05) * self.pixels
        for _ in range(int(0.11 * (self.pixels / size) ** 2)):
            x, y, turn = rng.uniform(0, self.pixels), rng.uniform(0, self.pixels), rng.uniform(0, 6)
            for side in (-1, 1):
                lx, ly = x + side * size * 1.2, y + size
                draw.ellipse((lx - size * 0.7, ly - size * 0.3, lx + size * 0.7, ly + size * 0.3), fill=leaf)
            colour = rng.choice(blossoms)
            for petal in range(5):
                px = x + size * 0.75 * math.cos(turn + petal * 1.257)
                py = y + size * 0.75 * math.sin(turn + petal * 1.257)
                draw.ellipse((px - size * 0.55, py - size * 0.55, px + size * 0.55, py + size * 0.55), fill=colour)
            heart = (250, 220, 60) if colour[2] > 90 else (90, 50, 30)
            draw.ellipse((x - size * 0.35, y - size * 0.35, x + size * 0.35, y + size * 0.35), fill=heart)
        return picture
