"""Anybody's ratings as they come in a text file: any separator, scale, ids and order of columns.

Every row becomes a rating or is counted under a reason; nothing is guessed silently. What was taken for what is in
`notes`, and `--map field=column` overrules it. docs/evaluation.md lists the names that columns are recognised by.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.interactions import RATING_MAX
from node.errors import UserError

FIELDS = ("user", "item", "rating", "timestamp", "platform")
#: Letters and digits of a column's name, in lower case -> field. Earlier names win.
NAMES: dict[str, tuple[str, ...]] = {
    "user": (
        "user", "userid", "username", "u", "uid", "users", "customer", "customerid", "client", "clientid", "visitor",
        "visitorid", "member", "memberid", "reviewer", "reviewerid", "account", "accountid", "person", "persona",
        "profile", "session", "sessionid", "who",
    ),
    "item": (
        "item", "itemid", "i", "iid", "items", "product", "productid", "parentasin", "asin", "sku", "movie", "movieid",
        "film", "filmid", "book", "bookid", "isbn", "track", "trackid", "song", "songid", "artist", "artistid",
        "article", "articleid", "joke", "jokeid", "anime", "animeid", "game", "gameid", "recipe", "recipeid",
        "business", "businessid", "beer", "beerid", "video", "videoid", "what", "id",
    ),
    "rating": (
        "rating", "ratings", "r", "score", "stars", "star", "value", "overall", "bookrating", "reviewscore", "grade",
        "preference", "pref", "mark", "points", "rate", "plays", "playcount", "count", "weight",
    ),
    "timestamp": (
        "timestamp", "time", "ts", "t", "at", "date", "datetime", "unixreviewtime", "reviewtime", "tdat", "createdat",
        "when", "day",
    ),
    "platform": ("platform", "shop", "publisher", "store", "market", "site", "source"),
}  # fmt: skip
MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "?"})
_SEPARATORS = ("::", "\t", ";", "|", ",")
_SAMPLE = 100
#: Letters. No row of a table comes near, and csv gives up on cells of 131,072.
LINE_MAX = 100_000
#: Unix times beyond are not seconds: 1e11 s is the year 5138, 1e11 ms is 1973; and as much again for micro and nano.
_SECONDS_MAX = 1e11
#: The year 1975: a third column without a name that never falls below is a time and no rating.
_TIME_MIN = 1.6e8


@dataclass(frozen=True, slots=True)
class RatingsFile:
    """The rows of a file that say something, in their order; a pair may still occur twice."""

    users: list[str]
    items: list[str]
    values: npt.NDArray[np.float32]
    at: npt.NDArray[np.int64] | None
    implicit: bool
    """There is no rating column; every value is 1."""
    rows: int
    rejected: dict[str, int]
    notes: list[str]


def read_ratings(path: Path, columns: Mapping[str, str] | None = None) -> RatingsFile:
    """Read a file of ratings; `columns` says field -> column name. Raises: UserError when it cannot be one."""
    lines = _lines_of(path)
    separator = _separator_of(lines, path)
    try:
        return _read(_cells(lines, separator, quoted=True), path, columns or {}, separator)
    except csv.Error:
        # A quote that is never closed, or is part of an id: would swallow the lines after it.
        return _read(_cells(lines, separator, quoted=False), path, columns or {}, separator)


def text_of(path: Path) -> str:
    """The file as text: UTF-8, UTF-16 with its mark, or else Windows-1252, in which every byte is a letter."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
    # Not splitlines, which also cuts at separators that an id may hold.
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _lines_of(path: Path) -> list[str]:
    lines = text_of(path).split("\n")
    longest = max(map(len, lines))
    if longest > LINE_MAX:
        raise UserError(f"{path} has a line of {longest} letters: it is no table of ratings or items")
    return lines


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """A table with a header: its names and its rows, all as long as the header. Raises: UserError when empty."""
    lines = _lines_of(path)
    separator = _separator_of(lines, path, one_column=True)
    try:
        rows = list(_cells(lines, separator, quoted=True))
    except csv.Error:
        rows = list(_cells(lines, separator, quoted=False))
    if len(rows) < 2:
        raise UserError(f"{path} has no rows below its header")
    width = len(rows[0])
    return rows[0], [(row + [""] * width)[:width] for row in rows[1:]]


def column_of(field: str, header: Sequence[str], columns: Mapping[str, str]) -> int | None:
    """Where a field stands in a header, by `columns` or by its known names. Raises: UserError for a name not there."""
    if field in columns:
        if columns[field] not in header:
            raise UserError(f"there is no column {columns[field]!r}; the columns are: {', '.join(header)}")
        return list(header).index(columns[field])
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header]
    return next((plain.index(name) for name in NAMES[field] if name in plain), None)


