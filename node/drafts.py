"""One row's cells to an item's fields: cleaned, cut to the limits, priced, with notes of what was lost.

Knows the shape that was recognised, and nothing of files, other rows or the uniqueness of ids.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from node import attributes
from node.addresses import NO_PAGE, Page, clean_url, read_page
from node.cleaning import clean_prose, clean_text, cut_text, first_words, squash
from node.money import CURRENCIES, currency_in, parse_price
from node.myntra import Advertisement, read_advertisement, strip_advertisement
from node.shop_formats import Shape
from protocol import limits
from protocol.records import Item

# With fewer fields than this an export is a table of pictures and captions, and a picture's number is the item's.
_TABLE_OF_PICTURES = 4
# Pictures kept of one product; shops show a dozen views.
_PICTURES_MAX = 16
_FILE_NAME = re.compile(r"[^\x00-\x1f<>|*?\"]{1,255}")
_PICTURE_DIVIDERS = re.compile(r"\n|\||;\s*(?=http|[^;]+\.\w{3,4}(?:;|$))|,\s*(?=https?:)|\s+(?=https?:)")


@dataclass(frozen=True, slots=True)
class Draft:
    """An item whose id is not settled: it is empty where the shop gives none, and may have been given before.

    `mark` is the first picture's file name, else the price as written, and columns that
    the format names: what tells rows of the same words apart.
    """

    item: Item
    pictures: tuple[str, ...]
    notes: tuple[str, ...]
    mark: str = ""


def make_draft(cells: Mapping[str, str], shape: Shape, currency: str) -> Draft:
    """Fill an item's fields from a row's cells. `currency` is the owner's, for prices that name none."""
    said = {
        name: [cells[column] for column in columns if cells.get(column, "").strip()]
        for name, columns in shape.fields.items()
    }
    notes: list[str] = []
    page = _page(said.get("url", []), notes)
    advertised = read_advertisement(said["description"][0]) if said.get("description") else Advertisement()
    brand = _first(said, "brand") or clean_text(advertised.brand)
    name, description = _words(said, brand, notes)
    pictures, image_url = _pictures(said.get("image", []), notes)
    item_id = _item_id(_first(said, "item"), page, pictures if len(shape.fields) < _TABLE_OF_PICTURES else (), notes)
    if shape.format.picture and item_id:
        pictures = (shape.format.picture.format(item=item_id), *pictures)
    price_minor, price_currency = _price(cells, said, shape, (currency, page.currency, shape.format.currency), notes)
    colour = attributes.plain_colour(_first(said, "colour")) or attributes.plain_colour(page.variant.replace("-", " "))
    if not colour and pictures:
        colour = attributes.colour_of_picture(_last_step(pictures[0]), page.item)
    item = Item(
        item=item_id,
        name=name,
        description=description,
        brand=_attribute(brand or attributes.brand_at_start(name, page.brand), notes),
        category=_attribute(_first_leaf([*said.get("category", []), advertised.category]), notes),
        colour=_attribute(colour, notes),
        gender=_gender(said, page) or attributes.gender_in(advertised.gender),
        price_minor=price_minor,
        currency=price_currency,
        image_url=image_url,
        page_url=page.url,
    )
    marks = (_last_step(pictures[0]) if pictures else _first(said, "price"), *said.get("mark", []))
    return Draft(item, pictures, tuple(dict.fromkeys(notes)), "|".join(marks))


def _last_step(picture: str) -> str:
    """A picture's file name: the servers in front of it change from row to row."""
    return re.split(r"[?#]", picture, maxsplit=1)[0].rstrip("/").rpartition("/")[2]


def _words(said: Mapping[str, list[str]], brand: str, notes: list[str]) -> tuple[str, str]:
    """Name and description within their limits. A description that only repeats the name is none."""
    name = next((clean for value in said.get("name", []) if re.search(r"\w", clean := clean_text(value))), "")
    texts = [strip_advertisement(text) for text in said.get("description", [])]
    description = clean_prose("\n".join(dict.fromkeys(texts)), (name, brand)) if texts else ""
    if not name and description:
        name = first_words(description)
        notes.append("name_from_description")
    if squash(description) == squash(name):
        description = ""
    name = _cut(name, limits.NAME_BYTES_MAX, "name_cut", notes)
    return name, _cut(description, limits.DESCRIPTION_BYTES_MAX, "description_cut", notes)


