"""The painter: pieces in body units become pixels, with the light that a photograph has.

Draws on a canvas twice the size asked for, so edges are smooth after reduction. Every filled piece darkens
towards its rim (its `volume`), and the cloth gets long soft folds; there are no ink outlines, because real
photographs have none. Knows neither garments nor people.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from sim.shapes import Piece, Point, rounded
from sim.textures import Cloth, noise
from sim.vocabulary import Rgb

OVERSAMPLING = 2


@dataclass(frozen=True, slots=True)
class Camera:
    """Where body coordinates fall on the frame: `scale` frames per body unit, the body point in the middle."""

    scale: float
    x: float
    y: float
    tilt: float = 0.0
    stretch: float = 1.0
    flip: bool = False

    def project(self, point: Point, pixels: int) -> Point:
        """A body point in pixels."""
        x, y = (point[0] - self.x) * self.scale * self.stretch, (point[1] - self.y) * self.scale
        x = -x if self.flip else x
        cos, sin = math.cos(self.tilt), math.sin(self.tilt)
        return (x * cos - y * sin + 0.5) * pixels, (x * sin + y * cos + 0.5) * pixels


class Painter:
    """A canvas that takes pieces in order; later pieces cover earlier ones."""

    def __init__(self, pixels: int, camera: Camera, cloth: Cloth) -> None:
        self.pixels = pixels
        self.camera = camera
        self.cloth = cloth
        self.picture = Image.new("RGB", (pixels, pixels))
        self.cover = Image.new("L", (pixels, pixels), 0)
        self.cloth_cover = Image.new("L", (pixels, pixels), 0)

    def paint(self, pieces: Iterable[Piece]) -> None:
        """Draw the pieces one over the other."""
        for piece in pieces:
            self._draw(piece)

    def _draw(self, piece: Piece) -> None:
        body_points = rounded(piece.points, piece.corner) if piece.corner and piece.width is None else piece.points
        points = [self.camera.project(point, self.pixels) for point in body_points]
        mask = Image.new("L", (self.pixels, self.pixels), 0)
        if piece.width is not None:
            width = max(1, round(piece.width * self.camera.scale * self.pixels))
            ImageDraw.Draw(mask).line(points, fill=255, width=width, joint="curve")
        else:
            ImageDraw.Draw(mask).polygon(points, fill=255)
        self.picture.paste(self._colouring(piece, mask), (0, 0), mask)
        self.cover.paste(255, (0, 0), mask)
        of_cloth = piece.material in ("fabric", "plain", "accent")
        if piece.width is None:
            self.cloth_cover.paste(255 if of_cloth else 0, (0, 0), mask)

    def _colouring(self, piece: Piece, mask: Image.Image) -> Image.Image | Rgb:
        source: Image.Image | Rgb
        if piece.material == "fabric":
            source = self.cloth.cut(-piece.angle if self.camera.flip else piece.angle)
        else:
            source = self._flat_colour(piece.material)
        if piece.volume == 0.0 and piece.shade == 1.0:
            return source
        if not isinstance(source, Image.Image):
            source = Image.new("RGB", (self.pixels, self.pixels), source)
        if piece.volume == 0.0:
            shade = piece.shade
            return source.point(lambda value: int(min(255, value * shade)))
        box = mask.getbbox() or (0, 0, 1, 1)
        radius = max(1.0, 0.22 * min(box[2] - box[0], box[3] - box[1]))
        soft = mask.filter(ImageFilter.BoxBlur(radius))
        low, top = 1.0 - piece.volume, min(1.0, piece.shade)
        light = soft.point(lambda value: int(255 * top * (low + piece.volume * min(1.0, value / 225))))
        return ImageChops.multiply(source, Image.merge("RGB", (light, light, light)))

    def _flat_colour(self, material: str | Rgb) -> Rgb:
        match material:
            case "plain":
                return self.cloth.base
            case "seam":
                return self.cloth.seam
            case "accent":
                return self.cloth.accent
            case "trim":
                return self.cloth.trim
        if isinstance(material, str):
            raise ValueError(f"no material {material!r}")
        return material

    def fold(self, rng: random.Random, strength: float) -> None:
        """Lay long soft folds and a side light over the cloth."""
        bumps = np.random.default_rng(rng.getrandbits(48))
        drape = noise(bumps, self.pixels, rng.choice((7, 9, 11)), rng.choice((2, 3, 4)))
        sway = noise(bumps, self.pixels, 4, 5)
        slope = np.linspace(-0.5, 0.5, self.pixels, dtype=np.float32)[None, :] * rng.uniform(-0.16, 0.16)
        light = 1 + strength * (0.6 * (drape - 0.5) + 0.5 * (sway - 0.5)) + slope
        cover = np.asarray(self.cloth_cover, np.float32)[..., None] / 255
        pixels = np.asarray(self.picture, np.float32)
        # A black cloth shows its folds as highlights, so a little light is added as well as multiplied.
        folded = pixels * light[..., None] + 28 * strength * (drape - 0.4)[..., None]
        blended = pixels + (folded - pixels) * cover
        self.picture = Image.fromarray(np.clip(blended, 0, 255).astype(np.uint8))
