"""What the tiny encoder can and cannot do, as a table of figures: `python -m sim.measure_tiny [--photos DIR]`.

On renders: retrieval and zero-shot reading of attributes, on combinations and seeds that training never drew.
On a folder of shop photographs (images/ID.jpg and items.csv with id, articleType, baseColour,
productDisplayName): whether nearest neighbours agree, against two baselines that know nothing, 16 x 16 grey-free
pixels and a colour histogram, in the same run. Photographs are for evaluation alone; nothing is fitted to them.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.clip import Encoder
from sim.captions import canonical_caption
from sim.tiny_data import EVALUATION_SEEDS, VALUES, Shot, draw_shots, shoot
from sim.vocabulary import CATEGORIES, Garment, every_combination, is_held_out, sample_garment

Vectors = npt.NDArray[np.float32]

POOL = 500
ZERO_SHOT_PICTURES = 1500
#: Pictures are rendered larger than the encoder's input, as a shop's are.
PICTURE_SIZE = 128
_CATEGORY_PROMPTS = ("a photo of a {}", "{}", "product photo of a {}", "a {}")
_ATTRIBUTE_PROMPTS = ("{}", "a photo of a {} garment", "{} clothes", "{} garment", "a {} item")
#: Photographs whose type or colour has a counterpart here; others are left out of the zero-shot figures only.
_TYPES: dict[str, tuple[str, ...]] = {
    "Tshirts": ("t-shirt", "polo"), "Shirts": ("shirt",), "Kurtas": ("kurta",), "Kurtis": ("kurta",),
    "Sweaters": ("sweater", "cardigan"), "Sweatshirts": ("hoodie", "sweater"), "Jeans": ("jeans",),
    "Trousers": ("trousers", "cargo pants"), "Track Pants": ("trousers",), "Shorts": ("shorts",),
    "Jackets": ("jacket",), "Dresses": ("dress",), "Skirts": ("skirt",), "Leggings": ("leggings",),
    "Casual Shoes": ("sneakers", "formal shoes"), "Sports Shoes": ("sneakers",),
    "Formal Shoes": ("formal shoes", "boots"),
    "Heels": ("heels",), "Flats": ("sandals", "formal shoes"), "Flip Flops": ("sandals",), "Sandals": ("sandals",),
    "Tops": ("blouse", "tank top", "t-shirt"), "Tunics": ("kurta", "blouse"),
}  # fmt: skip
_DYES = {
    "Black": "black", "Blue": "blue", "White": "white", "Grey": "grey", "Green": "green", "Red": "red",
    "Brown": "brown", "Purple": "purple", "Pink": "pink", "Navy Blue": "navy", "Yellow": "yellow", "Beige": "beige",
    "Maroon": "burgundy", "Orange": "orange", "Off White": "white", "Cream": "beige", "Olive": "olive",
    "Tan": "beige", "Charcoal": "grey",
}  # fmt: skip
_SHAPES = {"top": "upper", "warm": "upper", "outer": "upper", "bottom": "lower", "one-piece": "whole", "shoe": "shoe"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `target` is what it ought to reach, `reference` what knows nothing reaches."""

    name: str
    value: float
    target: float | None = None
    reference: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached, where there is one."""
        return None if self.target is None else self.value >= self.target


def evaluation_pool(rng: random.Random, count: int = POOL) -> list[Shot]:
    """Distinct (category, colour, pattern), held-out ones first and as many as there are."""
    combinations = every_combination()
    rng.shuffle(combinations)
    combinations.sort(key=is_held_out, reverse=True)
    return [
        Shot(_with_cut(garment, rng), EVALUATION_SEEDS + rng.randrange(EVALUATION_SEEDS))
        for garment in combinations[:count]
    ]


def _with_cut(garment: Garment, rng: random.Random) -> Garment:
    """The same combination with sleeve, length, neck and fit drawn."""
    cut = sample_garment(rng, [garment.category])
    return Garment(garment.category, garment.colour, garment.pattern, cut.sleeve, cut.length, cut.neck, cut.fit)


def encode_shots(encoder: Encoder, shots: Sequence[Shot]) -> Vectors:
    """Vectors of freshly rendered pictures."""
    parts = (shots[start : start + 256] for start in range(0, len(shots), 256))
    return np.concatenate(
        [encoder.encode_images([shoot(shot, PICTURE_SIZE) for shot in part]).vectors for part in parts]
    )


def recall_at(scores: Vectors, k: int, queries: int) -> float:
    """Share of the first `queries` rows whose own column is among the k best."""
    own = np.diag(scores)[:queries, None]
    return float(((scores[:queries] > own).sum(axis=1) < k).mean())


def prompt_vectors(encoder: Encoder, field: str) -> tuple[list[str], Vectors]:
    """One unit vector a value of an attribute, the mean over fixed prompts.

    A colour or a pattern is also said of every category that can have it: a bare "solid garment" is a poor anchor.
    """
    names = list(VALUES[field])
    rows = []
    for name in names:
        if field == "category":
            prompts = [prompt.format(name) for prompt in _CATEGORY_PROMPTS]
        else:
            prompts = [prompt.format(name) for prompt in _ATTRIBUTE_PROMPTS]
            prompts += [
                f"a {name} {category}"
                for category, facts in CATEGORIES.items()
                if field == "colour" or name in facts.patterns
            ]
        mean = encoder.encode_texts(prompts).vectors.mean(axis=0)
        rows.append(mean / np.linalg.norm(mean))
    return names, np.stack(rows).astype(np.float32)


def retrieval_figures(encoder: Encoder, shots: Sequence[Shot]) -> list[Figure]:
    """Finding the picture's caption and the caption's picture among the pool; queries are held-out combinations."""
    images = encode_shots(encoder, shots)
    texts = encoder.encode_texts([canonical_caption(shot.garment) for shot in shots]).vectors
    scores = images @ texts.T
    queries = sum(is_held_out(shot.garment) for shot in shots)
    chance = 10 / len(shots)
    return [
        Figure("retrieval image->text R@1", recall_at(scores, 1, queries), None, chance / 10),
        Figure("retrieval image->text R@10", recall_at(scores, 10, queries), 0.99, chance),
        Figure("retrieval text->image R@1", recall_at(scores.T, 1, queries), None, chance / 10),
        Figure("retrieval text->image R@10", recall_at(scores.T, 10, queries), 0.99, chance),
        Figure("cosine of matching pairs", float(np.diag(scores).mean()), None, float(scores.mean())),
    ]


def zero_shot_figures(encoder: Encoder, shots: Sequence[Shot]) -> list[Figure]:
    """Reading one attribute from a picture by the nearest prompt."""
    images = encode_shots(encoder, shots)
    figures = []
    for field, target in (("category", 0.80), ("colour", 0.95), ("pattern", 0.80)):
        names, prompts = prompt_vectors(encoder, field)
        guesses = (images @ prompts.T).argmax(axis=1)
        right = [names[guess] == getattr(shot.garment, field) for guess, shot in zip(guesses, shots, strict=True)]
        figures.append(Figure(f"zero-shot {field}", float(np.mean(right)), target, 1 / len(names)))
    return figures


def measure_renders(encoder: Encoder, pool: int = POOL, pictures: int = ZERO_SHOT_PICTURES) -> list[Figure]:
    """All figures on rendered, held-out combinations with evaluation seeds."""
    rng = random.Random("evaluation")
    shots = evaluation_pool(rng, pool)
    return [
        *retrieval_figures(encoder, shots),
        *zero_shot_figures(encoder, draw_shots(rng, pictures, is_held_out, seed_from=EVALUATION_SEEDS)),
    ]


def neighbours_agree(vectors: Vectors, labels: Sequence[str], k: int = 5) -> float:
    """Leave-one-out: the share of the k nearest rows, by cosine, with the same label."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    names = np.asarray(labels)
    return float((names[nearest] == names[:, None]).mean())


