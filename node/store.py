"""What a node knows, in its database: catalogs, their items and vectors, and its own users' ratings.

The store keeps bytes exactly as published and parses them on the way out. It decides nothing: what is new, what is
unchanged and what is recommended is decided by its callers. All queries have an order, so runs repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from node.database import Database
from node.errors import UserError
from protocol.limits import RemoteError
from protocol.records import Item, item_key, parse_item, record_hash


@dataclass(frozen=True, slots=True)
class Catalog:
    """A publisher's catalog as known here."""

    catalog: int
    publisher: str
    platform: str
    fingerprint: str
    own: bool
    items: int


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item with its place: `slot` is the row of the vector matrix."""

    slot: int
    catalog: int
    item: Item


#: Items that were read before, by slot: catalog, record hash, item.
ReadItems: TypeAlias = dict[int, tuple[int, bytes, StoredItem]]
NOTHING = (0, b"", None)
# A publisher that forked its catalog is in quarantine.
SHOWN = "(c.own OR c.publisher NOT IN (SELECT publisher FROM fork))"
# Fewer than SQLite lets a statement have.
SLOTS_A_QUERY = 500


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of one own item, for comparison with what an export says now."""

    slot: int
    packed: bytes
    source: bytes
    vector: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """One item to store: its packed bytes, its packed vector and what the vector was made from."""

    item: str
    packed: bytes
    vector: bytes
    source: bytes


@dataclass(frozen=True, slots=True)
class Rating:
    """One user's opinion of one item, -1..10. Stays on this node."""

    user: str
    publisher: str
    item: str
    value: float
    at_ms: int


