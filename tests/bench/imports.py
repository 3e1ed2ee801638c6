"""Import speed beside the encoder alone on the same items, and the memory of a catalog of 22,180 items.

The items are the demo's men's shop: rendered pictures, shop-like text. Both sides read the same files in the same
batches; the import also parses, compares, hashes, packs and stores.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from node.catalog import BATCH_ITEMS, CatalogImport, PictureSources, caption
from node.database import Database
from node.importers import Product, open_export
from node.pictures import PictureFolder
from node.session import open_encoder
from node.store import Store
from tests.bench.row import Row, alternate, seconds_of

RUNS = 5
STYLES = 22_180
MEMORY_MB_MAX = 1500
# Run in a process of its own, whose peak is its own.
MEMORY_PROGRAM = """
import resource, sys
from node import cli
code = cli.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
sys.exit(code)
"""


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return [
            *speed(Path(folder), with_pictures=True),
            *speed(Path(folder), with_pictures=False),
            memory(Path(folder)),
        ]


def speed(folder: Path, *, with_pictures: bool) -> list[Row]:
    """Items per second, import and bare encoder by turns."""
    from sim.datasets import write_demo

    if not (folder / "demo").exists():
        write_demo(folder / "demo", seed=1)
    shop = next(path.parent for path in sorted((folder / "demo").rglob("catalog.csv")))
    encoder = open_encoder("tiny")
    pictures = PictureFolder(shop / "images")
    products = [row for row in open_export(shop / "catalog.csv") if isinstance(row, Product)]
    texts = [caption(product.item) for product in products]
    paths = [pictures.find(product.pictures, product.item.item) for product in products]

    def bare() -> float:
        def encode() -> None:
            for start in range(0, len(products), BATCH_ITEMS):
                encoder.encode_texts(texts[start : start + BATCH_ITEMS])
                if with_pictures:
                    encoder.encode_images([path for path in paths[start : start + BATCH_ITEMS] if path])

        return len(products) / seconds_of(encode)

    def whole() -> float:
        with tempfile.TemporaryDirectory() as home:
            store = Store(Database(Path(home) / "node.sqlite"))
            own = store.own_catalog("bench", "Bench", encoder.fingerprint)
            sources = PictureSources(PictureFolder(shop / "images") if with_pictures else None)
            rows = CatalogImport(store, own, encoder, sources)
            export = open_export(shop / "catalog.csv")
            rate = len(products) / seconds_of(lambda: rows.run(export, lambda _: None))
            assert rows.report.imported == len(products)
            assert rows.report.without_image == (0 if with_pictures else len(products))
            store.close()
        return rate

    ours, yardstick, ratio = alternate(whole, bare, RUNS)
    what = "pictures and text" if with_pictures else "text only"
    return [Row(f"import, {what} / encoder alone", ours, yardstick, ratio, "items/s", ">= 0.8")]


def memory(folder: Path) -> Row:
    """Peak resident memory of importing 22,180 rows, text only."""
    styles = Path(__file__).resolve().parents[3] / "shared" / "data" / "myntra_styles" / "styles.csv"
    if not styles.exists():
        styles = folder / "styles.csv"
        with styles.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["id", "name", "description", "colour"])
            writer.writerows([i, f"Style {i}", f"A thing of sort {i % 97} in cotton", "red"] for i in range(STYLES))
    home = str(folder / "memory")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", MEMORY_PROGRAM, *arguments, "--home", home, "--json"],
            capture_output=True,
            text=True,
            check=True,
        )

    command("init", "--platform", "Bench")
    done = command("catalog", "import", str(styles))
    peak = float(done.stderr.split()[-1])
    rows = json.loads(done.stdout)["rows"]
    return Row(f"peak memory, {rows} rows, text only", peak, MEMORY_MB_MAX, peak / MEMORY_MB_MAX, "MB", "< 1")
