"""Prices as shops write them, to integer minor units with an ISO 4217 code.

Reads one cell: symbols and codes on either side, grouping and decimals of any common locale, two prices in
one cell (the lower is the current one). It knows nothing of columns or shops; what the cell itself says wins
over the `hint`, and a cell that can be read in two ways is not read at all: no price is better than a wrong one.
Minor units are those of ISO 4217: none for yen and won, three for the Gulf dinars.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from protocol import limits


def _codes(words: str) -> frozenset[str]:
    return frozenset(words.split())


CURRENCIES = _codes(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF"
    " CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD"
    " HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD"
    " MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN"
    " PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY"
    " TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWL"
)
_NO_DECIMALS = _codes("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF")
_THREE_DECIMALS = _codes("BHD IQD JOD KWD LYD OMR TND")
# Where a dot groups thousands: "1.299 €" is one thousand two hundred and ninety-nine.
_DOT_GROUPS = _codes("ARS BRL CLP COP CRC DKK EUR HUF IDR ISK NOK PYG RON RSD RUB SEK TRY UAH UYU VND CZK PLN")
# What a symbol may mean; the first is meant unless the hint names another of the row.
_SYMBOLS: dict[str, tuple[str, ...]] = {
    "€": ("EUR",),
    "₹": ("INR",),
    "£": ("GBP", "EGP", "GIP", "FKP", "SHP"),
    "₩": ("KRW",),
    "₽": ("RUB",),
    "₺": ("TRY",),
    "₫": ("VND",),
    "₱": ("PHP",),
    "₪": ("ILS",),
    "฿": ("THB",),
    "₴": ("UAH",),
    "₦": ("NGN",),
    "₸": ("KZT",),
    "¥": ("JPY", "CNY"),
    "円": ("JPY",),
    "元": ("CNY",),
    "원": ("KRW",),
    "us$": ("USD",),
    "c$": ("CAD",),
    "ca$": ("CAD",),
    "a$": ("AUD",),
    "au$": ("AUD",),
    "nz$": ("NZD",),
    "hk$": ("HKD",),
    "s$": ("SGD",),
    "nt$": ("TWD",),
    "r$": ("BRL",),
    "$": ("USD", "CAD", "AUD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP", "UYU", "BRL", "JMD"),
    "rs.": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "rs": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "rp": ("IDR",),
    "rm": ("MYR",),
    "zł": ("PLN",),
    "kč": ("CZK",),
    "ft": ("HUF",),
    "kr.": ("", "SEK", "DKK", "NOK", "ISK"),
    "kr": ("", "SEK", "DKK", "NOK", "ISK"),
    "fr.": ("CHF",),
    "lei": ("RON",),
    "kd": ("KWD",),
    "bd": ("BHD",),
    "eur": ("EUR",),
    "euro": ("EUR",),
    "euros": ("EUR",),
}
# A column's name is prose: only codes that are not also words ("all", "top", "try") are believed there.
COLUMN_CODES = _codes(
    "USD EUR GBP INR JPY CNY KRW CAD AUD NZD CHF SEK NOK DKK PLN CZK HUF BRL MXN SGD HKD TWD THB IDR MYR PHP VND ZAR"
    " AED SAR KWD BHD QAR OMR ILS RUB PKR LKR BDT"
)
# "₹", "£" and "€" after a spreadsheet took UTF-8 for Windows-1252.
_MOJIBAKE = {"â‚¹": "₹", "Â£": "£", "â‚¬": "€"}
# Dearer than any garment in any currency; a cell over it is an id or a telephone number that slipped a column.
_MAJOR_UNITS_MAX = 1_000_000_000
# A price cell is short; a longer one is a text in the wrong column.
_CELL_LETTERS_MAX = 200

_NUMBER = r"(?:[0-9]{1,3}(?:[ '’.,][0-9]{2,3})*[ '’.,][0-9]{3}(?![0-9])|[0-9]+)(?:[.,][0-9]+)?"
_LONGEST_FIRST = sorted(_SYMBOLS, key=len, reverse=True)
_WORD = "|".join(symbol for symbol in _LONGEST_FIRST if symbol.isalpha())
_SIGN = "|".join(re.escape(symbol) for symbol in _LONGEST_FIRST if not symbol.isalpha())
_CODE = r"[A-Z]{3}"
_UNIT = rf"(?:(?<![^\W\d_])(?:{_WORD})(?![^\W\d_])|(?:{_SIGN}))"
_AMOUNT = re.compile(
    rf"(?P<before>{_UNIT}|(?<![A-Za-z])(?-i:{_CODE}))?\s?(?P<minus>[-−–]\s?)?(?P<number>{_NUMBER})"
    rf"(?:[.,]?[-–—]+|/-)?\s?(?P<after>{_UNIT}|(?-i:{_CODE})(?![A-Za-z]))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Price:
    """An amount in minor units. `currency` is empty where nothing says which; `minor` then counts hundredths."""

    minor: int
    currency: str


def decimals(currency: str) -> int:
    """How many decimals the currency's minor unit has."""
    if currency in _NO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


