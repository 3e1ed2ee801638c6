"""What the known exports look like: one small description each, and the synonyms by which others are read.

A format is recognised by the columns that it alone has, never by a file's name. Its `fields` say which columns
make which field of an item: for a description all of them, for pictures all in order of preference, for the rest
the first that says something. A few exports have to be put in order first; `read` does that, one row at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, replace

from node.cleaning import squash
from node.feeds import read_linkshare
from node.money import COLUMN_CODES
from node.myntra import read_myntra_json, read_myntra_men, read_myntra_styles

FIELDS = ("item", "name", "description", "brand", "category", "colour", "gender", "price", "currency", "image", "url")

Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Format:
    """How to read one kind of export. Columns are in plain spelling, divided by spaces: "Product_ID" is "productid".

    A table is of the format when it has all of `columns` and at least `least` of `among`: an owner may have dropped
    a column, and the rest are still this shop's. The field "mark" names columns that tell rows without ids apart.
    `currency` is what the shop's prices are in where nothing else says so; `picture` how it names picture files;
    `by_cells` that rows are read by what cells are and not by where they stand.
    """

    name: str
    columns: str
    fields: Mapping[str, str]
    among: str = ""
    least: int = 0
    currency: str = ""
    picture: str = ""
    read: Callable[[Cells], dict[str, str]] | None = None
    by_cells: bool = False

    def fits(self, columns: Set[str]) -> bool:
        """Whether a table with these plain columns is an export of this format."""
        return set(self.columns.split()) <= columns and len(columns & set(self.among.split())) >= self.least


# What `read` functions call their results.
_IN_ORDER = {name: name for name in FIELDS}

_SYNONYMS = {
    "item": "item itemid productid sku id articleid asin productcode styleid productsku articlenumber articleno"
    " artikelnummer itemcode itemnumber productnumber pid handle variantsku variantssku uniqid reference"
    " ref gtin ean upc mpn",
    "name": "name title productname productdisplayname producttitle prodname itemname displayname designation"
    " bezeichnung titel titre nom nombre titulo nome productnameen",
    "description": "description productdescription longdescription detaildesc details detail bodyhtml body"
    " shortdescription desc descriptioncolor descriptioncolour beschreibung descripcion descrizione"
    " aboutproduct productdetails features fabric",
    "brand": "brand brandname productbrand vendor manufacturer designer marque marke marca label",
    "category": "articletype producttypename producttype subcategory category categories categoryname type"
    " leafcategory productcategory categorie kategorie categoria productcategorytree maincategory"
    " mastercategory garmentgroupname productgroupname googleproductcategory department",
    "colour": "colour color basecolour basecolor primarycolor primarycolour colourname colorname colourgroupname"
    " couleur farbe colore productcolor productcolour",
    "gender": "gender sex targetgender agegroup geschlecht genero indexgroupname department section",
    "price": "saleprice specialprice discountprice discountedprice offerprice currentprice pricecurrent"
    " sellingprice finalprice pricenow price variantprice variantsprice productprice unitprice prix preis"
    " precio prezzo priceamount pricevalue actualprice retailprice listprice regularprice originalprice"
    " mrp",
    "currency": "currency currencycode pricecurrency currencyiso devise wahrung moneda valuta",
    "image": "imageurl imagelink image images mainimage imagesrc imagessrc imgurl img imageurls imagepath picture"
    " pictures photo photos imagefile imagefilename imagename file filename thumbnail variantimage"
    " additionalimagelink bild imagekey",
    "url": "producturl pageurl productlink url link urllink pdpurl permalink landingpageurl weblink href",
}

GENERIC = Format("generic", "", _SYNONYMS)

_FORMATS = (
    Format(
        "linkshare",
        "",
        _IN_ORDER,
        among="linkcode advertiser linkname linkid",
        least=3,
        currency="USD",
        read=read_linkshare,
        by_cells=True,
    ),
    Format(
        "myntra-json",
        "productdisplayname",
        _IN_ORDER,
        among="brandname articletypetypename basecolour mastercategorytypename landingpageurl",
        least=3,
        currency="INR",
        read=read_myntra_json,
    ),
    Format(
        "myntra-men",
        "descriptioncolor",
        _IN_ORDER,
        among="serialno name fabric size productid website producturl",
        least=3,
        currency="INR",
        read=read_myntra_men,
    ),
    Format(
        "myntra-styles",
        "productdisplayname",
        _IN_ORDER,
        among="gender mastercategory subcategory articletype basecolour season usage",
        least=3,
        currency="INR",
        picture="{item}.jpg",
        read=read_myntra_styles,
    ),
    Format(
        "myntra-catalog",
        "",
        {
            "item": "productid",
            "name": "productname",
            "description": "description",
            "brand": "productbrand",
            "colour": "primarycolor",
            "gender": "gender",
            "price": "price",
            "mark": "numimages",
        },
        among="productid productname productbrand gender primarycolor numimages",
        # One fewer would be any shop with an id, a name, a brand and a gender, and its prices would become rupees.
        least=5,
        currency="INR",
    ),
    Format(
        "asos-json",
        "title images pricecurrent url color",
        {
            "item": "id",
            "name": "title",
            "description": "detail description",
            "brand": "brand",
            "category": "category",
            "colour": "color",
            "gender": "gender",
            "price": "pricecurrent",
            "currency": "pricecurrency currency",
            "image": "images",
            "url": "url",
        },
    ),
    Format(
        "asos-fr",
        "",
        {
            "item": "productcode",
            "name": "designation",
            "description": "description",
            "brand": "brand",
            "category": "category",
            "colour": "color",
            "gender": "collection",
            "price": "currentprice",
            "url": "producturl",
        },
        among="producturl collection designation productcode currentprice",
        least=4,
        currency="EUR",
    ),
    Format(
        "amazon",
        "name",
        {
            "name": "name",
            "category": "subcategory maincategory",
            "gender": "subcategory maincategory",
            "price": "discountprice actualprice",
            "image": "image",
            "url": "link",
        },
        among="maincategory subcategory link noofratings discountprice actualprice",
        least=4,
    ),
    Format(
        "hm-articles",
        "",
        {
            "item": "articleid",
            "name": "prodname",
            "description": "detaildesc graphicalappearancename",
            "category": "producttypename productgroupname garmentgroupname",
            "colour": "colourgroupname perceivedcolourmastername",
            "gender": "sectionname indexname indexgroupname",
            "price": "price",
            "mark": "productcode perceivedcolourvaluename graphicalappearancename garmentgroupname",
        },
        among="articleid prodname producttypename colourgroupname detaildesc garmentgroupname productgroupname"
        " graphicalappearancename perceivedcolourmastername indexgroupname",
        least=4,
        picture="{item:0>10}.jpg",
    ),
)
# "HnM_Name, HnM_Price (£), HnM_URL_Link": one shop's columns in a table made to compare shops.
PREFIXED = Format("prefixed", "X_Name X_Price X_URL_Link", _SYNONYMS)

ALL = (*_FORMATS, PREFIXED, GENERIC)


@dataclass(frozen=True, slots=True)
class Shape:
    """A format met in a file: for each field the file's own columns, the preferred first.

    `texts` are the columns of names and descriptions, in which a stray delimiter is to be expected.
    """

    format: Format
    fields: Mapping[str, tuple[str, ...]]
    has_price: bool
    texts: tuple[str, ...]


def plain_column(name: str) -> str:
    """A column's name as formats spell it: without case, marks, currency and what stands in brackets."""
    words = [word for word in re.split(r"[^\w]+|_", re.sub(r"\([^)]*\)|\[[^\]]*\]", " ", name)) if word]
    kept = [word for word in words if word.upper() not in COLUMN_CODES]
    if len(kept) < len(words) and kept and kept[-1].lower() == "in":
        kept.pop()
    return squash("".join(kept)) or squash(name)


