"""Rendered garments: the same in every process, drawable in every combination, and never described wrongly."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sim.captions import partial_caption
from sim.garments import (
    CATEGORIES,
    COLOURS,
    GROUPS,
    PATTERNS,
    SHOP_CATEGORIES,
    Garment,
    canonical_caption,
    caption,
    description,
    every_combination,
    garment_key,
    is_held_out,
    product_name,
    render,
    sample_garment,
    view_of,
    wearer_of,
)
from sim.vocabulary import Audience

RED_DRESS = Garment("dress", "red", "floral", "short", "knee", "v-neck", "regular")
SEEDS = st.integers(0, 2**40)
GARMENTS = SEEDS.map(lambda seed: sample_garment(random.Random(seed)))
AUDIENCES = st.sampled_from(("women", "men", None))


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.float32)


def difference(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(pixels(a) - pixels(b)).mean())


DIGEST = """
import hashlib, random
from sim.garments import caption, render, sample_garment
rng = random.Random(5)
digest = hashlib.sha256()
for seed in range(12):
    garment = sample_garment(rng)
    digest.update(render(garment, seed, 48).tobytes() + caption(garment, random.Random(seed)).encode())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_pictures_and_captions_are_the_same_in_processes_with_other_hash_seeds() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "4711")
    }
    assert len(digests) == 1


def test_rendering_neither_reads_nor_moves_the_global_random_state() -> None:
    random.seed(1)
    np.random.seed(1)
    first, state = render(RED_DRESS, 3), random.getstate()
    random.seed(2)
    np.random.seed(2)
    assert render(RED_DRESS, 3).tobytes() == first.tobytes()
    random.seed(1)
    assert random.getstate() == state


def test_order_of_rendering_does_not_matter() -> None:
    alone = render(RED_DRESS, 3).tobytes()
    for seed in range(5):
        render(sample_garment(random.Random(seed)), seed)
    assert render(RED_DRESS, 3).tobytes() == alone


@pytest.mark.slow
@pytest.mark.parametrize("category", CATEGORIES)
def test_every_pattern_of_every_category_shows_something(category: str) -> None:
    for garment in every_combination():
        if garment.category == category and garment.colour == "blue":
            for view in ("worn", "flat"):
                picture = render(garment, 11, 48, view)
                assert picture.size == (48, 48)
                assert picture.mode == "RGB"
                assert pixels(picture).std() > 3, (garment, view)


@pytest.mark.parametrize("size", [16, 64, 96, 255, 256])
def test_a_picture_is_as_large_as_asked(size: int) -> None:
    assert render(RED_DRESS, 1, size).size == (size, size)


@pytest.mark.parametrize("size", [0, 15, 513])
def test_sizes_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="pixels wide"):
        render(RED_DRESS, 1, size)


def test_the_same_scene_is_shown_at_every_size() -> None:
    small, large = render(RED_DRESS, 4, 64, "flat"), render(RED_DRESS, 4, 256, "flat")
    other = render(RED_DRESS, 5, 64, "flat")
    assert difference(large.resize((64, 64), Image.Resampling.BOX), small) < difference(other, small)


@pytest.mark.parametrize("category", CATEGORIES)
def test_worn_and_flat_differ_and_seeds_differ(category: str) -> None:
    garment = sample_garment(random.Random(1), [category])
    worn, flat = render(garment, 2, 48, "worn"), render(garment, 2, 48, "flat")
    assert difference(worn, flat) > 4
    assert difference(worn, render(garment, 3, 48, "worn")) > 2
    chosen = render(garment, 2, 48)
    assert chosen.tobytes() == (worn if view_of(garment, 2) == "worn" else flat).tobytes()


def test_both_views_and_both_wearers_occur() -> None:
    garment = Garment("t-shirt", "red", "solid", "short")
    assert {view_of(garment, seed) for seed in range(40)} == {"worn", "flat"}
    assert {wearer_of(garment, seed) for seed in range(40)} == {"women", "men"}
    assert difference(render(garment, 2, 64, "worn", wearer="women"), render(garment, 2, 64, "worn", wearer="men")) > 1


