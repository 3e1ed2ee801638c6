"""Builds the embedded tiny encoder from nothing: `python -m sim.train_tiny --out models/tiny`.

One command renders the training pictures, cuts CLIP's word pieces down, trains for a fixed number of steps from
a fixed seed, writes the folder that open_clip loads, measures it and writes its card. Another processor or
another release of torch gives the same quality, not the same bits. No real photograph is ever trained on.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

from models.clip import Encoder, Tokenizer, open_untrained, simple_bpe_ranks
from sim.measure_tiny import measure_photos, measure_renders, table
from sim.tiny_card import BuildFacts, write_card, write_notice
from sim.tiny_data import GrowingSet
from sim.tiny_learning import (
    MEAN,
    STD,
    AttributeHeads,
    augment,
    contrastive_loss,
    encode_tokens,
    geometry_loss,
    make_batch,
)
from sim.tiny_vocabulary import pruned_merges, save_merges, vocabulary_size

#: What an encoder folder may weigh in a repository and a wheel.
WEIGHTS_BYTES_MAX = 5_000_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights, but for the machine."""

    steps: int = 4600
    seed: int = 20240607
    batch: int = 160
    learning_rate: float = 1.6e-3
    warmup_steps: int = 80
    weight_decay: float = 0.1
    partial_share: float = 0.3
    geometry_weight: float = 4.0
    heads_weight: float = 0.4
    chunk_shots: int = 2000
    chunks: int = 22
    picture_size: int = 72
    input_size: int = 64


def recipe_for(steps: int | None) -> Recipe:
    """The full recipe, or one cut down to fewer steps; below 200 in miniature, to see that everything fits."""
    full = Recipe()
    if steps is None:
        return full
    if steps < 200:
        return replace(full, steps=steps, warmup_steps=min(10, steps), batch=64, chunk_shots=400, chunks=1)
    return replace(full, steps=steps, chunks=max(1, round(full.chunks * steps / full.steps)))


def model_config(vocabulary: int, input_size: int) -> dict[str, Any]:
    """open_clip's configuration: a narrow residual network and a two-layer text transformer."""
    return {
        "model_cfg": {
            "embed_dim": 512,
            "vision_cfg": {
                "image_size": input_size, "layers": [2, 2, 2, 1], "width": 16, "patch_size": None, "head_width": 32,
            },
            "text_cfg": {"context_length": 64, "vocab_size": vocabulary, "width": 128, "heads": 4, "layers": 2},
        },
        "preprocess_cfg": {
            "mean": list(MEAN), "std": list(STD), "interpolation": "bicubic", "resize_mode": "longest",
            "fill_color": 250,
        },
    }  # fmt: skip


def prepare_folder(folder: Path, recipe: Recipe) -> None:
    """Write the word pieces and the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = pruned_merges(simple_bpe_ranks())
    save_merges(merges, folder / "bpe.txt.gz")
    config = model_config(vocabulary_size(merges), recipe.input_size)
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=1) + "\n")


def _optimizer(model: nn.Module, heads: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; only matrices decay, embeddings do not."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (decayed if parameter.ndim > 1 and "embedding" not in name else kept).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": [*kept, *heads.parameters()], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), eps=1e-6)


def _rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return recipe.learning_rate * min(1.0, (step + 1) / recipe.warmup_steps) * (0.99 * cosine + 0.01)


def train(folder: Path, recipe: Recipe) -> tuple[Any, list[float]]:
    """Train the folder's configuration from a fresh start; the model in evaluation mode, and the losses by step."""
    torch.manual_seed(recipe.seed)
    model: Any
    tokenizer: Tokenizer
    model, tokenizer = open_untrained(folder)
    model = model.to(memory_format=torch.channels_last)
    heads = AttributeHeads(512)
    optimizer = _optimizer(model, heads, recipe)
    rng, picks = random.Random(recipe.seed), np.random.default_rng(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    losses: list[float] = []
    with (
        GrowingSet(
            recipe.seed,
            chunk_shots=recipe.chunk_shots,
            chunks=recipe.chunks,
            size=recipe.picture_size,
            steps=recipe.steps,
        ) as data,
        tqdm(total=recipe.steps, unit=" steps", mininterval=2) as bar,
    ):
        for step in range(recipe.steps):
            data.grow(step)
            rows = picks.integers(0, len(data.shots), recipe.batch)
            pixels = augment(data.pixels[rows], recipe.input_size, generator)
            shots = [data.shots[row] for row in rows]
            batch = make_batch(shots, pixels, data.codes[rows], tokenizer, rng=rng, partial_share=recipe.partial_share)
            # Half precision in the picture tower alone: it is faster there and costs no accuracy.
            with torch.autocast("cpu", torch.bfloat16):
                image_ID = model.encode_image(batch.pixels)
            image_ID = nn.functional.normalize(image_ID.float(), dim=-1)
            text_ID = encode_tokens(model, batch.tokens)
            scale = model.logit_scale.exp().clamp(max=100)
            contrast = contrastive_loss(image_ID, text_ID, scale, batch.true_IT)
            loss = contrast + recipe.geometry_weight * geometry_loss(image_ID, text_ID, batch)
            loss = loss + recipe.heads_weight * heads.loss(image_ID, batch.codes)
            for group in optimizer.param_groups:
                group["lr"] = _rate(step, recipe)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(float(contrast.detach()))
            bar.update()
            bar.set_postfix(loss=f"{sum(losses[-50:]) / len(losses[-50:]):.3f}", refresh=False)
    return model.eval(), losses


def save_weights(model: nn.Module, file: Path) -> None:
    """Half-precision safetensors, readable by everybody. Raises: ValueError above WEIGHTS_BYTES_MAX."""
    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(state, file)
    # save_file makes the file private, and a packaged file must be readable.
    file.chmod(0o644)
    if file.stat().st_size > WEIGHTS_BYTES_MAX:
        raise ValueError(f"{file} has {file.stat().st_size} bytes; at most {WEIGHTS_BYTES_MAX} fit the package")


def build(folder: Path, recipe: Recipe, photos: Path | None = None, command: str = "") -> list[float]:
    """Train into `folder`, measure what was written, write the card; the losses by step."""
    started = time.process_time()
    prepare_folder(folder, recipe)
    model, losses = train(folder, recipe)
    save_weights(model, folder / "open_clip_model.safetensors")
    seconds = time.process_time() - started
    encoder = Encoder.load_folder(folder)
    figures = measure_renders(encoder)
    if photos is not None:
        figures += measure_photos(encoder, photos)
    write_notice(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    write_card(folder, figures, BuildFacts(recipe, parameters, seconds, losses[-1], command))
    print(table(figures))
    return losses


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the encoder's folder."""
    parser = argparse.ArgumentParser(prog="python -m sim.train_tiny", description="build the tiny encoder")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--steps", type=int, help="a shorter run of this many steps; default: the full recipe")
    parser.add_argument("--photos", type=Path, help="shop photographs to measure on, never to train on")
    parser.add_argument("--threads", type=int, default=1, help="of torch; the bits of the result depend on it")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    recipe = recipe_for(options.steps)
    # Folders are left out: the card travels, and what was where on this machine means nothing elsewhere.
    command = "python -m sim.train_tiny --out DIR" + (f" --steps {options.steps}" if options.steps else "")
    build(options.out, recipe, options.photos, command)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
