"""What shops and people write about a garment, from a two-word prompt to a product description.

Every sentence states only what is true of the garment (and of the wearer, when an audience is given); it may
leave attributes out. Invented brand words stand where shops print theirs, so that a reader of these captions
learns to pass over unknown names. Randomness comes from the caller's `random.Random` alone. Knows no pictures.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from sim.vocabulary import CATEGORIES, COLOURS, PATTERNS, Audience, Garment

_FABRICS = ("cotton", "linen", "polyester", "wool", "silk", "viscose", "fleece", "cotton blend", "soft fabric")
_STYLES = (
    "casual", "classic", "modern", "elegant", "everyday", "summer", "winter", "vintage", "sporty", "trendy",
    "stylish", "comfortable", "premium", "basic", "streetwear",
)  # fmt: skip
_OCCASIONS = (
    "a casual look", "the office", "a party", "everyday wear", "a weekend", "a relaxed look", "travel",
    "a smart look", "evenings", "warm days", "cold days", "layering",
)  # fmt: skip
_WEARERS: dict[Audience | None, tuple[str, ...]] = {
    "women": ("women's", "womens", "for women", "women", "ladies", "woman's"),
    "men": ("men's", "mens", "for men", "men", "gentlemen's", "man's"),
    None: ("unisex", "for everyone", ""),
}
_NOUNS = ("garment", "clothes", "clothing", "outfit", "item", "piece", "")
_SYLLABLES = ("ro", "ka", "mi", "ver", "lo", "tan", "bel", "zu", "har", "dex", "nor", "sa", "vi", "lum", "por", "ed")
_HOUSES = ("ASOS DESIGN", "H&M", "The {}", "{} Originals", "{} & Co", "{}", "{}", "{}", "{} Sport")
_SLEEVES: dict[str, tuple[str, ...]] = {
    "short": ("short sleeve", "short-sleeved", "half sleeve"),
    "long": ("long sleeve", "long-sleeved", "full sleeve"),
    "sleeveless": ("sleeveless",),
}
_LENGTHS: dict[str, tuple[str, ...]] = {
    "mini": ("mini",),
    "knee": ("knee-length", "midi"),
    "maxi": ("maxi", "long"),
    "cropped": ("cropped", "crop"),
}
_NECKS: dict[str, tuple[str, ...]] = {
    "crew": ("crew neck", "round neck"),
    "v-neck": ("v-neck",),
    "turtleneck": ("turtleneck", "high neck"),
}
_FITS: dict[str, tuple[str, ...]] = {
    "slim": ("slim fit", "fitted"),
    "regular": ("regular fit",),
    "loose": ("loose fit", "oversized", "relaxed fit"),
}
_DETAILS: dict[str, tuple[str, ...]] = {
    "shirt": ("a spread collar", "a button placket", "a curved hem"),
    "polo": ("a polo collar", "a short button placket"),
    "hoodie": ("a hood", "a kangaroo pocket", "a ribbed hem"),
    "sweater": ("ribbed cuffs", "a ribbed hem"),
    "cardigan": ("a button front", "an open front"),
    "jacket": ("a zip front", "a ribbed hem"),
    "coat": ("wide lapels", "a button front"),
    "blazer": ("notched lapels", "a button closure"),
    "suit": ("notched lapels", "matching trousers"),
    "kurta": ("a mandarin collar", "side slits", "a straight hem"),
    "jeans": ("five pockets", "contrast stitching"),
    "trousers": ("a pressed crease", "slant pockets"),
    "cargo pants": ("cargo pockets", "a roomy leg"),
    "leggings": ("an elastic waistband",),
    "shorts": ("a drawstring waist", "side pockets"),
    "skirt": ("a waistband",),
    "dress": ("a defined waist", "a flared hem"),
    "jumpsuit": ("a defined waist", "full length legs"),
    "sneakers": ("laces", "a rubber sole"),
    "boots": ("a heel tab", "a sturdy sole"),
    "formal shoes": ("a low heel", "a leather look"),
    "heels": ("a high heel", "a pointed toe"),
    "sandals": ("straps", "a flat sole"),
}
_TEMPLATES = (
    "a photo of a {x}", "{x}", "{x}", "a picture of a {x}", "product photo of {x}", "{w} {x}", "{s} {x}",
    "{s} {w} {x}", "{x} in {f}", "this {x} is {s}", "buy {w} {x} online", "wearing a {x}", "{x}, {f}, {s}",
    "a {s} {x} made of {f}",
)  # fmt: skip
#: What partial captions state; single attributes are what people type into a search box.
_STATED: tuple[tuple[str, ...], ...] = (
    ("category",), ("category",), ("colour",), ("pattern",), ("category", "colour"), ("category", "pattern"),
    ("colour", "pattern"),
)  # fmt: skip
#: Share of captions that leave an attribute out even when the caller does not ask for partial ones.
_FORGETFUL = 0.06


def canonical_caption(garment: Garment) -> str:
    """The one fixed description that retrieval is measured with."""
    parts = [garment.colour, garment.pattern]
    if garment.sleeve in _SLEEVES:
        parts.append(_SLEEVES[garment.sleeve][0])
    if garment.length in _LENGTHS:
        parts.append(_LENGTHS[garment.length][0])
    return " ".join([*parts, garment.category])


def brand_word(rng: random.Random) -> str:
    """An invented brand that means nothing."""
    word = "".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((2, 2, 3)))).capitalize()
    return rng.choice(_HOUSES).format(word)


def _extras(garment: Garment, rng: random.Random, share: float) -> list[str]:
    """Words for sleeve, length, neck and fit, each stated with probability `share` where the category has it."""
    tables = [(_SLEEVES, garment.sleeve), (_LENGTHS, garment.length), (_NECKS, garment.neck)]
    if CATEGORIES[garment.category].group != "shoe":
        tables.append((_FITS, garment.fit))
    return [rng.choice(table[value]) for table, value in tables if value in table and rng.random() < share]


def _compose(category: str, adjectives: list[str], pattern: str) -> str:
    """Adjectives before the noun; a pattern that starts with a preposition goes after it."""
    before, after = ([], [pattern]) if pattern.startswith(("with ", "in ")) else ([pattern], [])
    return " ".join(word for word in [*adjectives, *before, category, *after] if word)


def _words(garment: Garment, rng: random.Random) -> tuple[str, str, str]:
    """One shop word each for category, colour and pattern."""
    return (
        rng.choice(CATEGORIES[garment.category].words),
        rng.choice(COLOURS[garment.colour][1]),
        rng.choice(PATTERNS[garment.pattern]),
    )


def plain_caption(garment: Garment, rng: random.Random, audience: Audience | None = None) -> str:
    """A short phrase as in a search box or a picture's alternative text."""
    category, colour, pattern = _words(garment, rng)
    colour = "" if rng.random() < _FORGETFUL else colour
    pattern = "" if rng.random() < _FORGETFUL else pattern
    adjectives = [colour, *_extras(garment, rng, 0.35)]
    if pattern.startswith(("with ", "in ")):
        rng.shuffle(adjectives)
    elif rng.random() < 0.5:
        adjectives.append(pattern)
        rng.shuffle(adjectives)
        pattern = ""
    phrase = rng.choice(_TEMPLATES).format(
        x=_compose(category, adjectives, pattern),
        w=rng.choice(_WEARERS[audience]),
        s=rng.choice(_STYLES),
        f=rng.choice(_FABRICS),
    )
    return " ".join(phrase.split())


