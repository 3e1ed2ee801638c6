"""Three of Myntra's exports, put in order: the search-engine text, the styles table and the product JSON.

Only knowledge of how Myntra writes: which words of a description are boilerplate, which of two genders is the
item's, where the JSON keeps what. Results are an item's fields, still as the shop's raw words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from node.cleaning import squash

# "NAME,  BRAND, Shirts, Topwear, Apparel, Apparel for Men, Buy NAME Online in India, Buy Shirts at best price"
_ADVERTISEMENT = re.compile(r"(?is),?\s*Buy\s.*?\sOnline in India\b.*$")
_MODEL = re.compile(r"(?i)the model\b.*")
_TEXTS = ("description", "style_note", "size_fit_desc", "materials_care_desc", "product_details")
_VIEWS = ("default", "search", "front", "back", "left", "right")


def strip_advertisement(text: str) -> str:
    """A description without "Buy ... Online in India, Buy ... at best price"."""
    return _ADVERTISEMENT.sub("", text) if "Online in India" in text else text


def read_myntra_men(cells: Mapping[str, str]) -> dict[str, str]:
    """The scraped men's tables: brand, kind and gender are steps of the description's search-engine text."""
    plain = {squash(column): value.strip() for column, value in cells.items()}
    steps = _steps(plain.get("descriptioncolor", ""))
    brand, kind, gender = (steps[0], steps[1], steps[-1]) if len(steps) >= 4 else ("", "", "")
    fabric, fit = plain.get("fabric", ""), _MODEL.sub("", plain.get("size", ""))
    sentences = [", ".join(steps[1:]), f"Fabric: {fabric}" if fabric else "", fit]
    return {
        "item": plain.get("productid", ""),
        "name": plain.get("name", ""),
        "description": "\n".join(sentence for sentence in sentences if sentence)
        or strip_advertisement(plain.get("descriptioncolor", "")),
        "brand": brand,
        "category": kind or plain.get("category", ""),
        "gender": f"{gender}\n{plain.get('category', '')}",
        "price": plain.get("price", ""),
        "image": plain.get("image", ""),
        "url": plain.get("producturl", ""),
    }


def _steps(description: str) -> list[str]:
    """Brand, kind, and the steps of the category, after the name; [] where the text is something else."""
    if "Online in India" not in description:
        return []
    # Two spaces end the name, which may hold commas of its own.
    _, mark, steps = strip_advertisement(description).partition(",  ")
    if not mark:
        return []
    return [step.strip() for step in steps.split(",") if step.strip()]


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