def find_shape(columns: tuple[str, ...], wanted: str | None = None) -> Shape | None:
    """The format that these columns are, or None. `wanted` is a format's name to try alone."""
    plain = _by_plain_name(columns)
    prefixes = shop_prefixes(columns)
    for candidate in _FORMATS:
        if wanted in (None, candidate.name) and candidate.fits(plain.keys()):
            return _shape(candidate, plain)
    if wanted in (None, PREFIXED.name) and len(prefixes) == 1:
        return _shape(PREFIXED, _by_plain_name(columns, *prefixes))
    if wanted in (None, GENERIC.name):
        shape = _shape(GENERIC, plain)
        if wanted or (_is_catalog(shape.fields) and not is_behaviour(columns)):
            return shape
    return None


def missing_columns(name: str, columns: tuple[str, ...]) -> list[str]:
    """The columns that a named format needs and the file has not."""
    wanted = next(candidate for candidate in ALL if candidate.name == name)
    return sorted({*wanted.columns.split(), *wanted.among.split()} - _by_plain_name(columns).keys())


def _shape(candidate: Format, plain: Mapping[str, str]) -> Shape:
    spelled = f"{_SYNONYMS['name']} {_SYNONYMS['description']}".split()
    texts = tuple(plain[column] for column in spelled if column in plain)
    if candidate.read is not None:
        has_price = any("price" in column for column in plain)
        return Shape(candidate, {name: (name,) for name in FIELDS}, has_price, texts)
    fields = {
        name: tuple(plain[column] for column in columns.split() if column in plain)
        for name, columns in candidate.fields.items()
    }
    said = {name: columns for name, columns in fields.items() if columns}
    return Shape(candidate, said, "price" in said, texts)


