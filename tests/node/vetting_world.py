"""The demo's two shops in one home, as a sync leaves them, and what a publisher who lies can put beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.fusion import Vectors
from node.config import Home, load_home
from node.database import Database
from node.store import Store, StoredItem, Write
from protocol.identity import Identity
from protocol.records import Item, pack_item
from protocol.vectors import pack_vectors, parse_vectors
from sim.datasets import write_demo
from sim.demo import call
from sim.personas import PERSONAS, STYLES
from sim.tastes import style_numbers
from tests.planting import planted

SIZES = (150, 110)


def build_home(folder: Path) -> Home:
    """Ostrella's home with its users' ratings, and Mayurva's catalog beside its own; both honest."""
    demo = write_demo(folder, 5, image_size=48, sizes=SIZES)
    homes = []
    for shop in demo.shops:
        place = folder / shop.trade.platform.lower()
        call("init", "--home", str(place / "home"), "--platform", shop.trade.platform)
        images = ("--images", str(place / "images"))
        call("catalog", "import", str(place / "catalog.csv"), *images, "--home", str(place / "home"))
        call("rate", "--file", str(place / "ratings.csv"), "--home", str(place / "home"))
        homes.append(load_home(place / "home"))
    items, image_ID, text_ID = own_items(homes[1])
    add_catalog(homes[0], homes[1].identity.peer_id, homes[1].config.platform, items, image_ID, text_ID)
    return homes[0]


def own_items(home: Home) -> tuple[list[Item], Vectors, Vectors]:
    """What a node publishes: its items and their halves."""
    store = Store(Database(home.database))
    stored: Sequence[StoredItem] = store.items(publisher=home.identity.peer_id)
    packed = [store.find_vector(one.slot) or b"" for one in stored]
    store.close()
    return [one.item for one in stored], *parse_vectors(packed, home.config.dim)


def add_catalog(
    home: Home, publisher: str, platform: str, items: Sequence[Item], image_ID: Vectors, text_ID: Vectors
) -> str:
    """Store a foreign catalog; returns its publisher."""
    database = Database(home.database)
    store = Store(database)
    number = store.own_catalog(publisher, platform, home.config.fingerprint)
    vectors = pack_vectors(image_ID, text_ID)
    store.write_items(
        number, [Write(item.item, pack_item(item), vector, b"") for item, vector in zip(items, vectors, strict=True)]
    )
    with database.transaction() as connection:
        connection.execute("UPDATE catalog SET own = 0 WHERE catalog = ?", (number,))
    store.close()
    return publisher


def stranger(number: int) -> str:
    """A publisher's peer id."""
    return Identity(bytes([number]) * 32).peer_id


def near_tastes(home: Home, n: int, groups: int = len(STYLES)) -> tuple[Vectors, Vectors]:
    """Halves along the tastes of the demo's styles (the first `groups` of them), by turns."""
    store = Store(Database(home.database))
    ratings = store.ratings()
    store.close()
    items, image_ID, text_ID = own_items(home)
    rows = {item.item: row for row, item in enumerate(items)}
    style_of = dict(zip((one.name for one in PERSONAS), style_numbers(PERSONAS).tolist(), strict=True))
    mean = np.mean([rating.value for rating in ratings])
    weights_GI = np.zeros((len(STYLES), len(items)))
    for rating in ratings:
        weights_GI[style_of[rating.user], rows[rating.item]] += rating.value - mean
    weights_PI = weights_GI[np.arange(n) % groups]
    return planted(image_ID, weights_PI), planted(text_ID, weights_PI)


def wares(home: Home, n: int) -> tuple[list[Item], Vectors, Vectors]:
    """n items that are honest: the own ones, under other ids."""
    items, image_ID, text_ID = own_items(home)
    return [replace(item, item=f"x{row}") for row, item in enumerate(items[:n])], image_ID[:n], text_ID[:n]
