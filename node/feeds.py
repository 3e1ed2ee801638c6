"""The LinkShare (Rakuten) affiliate feed, whose header often names a third of its columns and not the right ones.

Where the cell under LINK ID is the id that the tracking links carry, the header is right and the row is read by it.
Everywhere else the row is read by what its cells are: the links mark the id's own cell, the shop and the name stand
before it, the price and the category after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from node.addresses import NO_PAGE, Page, read_page, slug
from node.cleaning import squash
from node.money import parse_price

# The link column of a real feed has one to two thousand letters.
_CELL_LETTERS_MAX = 8_192
_HREF = re.compile(r"(?i)href\s*=\s*[\"']?([^\"'\s>]+)")
_SOURCE = re.compile(r"(?i)<img[^>]{0,200}?src\s*=\s*[\"']?([^\"'\s>]+)")
_LINK_ID = re.compile(r"(?:offerid|bids)=[0-9]+\.([0-9]+)")
_NUMBER = re.compile(r"[^\w]{0,3}[0-9][0-9.,]*")
# ASOS ends the name with the colour: "wrap maxi dress in polka dot - Multi".
_COLOUR_AT_END = re.compile(r" - ([A-Z][A-Za-z/& ]{2,30})$")
_PIXELS = ("/fs-bin/show", "ad.linksynergy.com", "/pixel")
# What somebody wrote beside the table: "Image links in column N", "Ad links in M and Q".
_REMARK = re.compile(r"(?i)(?:image|ad) links? in ")
_PRICES = ("saleprice", "retailprice", "price")
_CATEGORIES = ("category", "primarycategory", "secondarycategory")


def read_linkshare(cells: Mapping[str, str]) -> dict[str, str]:
    """One row of the feed as an item's fields."""
    plain = {squash(column): value[:_CELL_LETTERS_MAX].strip() for column, value in reversed(list(cells.items()))}
    values = [value[:_CELL_LETTERS_MAX].strip() for value in cells.values()]
    everything = "\n".join(values)
    found = _LINK_ID.search(everything)
    link_id = found[1] if found else ""
    links = [value for value in values if value.startswith(("http://", "https://"))]
    addresses = [*_HREF.findall(everything), *links]
    page = next((page for link in addresses if "url=" in link and (page := read_page(link)).url), NO_PAGE)
    if plain.get("linkid") and (plain["linkid"] == link_id or (not found and _is_price(_named(plain, _PRICES)))):
        said = _by_names(plain)
    else:
        said = _by_cells(plain, values, link_id, page)
    colour = _COLOUR_AT_END.search(said["name"]) if page.brand else None
    return {
        **said,
        # The shop's own number where the page has one; a page's word names all colours at once, so then the link's id.
        "item": page.item if page.item.isdigit() else link_id or said["item"] or page.item,
        "colour": said.get("colour") or (colour[1] if colour else ""),
        "image": "\n".join(_pictures(everything, links)),
        "url": page.url or plain.get("producturl", ""),
    }


def _by_names(plain: Mapping[str, str]) -> dict[str, str]:
    return {
        "item": plain["linkid"],
        "name": plain.get("linkname", ""),
        "description": plain.get("longdescription") or plain.get("shortdescription") or plain.get("description", ""),
        "brand": plain.get("brand") or plain.get("manufacturer", ""),
        "category": _named(plain, _CATEGORIES),
        "colour": plain.get("colour") or plain.get("color", ""),
        "gender": plain.get("gender", ""),
        "price": next((plain[name] for name in _PRICES if _is_price(plain.get(name, ""))), ""),
        "currency": plain.get("currency", ""),
    }


def _by_cells(plain: Mapping[str, str], values: list[str], link_id: str, page: Page) -> dict[str, str]:
    texts = [(place, value) for place, value in enumerate(values) if value and not _is_link(value)]
    id_at = next((place for place, value in texts if link_id and value == link_id), None)
    if id_at is None:
        id_at = next((place for place, value in texts if re.fullmatch(r"[0-9]{6,20}", value)), len(values))
    name = _name(plain, [(place, value) for place, value in texts if place < id_at], page)
    taken = (name, plain.get("advertiser", ""), plain.get("linkname", ""))
    after = [(place, value) for place, value in texts if place > id_at and value not in taken]
    price_at, price = next(((place, value) for place, value in after if _is_price(value)), (id_at, ""))
    after_price = [value for place, value in after if place > price_at]
    others = [value for _, value in after]
    if not price or not any(_is_words(value) for value in others):
        # In a table whose columns were moved about, price and category may stand before the id.
        before = [value for place, value in texts if place < id_at and value not in taken]
        price = price or next((value for value in before if _is_price(value)), "")
        others += before if "linkname" in plain and name == plain["linkname"] else []
    words = [value for value in (*after_price, *others) if _is_words(value)]
    return {
        "item": values[id_at] if id_at < len(values) else "",
        "name": name,
        "category": words[0] if words else "",
        "price": price,
    }


def _name(plain: Mapping[str, str], before: list[tuple[int, str]], page: Page) -> str:
    """The name, never the advertiser's: under LINK NAME while the row's front is in place, else after the shop's."""
    if plain.get("linkcode", "<").startswith("<") and plain.get("advertiser") and "linkname" in plain:
        name = plain["linkname"]
        # A row that lost the advertiser's cell has the name there, which the page's address repeats.
        return name or (plain["advertiser"] if _is_spelled(plain["advertiser"], page) else "")
    words = [(place, value) for place, value in before if not _NUMBER.fullmatch(value)]
    if not words:
        return ""
    shop_at = words[0][0]
    following = [
        value for place, value in before if place == shop_at + 1 or (place > shop_at and (place, value) in words)
    ]
    spelled = (value for value in following if _is_spelled(value, page))
    return next(spelled, following[0] if following else words[0][1] if _is_spelled(words[0][1], page) else "")


def _is_spelled(text: str, page: Page) -> bool:
    """Whether an address spells most of a text's words, as shops do with names."""
    spelled = set(slug(page.url).split("-"))
    words = slug(text).split("-")
    return len(words) > 1 and 2 * sum(word in spelled for word in words) > len(words)


def _named(plain: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((plain[name] for name in names if plain.get(name)), "")


def _is_price(value: str) -> bool:
    return parse_price(value, "USD") is not None


def _is_words(value: str) -> bool:
    return not _is_price(value) and not _NUMBER.fullmatch(value) and not _REMARK.match(value)


def _is_link(value: str) -> bool:
    return value.startswith(("http://", "https://", "<")) or value in (">", "/>")


def _pictures(everything: str, links: list[str]) -> list[str]:
    sources = [*_SOURCE.findall(everything), *links]
    pictures = [
        source
        for source in sources
        if not any(pixel in source for pixel in _PIXELS) and "url=" not in source and "click." not in source
    ]
    return list(dict.fromkeys(pictures))
