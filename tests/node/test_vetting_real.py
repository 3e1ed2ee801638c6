"""Exports of real shops pass as they are: beside a real shop's own catalog with photos, each as a foreign one.

The exports are not part of the repository; they are looked for in ../shared/data beside it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from node.config import Home, load_home
from sim.demo import call
from tests.node.vetting_world import add_catalog, own_items

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shops' exports (../shared/data) are not at hand")

# file, folder of pictures
SHOPS = {
    "Asos photos": ("asos_women_photos/items.json", "asos_women_photos/images"),
    "Myntra photos": ("myntra_photos/items.csv", "myntra_photos/images"),
    "Myntra shirts": ("myntra_men/men-casual-shirts.csv", ""),
    "Asos feed": ("asos_us_feed/asos_us_feed.csv", ""),
    "Asos men": ("asos_men_women_2023/asos_men.json", ""),
    "Asos France": ("asos_fr/asos_fr.csv", ""),
    "Amazon": ("amazon_in_womens/amazon_in_womens.csv", ""),
    "H&M": ("asos_uk_hm_pairs/hm_products.csv", ""),
}


def imported(folder: Path, platform: str, export: str, images: str) -> Home:
    """A home with that export as its own catalog."""
    call("init", "--home", str(folder), "--platform", platform)
    pictures = ("--images", str(DATA / images)) if images else ()
    call("catalog", "import", str(DATA / export), *pictures, "--currency", "GBP", "--home", str(folder))
    return load_home(folder)


def test_real_catalogs_pass_every_check(tmp_path: Path) -> None:
    homes = {name: imported(tmp_path / str(place), name, *shop) for place, (name, shop) in enumerate(SHOPS.items())}
    here, *others = homes.values()
    for other in others:
        add_catalog(here, other.identity.peer_id, other.config.platform, *own_items(other))
    report = call("catalog", "vet", "--home", str(here.folder), "--seed", "1")
    found = {one["platform"]: one for one in report.document["catalogs"]}
    assert set(found) == set(SHOPS) - {"Asos photos"}
    failed = {name: [check for check in one["checks"] if not check["passed"]] for name, one in found.items()}
    assert not any(failed.values()), failed
    assert "agreement" in {check["name"] for check in found["Myntra photos"]["checks"]}
    assert report.exit_code == 0
