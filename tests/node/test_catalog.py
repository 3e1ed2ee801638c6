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
from node.catalog import BATCH_ITEMS, caption
from node.config import load_home
from protocol.records import Item
from tests.node.conftest import Command, write_catalog, write_pictures

# The kills of the ordinary run; P2PREC_KILLS=20 for the long one.
KILLS = int(os.environ.get("P2PREC_KILLS", "6"))


def outcome(report: dict[str, Any]) -> tuple[int, int, int, int]:
    assert report["rows"] == sum(report[k] for k in ("imported", "unchanged", "replaced")) + sum(
        report["rejected"].values()
    )
    return report["imported"], report["unchanged"], report["replaced"], report["without_image"]


def dump(home: Path) -> str:
    """Every row of every table, in SQLite's own order."""
    connection = sqlite3.connect(home / "node.sqlite")
    lines = "\n".join(connection.iterdump())
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


def start_import(home: Path, catalog: Path, pictures: Path) -> subprocess.Popen[bytes]:
    """A real process, as the console script would start it."""
    arguments = ["catalog", "import", str(catalog), "--images", str(pictures), "--home", str(home)]
    program = "import sys; from node import cli; sys.exit(cli.run(sys.argv[1:]))"
    return subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.DEVNULL)


def items_in(home: Path) -> int:
    """How many items are committed, seen from outside."""
    connection = sqlite3.connect(home / "node.sqlite", timeout=30)
    try:
        return int(connection.execute("SELECT count(*) FROM item").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # not even the tables yet
    finally:
        connection.close()


def wait_for_progress(process: subprocess.Popen[bytes], home: Path) -> None:
    """Until the process has committed something or is gone: a poll of another process, not a guess at its speed."""
    before, deadline = items_in(home), time.monotonic() + 120
    while process.poll() is None and items_in(home) == before:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.slow
def test_kills_at_random_moments_lose_and_duplicate_nothing(p2prec: Command, tmp_path: Path) -> None:
    """kill -9 of a real process, again and again; then the store equals an undisturbed one, byte for byte."""
    # Enough batches that every kill meets an import at work.
    batches = 3 * KILLS + 2
    n = BATCH_ITEMS * batches - 100
    catalog = write_catalog(tmp_path / "shop.csv", n)
    pictures = write_pictures(tmp_path / "pictures", 600)
    homes = {name: tmp_path / name for name in ("calm", "killed")}
    for home in homes.values():
        p2prec("init", "--platform", "Asolo", "--home", str(home))
    calm = start_import(homes["calm"], catalog, pictures)
    wait_for_progress(calm, homes["calm"])
    first = time.monotonic()
    assert calm.wait() == 0
    seconds_a_batch = (time.monotonic() - first) / (batches - 1)

    rng = random.Random(7)
    stored = []
    for kill in range(KILLS):
        process = start_import(homes["killed"], catalog, pictures)
        # Every third strikes blindly while the program starts; the others within a batch of a commit.
        if kill % 3:
            wait_for_progress(process, homes["killed"])
            time.sleep(rng.uniform(0, seconds_a_batch))
        else:
            time.sleep(rng.uniform(0, 5))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the kill met an import at work"
        stored.append(items_in(homes["killed"]))
        assert stored[-1] % BATCH_ITEMS == 0, "a batch is atomic"
    assert stored == sorted(stored)
    assert 0 < stored[-1] < n
    assert start_import(homes["killed"], catalog, pictures).wait() == 0
    # The key is each home's own, and with it the publisher's name; everything else must be equal.
    calm_dump, killed_dump = (dump(home).replace(load_home(home).identity.peer_id, "ME") for home in homes.values())
    assert calm_dump == killed_dump
    assert calm_dump.count('INSERT INTO "vector"') == n