def draw_stated(rng: random.Random) -> tuple[str, ...]:
    """Which attributes a partial caption names."""
    return rng.choice(_STATED)


def partial_caption(garment: Garment, rng: random.Random, stated: tuple[str, ...] | None = None) -> str:
    """One or two attributes only: "red clothes", "striped garment", "a photo of a dress", "a floral skirt".

    `stated` are names out of "category", "colour", "pattern"; by default they are drawn.
    """
    stated = stated if stated is not None else draw_stated(rng)
    category, colour, pattern = _words(garment, rng)
    phrase = _compose(
        category if "category" in stated else rng.choice(_NOUNS),
        [colour] if "colour" in stated else [],
        pattern if "pattern" in stated else "",
    )
    return rng.choice(("{}", "{}", "a {}", "a photo of a {}", "product photo of a {}", "some {}")).format(phrase)


def product_name(
    garment: Garment, rng: random.Random, audience: Audience | None = None, brand: str | None = None
) -> str:
    """A shop's title: "Rokami Women Red Floral Print Maxi Dress" or "ASOS DESIGN midi dress in red floral"."""
    category, colour, pattern = _words(garment, rng)
    brand = brand if brand is not None else brand_word(rng)
    extras = _extras(garment, rng, 0.5)
    if rng.random() < 0.35:
        tail = pattern.removeprefix("with ").removeprefix("in ")
        return f"{brand} {' '.join([*extras, category])} in {colour} {tail}"
    wearer = audience.capitalize() if audience is not None else rng.choice(("Unisex", ""))
    adjectives = [colour, *extras] if rng.random() < 0.6 else [*extras, colour]
    phrase = _compose(category, adjectives, pattern).title().replace("'S", "'s")
    return " ".join(f"{brand} {wearer} {phrase}".split())


def description(garment: Garment, rng: random.Random, audience: Audience | None = None) -> str:
    """The sentence below the title: pattern and colour again, then what the garment has and is for."""
    category, colour, pattern = _words(garment, rng)
    details = list(_DETAILS.get(garment.category, ()))
    rng.shuffle(details)
    has = details[:2]
    if garment.sleeve in ("short", "long"):
        has.append(f"{garment.sleeve} sleeves")
    if garment.neck in _NECKS:
        has.append(f"a {rng.choice(_NECKS[garment.neck])}")
    rng.shuffle(has)
    sentence = _compose(category, [colour], pattern).capitalize()
    if has:
        sentence += f", has {', '.join(has)}"
    ending = rng.choice(("", f". Made of {rng.choice(_FABRICS)}", f". Perfect for {rng.choice(_OCCASIONS)}"))
    wearer = f" for {audience}" if audience is not None and not ending and rng.random() < 0.3 else ""
    return f"{sentence}{wearer}{ending}."


def _shop_text(garment: Garment, rng: random.Random, audience: Audience | None) -> str:
    return f"{product_name(garment, rng, audience)}. {description(garment, rng, audience)}"


def caption(
    garment: Garment, rng: random.Random, *, audience: Audience | None = None, partial_share: float = 0.0
) -> str:
    """One caption in a random style. `partial_share` in [0, 1]: how many state only one or two attributes."""
    if rng.random() < partial_share:
        return partial_caption(garment, rng)
    writers: tuple[Callable[[Garment, random.Random, Audience | None], str], ...] = (
        plain_caption,
        plain_caption,
        plain_caption,
        product_name,
        description,
        _shop_text,
    )
    return rng.choice(writers)(garment, rng, audience)
