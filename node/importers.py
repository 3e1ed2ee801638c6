"""A shop's export to items: open, recognise, iterate.

Every data row yields exactly one `Product` or `Rejection`, in order, as it is read: nothing is dropped silently
and nothing but the ids met so far is held. What the shop does not state stays empty; what could not be kept is a
note. Only the owner's mistakes raise (`UserError`); no file's content does.

Ids: the shop's own, else the number in the product's address (with the colour, where the address has it), else
"~" and 16 hexadecimal digits of SHA-256 over what identifies the row. Of rows with one id the first wins; a later
one of another colour gets the colour added to its id, the same name again is a "duplicate", another name a
"duplicate_id".
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from node import shop_formats
from node.addresses import slug
from node.alignment import Alignment
from node.cleaning import clean_text, squash
from node.drafts import Draft, make_draft
from node.errors import UserError
from node.money import CURRENCIES
from node.rows import Row, Table
from node.shop_formats import FIELDS, Shape
from node.tables import open_table
from protocol import limits
from protocol.limits import RemoteError
from protocol.records import Item, check_item

FORMATS: tuple[str, ...] = tuple(known.name for known in shop_formats.ALL)
REASONS = ("empty_row", "malformed_row", "not_a_product", "no_name", "duplicate", "duplicate_id")
# Rows that are looked at before the first is converted, to see which columns hold addresses.
_SAMPLE_ROWS = 200
_COLUMNS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Product:
    """An item from one row. `pictures` are file names or addresses, the preferred first."""

    row: int
    item: Item
    pictures: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that became no item, and why: `reason` is from REASONS, `detail` one sentence."""

    row: int
    reason: str
    detail: str


class Export:
    """A recognised export. Iterating reads the file; it can be iterated more than once."""

    def __init__(self, path: Path, table: Table, shape: Shape, currency: str) -> None:
        self.path = path
        self.format = shape.format.name
        self._table = table
        self._shape = shape
        self._currency = currency
        sample = itertools.islice(table.rows(), _SAMPLE_ROWS)
        self._alignment = Alignment.of(table.columns, shape, [row.cells for row in sample])

    def __iter__(self) -> Iterator[Product | Rejection]:
        ids = _Ids()
        for row in self._table.rows():
            yield self._convert(row, ids)

    def _convert(self, row: Row, ids: _Ids) -> Product | Rejection:
        if row.fault:
            return Rejection(row.number, "malformed_row", f"The row has {row.fault}.")
        if not any(value.strip() for value in row.cells.values()) and not row.surplus:
            return Rejection(row.number, "empty_row", "The row is empty.")
        if all(value.strip() == column for column, value in row.cells.items()):
            return Rejection(row.number, "not_a_product", "The row repeats the header.")
        cells, moved = self._alignment.straighten(row)
        if cells is None:
            return Rejection(row.number, "malformed_row", "The row has more cells than the header.")
        read = self._shape.format.read
        draft = make_draft({**cells, **read(cells)} if read else cells, self._shape, self._currency)
        if not draft.name and draft.item and ids.knows(draft.item):
            return Rejection(row.number, "duplicate", f"The row adds no name to item {draft.item}.")
        if not draft.name:
            return Rejection(row.number, "no_name", "The row has neither name nor description.")
        taken = ids.take(draft)
        if isinstance(taken, str):
            return _product(row.number, draft, taken, moved)
        return Rejection(row.number, *taken)