def with_mapping(shape: Shape, mapped: Mapping[str, str]) -> Shape:
    """The shape with the owner's own choice of columns for some fields."""
    if not mapped:
        return shape
    fields = {**shape.fields, **{name: (column,) for name, column in mapped.items()}}
    return replace(shape, fields=fields, has_price=shape.has_price or "price" in mapped)


def is_behaviour(columns: tuple[str, ...]) -> bool:
    """Whether these are columns of ratings, purchases or tags: what people did with items."""
    plain = {plain_column(column) for column in columns}
    return bool(plain & {"userid", "customerid", "user", "customer", "sessionid", "visitorid", "reviewerid"})


def _by_plain_name(columns: Iterable[str], prefix: str = "") -> dict[str, str]:
    """The columns by plain spelling; those with the prefix come before others of the same spelling."""
    plain: dict[str, str] = {}
    for column in sorted(columns, key=lambda column: not column.startswith(prefix)):
        plain.setdefault(plain_column(column.removeprefix(prefix)), column)
    return plain


def shop_prefixes(columns: tuple[str, ...]) -> list[str]:
    """What stands before "Name" in columns such as "HnM_Name", where "HnM_Price" or "HnM_URL_Link" stands beside it.

    A table made to compare shops may have several, and columns of its own beside them.
    """
    known = {word for words in _SYNONYMS.values() for word in words.split()}
    prefixes = []
    for column in columns:
        found = re.fullmatch(r"(?i)(.*[^\W_][_ ]+)name", column)
        # "Product_Name" and "brand name" are ordinary columns.
        if found is None or plain_column(column) in known:
            continue
        others = {plain_column(other.removeprefix(found[1])) for other in columns if other.startswith(found[1])}
        if others & {"price", "urllink"}:
            prefixes.append(found[1])
    return prefixes


def _is_catalog(fields: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether unknown columns speak of things for sale: a name or a description, and enough of the rest."""
    if not fields.keys() & {"name", "description"}:
        return False
    telling = {"price", "image", "brand", "colour", "gender"} & fields.keys()
    supporting = {"item", "url", "category", "description", "name"} & fields.keys()
    return bool(telling) or len(supporting) > 2
