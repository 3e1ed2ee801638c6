"""The way into a file: what kind it is by its first bytes, and the table in it.

The name of a file is never believed. Files that are no table at all (pictures, archives, arrays, models) are
refused with one sentence that says what they are.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from node.delimited import open_delimited
from node.documents import open_folder, open_json, open_parquet
from node.errors import UserError
from node.rows import Table, printable, shown_name

_SAMPLE_BYTES = 64 << 10
_FOREIGN = (
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"RIFF", "a picture or a sound"),
    (b"BM", "a picture"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "an archive, a spreadsheet or a model file: unpack it, or save the sheet as CSV"),
    (b"PK\x05\x06", "an empty archive"),
    (b"\x1f\x8b", "compressed: unpack it first"),
    (b"BZh", "compressed: unpack it first"),
    (b"\xfd7zXZ", "compressed: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed: unpack it first"),
    (b"SQLite format 3", "a database: export its table as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet: save it as CSV"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x89HDF", "an HDF5 file"),
)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def open_table(path: Path) -> Table:
    """The table in a file or folder. Raises UserError with one sentence when there is none."""
    try:
        if path.is_dir():
            return open_folder(path)
        if path.exists() and not path.is_file():
            raise UserError(f"{shown_name(path)} is neither a file nor a folder: save the export as a file first.")
        with path.open("rb") as file:
            sample = file.read(_SAMPLE_BYTES)
        if sample.startswith(b"PAR1"):
            return open_parquet(path)
        encoding = _encoding(shown_name(path), sample)
        if _first_mark(sample, encoding) in ("{", "["):
            return open_json(path, encoding)
        return open_delimited(path, encoding)
    except FileNotFoundError:
        raise UserError(f"There is no file {printable(str(path))}: check the name.") from None
    except OSError as error:
        raise UserError(f"{shown_name(path)} cannot be read: {error.strerror or error}.") from None


def _encoding(name: str, sample: bytes) -> str:
    """How the text is written, or UserError when it is no text."""
    if not sample.strip():
        raise UserError(f"{name} is empty: export the catalog again.")
    for start, encoding in _BOMS:
        if sample.startswith(start):
            return encoding
    for start, what in _FOREIGN:
        if sample.startswith(start) and (start != b"BM" or _is_binary(sample)):
            raise UserError(f"{name} is {what}; a catalog is CSV, JSON, JSON Lines or Parquet.")
    if _is_binary(sample):
        raise UserError(f"{name} is not text; a catalog is CSV, JSON, JSON Lines or Parquet.")
    return "utf-8-sig"


def _is_binary(sample: bytes) -> bool:
    """Text has few control characters: a handful, or one in fifty letters."""
    controls = sum(sample.count(code) for code in range(32) if code not in (9, 10, 11, 12, 13))
    return controls > max(8, len(sample) // 50)


def _first_mark(sample: bytes, encoding: str) -> str:
    text = sample[:4096].decode(encoding, "ignore").strip("\ufeff \t\r\n")
    return text[:1]
