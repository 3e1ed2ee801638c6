"""Ratings from a written model of taste: who likes what, how much of it can be seen, and how much is noise.

A user's score of an item is a sum of blocks (category, colour, pattern, fit, price, latent), each a linear function
of that block's features with weights of the user's own, plus noise; docs/demo_data.md has the formulas. Everything
is known here that a recommender can only guess: the score without noise, and the part of it that can be seen.
Knows nothing of pictures, texts or embeddings, so no recommender that reads those is tested on its own output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sim.personas import STYLES, Persona, Topic, Words

Floats = npt.NDArray[np.float64]
Block = Literal["category", "colour", "pattern", "fit", "price", "latent"]

#: Share of the variance of a user's scores over all items; with NOISE_SHARE they sum to 1.
SHARES: dict[Block, float] = {
    "category": 0.22,
    "colour": 0.20,
    "pattern": 0.13,
    "fit": 0.05,
    "price": 0.10,
    "latent": 0.12,
}
NOISE_SHARE = 0.18
#: The blocks that show in a picture or are said in a text.
VISIBLE: tuple[Literal["category", "colour", "pattern", "fit"], ...] = ("category", "colour", "pattern", "fit")
#: Where a user's weights come from: everybody, the people of one style, nobody else. Variance shares, sum 1.
POPULATION, STYLE, OWN = 0.15, 0.45, 0.40
#: How many properties items have that neither picture nor text nor price shows.
LATENT_FACTORS = 4
#: A rating is MEAN + (a user's own level) + SPREAD * score, rounded and cut to RATING_MIN..RATING_MAX.
MEAN, LEVEL_SD, SPREAD = 4.0, 0.7, 2.8
RATING_MIN, RATING_MAX = -1, 10
#: Share of the ratings that are never given, whatever they would be.
MISSING = 0.80
#: A rating from here on counts as "would like it".
LIKED = 7


@dataclass(frozen=True, slots=True)
class Features:
    """What tastes are about: for each block float64 [items, features], and the name of each feature."""

    values: dict[Block, Floats]
    names: dict[Block, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Statements:
    """What somebody is known to like and to avoid; the first of each topic most."""

    stated: Words
    avoided: Words


@dataclass(frozen=True, slots=True)
class Ratings:
    """Everybody's opinion of everything, and which of it anybody will see. Arrays are [users, items]."""

    complete_UI: npt.NDArray[np.int8]
    """Whole numbers, RATING_MIN..RATING_MAX."""
    present_UI: npt.NDArray[np.bool_]
    """Which ratings were given; the rest are missing at random."""
    ideal_UI: Floats
    """The score without noise: ranking by it is the ceiling."""
    visible_UI: Floats
    """The part of it that shows in a picture or a text: the ceiling of whoever knows only those."""


def item_features(attributes: Mapping[Block, Sequence[str]], log_price_I: Floats, rng: np.random.Generator) -> Features:
    """One-hot attributes, price as z and z^2 - 1, and latent factors drawn from `rng`.

    `log_price_I` is standardised by whoever knows the currencies.
    """
    values: dict[Block, Floats] = {}
    names: dict[Block, tuple[str, ...]] = {}
    for block, words in attributes.items():
        names[block] = tuple(sorted(set(words)))
        values[block] = (np.array(words)[:, None] == np.array(names[block])).astype(np.float64)
    names["price"], values["price"] = ("linear", "square"), np.stack([log_price_I, log_price_I**2 - 1], axis=1)
    names["latent"] = tuple(f"latent {number}" for number in range(LATENT_FACTORS))
    values["latent"] = rng.normal(size=(len(log_price_I), LATENT_FACTORS))
    return Features(values, names)


def draw_weights(
    features: Features,
    style_U: npt.NDArray[np.int64],
    rng: np.random.Generator,
    styles: Sequence[Statements] = (),
) -> dict[Block, Floats]:
    """Each user's weights, standard normal over the population: float64 [users, features] for each block.

    `style_U` numbers each user's style; users of one style share a part that users of another lack. `styles` is
    what each style is known to like, if anything is: its part is rearranged to say so.
    """
    weights: dict[Block, Floats] = {}
    for block in SHARES:
        size = len(features.names[block])
        everybody = rng.normal(size=(1, size))
        shared = rng.normal(size=(int(style_U.max(initial=0)) + 1, size))
        own = rng.normal(size=(len(style_U), size))
        for row, said in zip(shared, styles, strict=False):
            _arrange(row, features, block, said)
        weights[block] = POPULATION**0.5 * everybody + STYLE**0.5 * shared[style_U] + OWN**0.5 * own
    return weights


