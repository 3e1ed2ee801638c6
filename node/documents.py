"""JSON, JSON Lines, folders of JSON and Parquet to rows of text.

A document's nested fields become columns with dotted names ("price.current"); a list becomes one cell with one
line an element. JSON that is itself inside a JSON string is unpacked too. Numbers keep the digits that the file
has. Memory holds the file's text and one product, not the parsed whole. What fields mean is not known here.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from node.errors import UserError
from node.rows import COLUMNS_MAX, ODD_BYTES, Row, Table, printable, shown_name

# The text of a JSON file is held whole; beyond this the owner is asked for JSON Lines, which is not.
_JSON_BYTES_MAX = 512 << 20
_LINE_LETTERS_MAX = 8 << 20
# Deeper than any product; what lies below is dropped.
_DEPTH_MAX = 10
# Rows that are read to learn the columns: JSON leaves empty fields out, so one row is not enough.
_SAMPLE_ROWS = 200
_PARQUET_BATCH_ROWS = 256
# Fields that a product has and a wrapper around products has not; a wrapper has few fields.
_NAMES = frozenset(("name", "title", "id"))
_WRAPPER_FIELDS_MAX = 6
_ENVELOPES = ("data", "product", "item", "result")
_WHITESPACE = " \t\r\n\ufeff"


class _Decoder(json.JSONDecoder):
    """Numbers as the file writes them: a parsed float has lost what the shop wrote, a big integer has no limit."""

    def __init__(self) -> None:
        super().__init__(parse_float=_unambiguous, parse_int=str, parse_constant=lambda _: "")


def _unambiguous(number: str) -> str:
    """A JSON number's point is always decimal; four places say so where three could be thousands."""
    whole, point, places = number.partition(".")
    return f"{whole}{point}{places}0" if len(places) == 3 and places.isdigit() else number


_DECODER = _Decoder()


def open_json(path: Path, encoding: str) -> Table:
    """A JSON array, a JSON object, several of them, or JSON Lines. Raises UserError when it is cut off or broken."""
    with path.open(encoding=encoding, errors=ODD_BYTES, newline="") as file:
        first, second = _first_line(file), _first_line(file)
    if second and first.startswith("{") and _parses(first):
        return _with_columns(lambda: _number(_read_lines(path, encoding)))
    if path.stat().st_size > _JSON_BYTES_MAX:
        raise UserError(
            f"{shown_name(path)} is over {_JSON_BYTES_MAX >> 20} MiB: export it as JSON Lines, one product a line."
        )
    text = path.read_text(encoding=encoding, errors=ODD_BYTES)
    for _ in _elements(text, shown_name(path)):
        pass
    return _with_columns(lambda: _number(_as_cells(element) for element in _elements(text, shown_name(path))))


