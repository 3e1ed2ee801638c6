"""The LinkShare (Rakuten) affiliate feed, whose header names a third of its columns and not the right ones.

Every row is read by what its cells are, not by where they stand: the tracking links carry the id that marks the
id's own cell, the shop and the name stand before it, the price and the category after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from node.addresses import read_page

# The link column of a real feed has one to two thousand letters.
_CELL_LETTERS_MAX = 8_192
_HREF = re.compile(r"(?i)href\s*=\s*[\"']?([^\"'\s>]+)")
_SOURCE = re.compile(r"(?i)<img[^>]{0,200}?src\s*=\s*[\"']?([^\"'\s>]+)")
_LINK_ID = re.compile(r"(?:offerid|bids)=[0-9]+\.([0-9]+)")
_NUMBER = re.compile(r"[^\w]{0,3}[0-9][0-9.,]*")
# ASOS ends the name with the colour: "wrap maxi dress in polka dot - Multi".
_COLOUR_AT_END = re.compile(r" - ([A-Z][A-Za-z/& ]{2,30})$")
_PIXELS = ("/fs-bin/show", "ad.linksynergy.com", "/pixel")


def read_linkshare(cells: Mapping[str, str]) -> dict[str, str]:
    """One row of the feed as an item's fields."""
    values = [value[:_CELL_LETTERS_MAX].strip() for value in cells.values()]
    everything = "\n".join(values)
    found = _LINK_ID.search(everything)
    texts = [(place, value) for place, value in enumerate(values) if value and not _is_link(value)]
    id_at = next((place for place, value in texts if found and value == found[1]), None)
    if id_at is None:
        id_at = next((place for place, value in texts if re.fullmatch(r"[0-9]{6,20}", value)), len(values))
    before = [value for place, value in texts if place < id_at and not _NUMBER.fullmatch(value)]
    after = [(place, value) for place, value in texts if place > id_at]
    price_at, price = next(((place, value) for place, value in after if _NUMBER.fullmatch(value)), (id_at, ""))
    links = [value for value in values if value.startswith(("http://", "https://"))]
    addresses = [*_HREF.findall(everything), *links]
    page = next((page for link in addresses if "url=" in link and (page := read_page(link)).url), None)
    name = before[-1] if before else ""
    colour = _COLOUR_AT_END.search(name) if page and page.brand else None
    return {
        "item": _item_id(page.item if page else "", found[1] if found else "", values, id_at),
        "name": name,
        "category": next((value for place, value in after if place > price_at), ""),
        "colour": colour[1] if colour else "",
        "price": price,
        "image": "\n".join(_pictures(everything, links)),
        "url": page.url if page else "",
    }


def _is_link(value: str) -> bool:
    return value.startswith(("http://", "https://", "<")) or value in (">", "/>")


def _item_id(page_item: str, link_id: str, values: list[str], id_at: int) -> str:
    """The shop's own number where the page has one; a page's word names all colours at once, so then the link's id."""
    if page_item.isdigit():
        return page_item
    return link_id or (values[id_at] if id_at < len(values) else page_item)


def _pictures(everything: str, links: list[str]) -> list[str]:
    sources = [*_SOURCE.findall(everything), *links]
    pictures = [
        source
        for source in sources
        if not any(pixel in source for pixel in _PIXELS) and "url=" not in source and "click." not in source
    ]
    return list(dict.fromkeys(pictures))