def open_export(
    path: Path,
    *,
    format: str | None = None,
    currency: str | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Export:
    """Recognise an export. Raises UserError with one sentence that says what to change.

    `format` is one of FORMATS, `currency` the ISO 4217 code of prices that name none, `mapping` says which column
    holds a field where that is not found by itself.
    """
    if format is not None and format not in FORMATS:
        raise UserError(f"There is no format {format!r}: choose one of {', '.join(FORMATS)}.")
    if currency is not None and currency.upper() not in CURRENCIES:
        raise UserError(f"{currency!r} is not a currency: give an ISO 4217 code, for example EUR.")
    path = Path(path)
    table = open_table(path)
    mapped = _read_mapping(table.columns, mapping or {})
    shape = shop_formats.find_shape(table.columns, format)
    if shape is None and mapped.keys() & {"name", "description"}:
        shape = shop_formats.find_shape(table.columns, "generic")
    if shape is None:
        raise UserError(_not_a_catalog(path, table, format))
    shape = shop_formats.with_mapping(shape, mapped)
    if not shape.fields.keys() & {"name", "description"}:
        raise UserError(_not_a_catalog(path, table, None))
    return Export(path, table, shape, (currency or "").upper())


def _read_mapping(columns: tuple[str, ...], mapping: Mapping[str, str]) -> dict[str, str]:
    by_name = {squash(column): column for column in reversed(columns)}
    aliases = {"id": "item", "color": "colour", "title": "name", "picture": "image"}
    found = {}
    for field, column in mapping.items():
        name = aliases.get(field.strip().lower(), field.strip().lower())
        if name not in FIELDS:
            raise UserError(f"--map knows no field {field!r}: use field=column with one of {', '.join(FIELDS)}.")
        match = column if column in columns else by_name.get(squash(column))
        if match is None:
            raise UserError(f"--map {field}={column}: there is no such column; the file has {_listed(columns)}.")
        found[name] = match
    return found


def _not_a_catalog(path: Path, table: Table, format: str | None) -> str:
    found = f"the columns are {_listed(table.columns)}" if table.columns else "it holds no products"
    if format is not None:
        missing = ", ".join(shop_formats.missing_columns(format, table.columns))
        return f"{path.name} is not {format}, which has {missing}: {found}."
    if shop_formats.is_behaviour(table.columns):
        return f"{path.name} holds what people did, not a catalog: {found}."
    return f"{path.name} is not recognised as a catalog: {found}; if it is one, say --map name=COLUMN --map id=COLUMN."


def _listed(columns: tuple[str, ...]) -> str:
    shown = ", ".join(clean_text(column)[:40] or "(unnamed)" for column in columns[:_COLUMNS_SHOWN])
    return shown + (f" and {len(columns) - _COLUMNS_SHOWN} more" if len(columns) > _COLUMNS_SHOWN else "")


def _product(number: int, draft: Draft, item_id: str, moved: bool) -> Product | Rejection:
    item = Item(
        item=item_id,
        name=draft.name,
        description=draft.description,
        brand=draft.brand,
        category=draft.category,
        colour=draft.colour,
        gender=draft.gender,
        price_minor=draft.price_minor,
        currency=draft.currency,
        image_url=draft.image_url,
        page_url=draft.page_url,
    )
    try:
        check_item(item)
    except RemoteError as error:
        return Rejection(number, "malformed_row", f"The row makes no valid item ({error}).")
    notes = (*draft.notes, "row_realigned") if moved else draft.notes
    return Product(number, item, draft.pictures, notes)


class _Ids:
    """The ids of an export so far, each with a digest of what it was given to."""

    def __init__(self) -> None:
        self._given: dict[str, bytes] = {}

    def knows(self, item_id: str) -> bool:
        return item_id in self._given

    def take(self, draft: Draft) -> str | tuple[str, str]:
        """The id for a draft, or the reason and detail of its rejection."""
        item_id = draft.item or _derived_id(draft)
        if item_id not in self._given:
            self._given[item_id] = _likeness(draft)
            return item_id
        if self._given[item_id] == _likeness(draft):
            return "duplicate", f"The row repeats item {item_id}."
        colour = slug(draft.colour)
        variant = f"{item_id}-{colour}"
        if not colour or len(variant.encode()) > limits.ITEM_ID_BYTES_MAX:
            return "duplicate_id", f"Another product has the id {item_id}."
        if variant not in self._given:
            self._given[variant] = _likeness(draft)
            return variant
        same = self._given[variant] == _likeness(draft)
        return ("duplicate" if same else "duplicate_id"), f"An earlier row has the id {variant}."


def _likeness(draft: Draft) -> bytes:
    """Rows with one id are one product when they agree in name and colour; prices and listings may differ."""
    text = f"{squash(draft.name)}\n{squash(draft.colour)}"
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8]


def _derived_id(draft: Draft) -> str:
    identity = draft.page_url or "|".join((draft.name, draft.brand, draft.colour, draft.description))
    return "~" + hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:16]