# Columns of prices, genders and categories say the same few things over and over.
@lru_cache(maxsize=512)
def parse_price(cell: str, hint: str = "") -> Price | None:
    """The price that a cell states, or None where it states none, or none that is certain.

    `hint` is the currency to assume where the cell names none, and the one to choose where its symbol is shared ("$").
    """
    if len(cell) > _CELL_LETTERS_MAX:
        return None
    for broken, symbol in _MOJIBAKE.items():
        cell = cell.replace(broken, symbol)
    text = unicodedata.normalize("NFKC", cell).strip()
    found = [match for match in _AMOUNT.finditer(text) if not text[match.end("number") :].lstrip().startswith("%")]
    named = [match for match in found if _stated(match, hint)]
    if not named and (len(found) != 1 or not _nothing_else(text, found[0])):
        return None
    prices = []
    for match in named or found:
        currency = _stated(match, hint) or hint
        minor = None if match["minus"] else _minor_units(match["number"], currency)
        if minor is None:
            return None
        prices.append(Price(minor, currency))
    if len({price.currency for price in prices}) > 1:
        return None
    return min(prices, key=lambda price: price.minor)


@lru_cache(maxsize=512)
def currency_in(text: str) -> str:
    """The currency that a column's name mentions ("Price (£)", "price_inr"), or "" where none."""
    for word in re.split(r"[^A-Za-z]+", text):
        if word.upper() in COLUMN_CODES:
            return word.upper()
    for symbol in "€₹£₩₽¥$":
        if symbol in text:
            return _SYMBOLS[symbol][0]
    return "INR" if re.search(r"(?i)(?<![a-z])(?:rs|rupees)(?![a-z])", text) else ""


def _stated(match: re.Match[str], hint: str) -> str:
    """The currency written on either side of an amount, or ""."""
    for side in (match["before"], match["after"]):
        if side is None:
            continue
        if side in CURRENCIES:
            return side
        meanings = _SYMBOLS.get(side.lower(), ())
        if meanings:
            return hint if hint in meanings else meanings[0]
    return ""


def _nothing_else(text: str, match: re.Match[str]) -> bool:
    """Whether a bare number stands alone: "12 pairs" and "size 38" are not prices, "from 12" is."""
    rest = f"{text[: match.start()]} {text[match.end() :]}".lower()
    words = re.findall(r"[^\W_]+", f"{rest} {match['before'] or ''} {match['after'] or ''}".lower())
    return all(word in ("from", "now", "only", "price", "mrp", "ab", "ue", "kr", "was") for word in words)


def _minor_units(number: str, currency: str) -> int | None:
    """Digits with separators, to minor units; None where two readings are possible or the amount is absurd."""
    value = _read_number(number, currency)
    if value is None or not 0 < value <= _MAJOR_UNITS_MAX:
        return None
    exact = value.scaleb(decimals(currency))
    minor = int(exact.to_integral_value(ROUND_HALF_EVEN))
    # Longer tails are the noise of binary floats; a short one would be a second meaning ("12.345").
    places = -int(value.as_tuple().exponent)
    if minor != exact and places <= 3:
        return None
    return minor if 0 < minor <= limits.PRICE_MINOR_MAX else None


def _read_number(number: str, currency: str) -> Decimal | None:
    plain = re.sub(r"[ '’]", "", number)
    marks = re.findall(r"[.,]", plain)
    if not marks:
        return Decimal(plain) if _well_grouped(number, " '’") else None
    head, mark, tail = plain.rpartition(marks[-1])
    if len(set(marks)) == 2 or " " in number or "'" in number or "’" in number:
        if marks.count(mark) > 1:
            return None
        groups = head.replace("," if mark == "." else ".", "")
        return Decimal(f"{groups}.{tail}") if _well_grouped(head, ",. '’") else None
    if len(marks) > 1:
        return Decimal(plain.replace(mark, "")) if _well_grouped(plain, mark) else None
    if len(tail) == 3 and _is_grouping(head, mark, currency):
        return Decimal(head + tail)
    return Decimal(f"{head}.{tail}")


def _is_grouping(head: str, mark: str, currency: str) -> bool:
    """Whether a lone mark before three digits groups thousands rather than starting the decimals."""
    if not 1 <= len(head) <= 3 or head.startswith("0"):
        return False
    return mark == "," or currency in _DOT_GROUPS


def _well_grouped(text: str, marks: str) -> bool:
    """Western (1,234,567) or Indian (12,34,567) groups, or none."""
    groups = re.split(f"[{re.escape(marks)}]", text)
    if len(groups) == 1:
        return True
    return 1 <= len(groups[0]) <= 3 and len(groups[-1]) == 3 and all(len(group) in (2, 3) for group in groups[1:])
