"""Three of Myntra's exports, put in order: the search-engine text, the styles table and the product JSON.

Only knowledge of how Myntra writes: which words of a description are boilerplate, which of two genders is the
item's, where the JSON keeps what. Results are an item's fields, still as the shop's raw words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from node.cleaning import squash

# "NAME,  BRAND, Shirts, Topwear, Apparel, Apparel for Men, Buy NAME Online in India, Buy Shirts at best price"
_MODEL = re.compile(r"(?i)the model\b.*")
_TEXTS = ("description", "style_note", "size_fit_desc", "materials_care_desc", "product_details")
# Myntra puts the colour into the name, after the gender: "Roadster Men Navy Blue & Olive Green Regular Fit ...".
_COLOUR_WORDS = (
    "Black|White|Blue|Navy|Grey|Red|Green|Olive|Brown|Beige|Pink|Maroon|Yellow|Orange|Purple|Mustard|Khaki|Charcoal"
    "|Cream|Teal|Burgundy|Silver|Gold|Tan|Peach|Turquoise|Rust|Lavender|Off-White|Magenta|Coral|Multicolou?r(?:ed)?"
    "|Transparent|Camel|Taupe|Copper|Bronze|Violet|Mauve|Coffee|Fluorescent|Nude|Indigo|Rose"
)
_DEGREES = "Light|Dark|Navy|Olive|Sea|Sky|Lime|Off|Coffee|Dusty|Royal|Mustard|Rust|Charcoal|Steel"
_SHADE = rf"(?:(?:{_DEGREES}) )?(?:{_COLOUR_WORDS})"
_COLOUR_IN_NAME = re.compile(rf"\b{_SHADE}(?: {_SHADE})*(?:(?:,| &| and) {_SHADE})*\b")
_VIEWS = ("default", "search", "front", "back", "left", "right")


def strip_advertisement(text: str) -> str:
    """A description without "Buy ... Online in India, Buy ... at best price"."""
    at = text.find("Online in India")
    start = text.rfind("Buy ", 0, at) if at >= 0 else -1
    return text[:start].rstrip(" ,") if start >= 0 else text


@dataclass(frozen=True, slots=True)
class Advertisement:
    """What Myntra's search-engine text says beside the name; empty where the text is none of Myntra's."""

    brand: str = ""
    category: str = ""
    gender: str = ""
    steps: tuple[str, ...] = ()


def read_advertisement(text: str) -> Advertisement:
    """What stands between name and boilerplate in "NAME,  BRAND, Shirts, Topwear, Apparel for Men, Buy ..."."""
    if "Online in India" not in text:
        return Advertisement()
    # Two spaces end the name, which may hold commas of its own.
    _, mark, rest = strip_advertisement(text).partition(",  ")
    steps = tuple(step.strip() for step in rest.split(",") if step.strip())
    if not mark or len(steps) < 3:
        return Advertisement()
    return Advertisement(steps[0], steps[1], steps[-1] if " for " in steps[-1] else "", steps)


def read_myntra_men(cells: Mapping[str, str]) -> dict[str, str]:
    """The scraped men's tables: the description is search-engine text, the colour a part of the name."""
    plain = {squash(column): value.strip() for column, value in cells.items()}
    text = plain.get("descriptioncolor", "")
    said = read_advertisement(text)
    name = plain.get("name", "") or (text.partition(",  ")[0] if said.steps else "")
    fabric, fit = plain.get("fabric", ""), _MODEL.sub("", plain.get("size", ""))
    sentences = [", ".join(said.steps[1:]) or strip_advertisement(text), f"Fabric: {fabric}" if fabric else "", fit]
    colour = _COLOUR_IN_NAME.search(_without_brand(name, said.brand))
    return {
        "item": plain.get("productid", ""),
        "name": name,
        "description": "\n".join(sentence for sentence in sentences if sentence),
        "brand": said.brand,
        "category": said.category or plain.get("category", ""),
        "colour": colour[0] if colour else "",
        "gender": f"{said.gender}\n{plain.get('category', '')}",
        "price": plain.get("price", ""),
        "image": plain.get("image", ""),
        "url": plain.get("producturl", ""),
    }


def _without_brand(name: str, brand: str) -> str:
    """What of a name may hold its colour: "Red Tape Men Blue Shirt" is blue, and "Black coffee" a brand."""
    if brand and name.casefold().startswith(brand.casefold()):
        return name[len(brand) :]
    # Without a brand to cut off, the words after the gender, where Myntra's colour stands.
    after = re.split(r"\b(?:Men|Women|Boys|Girls|Unisex)\b", name, maxsplit=1)[-1]
    return after if _COLOUR_IN_NAME.search(after) else name


def read_myntra_styles(cells: Mapping[str, str]) -> dict[str, str]:
    """The styles table: attributes in columns, and no description unless somebody added one."""
    plain = {squash(column): value.strip() for column, value in cells.items()}

    def said(column: str) -> str:
        value = plain.get(column, "")
        return "" if value.casefold() in ("na", "nan", "") else value

    stated = [
        f"{label}: {said(column)}" for label, column in (("Usage", "usage"), ("Season", "season")) if said(column)
    ]
    return {
        "item": plain.get("id", ""),
        "name": plain.get("productdisplayname", ""),
        "description": said("description") or "\n".join(stated),
        "brand": said("brand") or said("brandname"),
        "category": said("articletype") or said("subcategory") or said("mastercategory"),
        "colour": said("basecolour"),
        "gender": plain.get("gender", ""),
        "price": said("price"),
        "image": "\n".join(said(column) for column in ("image", "imageurl", "link", "filename") if said(column)),
    }


def read_myntra_json(cells: Mapping[str, str]) -> dict[str, str]:
    """The product JSON of Myntra's style service."""
    price, discounted = cells.get("price", ""), cells.get("discountedPrice", "")
    texts = [cells.get(f"productDescriptors.{name}.value", "") for name in _TEXTS]
    known = "articleAttributes."
    attributes = [
        f"{column.removeprefix(known)}: {value}"
        for column, value in cells.items()
        if column.startswith(known) and value not in ("", "NA") and "Garment Size" not in column
    ]
    pictures = [cells.get(f"styleImages.{view}.imageURL", "") for view in _VIEWS]
    item = cells.get("id", "")
    page = cells.get("landingPageUrl", "")
    return {
        "item": item,
        "name": cells.get("productDisplayName", ""),
        "description": "\n".join(text for text in (*texts[:2], *attributes, *texts[2:]) if text),
        "brand": cells.get("brandName", ""),
        "category": cells.get("articleType.typeName", "") or cells.get("subCategory.typeName", ""),
        "colour": cells.get("baseColour", ""),
        # A girl's skirt is filed under women; the age group knows.
        "gender": f"{cells.get('ageGroup', '')}\n{cells.get('gender', '')}",
        "price": discounted if discounted.strip("0. ") else price,
        "image": "\n".join([f"{item}.jpg", *(picture for picture in pictures if picture)]),
        "url": page if page.startswith("http") or not page else f"https://www.myntra.com/{page.lstrip('/')}",
    }
