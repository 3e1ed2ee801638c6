"""The papers that travel with the tiny encoder: its card, with all figures and what it can't do, and the notice.

Written by the training script from what it measured, so the card can't drift from the weights beside it.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from sim.measure_tiny import POOL, ZERO_SHOT_PICTURES, Figure, table
from sim.vocabulary import CATEGORIES, COLOURS, PATTERNS, every_combination, is_held_out

if TYPE_CHECKING:
    from sim.train_tiny import Recipe

_PACKAGES = ("torch", "open_clip_torch", "pillow", "numpy", "safetensors")
_NOTICE = """\
The file bpe.txt.gz in this folder is a subset of the byte-pair merges of OpenAI CLIP
(https://github.com/openai/CLIP, bpe_simple_vocab_16e6.txt.gz), which is distributed under the MIT licence:

MIT License

Copyright (c) 2021 OpenAI

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.

The weights in this folder were trained from a random start on rendered pictures alone; they contain no weights
of OpenAI CLIP and no photographs.
"""
_LIMITS = """\
## What it can't do

- **It is not a substitute for a real CLIP model on real photographs.** It has seen drawings only. There, its
  pictures' neighbours are worth about what the figures above say; its guess of a photograph's category by
  prompt is to be read beside the reference, which is always the commonest answer.
- It knows {categories} categories, {colours} colours and {patterns} patterns. Bags, watches, jewellery and
  everything else are forced into them.
- No brands, materials, logos, legible text, occasions, tastes or styles. No language beyond shop words in
  English: an unseen word is near to noise, and negation and counts mean nothing.
- No detail below {pixels} pixels. Texts beyond 64 tokens are cut.
- Its cosines are not comparable with those of any other encoder, and no absolute threshold carries over.
- Figures on renders measure whether attributes compose, in the words and pictures of one generator. They must
  never be quoted as recommendation quality on real clothing.
"""


@dataclass(frozen=True, slots=True)
class BuildFacts:
    """How the weights came about."""

    recipe: Recipe
    parameters: int
    seconds: float
    last_loss: float
    command: str


def write_notice(folder: Path) -> None:
    """Where the word pieces come from, with their licence."""
    (folder / "NOTICE").write_text(_NOTICE)


def write_card(folder: Path, figures: Sequence[Figure], facts: BuildFacts) -> None:
    """MODEL_CARD.md, from measured figures."""
    weights = (folder / "open_clip_model.safetensors").read_bytes()
    combinations = every_combination()
    total = len(combinations)
    held_out = sum(is_held_out(garment) for garment in combinations)
    with_photos = any(figure.name.startswith("photos") for figure in figures)
    photos = (
        "Rows that start with `photos` are real shop photographs. Nothing was trained or fitted on them, but they\n"
        "were looked at to decide how the renderer frames its pictures, and measured on more than once; so they are\n"
        "an evaluation, not an untouched test. `same type` and `same colour` are the share of a photograph's five\n"
        "nearest neighbours, by its picture alone, that carry its label; their reference is the better of the two\n"
        "baselines measured in the same run."
        if with_photos
        else "This build was not measured on real photographs (`--photos DIR`)."
    )
    recipe = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in asdict(facts.recipe).items())
    versions = "\n".join(f"- {name} {version(name)}" for name in _PACKAGES)
    limits = _LIMITS.format(
        categories=len(CATEGORIES), colours=len(COLOURS), patterns=len(PATTERNS), pixels=facts.recipe.input_size
    )
    card = f"""\
# The tiny encoder

A CLIP model of {facts.parameters:,} parameters (open_clip `CLIP`, a narrow residual network and a two-layer text
transformer, 512 dimensions) trained from a random start on rendered garments. It stands in for a real CLIP model
where none can be had: demonstrations, tests, first steps without a download.

- SHA-256 of open_clip_model.safetensors: `{hashlib.sha256(weights).hexdigest()}`
- bytes: {len(weights):,}, half precision; open it in evaluation mode (it has batch normalisation)
- built with: `{facts.command or "sim.train_tiny.build"}`
- processor seconds of training (one thread, without the rendering process): {facts.seconds:.0f}
- last contrastive loss: {facts.last_loss:.3f}

## Figures

Renders: {POOL} distinct (category, colour, pattern) make the pool; queries are the {held_out} out of {total}
combinations that training never saw, with fixed captions. Zero-shot: {ZERO_SHOT_PICTURES:,} pictures of such
combinations against fixed prompts. Picture seeds of evaluation are never drawn in training. One training seed:
differences of a point or two mean nothing.

{table(figures)}

{photos}

{limits}
## Recipe

{recipe}

Versions ({platform.machine()}, Python {platform.python_version()}):

{versions}

To rebuild: `python -m sim.train_tiny --out models/tiny [--photos DIR]`. Expect the same quality, not the same bits, on
another processor or with other versions. To measure again: `python -m sim.measure_tiny [--photos DIR]`.
"""
    (folder / "MODEL_CARD.md").write_text(card)
