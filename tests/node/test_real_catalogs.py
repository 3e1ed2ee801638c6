"""Exports of real shops, where they are at hand: every row counted, facts checked by eye, parts of files recognised.

The exports are not part of the repository; they are looked for in ../shared/data beside it.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.errors import UserError
from node.importers import Product, Rejection, open_export
from protocol.records import pack_item

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shops' exports (../shared/data) are not at hand")


@dataclass(frozen=True)
class Catalog:
    """An export: what it is, how many rows it has, which of them are no new product, and one row's facts."""

    file: str
    format: str
    rows: int
    rejected: dict[str, int]
    row: int
    facts: dict[str, object]


CATALOGS = [
    Catalog("amazon_in_womens/amazon_in_womens.csv", "amazon", 1028, {"duplicate": 58}, 1, {
        "item": "B093CCYNJS", "name": "Fastrack Analog Dial Women's Watch", "price_minor": 119900, "currency": "INR",
        "gender": "women", "page_url": "https://www.amazon.in/Fastrack-Analog-Black-Womens-Watch/dp/B093CCYNJS"}),
    Catalog("asos_fr/asos_fr.csv", "asos-fr", 108, {"duplicate": 1}, 3, {
        "item": "202951828", "name": "Robe pull en maille torsadée à col V", "price_minor": 3899, "currency": "EUR",
        "brand": "QED London", "colour": "Ivoire", "gender": "women", "category": "robes"}),
    Catalog("asos_men_women_2023/asos_women.json", "asos-json", 52, {}, 2, {
        "item": "204629102-black", "price_minor": 9500, "currency": "GBP", "colour": "Black", "gender": "women"}),
    Catalog("asos_men_women_2023/asos_men.json", "asos-json", 56, {"duplicate": 9}, 28, {
        "item": "204386804-green", "brand": "Topman", "price_minor": 3400, "colour": "Green", "gender": "men"}),
    Catalog("asos_uk_hm_pairs/asos_products.csv", "prefixed", 1066, {}, 1, {
        "item": "12871408-white", "price_minor": 799, "currency": "GBP", "colour": "White", "brand": "Bershka"}),
    Catalog("asos_uk_hm_pairs/hm_products.csv", "prefixed", 639, {}, 1, {
        "item": "0706270009", "name": "Socks", "price_minor": 299, "currency": "GBP", "colour": "Black/PAC-MAN",
        "gender": "men", "category": "socks"}),
    Catalog("asos_us_feed/asos_us_feed.csv", "linkshare", 190, {"duplicate": 25, "empty_row": 19}, 2, {
        "item": "13106158", "name": "Monki denim v-neck blouse with puff sleeves in blue - Blue", "price_minor": 4800,
        "currency": "USD", "brand": "Monki", "colour": "Blue", "category": "Apparel & Accessories",
        "image_url": "http://images.asos-media.com/inv/media/8/5/1/6/13106158/blue/image1xxl.jpg"}),
    Catalog("asos_women_photos/items.json", "generic", 141, {}, 1, {
        "item": "10111031", "price_minor": 2000, "currency": "GBP", "category": "tops", "brand": "COLLUSION"}),
    Catalog("clip_hm_1126/items.csv", "generic", 577, {}, 1, {"item": "881698002", "price_minor": None}),
    Catalog("clip_marqo_99/styles.csv", "myntra-styles", 99, {}, 1, {
        "item": "15970", "price_minor": 3500, "currency": "USD", "colour": "Navy Blue", "category": "Shirts"}),
    Catalog("hm_2018/articles.csv", "hm-articles", 4903, {}, 1, {
        "item": "108775015", "name": "Strap top", "colour": "Black", "gender": "women", "category": "Vest top"}),
    Catalog("myntra_catalog/myntra_products_catalog.csv", "myntra-catalog", 6374, {}, 1, {
        "item": "10017413", "price_minor": 1174500, "currency": "INR", "brand": "DKNY", "colour": "Black",
        "gender": "unisex"}),
    Catalog("myntra_men/men-casual-shirts.csv", "myntra-men", 1977, {}, 1, {
        "item": "1364628", "price_minor": 83900, "currency": "INR", "brand": "Roadster", "colour": "Blue",
        "category": "Shirts", "gender": "men",
        "description": "Shirts, Topwear, Apparel, Apparel for Men. Fabric: Cotton. Regular fit"}),
    Catalog("myntra_men/men-swimwear.csv", "myntra-men", 59, {}, 1, {
        "item": "7934191", "price_minor": 199900, "brand": "Speedo", "colour": "White", "gender": "unisex"}),
    Catalog("myntra_men/men-mixed-sample.csv", "myntra-men", 81, {}, 1, {
        "item": "7229731", "price_minor": 139900, "brand": "WROGN", "colour": "Blue", "category": "Jeans"}),
    Catalog("myntra_styles/styles.csv", "myntra-styles", 22180, {}, 2, {
        "item": "59263", "name": "Titan Women Silver Watch", "colour": "Silver", "category": "Watches",
        "gender": "women", "price_minor": None}),
    Catalog("myntra_photos/items.csv", "myntra-styles", 700, {}, 1, {
        "item": "10001", "colour": "Blue", "category": "Skirts", "gender": "women"}),
    Catalog("myntra_style_json", "myntra-json", 46, {}, 1, {
        "item": "10001", "price_minor": 27400, "currency": "INR", "brand": "Palm Tree", "colour": "Blue",
        "gender": "girls", "category": "Skirts"}),
    Catalog("storets_feed/storets_feed.csv", "linkshare", 533, {"empty_row": 9}, 1, {
        "item": "13873356558", "name": "HAZEL ASYMMETRIC CROP SHIRT", "price_minor": 6490, "currency": "USD",
        "category": "Apparel & Accessories", "page_url": "https://www.storets.com/products/hazel-asymmetric-crop-shirt"}),
    Catalog("seed/items_rows_5973_6071.csv", "generic", 49, {}, 1, {
        "item": "7934191", "price_minor": 199900, "currency": "INR", "brand": "Speedo", "gender": "unisex"}),
    Catalog("seed/items_visible_in_notebooks.csv", "generic", 91, {}, 79, {"price_minor": None, "brand": ""}),
]  # fmt: skip
NO_CATALOGS = {
    "movielens_small/ratings.csv": "what people did",
    "movielens_small/tags.csv": "what people did",
    "movielens_small/links.csv": "not recognised",
    "movielens_small/movies.csv": "not recognised",
    "movielens_small/README.txt": "not recognised",
    "hm_2018/transactions.csv": "what people did",
    "seed/persona_ratings.json": "not recognised",
    "seed/two_tower_model_params.pth": "archive",
    "clip_hm_1126/text_embeddings.npy": "NumPy",
    "clip_marqo_99/image.csv": "not recognised",
    "myntra_photos/images/10001.jpg": "picture",
    "asos_fr": "folder without product JSON",
    "nowhere.csv": "no file",
}


