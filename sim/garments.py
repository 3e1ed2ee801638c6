"""Rendered garments: the one module the demo shops, the simulator and the training of the tiny encoder ask.

Gathers the vocabulary (`Garment`, `sample_garment`, `is_held_out`), the words (`caption`, `product_name`) and the
picture (`render`). Everything is a pure function of its arguments: the same garment and seed give the same
picture in every process, whatever the global random state. The pictures are drawings lit and framed like shop
photographs; they are not photographs.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image

from sim.bottoms import dress, jumpsuit, skirt, trousers
from sim.captions import brand_word, canonical_caption, caption, description, product_name
from sim.drawing import OVERSAMPLING, Painter
from sim.figure import (
    LOWER_COLOURS,
    SKINS,
    Body,
    head,
    laid_out,
    plain_lower,
    plain_upper,
    sample_body,
    shoes,
    torso_and_limbs,
)  # fmt: skip
from sim.footwear import feet, pair
from sim.outerwear import blazer, cardigan, coat, jacket, suit
from sim.photography import background, compose, develop, product_camera, worn_camera
from sim.prints import motif
from sim.shapes import Piece, bounds
from sim.textures import Cloth
from sim.tops import Cut, blouse, hoodie, kurta, shirt, sweater, t_shirt
from sim.vocabulary import (
    CATEGORIES,
    COLOURS,
    GROUPS,
    PATTERNS,
    SHOP_CATEGORIES,
    Audience,
    Garment,
    View,
    every_combination,
    garment_key,
    is_held_out,
    sample_garment,
)  # fmt: skip

__all__ = [
    "CATEGORIES", "COLOURS", "GROUPS", "PATTERNS", "SHOP_CATEGORIES", "Audience", "Garment", "View", "brand_word",
    "canonical_caption", "caption", "description", "every_combination", "garment_key", "is_held_out",
    "product_name", "render", "sample_garment", "view_of", "wearer_of",
]  # fmt: skip

#: Larger pictures would only show how simple the drawing is, at a cost that grows with the square.
SIZE_MAX = 512
_WORN_SHARE = {"top": 0.72, "warm": 0.7, "outer": 0.7, "bottom": 0.6, "one-piece": 0.65, "shoe": 0.22}
_FOLDABLE = ("t-shirt", "shirt", "polo", "sweater")
_FOLDED_SHARE = 0.16
_CUTTERS: dict[str, Callable[[Cut], list[Piece]]] = {
    "t-shirt": t_shirt, "tank top": t_shirt, "shirt": shirt, "polo": shirt, "blouse": blouse, "kurta": kurta,
    "hoodie": hoodie, "sweater": sweater, "cardigan": cardigan, "jacket": jacket, "coat": coat, "blazer": blazer,
    "suit": suit, "jeans": trousers, "trousers": trousers, "cargo pants": trousers, "leggings": trousers,
    "shorts": trousers, "skirt": skirt, "dress": dress, "jumpsuit": jumpsuit,
}  # fmt: skip


def _generator(garment: Garment, seed: int, purpose: str) -> random.Random:
    """A stream of its own for each purpose, the same in every process (strings hash by SHA-512 in `Random`)."""
    return random.Random(f"{purpose}|{seed}|{garment}")


def wearer_of(garment: Garment, seed: int) -> Audience:
    """Who wears the garment in `render(garment, seed)` when it is worn."""
    return _generator(garment, seed, "wearer").choice(CATEGORIES[garment.category].audiences)


def view_of(garment: Garment, seed: int) -> View:
    """Whether `render(garment, seed)` shows the garment worn or flat."""
    group = CATEGORIES[garment.category].group
    return "worn" if _generator(garment, seed, "view").random() < _WORN_SHARE[group] else "flat"


def render(
    garment: Garment, seed: int, size: int = 96, view: View | None = None, *, wearer: Audience | None = None
) -> Image.Image:
    """A square RGB picture of the garment, `size` pixels wide; the seed decides all that the garment leaves open.

    Raises: ValueError when the size is not in 16..SIZE_MAX.
    """
    if not 16 <= size <= SIZE_MAX:
        raise ValueError(f"a picture is 16 to {SIZE_MAX} pixels wide, not {size}")
    rng = _generator(garment, seed, "picture")
    view = view if view is not None else view_of(garment, seed)
    wearer = wearer if wearer is not None else wearer_of(garment, seed)
    pixels = size * OVERSAMPLING
    cloth = Cloth(garment.pattern, garment.colour, pixels, rng)
    body = sample_body(rng, wearer)
    group = CATEGORIES[garment.category].group
    if group == "shoe":
        if view == "worn":
            pieces = feet(garment, rng, rng.choice(SKINS), rng.choice(LOWER_COLOURS))
            box = (-0.52, -0.95, 0.62, 0.04)
        else:
            pieces = pair(garment, rng)
            box = bounds(pieces)
        painter = Painter(pixels, product_camera(rng, box, large=True), cloth)
    elif view == "worn":
        pieces = _on_person(garment, body, rng, cloth)
        painter = Painter(pixels, worn_camera(rng, _layout(garment)), cloth)
    else:
        pieces = _alone(garment, laid_out(rng, body), rng, cloth)
        painter = Painter(pixels, product_camera(rng, bounds(pieces)), cloth)
    painter.paint(pieces)
    painter.fold(rng, rng.uniform(0.12, 0.5) * (0.6 if group == "shoe" else 1.0))
    picture = compose(rng, painter.picture, painter.cover, background(rng, pixels))
    return develop(rng, picture, size)


def _layout(garment: Garment) -> str:
    """Which of the photographer's frames suits the garment."""
    match garment.category:
        case "kurta" | "coat":
            return "long top" if garment.length != "maxi" else "whole"
        case "suit" | "dress" | "jumpsuit":
            return "long top" if garment.length == "mini" else "whole"
        case "shorts":
            return "short bottom"
        case "skirt":
            return "bottom" if garment.length == "maxi" else "short bottom"
    return "bottom" if CATEGORIES[garment.category].group == "bottom" else "top"