class Store:
    """Typed reads and writes over one Database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def database(self) -> Database:
        """What it reads and writes."""
        return self._database

    def close(self) -> None:
        self._database.close()

    # -- catalogs ------------------------------------------------------------------------------------------------

    def catalogs(self) -> list[Catalog]:
        """Own catalog first, then by publisher."""
        rows = self._database.rows(
            "SELECT catalog, publisher, platform, fingerprint, own, items FROM catalog ORDER BY own DESC, publisher"
        )
        return [
            Catalog(*row[:4], bool(row[4]), row[5]) for row in cast(list[tuple[int, str, str, str, int, int]], rows)
        ]

    def own_catalog(self, publisher: str, platform: str, fingerprint: str) -> int:
        """The number of this node's own catalog, made on first use."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO catalog (publisher, platform, fingerprint, own) VALUES (?, ?, ?, 1)"
                " ON CONFLICT (publisher) DO UPDATE SET platform = excluded.platform",
                (publisher, platform, fingerprint),
            )
            return int(
                connection.execute("SELECT catalog FROM catalog WHERE publisher = ?", (publisher,)).fetchone()[0]
            )

    def find_known(self, catalog: int, item: str) -> Known | None:
        """The stored state of one own item, if any."""
        rows = self._database.rows(
            "SELECT e.slot, i.packed, s.digest, v.packed"
            " FROM entry e JOIN item i USING (slot) JOIN source s USING (slot) JOIN vector v USING (slot)"
            " WHERE catalog = ? AND key = ?",
            catalog,
            item_key(item),
        )
        return Known(*cast(tuple[int, bytes, bytes, bytes], rows[0])) if rows else None

    def write_items(self, catalog: int, writes: Iterable[Write]) -> None:
        """Insert or replace items, all in one transaction. A replaced item keeps its slot."""
        fresh = 0
        with self._database.transaction() as connection:
            for write in writes:
                key, record = item_key(write.item), record_hash(write.packed, write.vector)
                row = connection.execute(
                    "SELECT slot FROM entry WHERE catalog = ? AND key = ?", (catalog, key)
                ).fetchone()
                if row is None:
                    cursor = connection.execute("INSERT INTO item (packed) VALUES (?)", (write.packed,))
                    slot = cursor.lastrowid
                    fresh += 1
                    connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (catalog, key, record, slot))
                else:
                    slot = row[0]
                    connection.execute("UPDATE item SET packed = ? WHERE slot = ?", (write.packed, slot))
                    connection.execute(
                        "UPDATE entry SET record = ? WHERE catalog = ? AND key = ?", (record, catalog, key)
                    )
                connection.execute("INSERT OR IGNORE INTO edit VALUES (?, ?)", (catalog, key))
                connection.execute("INSERT OR REPLACE INTO vector VALUES (?, ?)", (slot, write.vector))
                connection.execute("INSERT OR REPLACE INTO source VALUES (?, ?)", (slot, write.source))
            connection.execute("UPDATE catalog SET items = items + ? WHERE catalog = ?", (fresh, catalog))

    def remove_items(self, catalog: int, items: Sequence[str]) -> None:
        """Remove items of one catalog, all in one transaction. Ratings stay."""
        with self._database.transaction() as connection:
            for item in items:
                key = item_key(item)
                row = connection.execute(
                    "SELECT slot FROM entry WHERE catalog = ? AND key = ?", (catalog, key)
                ).fetchone()
                if row is None:
                    continue
                connection.execute("DELETE FROM entry WHERE catalog = ? AND key = ?", (catalog, key))
                connection.execute("INSERT OR IGNORE INTO edit VALUES (?, ?)", (catalog, key))
                for table in ("item", "vector", "source"):
                    connection.execute(f"DELETE FROM {table} WHERE slot = ?", (row[0],))
                connection.execute("UPDATE catalog SET items = items - 1 WHERE catalog = ?", (catalog,))

    # -- items ---------------------------------------------------------------------------------------------------

    def find_items(self, item: str) -> list[StoredItem]:
        """Every catalog's item of that id: none, one, or several when two shops chose the same id."""
        rows = self._database.rows(
            "SELECT slot, catalog, packed FROM entry JOIN item USING (slot) WHERE key = ? ORDER BY catalog",
            item_key(item),
        )
        return [_stored(row) for row in rows]

    def items(self, fingerprint: str | None = None, publisher: str | None = None) -> list[StoredItem]:
        """Items in slot order; only those whose catalog has this fingerprint or publisher, where given.

        A publisher that forked its catalog is in quarantine: its items are not among them.
        """
        rows = self._database.rows(
            "SELECT slot, e.catalog, packed FROM entry e JOIN item USING (slot) JOIN catalog c ON c.catalog = e.catalog"
            " WHERE (?1 IS NULL OR c.fingerprint = ?1) AND (?2 IS NULL OR c.publisher = ?2)"
            f" AND {SHOWN} ORDER BY slot",
            fingerprint,
            publisher,
        )
        return [_stored(row) for row in rows]

    def items_again(self, fingerprint: str, known: ReadItems) -> tuple[list[StoredItem], list[int]]:
        """`items` of that fingerprint, reading only what is not `known` as it is now; `known` then is what there is.

        Also gives the slots that were read.
        """
        rows = self._database.rows(
            "SELECT slot, e.catalog, record FROM entry e JOIN catalog c ON c.catalog = e.catalog"
            f" WHERE c.fingerprint = ? AND {SHOWN} ORDER BY slot",
            fingerprint,
        )
        places = cast(list[tuple[int, int, bytes]], rows)
        changed = [slot for slot, catalog, record in places if known.get(slot, NOTHING)[:2] != (catalog, record)]
        if 2 * len(changed) > len(places):
            fresh = {one.slot: one for one in self.items(fingerprint)}
        else:
            parts = [changed[at : at + SLOTS_A_QUERY] for at in range(0, len(changed), SLOTS_A_QUERY)]
            fresh = {one.slot: one for slots in parts for one in self._at(slots)}
        if any(slot not in fresh for slot in changed):
            raise UserError("a stored item is gone from its table; import the catalog again to mend it")
        found = {
            slot: (catalog, record, fresh[slot] if slot in fresh else known[slot][2])
            for slot, catalog, record in places
        }
        known.clear()
        known.update(found)
        return [one for _, _, one in found.values()], changed

    def _at(self, slots: Sequence[int]) -> list[StoredItem]:
        places = ",".join("?" * len(slots))
        rows = self._database.rows(
            f"SELECT slot, catalog, packed FROM entry JOIN item USING (slot) WHERE slot IN ({places})", *slots
        )
        return [_stored(row) for row in rows]

    def vectors(self, fingerprint: str) -> list[bytes]:
        """Packed vectors of all items of that fingerprint, in slot order: the rows of `items(fingerprint)`."""
        rows = self._database.rows(
            "SELECT v.packed FROM entry e JOIN vector v USING (slot) JOIN catalog c ON c.catalog = e.catalog"
            f" WHERE c.fingerprint = ? AND {SHOWN} ORDER BY slot",
            fingerprint,
        )
        return [cast(bytes, packed) for (packed,) in rows]

    def vectors_at(self, slots: Sequence[int]) -> list[bytes]:
        """Packed vectors at these slots, in slot order."""
        packed: list[bytes] = []
        for at in range(0, len(slots), SLOTS_A_QUERY):
            some = slots[at : at + SLOTS_A_QUERY]
            places = ",".join("?" * len(some))
            rows = self._database.rows(f"SELECT packed FROM vector WHERE slot IN ({places}) ORDER BY slot", *some)
            packed += [cast(bytes, one) for (one,) in rows]
        return packed

    def find_vector(self, slot: int) -> bytes | None:
        rows = self._database.rows("SELECT packed FROM vector WHERE slot = ?", slot)
        return cast(bytes, rows[0][0]) if rows else None

    # -- ratings -------------------------------------------------------------------------------------------------

    def write_ratings(self, ratings: Iterable[Rating]) -> None:
        """Add ratings in one transaction; a later opinion of the same item replaces the earlier."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT INTO rating VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value,"
                " at_ms = excluded.at_ms WHERE excluded.at_ms >= at_ms",
                [(r.user, r.publisher, r.item, r.value, r.at_ms) for r in ratings],
            )

    def ratings(self, user: str | None = None) -> list[Rating]:
        """All ratings, or one user's, in a fixed order."""
        rows = self._database.rows(
            "SELECT user, publisher, item, value, at_ms FROM rating WHERE ?1 IS NULL OR user = ?1"
            " ORDER BY user, publisher, item",
            user,
        )
        return [Rating(*cast(tuple[str, str, str, float, int], row)) for row in rows]

    def remove_rating(self, user: str, publisher: str, item: str) -> bool:
        """Take an opinion back; whether there was one."""
        with self._database.transaction() as connection:
            done = connection.execute(
                "DELETE FROM rating WHERE user = ? AND publisher = ? AND item = ?", (user, publisher, item)
            )
        return done.rowcount > 0

    def users(self, prefix: str, most: int) -> list[tuple[str, int]]:
        """Up to `most` users whose name begins so, with how much each has rated; those with a card only, too."""
        rows = self._database.rows(
            "SELECT user, sum(n) FROM ("
            " SELECT * FROM (SELECT user, count(*) AS n FROM rating WHERE user >= ?1 AND substr(user, 1, ?2) = ?1"
            " GROUP BY user ORDER BY user LIMIT ?3) UNION ALL"
            " SELECT * FROM (SELECT user, 0 FROM card WHERE user >= ?1 AND substr(user, 1, ?2) = ?1"
            " ORDER BY user LIMIT ?3)) GROUP BY user ORDER BY user LIMIT ?3",
            prefix,
            len(prefix),
            most,
        )
        return cast(list[tuple[str, int]], rows)

    # -- visitors ------------------------------------------------------------------------------------------------

    def write_card(self, user: str, sealed: bytes) -> None:
        """The taste card that a visitor brought; a newer one replaces it."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO card VALUES (?, ?)", (user, sealed))

    def find_card(self, user: str) -> bytes | None:
        rows = self._database.rows("SELECT sealed FROM card WHERE user = ?", user)
        return cast(bytes, rows[0][0]) if rows else None


def _stored(row: tuple[object, ...]) -> StoredItem:
    slot, catalog, packed = cast(tuple[int, int, bytes], row)
    try:
        return StoredItem(slot, catalog, parse_item(packed))
    except RemoteError as error:
        raise UserError(f"a stored item is damaged ({error}); import the catalog again to mend it") from error
