"""Gender, category, colour and brand: from a shop's words to the few words that an item keeps.

Nothing is guessed: a word that the shop does not state stays empty. The words of English, French, German,
Spanish and Italian shops are known.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

from node.addresses import slug
from node.cleaning import clean_text, squash

_GENDER_WORDS = {
    "women": "women woman womens womenswear female females ladies lady ladieswear femme femmes dame damen mujer"
    " mujeres donna girlfriend",
    "men": "men man mens menswear male males gents gentlemen homme hommes herren hombre hombres uomo",
    "girls": "girl girls fille filles madchen nina ninas",
    "boys": "boy boys garcon garcons jungen nino ninos",
    "kids": "kid kids child children childrens baby babies infant infants toddler toddlers junior juniors enfant"
    " enfants kinder youth bebe",
    "unisex": "unisex",
}
_GENDER_OF = {word: gender for gender, words in _GENDER_WORDS.items() for word in words.split()}
# A leaf of a category path that says how, not what: "men_tshirtstanks_shortsleeve".
_MODIFIER_WORDS = (
    "all other basics basic casual cargo chinos denim dressed formal longsleeve shortsleeve shortsleeved longsleeved"
    " polo printed regular skinny slim slimfit slimstraight slimtapered straight tapered bestbasics tops bottoms"
    " jackets jacket accessories tanks trousers"
)
_MODIFIERS = frozenset(_MODIFIER_WORDS.split())
# H&M's category codes, run together.
_RUN_TOGETHER = {
    "tshirtstanks": "t-shirts and tanks",
    "cardigansjumpers": "cardigans and jumpers",
    "hoodiessweatshirts": "hoodies and sweatshirts",
    "jacketscoats": "jackets and coats",
    "blazerssuits": "blazers and suits",
    "underwearloungewear": "underwear and loungewear",
    "beltsandbraces": "belts and braces",
    "hatscaps": "hats and caps",
    "hatsandgloves": "hats and gloves",
    "bomberjackets": "bomber jackets",
    "leatherjackets": "leather jackets",
    "sportaccessories": "sport accessories",
    "shortsleeve": "short sleeve",
    "shortsleeved": "short sleeve",
    "longsleeve": "long sleeve",
    "longsleeved": "long sleeve",
    "slimfit": "slim fit",
    "bestbasics": "basics",
    "swimweear": "swimwear",
    "takecare": "take care",
}
# Names such as "blackleather" and "comboj" are the shop's codes, and no colours.
_COLOUR_WORDS = (
    "beige black blue bronze brown burgundy camel charcoal copper coral cream gold green grey ivory khaki lilac maroon"
    " mint multi mustard navy nude olive orange peach pink purple red rust sage silver stone tan taupe teal turquoise"
    " white yellow"
)
_COLOURS = frozenset(_COLOUR_WORDS.split())
# A gender column holds a word or a path; a longer text is about something else.
_STATEMENT_LETTERS_MAX = 300
# Where a shop hung an item in its window, which is no kind of thing.
_LISTING_NAMES = (
    "new in,new,newin,brands,outlet,marketplace,sale,summer,winter,spring,autumn,topshop,topman,stores,all,home page,"
    "featured,trending,uncategorized,default category"
)
_LISTINGS = frozenset(_LISTING_NAMES.split(","))


# Columns of prices, genders and categories say the same few things over and over.
@lru_cache(maxsize=512)
def gender_in(text: str) -> str:
    """The gender that a text states ("Apparel for Men", "Adults-Women", "men_socks"), or ""."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text[:_STATEMENT_LETTERS_MAX].replace("'", "").replace("’", ""))
    found = {_GENDER_OF.get(squash(word), "") for word in re.split(r"[^\w]+|_|[0-9]+", spaced)}
    if {"girls", "boys"} <= found:
        return "kids"
    if "kids" in found:
        # "Kids-Girls" and "Kids Boy" name one of two; "Unisex Kids" and "Women, Kids" do not.
        return next((gender for gender in ("girls", "boys") if gender in found), "kids")
    if {"women", "men"} <= found:
        return "unisex"
    return next((gender for gender in ("unisex", "women", "men", "girls", "boys") if gender in found), "")


def gender_of_path(url: str) -> str:
    """The gender that is one whole step of an address's path: "/women/dresses/"."""
    try:
        steps = urlsplit(url).path.split("/")
    except ValueError:
        return ""
    return next((_GENDER_OF[step.lower()] for step in steps if step.lower() in _GENDER_OF), "")


@lru_cache(maxsize=512)
def leaf_category(text: str) -> str:
    """The last step of a category path in human words, without gender and without shop-window listings."""
    text = clean_text(text).strip("[]\"'")
    if re.match(r"(?i)(?:https?:)?//|www\.", text):
        # A row that slipped has a picture's address here.
        return ""
    for separator in (">", " / ", "|", "»", "::"):
        if separator in text:
            steps = [step.strip() for step in text.split(separator) if step.strip(" -")]
            text = steps[-1] if steps else ""
    if not text or not re.search(r"[^\W\d_]", text):
        return ""
    if re.fullmatch(r"[\w-]+", text) and re.search(r"[_-]", text):
        text = _from_code(text)
    return "" if text.casefold() in _LISTINGS else text


def _from_code(code: str) -> str:
    """As in "men_tshirtstanks_shortsleeve" and "Men-Casual-Trousers", without the gender."""
    if "_" not in code:
        # One hyphen inside a word ("T-Shirts", "Co-ords") is spelling.
        words = code.split("-")
        if any(len(word) < 3 for word in words):
            return code
        return " ".join(word for word in words if word.lower() not in _GENDER_OF)
    # "girl8y" is a gender with an age.
    steps = [
        step for step in code.lower().split("_") if re.sub(r"[0-9]+[ym]?$", "", step) not in {"", "all", *_GENDER_OF}
    ]
    if not steps:
        return ""
    spoken = [_RUN_TOGETHER.get(step, step) for step in steps]
    if len(steps) > 1 and steps[-1] in _MODIFIERS and spoken[-1] != spoken[-2]:
        return f"{spoken[-2]}, {spoken[-1]}"
    return spoken[-1]


def plain_colour(text: str) -> str:
    """A colour with one capital, so that "BLACK", "black" and " Black" are one."""
    text = clean_text(text).strip(" ,;-/")
    if text.casefold() in ("unknown", "no colour", "no color", "not applicable") or not re.search(r"[^\W\d_]", text):
        return ""
    text = text.lower() if text.isupper() and len(text) > 2 else text
    return text[:1].upper() + text[1:]


def colour_of_picture(picture: str, item: str) -> str:
    """The colour in a picture's name as ASOS gives it ("10026444-1-black.jpg" of item 10026444), where it is a word."""
    found = re.fullmatch(r"([0-9]{4,12})-[0-9]{1,2}-([a-z]+)(?:\.\w{3,4})?", picture)
    return found[2].capitalize() if found and found[1] == item and found[2] in _COLOURS else ""


def brand_at_start(name: str, brand_slug: str) -> str:
    """The words at the start of a name that an address spells as the brand: "jack-jones" in "Jack & Jones tee"."""
    if not brand_slug:
        return ""
    words = name.split(" ")
    for count in range(1, min(len(words), 8) + 1):
        start = " ".join(words[:count])
        spelled = slug(start)
        # ASOS's own lines: "ASOS DESIGN Petite" is "asos-petite" in an address.
        if brand_slug in (spelled, spelled.replace("asos-design-", "asos-")) or squash(start) == squash(brand_slug):
            return start.rstrip(" ,-")
    return ""
