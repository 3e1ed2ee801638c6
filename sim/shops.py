"""Two invented shops: what they sell, what they call it and what they ask for it.

Ostrella sells to women in pounds, Mayurva to men in rupees; sizes follow the two catalogs that the project began with.
A listing is a garment of the vocabulary with a shop's words around it. Pictures are rendered by `sim.datasets`,
tastes are drawn by `sim.tastes`; nothing here knows either. All randomness comes from the caller's generator.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from protocol.records import Item
from sim.captions import description, product_name
from sim.vocabulary import SHOP_CATEGORIES, Audience, Garment, sample_garment


@dataclass(frozen=True, slots=True)
class Trade:
    """How one shop is run. `dearness` is what a pound's worth costs there, in the currency's minor units."""

    platform: str
    audience: Audience
    currency: str
    dearness: float
    prefix: str
    brands: tuple[str, ...]
    items: int


@dataclass(frozen=True, slots=True)
class Listing:
    """One thing for sale. `picture_seed` decides all of its picture that the garment leaves open."""

    item: str
    name: str
    description: str
    brand: str
    price_minor: int
    currency: str
    audience: Audience
    garment: Garment
    picture_seed: int
    url: str

    @property
    def picture(self) -> str:
        """The picture's file name."""
        return f"{self.item}.jpg"

    def record(self) -> Item:
        """The item as a node should understand it after reading the shop's export."""
        return Item(
            item=self.item,
            name=self.name,
            description=self.description,
            brand=self.brand,
            category=self.garment.category,
            colour=self.garment.colour.title(),
            gender=self.audience,
            price_minor=self.price_minor,
            currency=self.currency,
            image_url="",
            page_url=self.url,
        )


@dataclass(frozen=True, slots=True)
class Shop:
    """A trade and what it sells."""

    trade: Trade
    listings: tuple[Listing, ...]


OSTRELLA = Trade(
    "Ostrella", "women", "GBP", 100.0, "OS",
    ("Ostrella Edit", "Veldane", "Mirelu", "Tansoka", "Harvolo", "Belzumi", "Norlume", "Porvelle", "Kesadri", "Luvanto",
     "Zumelle", "Dexalin"),
    1373,
)  # fmt: skip
MAYURVA = Trade(
    "Mayurva", "men", "INR", 5500.0, "MY",
    ("Mayurva Basics", "Rokandi", "Sabirex", "Tarvali", "Dhomari", "Vikandel", "Karlumo", "Nesadev", "Bharvik",
     "Lomidar"),
    1146,
)  # fmt: skip
TRADES = (OSTRELLA, MAYURVA)

#: What a middling one costs, in pounds; only the order matters to anybody's taste.
_POUNDS = {
    "t-shirt": 14, "tank top": 12, "shirt": 26, "blouse": 25, "polo": 20, "kurta": 28, "hoodie": 32, "sweater": 34,
    "cardigan": 34, "jacket": 55, "coat": 85, "blazer": 62, "suit": 120, "jeans": 38, "trousers": 34,
    "cargo pants": 36, "leggings": 18, "shorts": 20, "skirt": 24, "dress": 38, "jumpsuit": 42, "sneakers": 50,
    "boots": 65, "formal shoes": 60, "heels": 42, "sandals": 24,
}  # fmt: skip
#: How often a shop has each category, where not once: shops are not uniform, and popular kinds are deep.
_DEPTH: dict[Audience, dict[str, float]] = {
    "women": {"dress": 4, "t-shirt": 2, "blouse": 2, "trousers": 1.5, "jeans": 1.5, "skirt": 2, "heels": 1.5},
    "men": {"t-shirt": 3, "shirt": 4, "jeans": 2, "trousers": 2, "sneakers": 2.5, "polo": 1.5, "kurta": 1.5},
}
#: Spread of the log price: between brands, and between things of one brand and category.
_BRAND_SD, _THING_SD = 0.22, 0.28


def stock(trade: Trade, seed: int, items: int | None = None) -> Shop:
    """Fill a shop: `items` listings (default: as many as the trade has)."""
    rng = random.Random(f"shop|{trade.platform}|{seed}")
    categories = SHOP_CATEGORIES[trade.audience]
    depth = [_DEPTH[trade.audience].get(category, 1.0) for category in categories]
    tiers = {brand: rng.gauss(0, _BRAND_SD) for brand in trade.brands}
    wanted = trade.items if items is None else items
    numbers = rng.sample(range(100_000, 1_000_000), wanted)
    listings = []
    for number in numbers:
        garment = sample_garment(rng, rng.choices(categories, depth))
        brand = rng.choice(trade.brands)
        pounds = _POUNDS[garment.category] * math.exp(tiers[brand] + rng.gauss(0, _THING_SD))
        item = f"{trade.prefix}{number}"
        listings.append(
            Listing(
                item=item,
                name=product_name(garment, rng, trade.audience, brand),
                description=description(garment, rng, trade.audience),
                brand=brand,
                price_minor=_shelf_price(pounds * trade.dearness, trade.currency),
                currency=trade.currency,
                audience=trade.audience,
                garment=garment,
                picture_seed=rng.getrandbits(32),
                url=f"https://{trade.platform.lower()}.example/item/{item}",
            )
        )
    return Shop(trade, tuple(listings))


def _shelf_price(minor: float, currency: str) -> int:
    """The nearest price of the kind that shops print: 23.99 pounds, 1,349 rupees."""
    if currency == "INR":
        return max(149_00, round(minor / 50_00) * 50_00 - 1_00)
    return max(3_99, round(minor / 1_00) * 1_00 - 1)
