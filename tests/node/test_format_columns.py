"""Known exports with columns missing, added or renamed: still the same shop's, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

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
