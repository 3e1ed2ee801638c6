"""How a garment is photographed: where the camera stands, what is behind, what the file does to the picture.

Follows the layout of shop photographs: people cut at the thigh or the knee on white, some with the head out of
the frame, some before a studio wall or a blurred street; products alone fill the frame. Then exposure, a cast,
blur, grain and JPEG blocks. Knows no garments beyond the group they belong to.
"""

from __future__ import annotations

import io
import random

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from sim.drawing import Camera
from sim.textures import noise
from sim.vocabulary import Rgb

_WALLS: tuple[Rgb, ...] = (
    (228, 228, 232), (236, 230, 220), (222, 232, 240), (240, 226, 228), (205, 205, 208), (190, 180, 168),
    (214, 226, 212), (170, 178, 186), (246, 240, 226), (120, 128, 136), (84, 88, 98), (150, 128, 108), (60, 62, 70),
)  # fmt: skip
#: Top and bottom of the frame in body units, with weights: the layouts of worn garments by group.
_FRAMES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "top": ((-0.03, 0.62, 8), (0.09, 0.6, 3), (-0.03, 0.78, 1), (0.12, 0.52, 1), (-0.04, 1.04, 0.4)),
    "long top": ((-0.03, 0.8, 7), (0.09, 0.78, 2), (-0.04, 1.04, 1)),
    "bottom": ((0.3, 1.04, 7), (0.36, 1.02, 3), (-0.04, 1.04, 1.5), (0.34, 0.85, 1)),
    "short bottom": ((0.3, 1.04, 3), (0.34, 0.82, 4), (-0.04, 1.04, 1)),
    "whole": ((-0.04, 1.04, 6), (-0.03, 0.86, 3), (0.1, 1.02, 2)),
}


def worn_camera(rng: random.Random, layout: str) -> Camera:
    """A camera before a person; `layout` names a row of the frames above."""
    frames = _FRAMES[layout]
    top, bottom, _ = rng.choices(frames, [frame[2] for frame in frames])[0]
    height = (bottom - top) * rng.uniform(0.94, 1.08)
    middle = (top + bottom) / 2 + rng.uniform(-0.03, 0.03) * height
    shift = rng.gauss(0, 0.045) * height
    return Camera(
        1 / height,
        shift,
        middle,
        rng.gauss(0, 0.022),
        rng.uniform(0.94, 1.06) * rng.choice((1.0, 1.0, 1.0, 1.18)),
        rng.random() < 0.5,
    )


def product_camera(rng: random.Random, box: tuple[float, float, float, float], large: bool = False) -> Camera:
    """A camera above a garment that lies in `box`; it fills most of the frame, sometimes much less."""
    x0, y0, x1, y1 = box
    extent = max(x1 - x0, y1 - y0)
    share = rng.uniform(0.74, 0.97) if large or rng.random() < 0.8 else rng.uniform(0.5, 0.74)
    height = extent / share
    slack = max(0.0, 1 - share) * 0.35 * height
    return Camera(
        1 / height,
        (x0 + x1) / 2 + rng.uniform(-slack, slack),
        (y0 + y1) / 2 + rng.uniform(-slack, slack),
        rng.gauss(0, 0.035),
        rng.uniform(0.93, 1.07),
        rng.random() < 0.5,
    )


def background(rng: random.Random, pixels: int) -> Image.Image:
    """White paper most often; else a studio wall, a vignette or something blurred."""
    kind = rng.random()
    if kind < 0.55:
        level = rng.choice((255, 255, 253, 250, 246))
        return Image.new("RGB", (pixels, pixels), (level, level, level))
    bumps = np.random.default_rng(rng.getrandbits(48))
    wall = np.array(rng.choice(_WALLS), np.float32)
    if kind < 0.85:
        across = np.linspace(-0.5, 0.5, pixels, dtype=np.float32)
        grade = across[:, None] * rng.uniform(-0.25, 0.25) + across[None, :] * rng.uniform(-0.2, 0.2)
        if rng.random() < 0.4:
            grade = grade - rng.uniform(0.1, 0.5) * (across[:, None] ** 2 + across[None, :] ** 2)
        field = wall * (1 + grade[..., None])
        if rng.random() < 0.3:
            floor = int(pixels * rng.uniform(0.78, 0.94))
            field[floor:] *= rng.uniform(0.86, 1.06)
    else:
        grid = rng.choice((3, 5, 8))
        layers = np.stack([noise(bumps, pixels, grid, grid + 2) for _ in range(3)], axis=-1)
        # Streets and rooms out of focus are mostly grey; a trace of colour is left.
        field = wall * (0.86 + 0.14 * layers) + 70 * (noise(bumps, pixels, grid)[..., None] - 0.5)
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))


def compose(rng: random.Random, subject: Image.Image, cover: Image.Image, ground: Image.Image) -> Image.Image:
    """Put the subject before the ground, with a soft shadow in half of the pictures."""
    pixels = subject.width
    if rng.random() < 0.5:
        reach = int(pixels * rng.uniform(0.01, 0.04))
        depth = rng.uniform(0.15, 0.5)
        soft = cover.filter(ImageFilter.BoxBlur(pixels * rng.uniform(0.01, 0.04)))
        shifted = Image.new("L", cover.size, 0)
        shifted.paste(soft, (rng.choice((-reach, 0, reach)), reach))
        ground = Image.composite(
            Image.new("RGB", ground.size, (90, 90, 96)), ground, shifted.point(lambda v: int(v * depth))
        )
    return Image.composite(subject, ground, cover)


def develop(rng: random.Random, picture: Image.Image, size: int) -> Image.Image:
    """Reduce to `size` and give the picture the faults of a camera and a file."""
    picture = picture.resize((size, size), Image.Resampling.BOX)
    if rng.random() < 0.6:
        picture = ImageEnhance.Contrast(picture).enhance(rng.choice((rng.uniform(0.7, 1.0), rng.uniform(1.0, 1.2))))
        picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.92, 1.08))
    if rng.random() < 0.25:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.8) * size / 96))
    pixels = np.asarray(picture, np.float32)
    if rng.random() < 0.25:
        pixels = pixels * np.array([rng.uniform(0.96, 1.04) for _ in range(3)], np.float32)
    if rng.random() < 0.6:
        grain = np.random.default_rng(rng.getrandbits(48))
        pixels = pixels + grain.normal(0, rng.uniform(0.5, 4.0), pixels.shape).astype(np.float32)
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.6:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=rng.randint(55, 92))
        picture = Image.open(file).convert("RGB")
    return picture