@pytest.mark.slow
@pytest.mark.parametrize("catalog", CATALOGS, ids=lambda catalog: catalog.file)
def test_every_row_is_imported_or_rejected_for_a_reason(catalog: Catalog) -> None:
    export = open_export(DATA / catalog.file)
    assert export.format == catalog.format
    results = list(export)
    assert [result.row for result in results] == list(range(1, catalog.rows + 1))
    rejected: dict[str, int] = {}
    for result in results:
        if isinstance(result, Rejection):
            rejected[result.reason] = rejected.get(result.reason, 0) + 1
        else:
            pack_item(result.item)
    assert rejected == catalog.rejected
    product = results[catalog.row - 1]
    assert isinstance(product, Product)
    assert {name: getattr(product.item, name) for name in catalog.facts} == catalog.facts


@pytest.mark.slow
@pytest.mark.parametrize("part", ["half", "shuffled", "middle", "one"])
@pytest.mark.parametrize("catalog", CATALOGS, ids=lambda catalog: catalog.file)
def test_a_part_of_a_file_is_the_same_format(catalog: Catalog, part: str, tmp_path: Path) -> None:
    parts: dict[str, Callable[[list[object]], list[object]]] = {
        "half": lambda rows: rows[len(rows) // 2 :],
        "shuffled": lambda rows: random.Random(5).sample(rows, min(len(rows), 500)),
        "middle": lambda rows: rows[100:200] or rows[10:20],
        "one": lambda rows: rows[-1:],
    }
    path = tmp_path / "export"
    rows = _write_part(DATA / catalog.file, path, parts[part])
    export = open_export(path)
    assert export.format == catalog.format
    results = list(export)
    kept = [result for result in results if isinstance(result, Product)]
    repeated = [result for result in results if isinstance(result, Rejection)]
    assert len(results) == rows
    assert {result.reason for result in repeated} <= {"duplicate", "empty_row"}
    assert kept or part == "one"


def _write_part(source: Path, path: Path, part: Callable[[list[object]], list[object]]) -> int:
    """A copy with some of the rows, and how many."""
    if source.is_dir():
        path.mkdir()
        files = part(sorted(source.glob("*.json")))
        for file in files:
            shutil.copy(str(file), path)
        return len(files)
    if source.suffix == ".json":
        products = part(json.loads(source.read_text("utf-8")))
        path.write_text(json.dumps(products), "utf-8")
        return len(products)
    delimiter = ";" if ";" in source.read_text("utf-8").split("\n", 1)[0] else ","
    with source.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    chosen = part(list(rows))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *chosen])  # type: ignore[list-item]
    return len(chosen)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "column", "duplicates"),
    [
        # Ten Amazon items are one product in two sizes: same name, same picture.
        ("amazon_in_womens/amazon_in_womens.csv", "link", 68),
        ("hm_2018/articles.csv", "article_id", 87),
    ],
)
def test_without_ids_few_products_are_lost(file: str, column: str, duplicates: int, tmp_path: Path) -> None:
    with (DATA / file).open(encoding="utf-8-sig", newline="") as source:
        header, *rows = csv.reader(source)
    at = header.index(column)
    with (tmp_path / "export").open("w", encoding="utf-8", newline="") as target:
        csv.writer(target).writerows([*row[:at], *row[at + 1 :]] for row in [header, *rows])
    results = list(open_export(tmp_path / "export"))
    rejected = [result.reason for result in results if isinstance(result, Rejection)]
    assert len(results) == len(rows) and rejected == ["duplicate"] * duplicates


