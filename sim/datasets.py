"""The demo data: two rendered shops and thirty personas with ratings, in memory for a referee and as files for nodes.

`build_demo` makes everything but pictures, in a second; `write_demo` adds the pictures and writes what shops would
export: a catalog, a folder of pictures and a file of ratings each. One seed decides all of it, in every process.
The ratings come from `sim.tastes` and never from an embedding; no encoder is imported here.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from node.errors import UserError
from sim.darkroom import Job, write_pictures
from sim.personas import PERSONAS, Persona
from sim.shops import TRADES, Listing, Shop, stock
from sim.tastes import (
    Block,
    Features,
    Floats,
    Ratings,
    agree,
    block_scores,
    draw_ratings,
    draw_weights,
    item_features,
    style_numbers,
    style_statements,
)

IMAGE_SIZE = 160
#: The first second of the year in which the personas rated, and its length.
_YEAR_START_S, _YEAR_S = 1_735_689_600, 365 * 86_400
CATALOG_COLUMNS = (
    "id", "name", "description", "brand", "category", "colour", "gender", "price", "currency", "image", "url",
)  # fmt: skip
RATING_COLUMNS = ("user", "item", "rating", "timestamp")


@dataclass(frozen=True, slots=True)
class Demo:
    """The whole world of the demo, also what nobody in it knows. Item columns: all of shop 0, then all of shop 1."""

    seed: int
    shops: tuple[Shop, ...]
    personas: tuple[Persona, ...]
    features: Features
    weights: dict[Block, Floats]
    scores: dict[Block, Floats]
    ratings: Ratings

    @property
    def listings(self) -> list[Listing]:
        """Every listing, in column order."""
        return [listing for shop in self.shops for listing in shop.listings]

    def columns(self, shop: int) -> slice:
        """The item columns of one shop."""
        ends = np.cumsum([0, *(len(one.listings) for one in self.shops)]).tolist()
        return slice(*list(pairwise(ends))[shop])


def build_demo(seed: int, sizes: Sequence[int] | None = None) -> Demo:
    """Shops, personas and ratings of that seed; `sizes` are items a shop (default: the trades' own)."""
    wanted = sizes if sizes is not None else [trade.items for trade in TRADES]
    shops = tuple(stock(trade, seed, items) for trade, items in zip(TRADES, wanted, strict=True))
    features = features_of(shops, seed)
    styles = style_statements(PERSONAS)
    weights = draw_weights(features, style_numbers(PERSONAS), _stream(seed, "weights"), styles)
    agree(weights, features, PERSONAS)
    scores = block_scores(weights, features)
    ratings = draw_ratings(scores, _stream(seed, "ratings"))
    return Demo(seed, shops, PERSONAS, features, weights, scores, ratings)


def features_of(shops: Sequence[Shop], seed: int) -> Features:
    """What tastes can be about in these shops. A price is dear or cheap beside the same shop's other prices."""
    garments = [listing.garment for shop in shops for listing in shop.listings]
    log_prices = [np.log([listing.price_minor for listing in shop.listings]) for shop in shops]
    standard = [(log_price - log_price.mean()) / max(log_price.std(), 1e-12) for log_price in log_prices]
    attributes: dict[Block, list[str]] = {
        "category": [garment.category for garment in garments],
        "colour": [garment.colour for garment in garments],
        "pattern": [garment.pattern for garment in garments],
        "fit": [garment.fit for garment in garments],
    }
    return item_features(attributes, np.concatenate(standard), _stream(seed, "latent"))


def write_demo(
    folder: Path,
    seed: int,
    *,
    image_size: int = IMAGE_SIZE,
    progress: Callable[[int], object] = lambda pictures: None,
    sizes: Sequence[int] | None = None,
) -> Demo:
    """Write the demo's files below `folder`; `progress` hears how many pictures were dealt with.

    Pictures that are there are left alone, and each is written whole or not at all, so that an interrupted run can be
    repeated. The caller sees to it that one folder is used for one image size only.
    Raises: UserError when the folder holds other catalogs, whose pictures would not fit.
    """
    demo = build_demo(seed, sizes)
    for number, shop in enumerate(demo.shops):
        place = folder / shop.trade.platform.lower()
        (place / "images").mkdir(parents=True, exist_ok=True)
        _write_once(place / "catalog.csv", _table(CATALOG_COLUMNS, (_export_row(one) for one in shop.listings)))
        write_whole(place / "ratings.csv", _table(RATING_COLUMNS, _rating_rows(demo, number)))
    write_whole(folder / "personas.json", _persona_document(demo.personas))
    jobs = [
        Job(folder / shop.trade.platform.lower() / "images" / listing.picture, listing, image_size)
        for shop in demo.shops
        for listing in shop.listings
    ]
    write_pictures(jobs, progress)
    return demo


def _stream(seed: int, purpose: str) -> np.random.Generator:
    """A stream of its own for each purpose, so that drawing more for one changes nothing in another."""
    return np.random.default_rng([seed, *purpose.encode()])


def _export_row(listing: Listing) -> tuple[str, ...]:
    """One line of the shop's export, in the order of CATALOG_COLUMNS."""
    return (
        listing.item,
        listing.name,
        listing.description,
        listing.brand,
        listing.garment.category,
        listing.garment.colour.title(),
        listing.audience.capitalize(),
        f"{listing.price_minor / 100:.2f}",
        listing.currency,
        f"images/{listing.picture}",
        listing.url,
    )


def _rating_rows(demo: Demo, shop: int) -> Iterator[tuple[object, ...]]:
    """The ratings that this shop's own users gave for this shop's own items."""
    columns = demo.columns(shop)
    complete_UI, present_UI = demo.ratings.complete_UI[:, columns], demo.ratings.present_UI[:, columns]
    when_UI = _YEAR_START_S + _stream(demo.seed, f"times {shop}").integers(0, _YEAR_S, complete_UI.shape)
    for user, item in np.argwhere(present_UI).tolist():
        listing = demo.shops[shop].listings[item]
        yield demo.personas[user].name, listing.item, int(complete_UI[user, item]), int(when_UI[user, item])


def _persona_document(personas: Sequence[Persona]) -> str:
    return json.dumps([asdict(persona) for persona in personas], indent=1, ensure_ascii=False) + "\n"


def _table(columns: Sequence[str], rows: Iterator[tuple[object, ...]] | Iterator[tuple[str, ...]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue()


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, "utf-8")
    part.replace(path)


def _write_once(path: Path, text: str) -> None:
    """Write a text file, or find that it says the same already. Raises: UserError when it says something else."""
    if not path.is_file():
        write_whole(path, text)
    elif path.read_text("utf-8") != text:
        raise UserError(f"{path} is of another seed, size or version of p2prec; delete {path.parent.parent}")


__all__ = ["CATALOG_COLUMNS", "IMAGE_SIZE", "Demo", "build_demo", "features_of", "write_demo", "write_whole"]
