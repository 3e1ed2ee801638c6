"""What the tiny encoder learns from and is measured on: garments, their pictures, and which attributes they share.

Training never draws a held-out combination nor a picture seed at or above `EVALUATION_SEEDS`. Pictures of the
training set are rendered in a process of their own while training goes on; which pictures exist at which step
depends on the step alone, never on how fast either process is. Knows nothing of torch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from types import TracebackType

import numpy as np
import numpy.typing as npt
from PIL import Image

from sim.garments import (
    CATEGORIES,
    COLOURS,
    PATTERNS,
    Audience,
    Garment,
    is_held_out,
    render,
    sample_garment,
    view_of,
    wearer_of,
)

Pixels = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int64]

#: Picture seeds below are for training, from here on for evaluation.
EVALUATION_SEEDS = 1 << 30
#: Attributes as integers, in this order; the last says who wears the garment, or that nobody does.
FIELDS = ("category", "colour", "pattern", "sleeve", "length", "neck", "fit", "wearer")
VALUES: dict[str, tuple[str, ...]] = {
    "category": tuple(CATEGORIES),
    "colour": tuple(COLOURS),
    "pattern": tuple(PATTERNS),
    "sleeve": ("none", "sleeveless", "short", "long"),
    "length": ("regular", "cropped", "mini", "knee", "maxi"),
    "neck": ("default", "crew", "v-neck", "turtleneck"),
    "fit": ("slim", "regular", "loose"),
    "wearer": ("nobody", "women", "men"),
}


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture to take: a garment and the seed of everything else."""

    garment: Garment
    seed: int

    @property
    def worn_by(self) -> Audience | None:
        """Who is to be seen in the picture."""
        return wearer_of(self.garment, self.seed) if view_of(self.garment, self.seed) == "worn" else None

    @property
    def sold_to(self) -> Audience | None:
        """Whom a caption may name: the wearer, or the only audience of the category."""
        audiences = CATEGORIES[self.garment.category].audiences
        return audiences[0] if len(audiences) == 1 else self.worn_by


def draw_shots(rng: random.Random, count: int, wanted: Callable[[Garment], bool], seed_from: int = 0) -> list[Shot]:
    """`count` shots of garments that are `wanted`, with seeds in [seed_from, seed_from + EVALUATION_SEEDS)."""
    shots: list[Shot] = []
    while len(shots) < count:
        garment = sample_garment(rng)
        if wanted(garment):
            shots.append(Shot(garment, seed_from + rng.randrange(EVALUATION_SEEDS)))
    return shots


def training_shots(seed: int, chunk: int, count: int) -> list[Shot]:
    """The chunk's shots: no held-out combination, no evaluation seed."""
    return draw_shots(random.Random(f"training|{seed}|{chunk}"), count, lambda garment: not is_held_out(garment))


def encode_attributes(shots: Sequence[Shot]) -> Codes:
    """Integers [shots, FIELDS]."""
    rows = []
    for shot in shots:
        known = [VALUES[name].index(getattr(shot.garment, name)) for name in FIELDS[:-1]]
        rows.append([*known, VALUES["wearer"].index(shot.worn_by or "nobody")])
    return np.array(rows, np.int64)


def shoot(shot: Shot, size: int) -> Image.Image:
    """The picture of one shot."""
    return render(shot.garment, shot.seed, size)


def render_shots(shots: Sequence[Shot], size: int) -> Pixels:
    """Pictures uint8 [shots, size, size, 3]."""
    pixels = np.empty((len(shots), size, size, 3), np.uint8)
    for row, shot in enumerate(shots):
        pixels[row] = np.asarray(shoot(shot, size))
    return pixels


class GrowingSet:
    """A training set that grows by one rendered chunk after another, on a schedule of steps."""

    def __init__(self, seed: int, *, chunk_shots: int, chunks: int, size: int, steps: int) -> None:
        self.shots: list[Shot] = []
        self.pixels: Pixels = np.empty((chunk_shots * chunks, size, size, 3), np.uint8)
        self.codes: Codes = np.empty((0, len(FIELDS)), np.int64)
        # All chunks are there after this share of the steps, so that the last ones are also learnt.
        self._steps_per_chunk = max(1, int(0.6 * steps / chunks))
        self._chunks = [training_shots(seed, chunk, chunk_shots) for chunk in range(chunks)]
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        self._coming: list[Future[Pixels]] = [self._pool.submit(render_shots, shots, size) for shots in self._chunks]
        self._taken = 0

    def __enter__(self) -> GrowingSet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def grow(self, step: int) -> None:
        """Wait for the chunks that belong to this step."""
        due = min(len(self._chunks), 1 + step // self._steps_per_chunk)
        while self._taken < due:
            # Taken off the list, or the future would keep a second copy of the pictures.
            pixels, shots = self._coming.pop(0).result(), self._chunks[self._taken]
            self.pixels[len(self.shots) : len(self.shots) + len(shots)] = pixels
            self.shots += shots
            self.codes = np.concatenate([self.codes, encode_attributes(shots)])
            self._taken += 1
