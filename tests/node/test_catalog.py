"""An export into the catalog: what is compared, what is encoded again, and what a kill leaves behind."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from models.clip import Encoder
from node.catalog import caption
from protocol.records import Item
from tests.node.conftest import Command, write_catalog, write_pictures

# The kills of the ordinary run; P2PREC_KILLS=20 for the long one.
KILLS = int(os.environ.get("P2PREC_KILLS", "4"))


def outcome(report: dict[str, Any]) -> tuple[int, int, int, int]:
    assert report["rows"] == sum(report[k] for k in ("imported", "unchanged", "replaced")) + sum(
        report["rejected"].values()
    )
    return report["imported"], report["unchanged"], report["replaced"], report["without_image"]


def dump(home: Path) -> list[str]:
    """Every row of every table, in SQLite's own order."""
    connection = sqlite3.connect(home / "node.sqlite")
    lines = list(connection.iterdump())
    connection.close()
    return lines


def test_import_again_and_with_changes(shop: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = {"encode_texts": 0, "encode_images": 0}
    for name in encoded:
        original = getattr(Encoder, name)

        def counting(self: Encoder, things: Any, name: str = name, original: Any = original) -> Any:
            encoded[name] += len(things)
            return original(self, things)

        monkeypatch.setattr(Encoder, name, counting)

    def encoded_now() -> tuple[int, int]:
        counts = encoded["encode_texts"], encoded["encode_images"]
        encoded.update(dict.fromkeys(encoded, 0))
        return counts

    catalog = write_catalog(tmp_path / "shop.csv", 300)
    pictures = str(write_pictures(tmp_path / "pictures", 100))
    assert outcome(shop("catalog", "import", str(catalog), "--images", pictures)) == (300, 0, 0, 200)
    assert encoded_now() == (300, 100)
    assert outcome(shop("catalog", "import", str(catalog), "--images", pictures)) == (0, 300, 0, 200)
    assert encoded_now() == (0, 0)
    # A new price rewrites the record and leaves the vector alone.
    write_catalog(catalog, 300, price=lambda i: 10 + i + 5 * (i < 7))
    assert outcome(shop("catalog", "import", str(catalog), "--images", pictures)) == (0, 293, 7, 200)
    assert encoded_now() == (0, 0)
    assert shop("catalog", "show", "g3")["price"] == 18.0
    # A new picture, or one less, changes that half and not the text's.
    write_pictures(tmp_path / "pictures", 110)
    (tmp_path / "pictures" / "g0.jpg").unlink()
    assert outcome(shop("catalog", "import", str(catalog), "--images", pictures)) == (0, 289, 11, 191)
    assert encoded_now() == (0, 10)
    assert shop("catalog", "show", "g0")["has_image"] is False
    assert shop("catalog", "show", "g105")["has_image"] is True


def test_an_import_that_says_nothing_of_pictures_keeps_them(shop: Command, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "shop.csv", 8)
    pictures = str(write_pictures(tmp_path / "pictures", 8))
    shop("catalog", "import", str(catalog), "--images", pictures)
    likes = shop("similar", "g0")
    assert outcome(shop("catalog", "import", str(catalog))) == (0, 8, 0, 0)
    write_catalog(catalog, 8, price=lambda i: 99)
    assert outcome(shop("catalog", "import", str(catalog))) == (0, 0, 8, 0)
    # Another text is encoded again, and the picture still stays.
    catalog.write_text(catalog.read_text("utf-8").replace("cotton", "fine linen"), "utf-8")
    assert outcome(shop("catalog", "import", str(catalog))) == (0, 0, 8, 0)
    assert shop("similar", "g0") != likes
    write_catalog(catalog, 8)
    assert outcome(shop("catalog", "import", str(catalog), "--images", pictures)) == (0, 0, 8, 0)
    assert shop("similar", "g0") == likes


def test_an_unreadable_picture_is_reported_and_its_item_kept(shop: Command, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "shop.csv", 4)
    pictures = write_pictures(tmp_path / "pictures", 4)
    (pictures / "g2.jpg").write_bytes(b"no picture")
    report = shop("catalog", "import", str(catalog), "--images", str(pictures))
    assert outcome(report) == (4, 0, 0, 1)
    assert len(report["bad_pictures"]) == 1
    assert "g2.jpg can't be read as a picture" in report["bad_pictures"][0]
    # Mended, it is noticed.
    write_pictures(pictures, 4)
    assert outcome(shop("catalog", "import", str(catalog), "--images", str(pictures))) == (0, 3, 1, 0)


def test_removing_items_all_or_none(shop: Command, tmp_path: Path) -> None:
    shop("catalog", "import", str(write_catalog(tmp_path / "shop.csv", 6)))
    assert shop("catalog", "remove", "g1", "nope")[0] == 2
    assert len(shop("catalog", "list")["items"]) == 6
    assert shop("catalog", "remove", "g1", "g2", "g1") == {"removed": 2}
    assert [one["item"] for one in shop("catalog", "list")["items"]] == ["g0", "g3", "g4", "g5"]
    assert shop("catalog", "remove", "--all") == {"removed": 4}
    assert shop("catalog", "list") == {"items": []}


def test_the_caption_says_each_thing_once() -> None:
    item = Item(item="1", name="Red Dress", colour="red", category="dresses", gender="women", description="Of silk.")
    assert caption(item) == "Red Dress, dresses, women. Of silk."
    assert caption(Item(item="1", name="Bag")) == "Bag"


@pytest.mark.slow
def test_kills_at_random_moments_lose_and_duplicate_nothing(p2prec: Command, tmp_path: Path) -> None:
    """kill -9 of a real process, again and again; then the store equals an undisturbed one, byte for byte."""
    catalog = write_catalog(tmp_path / "shop.csv", 1500)
    pictures = write_pictures(tmp_path / "pictures", 500)
    homes = {name: tmp_path / name for name in ("calm", "killed")}
    for home in homes.values():
        p2prec("init", "--platform", "Asolo", "--home", str(home))

    def start(home: Path) -> subprocess.Popen[bytes]:
        arguments = ["catalog", "import", str(catalog), "--images", str(pictures), "--home", str(home)]
        program = "import sys; from node import cli; sys.exit(cli.run(sys.argv[1:]))"
        return subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.DEVNULL)

    def items(home: Path) -> int:
        connection = sqlite3.connect(home / "node.sqlite", timeout=30)
        try:
            return int(connection.execute("SELECT count(*) FROM item").fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # not even the tables yet
        finally:
            connection.close()

    calm = start(homes["calm"])
    deadline = time.monotonic() + 240
    first = None
    while calm.poll() is None:
        if first is None and items(homes["calm"]):
            first = time.monotonic()
        assert time.monotonic() < deadline
        time.sleep(0.01)  # a poll of another process, not a wait for a guess
    assert calm.returncode == 0
    assert first is not None
    writing = time.monotonic() - first

    rng = random.Random(7)
    stored = []
    for kill in range(KILLS):
        process = start(homes["killed"])
        before = items(homes["killed"])
        # Wait until this run has done something, then strike within one batch's time; the first ones strike earlier.
        strike_after = rng.uniform(0, 1.5 * writing / 6)
        while kill >= 2 and process.poll() is None and items(homes["killed"]) == before:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 4) if kill < 2 else strike_after)
        process.send_signal(signal.SIGKILL)
        process.wait()
        stored.append(items(homes["killed"]))
        assert stored[-1] % 256 == 0 or stored[-1] == 1500, "a batch is atomic"
    assert stored == sorted(stored)
    assert start(homes["killed"]).wait() == 0
    # The key is each home's own, and with it the publisher's name; everything else must be equal.
    names = {p2prec("doctor", "--home", str(h))["findings"][-4]["found"].split()[-1]: h for h in homes.values()}
    dumps = {h: "\n".join(dump(h)).replace(name, "PUBLISHER") for name, h in names.items()}
    assert len(names) == 2
    assert dumps[homes["calm"]] == dumps[homes["killed"]]
    assert dumps[homes["calm"]].count('INSERT INTO "vector"') == 1500