def _unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), np.float32)


def pixel_baselines(pictures: Sequence[Path]) -> dict[str, Vectors]:
    """Centred 16 x 16 pixels, and a histogram of 16 levels a channel."""
    small, histograms = [], []
    for path in pictures:
        with Image.open(path) as file:
            picture = file.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
        small.append(np.asarray(picture.resize((16, 16), Image.Resampling.BOX), np.float32).ravel())
        channels = np.asarray(picture, np.int64).reshape(-1, 3) // 16
        histograms.append(np.concatenate([np.bincount(channels[:, c], minlength=16) for c in range(3)]))
    thumbnails = np.stack(small)
    return {
        "16x16 pixels": _unit(thumbnails - thumbnails.mean(axis=0)),
        "colour histogram": _unit(np.stack(histograms).astype(np.float32)),
    }


def measure_photos(encoder: Encoder, folder: Path) -> list[Figure]:
    """All figures on real photographs."""
    with (folder / "items.csv").open(newline="", encoding="utf-8") as file:
        items = list(csv.DictReader(file))
    pictures = [folder / "images" / f"{item['id']}.jpg" for item in items]
    images = encoder.encode_images(pictures).vectors
    baselines = pixel_baselines(pictures)
    figures = []
    for column, word in (("articleType", "type"), ("baseColour", "colour")):
        labels = [item[column] for item in items]
        known = {name: neighbours_agree(vectors, labels) for name, vectors in baselines.items()}
        figures += [Figure(f"photos: {name}, same {word}", value) for name, value in known.items()]
        best = max(known.values())
        figures.append(Figure(f"photos: tiny, same {word}", neighbours_agree(images, labels), best, best))
    return figures + _photo_zero_shot(encoder, images, items)


