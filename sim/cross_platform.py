"""The world of the cross-platform experiment: two shops' items as nodes would know them, and what people think of them.

The shops are those of the demo (`sim.datasets`), rendered and encoded once for each seed and kept in a folder. People
are the demo's thirty personas, joined by others of the same six styles where more are wanted. *Home* is the shop where
everybody is asked, *away* the other one; columns are items, home's first. Also the names under which what is nobody's
model stands in tables, and the one baseline that is no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from models.evaluation import Flags
from models.features import PricedItems, priced, standard_log_price
from models.fusion import Vectors, centre_items, image_weight_of, similarity_sum
from models.interactions import History
from models.recommender import Scores
from protocol.records import Item
from protocol.vectors import pack_vectors
from sim.datasets import IMAGE_SIZE, Demo, write_demo
from sim.personas import STYLES
from sim.tastes import (
    LIKED,
    RATING_MAX,
    RATING_MIN,
    Ratings,
    agree,
    block_scores,
    draw_ratings,
    draw_weights,
    style_numbers,
    style_statements,
)

RANDOM, POPULARITY, LIKED_MEAN, RIDGE = "floor: random", "popularity", "mean of liked", "ridge"
CEILINGS = ("ceiling: seen, and price", "ceiling: all but noise")
#: Of away's items, how many are published late.
NEW_SHARE = 0.2


class Encodes(Protocol):
    """The part of models.clip.Encoder that is needed here."""

    fingerprint: str

    def encode_images(self, pictures: Sequence[Any], *, progress: bool = False) -> Any: ...

    def encode_texts(self, texts: Sequence[str], *, progress: bool = False) -> Any: ...


@dataclass(frozen=True, slots=True)
class World:
    """One seed: the items of both shops, and what people think of them."""

    seed: int
    items: PricedItems
    home: slice
    away: slice
    ratings: Ratings
    seen_UI: Scores
    """The part of the scores that shows in picture, text and price: float32 [people, items]."""
    platforms: tuple[str, str]
    """Home's and away's."""
    records: list[Item]
    """Each item as an import of its shop's export stores it."""
    vectors: list[bytes]
    """The same of the items' vectors: two halves of int8 each."""
    binary: bool = False
    """Whether people say no more than whether they like something; see `as_binary`."""

    def columns(self, peers: tuple[str, str]) -> list[tuple[str, str]]:
        """(publisher, item) of each column, where home's and away's nodes have these peer ids."""
        publishers = [peers[0]] * (self.home.stop - self.home.start) + [peers[1]] * (self.away.stop - self.away.start)
        return [(publisher, item.item) for publisher, item in zip(publishers, self.records, strict=True)]


def load_world(
    seed: int,
    people: int,
    encoder: Encodes,
    name: str,
    folder: Path,
    *,
    image_size: int = IMAGE_SIZE,
    sizes: Sequence[int] | None = None,
) -> World:
    """Render and encode the demo of that seed below `folder`, or take both from there. `name` is the encoder's.

    A folder is for one image size, as in `write_demo`. Raises: UserError when it holds other catalogs.
    """
    demo = write_demo(folder / f"seed-{seed}", seed, image_size=image_size, sizes=sizes)
    stored = folder / f"vectors-{seed}-{encoder.fingerprint[:16]}.npz"
    if not stored.is_file():
        image_ID, text_ID = encode_demo(demo, encoder, folder / f"seed-{seed}")
        part = stored.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, image_ID=image_ID, text_ID=text_ID)
        part.replace(stored)
    with np.load(stored) as vectors:
        image_ID, text_ID = vectors["image_ID"], vectors["text_ID"]
    shop_I = np.repeat(np.arange(len(demo.shops)), [len(shop.listings) for shop in demo.shops])
    price_I = np.array([listing.price_minor for listing in demo.listings], np.float64)
    items = centre_items(image_ID, text_ID, image_weight_of(name))
    ratings, seen_UI = crowd(demo, people)
    return World(
        seed,
        priced(items, standard_log_price(price_I, shop_I)),
        demo.columns(0),
        demo.columns(1),
        ratings,
        seen_UI,
        (demo.shops[0].trade.platform, demo.shops[1].trade.platform),
        [listing.record() for listing in demo.listings],
        pack_vectors(image_ID, text_ID),
    )


def encode_demo(demo: Demo, encoder: Encodes, folder: Path) -> tuple[Vectors, Vectors]:
    """Pictures and texts of all items, as imports encode them: float32 [items, dim] each."""
    # Brings torch along: only who encodes waits for it.
    from node.catalog import caption

    images, texts = [], []
    # One shop at a time: an import never has two in one batch, and the last bits of a vector hang on its batch.
    for shop in demo.shops:
        pictures = folder / shop.trade.platform.lower() / "images"
        images.append(encoder.encode_images([pictures / listing.picture for listing in shop.listings]).vectors)
        texts.append(encoder.encode_texts([caption(listing.record()) for listing in shop.listings]).vectors)
    return np.concatenate(images), np.concatenate(texts)