def _on_person(garment: Garment, body: Body, rng: random.Random, cloth: Cloth) -> list[Piece]:
    """The person, what else they wear, and the garment, from the back to the front."""
    behind, face = head(rng, body)
    group = CATEGORIES[garment.category].group
    pieces = [*behind, *torso_and_limbs(body)]
    if group == "bottom" or garment.category in ("suit", "dress", "jumpsuit") or rng.random() < 0.8:
        pieces += shoes(rng, body)
    if group in ("top", "warm", "outer") and garment.category != "suit":
        slim = garment.category == "kurta" and rng.random() < 0.7
        pieces += plain_lower(rng, body, wide=0.0 if slim else None)
    if group == "bottom":
        # A shirt hangs over the waistband as often as it is tucked in.
        upper, tucked = plain_upper(rng, body), rng.random() < 0.5
        lower = _garment(garment, Cut(garment, body, rng, worn=True), cloth)
        pieces += [*upper, *lower] if tucked else [*lower, *upper]
    else:
        pieces += _garment(garment, Cut(garment, body, rng, worn=True), cloth)
    return [*pieces, *face]


def _alone(garment: Garment, body: Body, rng: random.Random, cloth: Cloth) -> list[Piece]:
    """The garment without anybody in it, laid flat or folded."""
    folded = garment.category in _FOLDABLE and rng.random() < _FOLDED_SHARE
    return _garment(garment, Cut(garment, body, rng, worn=False, folded=folded), cloth)


def _garment(garment: Garment, cut: Cut, cloth: Cloth) -> list[Piece]:
    """The garment's own pieces, with a print where its pattern is one."""
    pieces = _CUTTERS[garment.category](cut)
    if garment.pattern == "graphic":
        size = cut.rng.uniform(0.042, 0.068)
        high = 0.24 if garment.length == "cropped" or garment.category == "dress" else 0.26
        pieces += motif(cut.rng, 0.0, high + size * 0.6, size=size, ground=cloth.base)
    return pieces
