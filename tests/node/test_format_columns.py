"""Known exports with columns missing, added or renamed: still the same shop's, and nobody else's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.addresses import read_page
from node.attributes import brand_at_start, colour_of_picture
from node.errors import UserError
from node.importers import Product, open_export
from node.shop_formats import find_shape
from tests.node.test_shop_formats import HEADERS, products_of, write

DROPPED = {
    "myntra-catalog": "Product_ID Product_Name Product_Brand Gender Primary_Color Num_Images Description",
    "myntra-men": "NAME FABRIC SIZE CATEGORY WEBSITE",
    "myntra-styles": "id gender masterCategory subCategory baseColour season",
    "asos-fr": "Collection Product_URL Color Designation",
    "amazon": "link image sub_category discount_price",
    "hm-articles": "article_id prod_name detail_desc colour_group_name",
    "linkshare": "ADVERTISER CATEGORY",
}


@pytest.mark.parametrize(("name", "column"), [(name, column) for name in DROPPED for column in DROPPED[name].split()])
def test_a_format_is_recognised_without_one_of_its_columns(name: str, column: str) -> None:
    columns = HEADERS[name].split(",")
    assert column in columns
    columns.remove(column)
    shape = find_shape(tuple(columns))
    assert shape is not None and shape.format.name == name


@pytest.mark.parametrize("header", ["product_id,product_name,product_brand,gender,price", "name,fabric,size,price,sku"])
def test_anybodys_columns_are_not_taken_for_a_known_shop(header: str) -> None:
    shape = find_shape(tuple(header.split(",")))
    assert shape is not None and shape.format.name == "generic"


@pytest.mark.parametrize(
    ("name", "brand", "colour"),
    [
        ("Red Tape Men Blue & White Checked Casual Shirt", "Red Tape", "Blue & White"),
        ("Black coffee Men Olive Green Slim Fit Formal Shirt", "BLACK COFFEE", "Olive Green"),
        ("True Blue Men Purple Solid Polo", "True Blue", "Purple"),
        ("Quick Brown Fox Men Tan Brown Shoes", "", "Tan Brown"),
        ("Red Tape Men Checked Shirt", "Red Tape", ""),
        ("Green Swimming Goggle", "", "Green"),
    ],
)
def test_myntra_men_colours_are_not_taken_from_the_brand(tmp_path: Path, name: str, brand: str, colour: str) -> None:
    text = f"{name},  {brand}, Shirts, Topwear, Apparel for Men, Buy {name} Online in India" if brand else ""
    row = f'1,2,{name},shirts,"{text}",Cotton,a.jpg,M,839,7,Myntra,'
    assert products_of(write(tmp_path, HEADERS["myntra-men"], row))[0].item.colour == colour


ASOS = "https://www.asos.com/bershka/bershka-socks/prd/12871408"


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Unnamed: 0,ASOS_Name,ASOS_Price (£),ASOS_URL_Link", f"0,Bershka socks,7.99,{ASOS}"),
        ("rank,ASOS_Name,ASOS_Price (£),ASOS_URL_Link,stock", f"1,Bershka socks,7.99,{ASOS},12"),
        ("ASOS Name,ASOS Price (£),ASOS URL Link", f"Bershka socks,7.99,{ASOS}"),
        ("ASOS_Name,ASOS_Price (£)", "Bershka socks,7.99"),
        ("ASOS_Name,ASOS_URL_Link", f"Bershka socks,{ASOS}"),
        ("price,ASOS_Name,ASOS_Price (£)", "1,Bershka socks,7.99"),
    ],
)
def test_one_shops_columns_beside_others(tmp_path: Path, header: str, row: str) -> None:
    path = write(tmp_path, header, row)
    assert open_export(path).format == "prefixed"
    item = products_of(path)[0].item
    assert item.name == "Bershka socks"
    assert "Price" not in header or (item.price_minor, item.currency) == (799, "GBP")
    assert "URL" not in header or item.item == "12871408"


def test_a_table_of_two_shops_is_refused_until_one_is_chosen(tmp_path: Path) -> None:
    row = f"Bershka socks,7.99,{ASOS},Socks,2.99,https://www2.hm.com/en_gb/productpage.0706270009.html"
    header = "ASOS_Name,ASOS_Price (£),ASOS_URL_Link,HnM_Name,HnM_Price (£),HnM_URL_Link"
    path = write(tmp_path, header, row)
    for name in (None, "prefixed"):
        with pytest.raises(UserError, match="two shops, ASOS and HnM") as refused:
            open_export(path, format=name)
        assert '--map "name=ASOS_Name" --map "price=ASOS_Price (£)" --map "url=ASOS_URL_Link"' in str(refused.value)
    mapping = {"name": "HnM_Name", "price": "HnM_Price (£)", "url": "HnM_URL_Link"}
    (result,) = open_export(path, mapping=mapping)
    assert isinstance(result, Product)
    assert (result.item.name, result.item.price_minor, result.item.item) == ("Socks", 299, "0706270009")


def test_ordinary_columns_that_end_in_name_are_no_shops(tmp_path: Path) -> None:
    for header in ("Product_Name,Product_Price,SKU", "item name,item price,brand name", "title,brand_name,brand_price"):
        shape = find_shape(tuple(header.split(",")))
        assert shape is not None and shape.format.name == "generic"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('{"0": {"name": "Tee", "price": 5, "brand": "A"}, "1": {"name": "Hat", "price": 6, "brand": "A"}}', None),
        ('{"B1": {"name": "Tee", "price": 5, "brand": "A"}, "B7": {"name": "Hat", "price": 6}}', ["B1", "B7"]),
        ('{"B1": {"sku": "x", "name": "Tee", "price": 5}, "B7": {"sku": "y", "name": "Hat"}}', ["x", "y"]),
    ],
)
def test_json_keyed_by_id(tmp_path: Path, text: str, ids: list[str] | None) -> None:
    products = products_of(write(tmp_path, text))
    assert [product.item.name for product in products] == ["Tee", "Hat"]
    found = [product.item.item for product in products]
    assert found == ids if ids else all(one.startswith("~") for one in found)


def test_a_sponsored_amazon_link_leads_to_its_product() -> None:
    link = (
        "https://www.amazon.in/sspa/click?ie=UTF8&spc=MTo&url=%2FSome-Watch%2Fdp%2FB07ABCDEF1%2Fref%3Dsr_1_1%3Fqid%3D1"
    )
    page = read_page(link)
    assert (page.item, page.url, page.currency) == (
        "B07ABCDEF1",
        "https://www.amazon.in/Some-Watch/dp/B07ABCDEF1",
        "INR",
    )


def test_a_pictures_address_is_no_category(tmp_path: Path) -> None:
    picture = "https://m.media-amazon.com/images/I/71eU.jpg"
    row = f"Watch,stores,{picture},https://www.amazon.in/W/dp/B0B6P922CB,4.2,587,899,999,"
    assert "media" not in products_of(write(tmp_path, HEADERS["amazon"], row))[0].item.category


@pytest.mark.parametrize(
    ("name", "brand"),
    [
        ("ASOS DESIGN Petite cami dress", "asos-petite"),
        ("ASOS DESIGN Curve top", "asos-curve"),
        ("ASOS EDITION x", "monki"),
    ],
)
def test_asos_own_lines_are_brands(name: str, brand: str) -> None:
    assert brand_at_start(name, brand) == (" ".join(name.split(" ")[:3]) if brand != "monki" else "")


@pytest.mark.parametrize(
    ("word", "colour"), [("black", "Black"), ("multi", "Multi"), ("comboj", ""), ("blackleather", "")]
)
def test_a_pictures_name_may_say_the_colour(word: str, colour: str) -> None:
    assert colour_of_picture(f"10026444-1-{word}.jpg", "10026444") == colour
    assert colour_of_picture(f"10026444-1-{word}.jpg", "7") == ""


def test_refusals_name_the_path_on_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "two\nlines.csv").write_text("date,rain\n1,2\n")
    for path, words in (
        (".", "^. is a folder without product JSON: name the file, for example ./two.lines.csv"),
        ("", "^. is a folder"),
        ("pipe", "pipe is neither a file nor a folder"),
        ("/dev/null", "null is neither"),
        ("two\nlines.csv", "two.lines.csv is not recognised"),
        ("no\nfile.csv", "no file no.file.csv"),
    ):
        with pytest.raises(UserError, match=words) as refused:
            open_export(Path(path))
        assert str(refused.value).isprintable()