@pytest.mark.parametrize(("colour", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_a_plain_garment_has_its_colour_in_the_middle(colour: str, channel: int) -> None:
    middles = [
        pixels(render(Garment("t-shirt", colour, "solid", "short"), seed, 64, "worn"))[28:36, 28:36].mean(axis=(0, 1))
        for seed in range(8)
    ]
    assert np.mean(middles, axis=0).argmax() == channel


def test_a_stripe_survives_reduction_to_64_pixels() -> None:
    def roughness(pattern: str) -> float:
        garment = Garment("t-shirt", "navy", pattern, "short")
        centres = [pixels(render(garment, seed, 64, "flat"))[24:44, 24:40] for seed in range(8)]
        return float(np.median([centre.std() for centre in centres]))

    assert roughness("striped") > 2 * roughness("solid")
    assert roughness("polka dot") > 2 * roughness("solid")


@settings(deadline=None)
@given(GARMENTS)
def test_a_sampled_garment_is_valid_and_the_held_out_rule_is_its_checksum(garment: Garment) -> None:
    category = CATEGORIES[garment.category]
    assert garment.colour in COLOURS
    assert garment.pattern in category.patterns
    assert garment.sleeve in category.sleeves
    assert garment.length in category.lengths
    assert garment.neck in category.necks
    key = f"{garment.category}|{garment.colour}|{garment.pattern}"
    assert garment_key(garment) == key
    assert is_held_out(garment) == (zlib.crc32(key.encode()) % 10 == 0)


def test_about_a_tenth_of_all_combinations_is_held_out_and_of_every_group_some() -> None:
    combinations = every_combination()
    held_out = [garment for garment in combinations if is_held_out(garment)]
    assert len({garment_key(garment) for garment in combinations}) == len(combinations)
    assert 0.07 < len(held_out) / len(combinations) < 0.13
    assert {CATEGORIES[garment.category].group for garment in held_out} == set(GROUPS)


def test_groups_and_shops_cover_all_categories() -> None:
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(CATEGORIES)
    assert set(SHOP_CATEGORIES["women"]) | set(SHOP_CATEGORIES["men"]) == set(CATEGORIES)
    assert {"dress", "blouse", "skirt", "leggings", "jumpsuit"} <= set(SHOP_CATEGORIES["women"]) - set(
        SHOP_CATEGORIES["men"]
    )
    assert {"suit", "polo", "cargo pants"} <= set(SHOP_CATEGORIES["men"]) - set(SHOP_CATEGORIES["women"])


def words_of(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """(phrase, value it states), longest first, so that "light blue" is read before "blue"."""
    phrases = [(word.lower(), value) for value, words in table.items() for word in words]
    # "with polka dots" becomes "in red polka dots" in some titles.
    pairs = phrases + [(word.removeprefix("with ").removeprefix("in "), value) for word, value in phrases]
    return sorted(set(pairs), key=lambda pair: -len(pair[0]))


READERS = {
    "colour": words_of({name: synonyms for name, (_, synonyms) in COLOURS.items()}),
    "pattern": words_of(PATTERNS),
    "category": words_of({name: category.words for name, category in CATEGORIES.items()}),
    "sleeve": words_of(
        {
            "short": ("short sleeve", "short-sleeved", "half sleeve", "short sleeves"),
            "long": ("long sleeve", "long-sleeved", "full sleeve", "long sleeves"),
            "sleeveless": ("sleeveless",),
        }
    ),
}
# Said of a garment without stating its category or pattern: details, and words that are part of other words.
ASIDES = (
    "contrast stitching", "curved hem", "straight hem", "flared hem", "ribbed", "cargo pockets", "matching trousers",
    "polo collar", "leather look", "smart look", "casual look", "relaxed look", "button placket", "button front",
    "a hood", "side slits", "open front",
)  # fmt: skip


def stated(text: str, field: str) -> set[str]:
    """The values of an attribute that a text states, by reading its vocabulary longest first."""
    text = text.lower()
    for aside in ASIDES:
        text = text.replace(aside, " ")
    found = set()
    for phrase, value in READERS[field]:
        text, count = re.subn(rf"(?<![\w-]){re.escape(phrase)}(?![\w-])", " ", text)
        if count:
            found.add(value)
    return found


@settings(max_examples=150, deadline=None)
@given(GARMENTS, SEEDS, AUDIENCES)
def test_captions_never_state_a_wrong_attribute(garment: Garment, seed: int, audience: Audience | None) -> None:
    rng = random.Random(seed)
    texts = (
        canonical_caption(garment),
        caption(garment, rng, audience=audience, partial_share=0.3),
        product_name(garment, rng, audience, brand=""),
        description(garment, rng, audience),
    )
    for text in texts:
        for field in ("colour", "pattern", "sleeve"):
            assert stated(text, field) <= {getattr(garment, field)}, (text, field)
        assert stated(text, "category") <= {garment.category}, text
        if audience is not None:
            other = {"women": r"\bmen", "men": r"\bwomen|ladies"}[audience]
            assert not re.search(other, text.lower()), text


@settings(deadline=None)
@given(GARMENTS, SEEDS)
def test_a_complete_title_and_a_canonical_caption_state_the_three_attributes(garment: Garment, seed: int) -> None:
    for text in (canonical_caption(garment), product_name(garment, random.Random(seed), brand="")):
        assert stated(text, "colour") == {garment.colour}
        assert stated(text, "pattern") == {garment.pattern} or garment.category == "jeans"
        assert garment.category in stated(text, "category")


@settings(deadline=None)
@given(GARMENTS, SEEDS, st.sampled_from((("colour",), ("pattern",), ("category",), ("colour", "pattern"))))
def test_a_partial_caption_states_what_was_asked_and_no_more(
    garment: Garment, seed: int, wanted: tuple[str, ...]
) -> None:
    text = partial_caption(garment, random.Random(seed), wanted)
    for field in ("colour", "pattern"):
        allowed = {garment.pattern} if (field, garment.category) == ("pattern", "jeans") else set()
        expected = {getattr(garment, field)} if field in wanted else set()
        assert expected <= stated(text, field) <= expected | allowed, text


def test_captions_vary_and_follow_their_generator() -> None:
    texts = {caption(RED_DRESS, random.Random(seed)) for seed in range(60)}
    assert len(texts) > 50
    assert caption(RED_DRESS, random.Random(7)) == caption(RED_DRESS, random.Random(7))