def _first(said: Mapping[str, list[str]], name: str) -> str:
    return next((clean for value in said.get(name, []) if (clean := clean_text(value))), "")


def _first_leaf(categories: list[str]) -> str:
    return next((leaf for category in categories if (leaf := attributes.leaf_category(category))), "")


def _cut(text: str, bytes_max: int, note: str, notes: list[str]) -> str:
    cut = cut_text(text, bytes_max)
    if cut != text:
        notes.append(note)
    return cut


def _attribute(text: str, notes: list[str]) -> str:
    return _cut(text, limits.ATTRIBUTE_BYTES_MAX, "attribute_cut", notes)


def _page(urls: list[str], notes: list[str]) -> Page:
    page = next((page for url in urls if (page := read_page(url)).url), None)
    if page is None and urls:
        notes.append("url_dropped")
    return page or NO_PAGE


def _gender(said: Mapping[str, list[str]], page: Page) -> str:
    stated = [line for name in ("gender", "category") for value in said.get(name, []) for line in value.split("\n")]
    return next((gender for text in stated if (gender := attributes.gender_in(text))), "") or (
        attributes.gender_of_path(page.url)
    )


def _item_id(stated: str, page: Page, pictures: tuple[str, ...], notes: list[str]) -> str:
    """The id that the row states, or the product page's, or (in a table of pictures) the picture's number."""
    # A table that once passed through floats: "10017413.0".
    item = re.sub(r"^([0-9]+)\.0$", r"\1", stated)
    if not item and page.item:
        item = f"{page.item}-{page.variant}" if page.variant else page.item
    if not item and pictures:
        number = re.fullmatch(r"(?:.*/)?([0-9]{4,20})\.\w{3,4}", pictures[0])
        item = number[1] if number else ""
    if len(item.encode()) > limits.ITEM_ID_BYTES_MAX:
        item = "~" + hashlib.sha256(item.encode()).hexdigest()[:16]
    if not item or item.startswith("~"):
        notes.append("id_derived")
    return item


def _price(
    cells: Mapping[str, str],
    said: Mapping[str, list[str]],
    shape: Shape,
    hints: tuple[str, str, str],
    notes: list[str],
) -> tuple[int | None, str]:
    """The first price column that can be read. What is written nearest to the amount decides its currency."""
    columns = shape.fields.get("price", ())
    stated = _currency(_first(said, "currency"))
    for column in columns:
        cell = cells.get(column, "")
        hint = next((one for one in (stated, currency_in(column), *hints) if one), "")
        # Variants of a product stand one a line; the item's price is the one it starts at.
        prices = [parse_price(line, hint) for line in cell.splitlines() if line.strip()]
        price = min((one for one in prices if one), key=lambda one: one.minor, default=None)
        if price is None:
            continue
        if not price.currency:
            notes.append("currency_unknown")
            return None, ""
        return price.minor, price.currency
    if shape.has_price:
        notes.append("price_unknown")
    return None, ""


def _currency(text: str) -> str:
    return text.upper() if text.upper() in CURRENCIES else currency_in(text)


def _pictures(values: list[str], notes: list[str]) -> tuple[tuple[str, ...], str]:
    """Candidates in order, and the first address among them. A path is kept as its file's name alone."""
    found: dict[str, None] = {}
    image_url = ""
    for part in (part for value in values for part in _parts(value)):
        if re.match(r"(?i)(?:https?:)?//|www\.", part):
            url = clean_url(part)
            if not url:
                notes.append("image_dropped")
                continue
            image_url = image_url or url
            found[url] = None
        elif not re.match(r"(?i)[a-z]+:", part) and (name := _file_name(part)):
            found[name] = None
    return tuple(found)[:_PICTURES_MAX], image_url


def _file_name(path: str) -> str:
    """The last step of a path, whichever way its slashes lean; "" where that is no file's name."""
    name = clean_text(re.split(r"[/\\]", path)[-1])
    return name if _FILE_NAME.fullmatch(name) and re.search(r"\w", name) else ""


def _parts(value: str) -> list[str]:
    """A cell may hold several pictures, one a line, or as a list of Python or JSON."""
    if value.lstrip().startswith("["):
        quoted = re.findall(r"['\"]([^'\"]+)['\"]", value)
        if quoted:
            return quoted
    return [part.strip() for part in _PICTURE_DIVIDERS.split(value) if part and part.strip()]
