"""The LinkShare feed with right, wrong and reordered headers, and rows that lack or gained a cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.importers import Product, Rejection, open_export
from protocol.records import Item
from tests.node.test_shop_formats import HEADERS, write

NAMED = "ADVERTISER,LINK ID,LINK NAME,RETAIL PRICE,SALE PRICE,CATEGORY,LINK CODE"
TARGET = "http%3A%2F%2F{}%2Fasos-design%2Fasos-design-cami-dress%2Fprd%2F12719118"
FACTS = ("cami dress", 4800, "USD", "Apparel")


def link(host: str = "us.asos.com") -> str:
    address = f"https://click.linksynergy.com/link?id=F&offerid=324006.14625634666&murl={TARGET.format(host)}"
    return f'"<a href=""{address}""><IMG src=""http://images.example/12719118/a.jpg"" ></a>"'


def read(tmp_path: Path, header: str, row: str) -> Product | Rejection:
    (result,) = open_export(write(tmp_path, header, row))
    return result


def item_of(result: Product | Rejection) -> Item:
    assert isinstance(result, Product), result
    return result.item


def facts(item: Item) -> tuple[str, int | None, str, str]:
    return item.name, item.price_minor, item.currency, item.category


def test_a_header_that_is_right_is_believed(tmp_path: Path) -> None:
    row = f"ASOS (USA),14625634666,cami dress,60,48,Apparel,{link()}"
    item = item_of(read(tmp_path, NAMED, row))
    assert facts(item) == FACTS and item.item == "12719118"
    unpriced = row.replace("60,48,", "60,,")
    assert item_of(read(tmp_path, NAMED, unpriced)).price_minor == 6000


@pytest.mark.parametrize("order", [range(8), range(7, -1, -1), (5, 0, 6, 2, 7, 3, 1, 4)])
def test_a_wrong_header_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    header = [*HEADERS["linkshare"].split(",")[:6], "", ""]
    cells = [link(), "ASOS (USA)", "cami dress", "", "", "14625634666", "48", "Apparel"]
    header, cells = [header[at] for at in order], [cells[at] for at in order]
    assert facts(item_of(read(tmp_path, ",".join(header), ",".join(cells)))) == FACTS


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("ASOS (USA),cami dress,,,14625634666,48.00 USD,Apparel", FACTS),
        ("ASOS (USA),cami dress,,Monki,14625634666,48,Apparel", FACTS),
        (",ASOS (USA),cami dress,Monki,,14625634666,48,Apparel", FACTS),
        ("ASOS (USA),501,,,14625634666,48,Apparel", ("501", 4800, "USD", "Apparel")),
        (",ASOS (USA),501,,14625634666,48,Apparel", ("501", 4800, "USD", "Apparel")),
        ("cami dress,,,14625634666,48,Apparel,", FACTS),
    ],
)
def test_rows_under_a_wrong_header(tmp_path: Path, row: str, expected: tuple[str, int, str, str]) -> None:
    assert facts(item_of(read(tmp_path, HEADERS["linkshare"], f"{link()},{row}"))) == expected


@pytest.mark.parametrize("row", ["ASOS (USA),,,,14625634666,48,Apparel", ",ASOS (USA),,,14625634666,48,Apparel"])
def test_the_advertiser_is_no_name(tmp_path: Path, row: str) -> None:
    result = read(tmp_path, HEADERS["linkshare"], f"{link()},{row}")
    assert isinstance(result, Rejection) and result.reason == "no_name"


@pytest.mark.parametrize(
    ("host", "currency"),
    [("www.asos.com", "GBP"), ("asos.com%2Ffr", "EUR"), ("us.asos.com", "USD"), ("a.example", "USD")],
)
def test_the_pages_country_decides_the_currency(tmp_path: Path, host: str, currency: str) -> None:
    row = "ASOS,cami dress,,,14625634666,48,Apparel"
    assert item_of(read(tmp_path, HEADERS["linkshare"], f"{link(host)},{row}")).currency == currency