def _photo_zero_shot(encoder: Encoder, images: Vectors, items: Sequence[dict[str, str]]) -> list[Figure]:
    """Prompts and product names against photographs; the reference of a guess is always the commonest answer."""
    names, prompts = prompt_vectors(encoder, "category")
    kinds = [names[i] for i in (images @ prompts.T).argmax(axis=1)]
    typed = [row for row, item in enumerate(items) if item["articleType"] in _TYPES]
    fitting = [_TYPES[items[row]["articleType"]] for row in typed]
    commonest = max(np.mean([name in fit for fit in fitting]) for name in names)
    shapes = [_SHAPES[CATEGORIES[fit[0]].group] for fit in fitting]
    shape_right = [_SHAPES[CATEGORIES[kinds[row]].group] == shape for row, shape in zip(typed, shapes, strict=True)]
    dye_names, dye_prompts = prompt_vectors(encoder, "colour")
    dyes = [dye_names[i] for i in (images @ dye_prompts.T).argmax(axis=1)]
    dyed = [row for row, item in enumerate(items) if item["baseColour"] in _DYES]
    truth = [_DYES[items[row]["baseColour"]] for row in dyed]
    texts = encoder.encode_texts([item["productDisplayName"] for item in items]).vectors
    scores = texts @ images.T
    return [
        Figure(
            f"photos: zero-shot category ({len(typed)} photos)",
            float(np.mean([kinds[row] in fit for row, fit in zip(typed, fitting, strict=True)])),
            None,
            float(commonest),
        ),
        Figure(
            "photos: zero-shot upper, lower, whole or shoe",
            float(np.mean(shape_right)),
            None,
            max(Counter(shapes).values()) / len(shapes),
        ),
        Figure(
            f"photos: zero-shot colour ({len(dyed)} photos)",
            float(np.mean([dyes[row] == dye for row, dye in zip(dyed, truth, strict=True)])),
            None,
            max(Counter(truth).values()) / len(truth),
        ),
        Figure("photos: product name->photo R@10", recall_at(scores, 10, len(items)), None, 10 / len(items)),
    ]


def table(figures: Sequence[Figure]) -> str:
    """The figures in columns, as Markdown."""
    lines = ["| figure | value | target | reference |", "|---|---|---|---|"]
    for figure in figures:
        target = "" if figure.target is None else f"{'met' if figure.met else 'MISSED'} ({figure.target:.3f})"
        reference = "" if figure.reference is None else f"{figure.reference:.3f}"
        lines.append(f"| {figure.name} | {figure.value:.3f} | {target} | {reference} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of the embedded encoder or of another folder."""
    parser = argparse.ArgumentParser(prog="python -m sim.measure_tiny", description="figures of the tiny encoder")
    parser.add_argument("--folder", type=Path, help="an encoder's folder; default: the embedded one")
    parser.add_argument("--photos", type=Path, help="a folder with items.csv and images/ID.jpg")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    options = parser.parse_args(arguments)
    encoder = Encoder.load_folder(options.folder) if options.folder else Encoder.load("tiny")
    figures = measure_renders(encoder)
    if options.photos:
        figures += measure_photos(encoder, options.photos)
    if options.json:
        rows = [{**asdict(figure), "met": figure.met} for figure in figures]
        print(json.dumps({"fingerprint": encoder.fingerprint, "rows": rows}))
    else:
        print(table(figures))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
