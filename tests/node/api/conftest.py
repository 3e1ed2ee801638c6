"""Two shops as two running nodes that hold each other's catalog, one with its API and page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from node import cli
from node.config import Home, load_home
from node.database import Database
from node.store import Store, Write
from protocol.records import Item, pack_item
from sim.processes import NodeProcess, wait_until
from tests.node.api.client import Client
from tests.node.conftest import write_catalog, write_pictures

# Ids are the same in both shops: only with its publisher is it said which item is meant.
GARMENTS = {"Asolo": 24, "Bella": 12}
#: What a shop can publish that means ill: no rule of the protocol says what a text may be.
EVIL = Item(
    item="evil",
    name="<img src=x onerror=window.hit=1>",
    description="</p><script>window.hit=1</script>",
    brand="'\"><svg onload=window.hit=1>",
    image_url="javascript:window.hit=1",
    page_url="javascript:window.hit=1",
)
#: Items whose pictures are said to be on the web, and in somebody's own network.
AFAR = Item(item="afar", name="Boots", image_url="https://shop.example/boots.jpg")
NEAR = Item(item="near", name="Boots too", image_url="http://192.168.1.1/reboot?now=1")
ITEMS = {"Asolo": 24, "Bella": 15}


class Shops:
    """`asked` has the API; `other` is its peer."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.homes = {platform: make_home(folder / platform, platform, n) for platform, n in GARMENTS.items()}
        for item in (EVIL, AFAR, NEAR):
            publish(self.homes["Bella"], item)
        learn = ("--learn", "none")
        self.other = stack.enter_context(NodeProcess(self.homes["Bella"], *learn))
        self.other.ready()
        images = ["--images", str(folder / "Asolo" / "images")]
        images += ["--images-of", self.publisher("Bella"), str(folder / "Bella" / "images")]
        peer = ("--peer", self.other.address, "--api", "127.0.0.1:0", *images)
        self.asked = stack.enter_context(NodeProcess(self.homes["Asolo"], *learn, *peer))
        self.url = str(self.asked.ready()["api"])
        self.client = Client(self.url)
        wait_until(self.agree)

    def agree(self) -> bool:
        catalogs = self.client.get("status")["catalogs"]
        return {one["platform"]: one["items_known"] for one in catalogs if one["state"] == "whole"} == ITEMS

    def publisher(self, platform: str) -> str:
        return self.homes[platform].identity.peer_id

    def item(self, platform: str, item: str) -> str:
        return f"{self.publisher(platform)}/{item}"


def make_home(folder: Path, platform: str, n: int) -> Home:
    """A shop of n garments with pictures, through the command line."""
    folder.mkdir()
    catalog, images = write_catalog(folder / "catalog.csv", n), write_pictures(folder / "images", n)
    if platform == "Bella":
        # Its pictures have the same names, and are others.
        for path in images.iterdir():
            ImageOps.invert(Image.open(path)).save(path)
    home = str(folder / "home")
    for words in (
        ("init", "--platform", platform),
        ("catalog", "import", str(catalog), "--images", str(images)),
    ):
        assert cli.run([*words, "--home", home, "--json"]) == 0
    return load_home(folder / "home")


def publish(home: Home, item: Item) -> None:
    """Whatever the item says, with the looks of another."""
    database = Database(home.database)
    store = Store(database)
    other = store.items()[0]
    vector = store.find_vector(other.slot)
    assert vector is not None
    store.write_items(other.catalog, [Write(item.item, pack_item(item), vector, b"made up")])
    database.close()


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shops]:
    with ExitStack() as stack:
        yield Shops(tmp_path_factory.mktemp("shops"), stack)