def _separator_of(lines: Sequence[str], path: Path, *, one_column: bool = False) -> str:
    """The separator that cuts (nearly) every line of a sample, and into equally many cells; the rarest first."""
    sample = [line for line in islice(lines, 10 * _SAMPLE) if line.strip()][:_SAMPLE]
    if not sample:
        raise UserError(f"{path} is empty")
    for equally in (True, False):
        for separator in _SEPARATORS:
            counts = _widths(sample, separator)
            if not counts:
                raise UserError(f"{path} is empty but for its separators")
            width, times = counts.most_common(1)[0]
            if equally and width > 1 and times >= 0.9 * sum(counts.values()):
                return separator
            if not equally and sum(n for cells, n in counts.items() if cells > 1) >= 0.9 * sum(counts.values()):
                return separator
    if one_column:
        return ","
    if all(len(line.split()) > 1 for line in sample):
        return " "
    raise UserError(f"{path} has one column; separate user and item by a comma, tab, semicolon, | or ::")


def _widths(sample: Sequence[str], separator: str) -> Counter[int]:
    try:
        return Counter(len(cells) for cells in _cells(sample, separator, quoted=True))
    except csv.Error:
        return Counter(len(cells) for cells in _cells(sample, separator, quoted=False))


def _cells(lines: Iterable[str], separator: str, *, quoted: bool) -> Iterator[list[str]]:
    """Rows that hold anything. Raises: csv.Error when `quoted` and the quotes do not pair up."""
    if separator == " ":
        yield from (line.split() for line in lines if line.strip())
        return
    # csv knows separators of one letter only.
    single = separator if len(separator) == 1 else "\x1f"
    # With their line ends, which a quoted cell that spans lines needs.
    whole = (f"{line.replace(separator, single)}\n" for line in lines)
    style: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    for row in csv.reader(whole, delimiter=single, quoting=style, strict=True):
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield cells if quoted else [_unquoted(cell) for cell in cells]


def _unquoted(cell: str) -> str:
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _read(rows: Iterator[list[str]], path: Path, columns: Mapping[str, str], separator: str) -> RatingsFile:
    sample = list(islice(rows, _SAMPLE))
    if not sample:
        raise UserError(f"{path} is empty")
    header = sample[0] if columns or _is_header(sample) else None
    body = sample[1:] if header else sample
    places, notes = _places(header, body, columns, path)
    comma = separator != ","
    users: list[str] = []
    items: list[str] = []
    values: list[float] = []
    times: list[float] = []
    rejected: Counter[str] = Counter()
    n = 0
    user, item, rating, when = (places.get(field) for field in FIELDS[:4])
    assert user is not None
    assert item is not None
    if header is None:
        _refuse_unknown_header(sample, (user, item), path)
        notes.append(f"there is no header: the first row is {', '.join(map(repr, sample[0]))}")
    needed = max(place for place in (user, item, rating) if place is not None)
    for row in _chain(body, rows):
        n += 1
        if len(row) <= needed:
            rejected["too few cells"] += 1
        elif row[user].lower() in MISSING or row[item].lower() in MISSING:
            rejected["no user or item"] += 1
        elif rating is not None and row[rating].lower() in MISSING:
            rejected["no rating"] += 1
        else:
            value = 1.0 if rating is None else _number(row[rating], comma=comma)
            if value is None:
                rejected["rating is not a number"] += 1
                continue
            if abs(value) > RATING_MAX:
                raise UserError(
                    f"{path}: the rating in row {n} is {value:g}, and none may be beyond {RATING_MAX:g} either way; "
                    "is it another column (--map rating=COLUMN)?"
                )
            users.append(row[user])
            items.append(row[item])
            values.append(value)
            if when is not None:
                times.append(_time(row[when]) if when < len(row) else np.nan)
    if not users:
        raise UserError(f"{path}: none of {n} rows is a rating ({_said(rejected)}); name the columns with --map")
    at = _times(np.array(times), notes) if when is not None else None
    return RatingsFile(
        users, items, np.array(values, np.float32), at, rating is None, n, dict(sorted(rejected.items())), notes
    )


def _chain(*parts: Iterable[list[str]]) -> Iterator[list[str]]:
    for part in parts:
        yield from part


def _said(rejected: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in rejected.items()) or "no rows"


