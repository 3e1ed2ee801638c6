"""Known exports with columns missing, added or renamed: still the same shop's, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import pytest

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
