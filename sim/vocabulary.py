"""What a garment can be: categories, colours, patterns and the words shops use for them.

Pure tables and the frozen `Garment` record; no pictures, no captions, no files. Which pattern a category can
have, which people usually wear it, and which (category, colour, pattern) combinations training never sees are
decided here, so that the renderer, the captions, the demo shops and the evaluation agree by construction.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Rgb = tuple[int, int, int]
Audience = Literal["women", "men"]
View = Literal["worn", "flat"]

#: One row a colour: the dye on screen and what shops call it. No synonym may name another row's colour alone.
COLOURS: dict[str, tuple[Rgb, tuple[str, ...]]] = {
    "black": ((26, 26, 30), ("black", "jet black")),
    "white": ((243, 243, 240), ("white", "off-white", "bright white")),
    "grey": ((140, 142, 146), ("grey", "gray", "charcoal grey", "grey melange")),
    "navy": ((26, 36, 80), ("navy", "navy blue", "dark blue")),
    "blue": ((38, 88, 190), ("blue", "royal blue", "cobalt blue")),
    "light blue": ((150, 195, 235), ("light blue", "sky blue", "pale blue")),
    "red": ((203, 30, 38), ("red", "bright red", "scarlet red")),
    "burgundy": ((108, 20, 44), ("burgundy", "maroon", "wine red")),
    "pink": ((238, 145, 178), ("pink", "rose pink", "pale pink")),
    "green": ((34, 138, 70), ("green", "emerald green", "bottle green")),
    "olive": ((102, 104, 48), ("olive", "khaki green", "olive green")),
    "yellow": ((245, 208, 50), ("yellow", "mustard yellow", "lemon yellow")),
    "orange": ((238, 120, 30), ("orange", "rust orange", "burnt orange")),
    "brown": ((108, 68, 40), ("brown", "chocolate brown", "dark brown")),
    "beige": ((216, 194, 158), ("beige", "tan", "cream", "sand beige")),
    "purple": ((118, 56, 160), ("purple", "violet", "lavender purple")),
}

PATTERNS: dict[str, tuple[str, ...]] = {
    "solid": ("solid", "plain", "solid colour", "plain coloured"),
    "striped": ("striped", "stripe", "with stripes", "in stripe"),
    "checked": ("checked", "plaid", "check", "tartan", "with checks"),
    "floral": ("floral", "floral print", "flower print", "with flowers"),
    "polka dot": ("polka dot", "dotted", "with polka dots", "spotted"),
    "graphic": ("graphic", "graphic print", "graphic printed", "with a graphic print"),
    "denim": ("denim", "washed denim", "faded denim"),
    "cable knit": ("cable knit", "chunky knit", "cable-knit", "with a cable knit"),
    "camouflage": ("camouflage", "camo", "camouflage print", "with camo print"),
    "tie-dye": ("tie-dye", "tie dye", "tie-dyed", "with tie-dye"),
}


@dataclass(frozen=True, slots=True)
class Category:
    """One kind of garment: its words, its patterns, its cuts and who usually wears it."""

    group: str
    words: tuple[str, ...]
    patterns: tuple[str, ...]
    audiences: tuple[Audience, ...] = ("women", "men")
    sleeves: tuple[str, ...] = ("none",)
    lengths: tuple[str, ...] = ("regular",)
    necks: tuple[str, ...] = ("default",)


_PRINTS = ("solid", "striped", "checked", "floral", "polka dot", "camouflage", "tie-dye")
_SOFT = ("solid", "striped", "checked", "floral", "polka dot", "tie-dye")
_WOMEN: tuple[Audience, ...] = ("women",)
_MEN: tuple[Audience, ...] = ("men",)

CATEGORIES: dict[str, Category] = {
    "t-shirt": Category(
        "top",
        ("t-shirt", "tee", "tshirt", "t shirt"),
        (*_PRINTS, "graphic"),
        sleeves=("short", "short", "short", "short", "long"),
        lengths=("cropped", "regular", "regular", "regular"),
        necks=("crew", "crew", "v-neck"),
    ),
    "tank top": Category(
        "top",
        ("tank top", "vest top", "sleeveless top", "singlet"),
        (*_PRINTS, "graphic"),
        sleeves=("sleeveless",),
        lengths=("cropped", "regular"),
        necks=("crew", "v-neck"),
    ),
    "shirt": Category(
        "top",
        ("shirt", "button-down shirt", "casual shirt", "formal shirt"),
        (*_PRINTS, "denim"),
        sleeves=("short", "long", "long"),
    ),
    "blouse": Category(
        "top",
        ("blouse", "flowy blouse", "blouse top"),
        _SOFT,
        _WOMEN,
        sleeves=("short", "long"),
        necks=("crew", "v-neck"),
    ),
    "polo": Category("top", ("polo", "polo shirt", "polo t-shirt"), (*_SOFT, "camouflage"), _MEN, sleeves=("short",)),
    "kurta": Category(
        "top", ("kurta", "ethnic kurta", "kurti", "tunic kurta"), _SOFT, sleeves=("long", "long", "short", "sleeveless")
    ),
    "hoodie": Category(
        "warm",
        ("hoodie", "hooded sweatshirt", "sweatshirt with hood"),
        (*_PRINTS, "graphic"),
        sleeves=("long",),
        lengths=("cropped", "regular", "regular"),
    ),
    "sweater": Category(
        "warm",
        ("sweater", "jumper", "pullover"),
        ("solid", "striped", "checked", "polka dot", "floral", "graphic", "cable knit"),
        sleeves=("long",),
        lengths=("cropped", "regular", "regular"),
        necks=("crew", "v-neck", "turtleneck"),
    ),
    "cardigan": Category(
        "warm",
        ("cardigan", "open front cardigan", "knit cardigan"),
        ("solid", "striped", "checked", "floral", "polka dot", "cable knit"),
        sleeves=("long",),
    ),
    "jacket": Category(
        "outer",
        ("jacket", "bomber jacket", "zip jacket"),
        ("solid", "striped", "checked", "floral", "camouflage", "denim", "graphic"),
        sleeves=("long",),
        lengths=("cropped", "regular"),
    ),
    "coat": Category(
        "outer",
        ("coat", "overcoat", "trench coat", "winter coat"),
        ("solid", "checked", "striped", "camouflage", "floral"),
        sleeves=("long",),
        lengths=("knee", "maxi"),
    ),
    "blazer": Category(
        "outer",
        ("blazer", "sport coat", "tailored blazer"),
        ("solid", "striped", "checked", "floral"),
        sleeves=("long",),
    ),
    "suit": Category(
        "outer",
        ("suit", "two-piece suit", "business suit"),
        ("solid", "striped", "checked"),
        _MEN,
        sleeves=("long",),
    ),
    "jeans": Category("bottom", ("jeans", "denim jeans", "jean pants"), ("denim",)),
    "trousers": Category(
        "bottom",
        ("trousers", "pants", "chinos", "formal trousers"),
        ("solid", "striped", "checked", "floral", "polka dot"),
    ),
    "cargo pants": Category(
        "bottom", ("cargo pants", "cargo trousers", "cargos"), ("solid", "camouflage", "checked"), _MEN
    ),
    "leggings": Category("bottom", ("leggings", "tights", "yoga pants"), _PRINTS, _WOMEN),
    "shorts": Category("bottom", ("shorts", "short pants", "bermuda shorts"), (*_PRINTS, "denim")),
    "skirt": Category(
        "bottom", ("skirt", "a-line skirt"), (*_PRINTS, "denim"), _WOMEN, lengths=("mini", "knee", "maxi")
    ),
    "dress": Category(
        "one-piece",
        ("dress", "gown", "frock"),
        (*_PRINTS, "denim", "graphic"),
        _WOMEN,
        sleeves=("sleeveless", "short", "long"),
        lengths=("mini", "knee", "maxi"),
        necks=("crew", "v-neck"),
    ),
    "jumpsuit": Category(
        "one-piece",
        ("jumpsuit", "romper", "playsuit"),
        (*_PRINTS, "denim"),
        _WOMEN,
        sleeves=("sleeveless", "short", "long"),
        necks=("crew", "v-neck"),
    ),
    "sneakers": Category(
        "shoe",
        ("sneakers", "trainers", "running shoes", "sports shoes"),
        ("solid", "striped", "checked", "camouflage", "tie-dye"),
    ),
    "boots": Category("shoe", ("boots", "ankle boots", "leather boots"), ("solid", "camouflage", "floral")),
    "formal shoes": Category(
        "shoe", ("formal shoes", "loafers", "leather shoes", "dress shoes"), ("solid", "checked"), _MEN
    ),
    "heels": Category("shoe", ("heels", "high heels", "pumps", "stilettos"), ("solid", "floral", "polka dot"), _WOMEN),
    "sandals": Category("shoe", ("sandals", "flip flops", "slippers"), ("solid", "striped", "floral")),
}

#: Which categories lie together in a shop, from the table above.
GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(name for name, category in CATEGORIES.items() if category.group == group)
    for group in ("top", "warm", "outer", "bottom", "one-piece", "shoe")
}
#: What a shop for one audience sells.
SHOP_CATEGORIES: dict[Audience, tuple[str, ...]] = {
    "women": tuple(name for name, category in CATEGORIES.items() if "women" in category.audiences),
    "men": tuple(name for name, category in CATEGORIES.items() if "men" in category.audiences),
}
#: Denim is dyed in few colours.
DENIM_COLOURS = ("blue", "navy", "light blue", "black", "grey", "white")
FITS = ("slim", "regular", "regular", "loose")
#: Share of plain garments over and above their share among the patterns: shops sell mostly plain ones.
PLAIN_SHARE = 0.2
#: One combination in this many never enters training.
HELD_OUT_ONE_IN = 10


@dataclass(frozen=True, slots=True)
class Garment:
    """One garment, fully described. `sleeve` is "none" and `neck` "default" where the category has no choice."""

    category: str
    colour: str
    pattern: str
    sleeve: str = "none"
    length: str = "regular"
    neck: str = "default"
    fit: str = "regular"


def garment_key(garment: Garment) -> str:
    """The combination that the held-out rule and the evaluation pool go by."""
    return f"{garment.category}|{garment.colour}|{garment.pattern}"


def is_held_out(garment: Garment) -> bool:
    """Whether training never sees this (category, colour, pattern); the same on every machine and release."""
    return zlib.crc32(garment_key(garment).encode()) % HELD_OUT_ONE_IN == 0


def colours_of(pattern: str) -> tuple[str, ...]:
    """The colours a pattern can have."""
    return DENIM_COLOURS if pattern == "denim" else tuple(COLOURS)


def sample_garment(rng: random.Random, categories: Sequence[str] | None = None) -> Garment:
    """Draw one garment, its category uniformly from `categories` (default: all)."""
    name = rng.choice(tuple(categories) if categories is not None else tuple(CATEGORIES))
    category = CATEGORIES[name]
    pattern = rng.choice(category.patterns)
    if "solid" in category.patterns and rng.random() < PLAIN_SHARE:
        pattern = "solid"
    return Garment(
        category=name,
        colour=rng.choice(colours_of(pattern)),
        pattern=pattern,
        sleeve=rng.choice(category.sleeves),
        length=rng.choice(category.lengths),
        neck=rng.choice(category.necks),
        fit="regular" if category.group == "shoe" else rng.choice(FITS),
    )


def every_combination() -> list[Garment]:
    """One garment for each valid (category, colour, pattern), with the first cut of its category."""
    return [
        Garment(name, colour, pattern, category.sleeves[0], category.lengths[0], category.necks[0], FITS[1])
        for name, category in CATEGORIES.items()
        for pattern in category.patterns
        for colour in colours_of(pattern)
    ]