def crowd(demo: Demo, people: int) -> tuple[Ratings, Scores]:
    """Ratings of the demo's thirty or, for more, of them and others; and what of their scores can be seen."""
    scores, ratings = demo.scores, demo.ratings
    if people > len(demo.personas):
        rng = np.random.default_rng([demo.seed, people])
        others = rng.integers(0, len(STYLES), people - len(demo.personas))
        style_U = np.concatenate([style_numbers(demo.personas), others])
        weights = draw_weights(demo.features, style_U, rng, style_statements(demo.personas))
        agree(weights, demo.features, demo.personas)
        scores = block_scores(weights, demo.features)
        ratings = draw_ratings(scores, rng)
    return ratings, (ratings.visible_UI + scores["price"]).astype(np.float32)


def as_binary(world: World) -> World:
    """Everybody says only whether they like a thing, LIKED or more.

    A node knows one scale, so 0 and 1 are told as its two ends: models work in proportion to the scale, and make of
    both the same. Errors are told in the unit of 0 and 1 all the same (`sim.referee`).
    """
    told_UI = np.where(world.ratings.complete_UI >= LIKED, RATING_MAX, RATING_MIN).astype(np.int8)
    return replace(world, ratings=replace(world.ratings, complete_UI=told_UI), binary=True)


def hold_back(world: World, share: float = NEW_SHARE) -> tuple[World, Flags]:
    """The world before so many of away's items were published, unrated by anybody; and which: bool [items of away]."""
    new_B = np.zeros(world.away.stop - world.away.start, bool)
    new_B[np.random.default_rng([world.seed, 2]).permutation(len(new_B))[: round(share * len(new_B))]] = True
    present_UI = world.ratings.present_UI.copy()
    present_UI[:, world.away] &= ~new_B
    return replace(world, ratings=replace(world.ratings, present_UI=present_UI)), new_B


def turned(world: World) -> World:
    """The same world seen from the other shop: away is home, and its columns come first."""
    order_I = np.r_[world.away, world.home]
    was = world.ratings
    ratings = Ratings(
        complete_UI=was.complete_UI[:, order_I],
        present_UI=was.present_UI[:, order_I],
        ideal_UI=was.ideal_UI[:, order_I],
        visible_UI=was.visible_UI[:, order_I],
    )
    size = world.away.stop - world.away.start
    return replace(
        world,
        items=world.items.at(order_I),
        home=slice(0, size),
        away=slice(size, len(order_I)),
        ratings=ratings,
        seen_UI=world.seen_UI[:, order_I],
        platforms=(world.platforms[1], world.platforms[0]),
        records=[world.records[column] for column in order_I.tolist()],
        vectors=[world.vectors[column] for column in order_I.tolist()],
    )


def given(world: World, users: slice, columns: slice) -> list[tuple[int, int, int]]:
    """The ratings that these people gave in these columns: (user, column, value), by user."""
    complete_UI, found = world.ratings.complete_UI, np.argwhere(world.ratings.present_UI[users, columns])
    found += np.array([users.start, columns.start])
    return [(user, column, int(complete_UI[user, column])) for user, column in found.tolist()]


def history_of(world: World, user: int, columns: slice) -> History:
    """The ratings that somebody gave in these columns; rows count over both shops."""
    rows = np.flatnonzero(world.ratings.present_UI[user, columns]).astype(np.int64) + columns.start
    return History(rows, world.ratings.complete_UI[user, rows].astype(np.float32))


def liked_mean(items: PricedItems, asked: Sequence[History]) -> Scores:
    """LIKED_MEAN: similarity to the mean of what was liked, what most shops would do with vectors.

    float32 [asked, items]; one who liked nothing has zeros.
    """
    liked = [one.items[one.values >= LIKED] for one in asked]
    return np.stack(
        [similarity_sum(items, rows, np.full(len(rows), 1 / max(len(rows), 1), np.float32)) for rows in liked]
    )


__all__ = [
    "CEILINGS",
    "LIKED_MEAN",
    "NEW_SHARE",
    "POPULARITY",
    "RANDOM",
    "RIDGE",
    "Encodes",
    "World",
    "as_binary",
    "crowd",
    "encode_demo",
    "given",
    "history_of",
    "hold_back",
    "liked_mean",
    "load_world",
    "turned",
]