def open_folder(path: Path) -> Table:
    """A folder of JSON files, each one product or several, in the order of their names."""
    files = sorted((file for file in path.iterdir() if file.suffix.lower() == ".json"), key=_by_number)
    if not files:
        others = sorted(file.name for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        hint = (
            f"name the file, for example {shown_name(path)}/{printable(others[0])}"
            if others
            else "name the file of the export"
        )
        raise UserError(f"{shown_name(path)} is a folder without product JSON: {hint}.")
    return _with_columns(lambda: _number(itertools.chain.from_iterable(_read_file(file) for file in files)))


def open_parquet(path: Path) -> Table:
    """A Parquet file, with the optional pyarrow."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise UserError(f'Reading {shown_name(path)} needs pyarrow: pip install "p2prec[parquet]".') from None
    try:
        with parquet.ParquetFile(path) as file:
            names = tuple(str(name) for name in file.schema_arrow.names)
    except (arrow.ArrowException, OSError):
        raise UserError(f"{shown_name(path)} is a damaged Parquet file: export it again.") from None
    if len(names) > COLUMNS_MAX:
        raise UserError(f"{shown_name(path)} has {len(names)} columns, more than a catalog's {COLUMNS_MAX}.")

    def rows() -> Iterator[dict[str, str] | str]:
        try:
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_PARQUET_BATCH_ROWS):
                    yield from (_as_cells(element) for element in batch.to_pylist())
        except (arrow.ArrowException, OSError):
            raise UserError(f"{shown_name(path)} is a damaged Parquet file: export it again.") from None

    return _with_columns(lambda: _number(rows()), names)


def _number(rows: Iterator[dict[str, str] | str]) -> Iterator[Row]:
    for number, row in enumerate(rows, start=1):
        yield Row(number, {}, fault=row) if isinstance(row, str) else Row(number, row)


def _with_columns(rows: Callable[[], Iterator[Row]], names: tuple[str, ...] = ()) -> Table:
    columns: dict[str, None] = dict.fromkeys(names)
    for row in itertools.islice(rows(), _SAMPLE_ROWS):
        columns.update(dict.fromkeys(row.cells))
    return Table(tuple(columns), rows)


def _first_line(file: TextIO) -> str:
    for _ in range(1_000):
        line = file.readline(_LINE_LETTERS_MAX)
        if not line or line.strip(_WHITESPACE):
            return line.strip(_WHITESPACE)
    return ""


def _parses(line: str) -> bool:
    try:
        _DECODER.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


def _read_lines(path: Path, encoding: str) -> Iterator[dict[str, str] | str]:
    """JSON Lines: one product a line; a line that is broken is one faulty row."""
    with path.open(encoding=encoding, errors=ODD_BYTES, newline="") as file:
        while line := file.readline(_LINE_LETTERS_MAX):
            if text := line.strip(_WHITESPACE):
                try:
                    yield _as_cells(_DECODER.decode(text))
                except (ValueError, RecursionError):
                    yield "a line that is no complete JSON"


def _read_file(path: Path) -> Iterator[dict[str, str] | str]:
    try:
        if path.stat().st_size > _JSON_BYTES_MAX:
            yield f"{shown_name(path)} is too big"
            return
        text = path.read_text(encoding="utf-8-sig", errors=ODD_BYTES)
        elements = list(_elements(text, shown_name(path)))
    except (UserError, OSError) as error:
        yield str(error)
        return
    yield from (_as_cells(element) for element in elements)


def _by_number(path: Path) -> tuple[int, str]:
    return (int(path.stem[:18]) if path.stem.isdecimal() and path.stem.isascii() else -1, path.name)


def _elements(text: str, name: str) -> Iterator[object]:
    """The products in a JSON text: elements of arrays, the list inside a wrapper, or the object itself."""
    at, inside_array, begun = _skip(text, 0), False, False
    while at < len(text):
        if not inside_array and text[at] == "[":
            inside_array, at = True, _skip(text, at + 1)
            if text[at : at + 1] == "]":
                inside_array, at = False, _skip(text, at + 1)
            continue
        try:
            element, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            unfinished = error.msg.startswith("Unterminated string")
            raise _broken(text, name, len(text) if unfinished else error.pos) from None
        except (ValueError, RecursionError):
            raise _broken(text, name, at) from None
        at = _skip(text, at)
        # Only a document that is the whole file is a wrapper.
        yield from _unwrapped(element) if at == len(text) and not inside_array and not begun else (element,)
        begun = True
        mark = text[at : at + 1]
        if inside_array and mark == "]":
            inside_array, at = False, _skip(text, at + 1)
        elif mark == "," and at + 1 < len(text):
            at = _skip(text, at + 1)
        elif inside_array:
            raise _broken(text, name, at)
    if inside_array:
        raise _broken(text, name, at)


def _broken(text: str, name: str, at: int) -> UserError:
    line = text.count("\n", 0, at) + 1
    where = f"at line {line}, byte {len(text[:at].encode('utf-8', 'replace'))}"
    if not text[at:].strip(_WHITESPACE) or at >= len(text.rstrip(_WHITESPACE)) - 1:
        return UserError(f"{name} is cut off {where}: export or download it again.")
    return UserError(f"{name} is not valid JSON {where}: export it again.")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _WHITESPACE:
        at += 1
    return at


def _unwrapped(document: object) -> list[object]:
    """{"products": [{...}, ...]} is a list of products; an object without such a list is a product itself."""
    if not isinstance(document, dict) or _NAMES & document.keys():
        return [document]
    if all(re.search("[0-9]", key) and isinstance(value, dict) and value for key, value in document.items()):
        return _keyed_by_id(document)
    if len(document) > _WRAPPER_FIELDS_MAX:
        return [document]
    for value in document.values():
        inner = value.values() if isinstance(value, dict) and len(document) == 1 else ()
        for candidate in (value, *inner):
            if isinstance(candidate, list) and candidate and all(isinstance(one, dict) for one in candidate):
                return candidate
    return [document]


def _keyed_by_id(document: dict[str, dict[str, object]]) -> list[object]:
    """{"B093CCYNJS": {...}, ...}: a key is the id where products have none, unless it only counts them."""
    counted = list(document) in ([str(at) for at in range(len(document))], [str(at + 1) for at in range(len(document))])
    if counted or any(re.search("(?i)id$|sku|asin|code|handle", name) for one in document.values() for name in one):
        return list(document.values())
    return [{"id": key, **product} for key, product in document.items()]


def _out_of_envelope(element: object) -> object:
    """{"meta": ..., "data": {...}} as web services answer: the product is the "data"."""
    if isinstance(element, dict) and not _NAMES & element.keys():
        for key in _ENVELOPES:
            inner = element.get(key)
            inner = _unpacked(inner) if isinstance(inner, str) else inner
            if isinstance(inner, dict):
                return inner
    return element


def _as_cells(element: object) -> dict[str, str] | str:
    """A product's fields as cells, or why it is none."""
    element = _out_of_envelope(element)
    if not isinstance(element, dict):
        return f"a {type(element).__name__} where a product was expected"
    cells: dict[str, list[str]] = {}
    _flatten(element, "", cells, 0)
    return {name: "\n".join(lines) for name, lines in cells.items()}


def _flatten(value: object, name: str, cells: dict[str, list[str]], depth: int) -> None:
    if depth > _DEPTH_MAX or value is None or isinstance(value, bytes):
        return
    if isinstance(value, str) and value[:1] in ("{", "[") and value[-1:] in ("}", "]"):
        value = _unpacked(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(inner, f"{name}.{key}" if name else str(key), cells, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _flatten(inner, name, cells, depth + 1)
    elif name in cells or len(cells) < COLUMNS_MAX:
        text = _unambiguous(repr(value)) if isinstance(value, float) and value == value else str(value)
        cells.setdefault(name, []).append(text)


def _unpacked(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return text
