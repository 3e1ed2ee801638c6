"""A shop's export to items: open, recognise, iterate.

Every data row yields exactly one `Product` or `Rejection`, in order, as it is read: nothing is dropped silently
and nothing but the ids met so far is held. What the shop does not state stays empty; what could not be kept is a
note. Only the owner's mistakes raise (`UserError`); no file's content does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from node import shop_formats
from node.alignment import Alignment
from node.cleaning import clean_text, squash
from node.drafts import make_draft
from node.errors import UserError
from node.item_ids import ItemIds, Rejected
from node.money import CURRENCIES
from node.rows import Row, Table, printable, shown_name
from node.shop_formats import FIELDS, Shape
from node.tables import open_table
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
        self._alignment: Alignment | None = None
        if table.by_place and not shape.format.by_cells:
            sample = [row.cells for row in itertools.islice(table.rows(), _SAMPLE_ROWS)]
            self._alignment = Alignment.of(table.columns, shape.texts, sample)

    def __iter__(self) -> Iterator[Product | Rejection]:
        ids = ItemIds()
        for row in self._table.rows():
            yield self._convert(row, ids)

    def _convert(self, row: Row, ids: ItemIds) -> Product | Rejection:
        if row.fault:
            return Rejection(row.number, "malformed_row", f"The row has {row.fault}.")
        if not any(value.strip() for value in row.cells.values()) and not row.surplus:
            return Rejection(row.number, "empty_row", "The row is empty.")
        if all(value.strip() == column for column, value in row.cells.items()):
            return Rejection(row.number, "not_a_product", "The row repeats the header.")
        cells, moved = self._in_place(row)
        if cells is None:
            return Rejection(row.number, "malformed_row", "The row has more cells than the header.")
        read = self._shape.format.read
        draft = make_draft({**cells, **read(cells)} if read else cells, self._shape, self._currency)
        item = draft.item
        if not item.name and item.item and ids.knows(item.item):
            return Rejection(row.number, "duplicate", f"The row adds no name to item {item.item}.")
        if not item.name:
            return Rejection(row.number, "no_name", "The row has neither name nor description.")
        taken = ids.take(item, draft.mark)
        if isinstance(taken, Rejected):
            return Rejection(row.number, taken.reason, taken.detail)
        item = replace(item, item=taken)
        try:
            check_item(item)
        except RemoteError as error:
            return Rejection(row.number, "malformed_row", f"The row makes no valid item ({error}).")
        notes = (*draft.notes, "row_realigned") if moved else draft.notes
        return Product(row.number, item, draft.pictures, notes)

    def _in_place(self, row: Row) -> tuple[Mapping[str, str] | None, bool]:
        if self._alignment is not None:
            return self._alignment.straighten(row)
        surplus = {f"#+{at}": cell for at, cell in enumerate(row.surplus)}
        return {**row.cells, **surplus}, False


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
    name = shown_name(path)
    found = f"the columns are {_listed(table.columns)}" if table.columns else "it holds no products"
    prefixes = shop_formats.shop_prefixes(table.columns)
    if len(prefixes) > 1 and format in (None, shop_formats.PREFIXED.name):
        first, second = (clean_text(prefix).rstrip("_ ") for prefix in prefixes[:2])
        one = " ".join(f'--map "{field}={column}"' for field, column in _columns_of(prefixes[0], table.columns))
        return f"{name} holds the products of two shops, {first} and {second}: import one at a time, {one}."
    if format is not None:
        missing = ", ".join(shop_formats.missing_columns(format, table.columns))
        return f"{name} is not {format}, which has {missing}: {found}."
    if shop_formats.is_behaviour(table.columns):
        return f"{name} holds what people did, not a catalog: {found}."
    return f"{name} is not recognised as a catalog: {found}; if it is one, say --map name=COLUMN --map id=COLUMN."


def _columns_of(prefix: str, columns: tuple[str, ...]) -> list[tuple[str, str]]:
    """One shop's columns in a table of several, as the owner would map them."""
    fields = {"name": "name", "price": "price", "urllink": "url", "color": "colour", "category": "category"}
    plain = {column: shop_formats.plain_column(column.removeprefix(prefix)) for column in columns}
    owned = [column for column in columns if column.startswith(prefix) and plain[column] in fields]
    return [(fields[plain[column]], clean_text(column)) for column in owned]


def _listed(columns: tuple[str, ...]) -> str:
    shown = ", ".join(printable(clean_text(column)[:40]) or "(unnamed)" for column in columns[:_COLUMNS_SHOWN])
    return shown + (f" and {len(columns) - _COLUMNS_SHOWN} more" if len(columns) > _COLUMNS_SHOWN else "")
