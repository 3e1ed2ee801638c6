"""A file of ratings into the store. A row that can't be used is counted by reason, never dropped in silence."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from node.errors import UserError
from node.session import find_item
from node.store import Rating, Store

RATING_MIN, RATING_MAX = -1.0, 10.0
USER_BYTES_MAX = 128
# Ratings per transaction when a file is read.
BATCH_RATINGS = 10_000
# Timestamps above this are milliseconds: as seconds they would lie after the year 5000.
SECONDS_MAX = 100_000_000_000


@dataclass(slots=True)
class RatingsReport:
    """What became of every row. rows == stored + sum(rejected)."""

    rows: int = 0
    stored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


def import_ratings(store: Store, path: Path, now_ms: int) -> RatingsReport:
    """Store the file's ratings; rows without a timestamp count as given at `now_ms`. Raises: UserError."""
    report = RatingsReport()
    parser = RatingParser(store, now_ms)
    batch: list[Rating] = []
    for row in _rating_rows(path):
        report.rows += 1
        rating = parser.parse(row)
        if isinstance(rating, str):
            report.rejected[rating] += 1
            continue
        batch.append(rating)
        report.stored += 1
        if len(batch) == BATCH_RATINGS:
            store.write_ratings(batch)
            batch.clear()
    store.write_ratings(batch)
    return report


class RatingParser:
    """Rows to ratings, or the reason why not."""

    def __init__(self, store: Store, now_ms: int) -> None:
        self._store = store
        self._now_ms = now_ms
        self._publishers = {c.catalog: c.publisher for c in store.catalogs()}
        # An item has many ratings: looked up once. (publisher, item), or the reason why it can't be told.
        self._places: dict[str, tuple[str, str] | str] = {}

    def parse(self, row: dict[str, str]) -> Rating | str:
        place = self._place(row["item"].strip())
        if isinstance(place, str):
            return place
        user, value = find_user(row["user"]), find_value(row["rating"])
        at_ms = self._now_ms if not row.get("timestamp", "").strip() else find_time_ms(row["timestamp"])
        if user is None:
            return "bad user"
        if value is None:
            return "bad rating"
        if at_ms is None:
            return "bad timestamp"
        return Rating(user, *place, value, at_ms)

    def _place(self, item: str) -> tuple[str, str] | str:
        if item not in self._places:
            found = find_item(self._store, item)
            if len(found) == 1:
                self._places[item] = (self._publishers[found[0].catalog], found[0].item.item)
            else:
                self._places[item] = "several shops have this item" if found else "unknown item"
        return self._places[item]


def find_user(text: str) -> str | None:
    """A user's name, tidied; None if it can't be one."""
    user = text.strip()
    return user if user and user.isprintable() and len(user.encode()) <= USER_BYTES_MAX else None


def find_value(text: str) -> float | None:
    """A rating on the scale; None for anything else, NaN included."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if RATING_MIN <= value <= RATING_MAX else None


def find_time_ms(text: str) -> int | None:
    """Seconds or milliseconds since 1970, or ISO 8601, as milliseconds."""
    try:
        number = float(text)
    except ValueError:
        try:
            return int(datetime.fromisoformat(text.strip()).timestamp() * 1000)
        except (ValueError, OverflowError, OSError):
            return None
    if not 0 <= number < SECONDS_MAX * 1000:
        return None
    return int(number if number >= SECONDS_MAX else number * 1000)


def _rating_rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a ratings CSV. Raises: UserError when it is not one."""
    wanted = "a ratings file is CSV with the columns user,item,rating[,timestamp]"
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header = stream.readline()
            stream.seek(0)
            reader = csv.DictReader(stream, delimiter=max(",;\t", key=header.count))
            columns = [column.strip().lower() for column in reader.fieldnames or []]
            if not {"user", "item", "rating"} <= set(columns):
                raise UserError(f"{path} has the columns {', '.join(columns) or 'none'}; {wanted}")
            reader.fieldnames = columns
            for row in reader:
                yield {column: value or "" for column, value in row.items() if isinstance(column, str)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"can't read {path}: {getattr(error, 'strerror', None) or error}; {wanted}") from error
