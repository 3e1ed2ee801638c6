"""A shop's export as rows of text, whatever kind of file it came in.

The vocabulary between the readers (`delimited`, `documents`) and those who understand rows (`shop_formats`,
`importers`): here a cell is a string, a row is numbered, and nobody knows what a column means.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# More columns than any export has; beyond it a file is a matrix, not a catalog.
COLUMNS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """One data row. `fault` says why it could not be read; `surplus` holds cells beyond the header's last."""

    number: int
    cells: Mapping[str, str]
    surplus: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of an export, and a way to read its rows from the start, as often as one likes.

    In a table `by_place` cells have no names of their own, so a row can slip.
    """

    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]
    by_place: bool = False


def shown_name(path: Path) -> str:
    """A file's name for a sentence: never empty, where the path is "." or "/", and always one line."""
    return printable(path.name or str(path))


def printable(text: str) -> str:
    """One line, whatever the text holds: a file's name may have a line break in it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def unique_names(names: list[str]) -> tuple[str, ...]:
    """Column names by which cells can be told apart: empty ones are numbered, repeated ones counted."""
    seen: dict[str, int] = {}
    unique = []
    for position, raw in enumerate(names, start=1):
        name = raw.strip("\ufeff\u200b\u00a0 \t\r\n\"'") or f"#{position}"
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}#{position}")
    return tuple(unique)


def _one_byte(error: UnicodeError) -> tuple[str, int]:
    """A byte that is no UTF-8 is taken for Windows-1252: half of a file may have gone through a spreadsheet."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


ODD_BYTES = "windows-1252-where-not-utf-8"
codecs.register_error(ODD_BYTES, _one_byte)
