"""Prices as shops write them: the table of quirks, and round trips through formatted amounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.money import CURRENCIES, Price, currency_in, decimals, parse_price

CELLS = [
    (" 839", "INR", 83900, "INR"),
    ("₹1,999", "", 199900, "INR"),
    ("₹1,45,999", "", 14599900, "INR"),
    ("₹1,00,000.00", "", 10000000, "INR"),
    ("Rs. 1,299.00", "", 129900, "INR"),
    ("Rs.1,299", "", 129900, "INR"),
    ("Rs. 499/-", "", 49900, "INR"),
    ("INR 1299", "", 129900, "INR"),
    ("â‚¹1,999", "", 199900, "INR"),
    ("43,99 €", "", 4399, "EUR"),
    ("32,99 €20,00 €", "", 2000, "EUR"),
    ("PVC85,99 €38,99 €", "", 3899, "EUR"),
    ("1.299,00", "EUR", 129900, "EUR"),
    ("1.299", "EUR", 129900, "EUR"),
    ("EUR 1.299", "", 129900, "EUR"),
    ("1 299,00", "EUR", 129900, "EUR"),
    ("1\u202f299,00\u00a0€", "", 129900, "EUR"),
    ("49,-", "EUR", 4900, "EUR"),
    ("£12.50", "", 1250, "GBP"),
    ("£20.00 £32.99", "", 2000, "GBP"),
    ("From £5.00", "", 500, "GBP"),
    ("Â£5.00", "", 500, "GBP"),
    ("$64.9", "", 6490, "USD"),
    ("$12.50", "CAD", 1250, "CAD"),
    ("CA$12.50", "USD", 1250, "CAD"),
    ("$10 - $20", "", 1000, "USD"),
    ("15.00 USD", "EUR", 1500, "USD"),
    ("24.490000000000002", "USD", 2449, "USD"),
    ("20.0", "GBP", 2000, "GBP"),
    ("1'299.00", "CHF", 129900, "CHF"),
    ("¥1,299", "", 1299, "JPY"),
    ("1,299", "JPY", 1299, "JPY"),
    ("1,299.00", "JPY", 1299, "JPY"),
    ("₩12,000", "", 12000, "KRW"),
    ("12.500", "KWD", 12500, "KWD"),
    ("BHD 1.250", "", 1250, "BHD"),
    ("499 kr", "SEK", 49900, "SEK"),
    ("12,5 zł", "", 1250, "PLN"),
    ("20% off ₹499", "", 49900, "INR"),
    ("₹ 1,299 ₹ 2,999 (56% OFF)", "", 129900, "INR"),
]
UNCERTAIN = [
    "", "   ", "NA", "free", "price on request", "0", "0.00", "-5", "£-5", "12.50.00", "1299 999", "10 - 20",
    "12 pairs", "1e3", "99999999999999", "12.345", "0.999", "1,2,3", "50%", "size 38", "$1 or €1", "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize(("cell", "hint", "minor", "currency"), CELLS)
def test_a_cell_is_read(cell: str, hint: str, minor: int, currency: str) -> None:
    assert parse_price(cell, hint) == Price(minor, currency)


@pytest.mark.parametrize("cell", UNCERTAIN)
def test_an_uncertain_cell_is_no_price(cell: str) -> None:
    assert parse_price(cell, "USD") is None


def test_an_amount_without_any_currency_says_so() -> None:
    assert parse_price("12.50") == Price(1250, "")
    assert parse_price("499 kr") == Price(49900, "")


@pytest.mark.parametrize(
    ("column", "currency"),
    [
        ("ASOS_Price (£)", "GBP"),
        ("price_inr", "INR"),
        ("Price in Rs.", "INR"),
        ("Preis €", "EUR"),
        ("usd price", "USD"),
        ("Price", ""),
        ("top price", ""),
        ("all prices", ""),
    ],
)
def test_a_column_names_its_currency(column: str, currency: str) -> None:
    assert currency_in(column) == currency


def _english(minor: int, places: int) -> str:
    whole = f"{minor // 10**places:,}"
    return f"{whole}.{minor % 10**places:0{places}d}" if places else whole


def _french(minor: int, places: int) -> str:
    return _english(minor, places).replace(",", "\u202f").replace(".", ",")


def _german(minor: int, places: int) -> str:
    return _english(minor, places).translate(str.maketrans(",.", ".,"))


def _indian(minor: int, places: int) -> str:
    whole, mark, cents = _english(minor, places).partition(".")
    digits = whole.replace(",", "")
    head, tail = digits[:-3], digits[-3:]
    groups = []
    while head:
        head, group = head[:-2], head[-2:]
        groups.insert(0, group)
    return ",".join([*groups, tail]) + mark + cents


@given(st.integers(1, 10**9), st.sampled_from(["USD", "GBP", "EUR", "INR", "JPY", "KWD"]))
def test_formatted_amounts_come_back(minor: int, currency: str) -> None:
    places = decimals(currency)
    for written in (_english(minor, places), _indian(minor, places)):
        assert parse_price(f"{currency} {written}") == Price(minor, currency)
        assert parse_price(f"{written} {currency}") == Price(minor, currency)
    if currency == "EUR":
        for written in (_french(minor, places), _german(minor, places)):
            assert parse_price(f"{written} €") == Price(minor, "EUR")
            assert parse_price(written, "EUR") == Price(minor, "EUR")


@given(st.text(max_size=60), st.sampled_from(["", *sorted(CURRENCIES)[:20]]))
def test_any_text_is_a_price_or_none(cell: str, hint: str) -> None:
    price = parse_price(cell, hint)
    assert price is None or (price.minor > 0 and (price.currency in CURRENCIES or price.currency == ""))


@given(st.text(alphabet="0123456789.,' €$£₹-", max_size=25))
def test_any_marks_and_digits_are_a_price_or_none(cell: str) -> None:
    price = parse_price(cell, "EUR")
    assert price is None or price.minor > 0