@pytest.mark.slow
def test_myntra_men_colours_are_in_the_name_after_the_brand() -> None:
    for product in open_export(DATA / "myntra_men/men-casual-shirts.csv"):
        assert isinstance(product, Product)
        item = product.item
        words = item.name[len(item.brand) :] if item.name.casefold().startswith(item.brand.casefold()) else item.name
        assert item.colour.casefold() in words.casefold()


@pytest.mark.parametrize(("file", "word"), NO_CATALOGS.items())
def test_other_files_are_refused_with_one_sentence(file: str, word: str) -> None:
    with pytest.raises(UserError, match=word) as refused:
        open_export(DATA / file)
    assert str(refused.value).isprintable()


def test_pictures_that_are_stated_exist(tmp_path: Path) -> None:
    for folder in ("asos_women_photos", "myntra_photos"):
        export = open_export(next((DATA / folder).glob("items.*")))
        products = [product for product in export if isinstance(product, Product)]
        assert products
        for product in products:
            assert all((DATA / folder / "images" / name).is_file() for name in product.pictures)


def test_json_that_was_cut_off_says_where(tmp_path: Path) -> None:
    text = (DATA / "asos_men_women_2023/asos_women.json").read_bytes()
    (tmp_path / "half.json").write_bytes(text[: len(text) // 2])
    with pytest.raises(UserError, match=r"at line \d+, byte \d+"):
        open_export(tmp_path / "half.json")


def test_a_csv_that_was_cut_off_loses_its_last_row_at_most(tmp_path: Path) -> None:
    data = (DATA / "myntra_catalog/myntra_products_catalog.csv").read_bytes()
    for size in (40_000, 40_037, 40_101):
        (tmp_path / "part.csv").write_bytes(data[:size])
        results = list(open_export(tmp_path / "part.csv"))
        assert len(results) > 100
        assert all(isinstance(result, Product) for result in results[:-1])