def _is_header(sample: Sequence[Sequence[str]]) -> bool:
    """A first row is a header when it names a user or item column, or has a word above a column of numbers."""
    first, rest = sample[0], sample[1:]
    if any(column_of(field, first, {}) is not None and len(first) > 1 for field in ("user", "item")):
        # "u" or "i" may be somebody's id, but then a rating stands in the row.
        return all(_number(cell, comma=True) is None for cell in first)
    for place, cell in enumerate(first):
        below = [row[place] for row in rest if place < len(row) and row[place].lower() not in MISSING]
        numbers = sum(_number(one, comma=True) is not None or not np.isnan(_time(one)) for one in below)
        is_word = cell.lower() not in MISSING and _number(cell, comma=True) is None and np.isnan(_time(cell))
        if is_word and len(below) > 0 and numbers >= 0.8 * len(below) and place >= 2:
            return True
    return False


def _refuse_unknown_header(sample: Sequence[Sequence[str]], places: Sequence[int], path: Path) -> None:
    """Names of columns have hardly ever a digit, and ids hardly ever none."""
    for place in places:
        first = sample[0][place] if place < len(sample[0]) else ""
        below = [row[place] for row in sample[1:] if place < len(row) and row[place].lower() not in MISSING]
        is_word = first.lower() not in MISSING and not re.search(r"\d", first)
        if is_word and len(below) > 1 and all(re.search(r"\d", cell) for cell in below):
            raise UserError(
                f"{path}: is the first row, with {first!r} above {below[0]!r}, a header? then name the columns with "
                "--map user=COLUMN --map item=COLUMN; else put one above it, as user,item,rating"
            )


def _places(
    header: Sequence[str] | None, body: Sequence[Sequence[str]], columns: Mapping[str, str], path: Path
) -> tuple[dict[str, int], list[str]]:
    """Which column is which field, and what there is to say about it."""
    width = Counter(len(row) for row in (body or [header or []])).most_common(1)[0][0]
    if width < 2:
        raise UserError(f"{path} has {width} column; it needs at least user and item")
    places: dict[str, int] = {}
    if header is not None:
        found = {field: column_of(field, header, columns) for field in FIELDS[:4]}
        places = {field: place for field, place in found.items() if place is not None}
    guessed = not {"user", "item"} <= set(places)
    if guessed:
        _fill_by_order(places, header, body, width)
    if not {"user", "item"} <= set(places):
        raise UserError(f"{path}: which columns are user and item? name them with --map user=COLUMN --map item=COLUMN")
    taken = ", ".join(f"{field} = {header[place] if header else place + 1!r}" for field, place in places.items())
    notes = [f"columns{' by their order' if guessed else ''}: {taken}"]
    if "rating" not in places:
        notes.append("there is no rating column: every row is taken for a like (else --map rating=COLUMN)")
    return places, notes


def _fill_by_order(
    places: dict[str, int], header: Sequence[str] | None, body: Sequence[Sequence[str]], width: int
) -> None:
    """User, item, rating and time in the order of the columns that no name has given away."""
    # A column without a name before the others is the row number that some programs write.
    start = 1 if header and not header[0] and width > 2 else 0
    free = [place for place in range(start, width) if place not in places.values()]
    for field in ("user", "item"):
        if field not in places and free:
            places[field] = free.pop(0)
    if not free or "rating" in places:
        return
    third = [row[free[0]] for row in body if len(row) > free[0] and row[free[0]].lower() not in MISSING]
    numbers = [number for cell in third if (number := _number(cell, comma=True)) is not None]
    is_time = bool(numbers) and min(numbers) >= _TIME_MIN
    if third and (is_time or (not numbers and not np.isnan(_time(third[0])))):
        places.setdefault("timestamp", free[0])
    elif numbers:
        places["rating"] = free.pop(0)
        if free:
            places.setdefault("timestamp", free[0])


def _number(cell: str, *, comma: bool) -> float | None:
    try:
        value = float(cell.replace(",", ".") if comma else cell)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _time(cell: str) -> float:
    """Unix seconds, NaN when the cell is no time."""
    number = _number(cell, comma=False)
    if number is None:
        try:
            moment = datetime.fromisoformat(cell)
        except ValueError:
            return float("nan")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    while abs(number) > _SECONDS_MAX:
        number /= 1000
    return number


def _times(times: npt.NDArray[np.float64], notes: list[str]) -> npt.NDArray[np.int64] | None:
    unknown = int(np.isnan(times).sum())
    if unknown:
        notes.append(f"{unknown} of {len(times)} timestamps cannot be read, so times are not used")
        return None
    return times.astype(np.int64)
