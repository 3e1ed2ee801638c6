"""Comma, semicolon, tab and bar separated text to rows, one record at a time.

Built on the standard `csv` reader, with what exports need on top: the delimiter is found in the header, a quote
that never closes costs one row and not the rest of the file, and no line or record can fill the memory. Blank
lines are not rows. What columns mean is not known here.
"""

from __future__ import annotations

import csv
import itertools
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from node.errors import UserError
from node.rows import COLUMNS_MAX, ODD_BYTES, Row, Table, shown_name, unique_names

_DELIMITERS = (",", ";", "\t", "|")
# Letters of one cell, and of one line: HTML descriptions with embedded pictures reach hundreds of kilobytes.
_CELL_LETTERS_MAX = 1 << 20
_LINE_LETTERS_MAX = 4 << 20
# Lines of one record. Descriptions run over dozens of lines; a quote still open after this many was a stray one.
_RECORD_LINES_MAX = 500

csv.field_size_limit(max(csv.field_size_limit(), _CELL_LETTERS_MAX))


class _Lines:
    """Lines of a file for the csv reader, remembering which of them the present record has taken."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._given_back: deque[str] = deque()
        self.taken: list[str] = []
        self.ended_inside = False
        self.too_long = False

    def begin_record(self) -> None:
        self.taken = []
        self.ended_inside = False
        self.too_long = False

    def give_back(self) -> None:
        """All lines but the first of the present record are to be read again."""
        self._given_back.extendleft(reversed(self.taken[1:]))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = ""
        if len(self.taken) < _RECORD_LINES_MAX:
            line = self._given_back.popleft() if self._given_back else self._file.readline(_LINE_LETTERS_MAX)
        if not line:
            self.ended_inside = bool(self.taken)
            raise StopIteration
        if len(line) == _LINE_LETTERS_MAX:
            self.too_long = True
            while (rest := self._file.readline(_LINE_LETTERS_MAX)) and not rest.endswith(("\n", "\r")):
                pass
        self.taken.append(line)
        return line


def open_delimited(path: Path, encoding: str) -> Table:
    """The table in a text file. Raises UserError when it has no header to go by."""
    with path.open(encoding=encoding, errors=ODD_BYTES, newline="") as file:
        lines = _Lines(file)
        delimiter, header = _read_header(lines)
        if not header:
            raise UserError(f"{shown_name(path)} is empty: export the catalog again, with a header line.")
        if len(header) > COLUMNS_MAX:
            raise UserError(f"{shown_name(path)} has {len(header)} columns, more than a catalog's {COLUMNS_MAX}.")
    columns = unique_names(header)
    return Table(columns, lambda: _read_rows(path, encoding, delimiter, columns), by_place=True)


def _read_rows(path: Path, encoding: str, delimiter: str, columns: tuple[str, ...]) -> Iterator[Row]:
    with path.open(encoding=encoding, errors=ODD_BYTES, newline="") as file:
        lines = _Lines(file)
        _read_header(lines)
        number = itertools.count(1)
        while True:
            cells, fault = _next_record(lines, delimiter, len(columns))
            if not lines.taken:
                return
            if cells or fault:
                yield _as_row(next(number), cells, fault, columns)


def _as_row(number: int, cells: list[str], fault: str, columns: tuple[str, ...]) -> Row:
    width = len(columns)
    if len(cells) > max(width, COLUMNS_MAX):
        fault = f"{len(cells)} cells in one row"
    if fault:
        return Row(number, {}, fault=fault)
    surplus = cells[width:]
    while surplus and not surplus[-1].strip():
        surplus.pop()
    return Row(number, dict(zip(columns, cells, strict=False)), tuple(surplus))


def _read_header(lines: _Lines) -> tuple[str, list[str]]:
    """The delimiter that divides the first line into most cells, and these cells."""
    delimiter = ""
    while True:
        lines.begin_record()
        line = next(lines, "")
        if not line:
            return ",", []
        if line.lower().startswith("sep=") and len(line.strip()) == 5:
            delimiter = line.strip()[-1]
        elif line.strip("\ufeff \r\n"):
            break
    best = max((delimiter,) if delimiter else _DELIMITERS, key=lambda mark: len(_split_line(line, mark)))
    if line.count('"') % 2:
        # A column's name may hold a line break: read it as the record that it is.
        lines._given_back.appendleft(line)
        cells, _ = _next_record(lines, best, 0)
        return best, cells
    return best, _split_line(line, best)


def _split_line(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _next_record(lines: _Lines, delimiter: str, width: int) -> tuple[list[str], str]:
    """The next record's cells, or why there are none. After a fault, reading goes on with the following line."""
    lines.begin_record()
    try:
        cells = next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error as error:
        lines.give_back()
        return [], str(error)
    if lines.too_long:
        lines.give_back()
        return [], f"a line of over {_LINE_LETTERS_MAX} letters"
    if lines.ended_inside:
        lines.give_back()
        return [], "a quotation mark that is never closed"
    if len(lines.taken) > 1 and width and _swallowed_rows(lines.taken, delimiter, width, cells):
        lines.give_back()
        return [], "a quotation mark that is closed only in a later row"
    return cells, ""


def _swallowed_rows(taken: list[str], delimiter: str, width: int, cells: list[str]) -> bool:
    """Whether a cell of several lines holds what are whole rows by themselves.

    A line of a description may well have as many commas as a row, so rows are believed only where they start with
    a number, as the record itself does; where the record has the right width, every line of it has to.
    """
    rows = [_split_line(line, delimiter) for line in taken[1:]]
    like = [len(row) == width and row[0].isdigit() for row in rows]
    return cells[0].isdigit() and (all(like) if len(cells) == width else any(like))