def agree(weights: dict[Block, Floats], features: Features, personas: Sequence[Persona]) -> None:
    """Rearrange each persona's weights, in place, until they say what the biography says."""
    for user, persona in enumerate(personas):
        for block in SHARES:
            _arrange(weights[block][user], features, block, Statements(persona.stated, persona.avoided))


def style_statements(personas: Sequence[Persona]) -> list[Statements]:
    """What the people of each style state between them, the most frequent first."""
    said = []
    for style in STYLES:
        count: dict[Topic, Counter[str]] = {topic: Counter() for topic in VISIBLE}
        for persona in (one for one in personas if one.style == style):
            for topic in VISIBLE:
                count[topic].update(persona.stated.get(topic, ()))
                count[topic].subtract(persona.avoided.get(topic, ()))
        liked: dict[Topic, tuple[str, ...]] = {}
        disliked: dict[Topic, tuple[str, ...]] = {}
        for about, counter in count.items():
            liked[about] = tuple(word for word, times in counter.most_common() if times > 0)
            disliked[about] = tuple(word for word, times in reversed(counter.most_common()) if times < 0)
        said.append(Statements(liked, disliked))
    return said


def _arrange(row: Floats, features: Features, block: Block, said: Statements) -> None:
    """Let the weights of one block say what is stated, in place.

    The values stay those that were drawn; they only change places: the dearest feature gets the largest of its
    block, the most avoided the smallest. So statements add no variance and take none away.
    """
    if block == "price":
        _arrange_price(row, said.stated)
    elif block != "latent":
        names = features.names[block]
        free = list(range(len(names)))
        for words, best in ((said.stated, True), (said.avoided, False)):
            # What no shop sells nobody can rate: such a statement has nothing to move.
            for name in (word for word in words.get(block, ()) if word in names):
                _swap(row, names.index(name), free, best=best)


def _swap(row: Floats, feature: int, free: list[int], *, best: bool) -> None:
    """Give the feature the best (or worst) value that no statement has claimed yet."""
    giver = max(free, key=lambda one: row[one] if best else -row[one])
    row[[feature, giver]] = row[[giver, feature]]
    free.remove(feature)


def _arrange_price(row: Floats, stated: Words) -> None:
    """A stated taste for cheap or dear things is mostly linear, whatever was drawn."""
    if "price" in stated:
        size = np.abs(row).max()
        row[0] = size if stated["price"] == ("high",) else -size
        row[1] = np.clip(row[1], -size / 3, size / 3)


def block_scores(weights: dict[Block, Floats], features: Features) -> dict[Block, Floats]:
    """What each block adds to each user's scores: float64 [users, items].

    Over the items a block has mean 0 and exactly its share as variance for every user: people differ in what they
    like, not in how much of their liking is, say, colour.
    """
    scores: dict[Block, Floats] = {}
    for block, share in SHARES.items():
        raw_UI = weights[block] @ features.values[block].T
        raw_UI = raw_UI - raw_UI.mean(axis=1, keepdims=True)
        scores[block] = share**0.5 * raw_UI / np.maximum(raw_UI.std(axis=1, keepdims=True), 1e-12)
    return scores


def draw_ratings(scores: Mapping[Block, Floats], rng: np.random.Generator) -> Ratings:
    """Add noise and each user's own level, round, cut, and hide four fifths."""
    ideal_UI: Floats = np.sum([scores[block] for block in SHARES], axis=0)
    visible_UI: Floats = np.sum([scores[block] for block in VISIBLE], axis=0)
    level_U = MEAN + rng.normal(0, LEVEL_SD, (len(ideal_UI), 1))
    felt_UI = ideal_UI + NOISE_SHARE**0.5 * rng.normal(size=ideal_UI.shape)
    complete_UI = np.clip(np.rint(level_U + SPREAD * felt_UI), RATING_MIN, RATING_MAX).astype(np.int8)
    present_UI = rng.random(ideal_UI.shape) >= MISSING
    return Ratings(complete_UI, present_UI, ideal_UI, visible_UI)


def style_numbers(personas: Sequence[Persona]) -> npt.NDArray[np.int64]:
    """The number of each persona's style: int64 [users]."""
    return np.array([STYLES.index(persona.style) for persona in personas], np.int64)
