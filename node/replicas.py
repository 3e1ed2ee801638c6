"""Catalogs as the network sees them, in the database: entries in key order, records as published, heads and proofs.

`node/store.py` is the same tables as people see them. Everything here is bytes; what may be believed was decided
before it came here. A bucket is written whole or not at all, within the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import cast

from node.database import Database, insert_rows
from protocol.merkle import ENTRY_BYTES, KEY_BYTES
from protocol.records import Stored, vector_hash
from protocol.sync import Filled

# Above this many keys of one bucket, reading the whole bucket in key order beats one look-up a key.
LOOKUPS_MAX = 4


@dataclass(frozen=True, slots=True)
class HeldCatalog:
    """One publisher's row: `head` is the sealed head of what is here whole, `target` of what is on its way."""

    catalog: int
    publisher: str
    own: bool
    head: bytes | None
    target: bytes | None


class Replicas:
    """Typed reads and writes over one Database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- catalogs and heads --------------------------------------------------------------------------------------

    def held(self) -> list[HeldCatalog]:
        """Every catalog, own first."""
        rows = self._database.rows(
            "SELECT catalog, publisher, own, head, target FROM catalog ORDER BY own DESC, publisher"
        )
        return [
            HeldCatalog(catalog, publisher, bool(own), head, target)
            for catalog, publisher, own, head, target in cast(
                list[tuple[int, str, int, bytes | None, bytes | None]], rows
            )
        ]

    def add(self, publisher: str, platform: str, fingerprint: str, *, own: bool) -> int:
        """The number of a publisher's catalog, made on first use."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO catalog (publisher, platform, fingerprint, own) VALUES (?, ?, ?, ?)",
                (publisher, platform, fingerprint, own),
            )
        ((catalog,),) = self._database.rows("SELECT catalog FROM catalog WHERE publisher = ?", publisher)
        return cast(int, catalog)

    def aim(self, catalog: int, target: bytes, platform: str, fingerprint: str) -> None:
        """A newer version is on its way. Vectors of two encoders mix until it is whole: then none are comparable."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE catalog SET target = ?1, platform = ?2,"
                " fingerprint = CASE WHEN fingerprint = ?3 THEN ?3 ELSE '' END WHERE catalog = ?4",
                (target, platform, fingerprint, catalog),
            )

    def give_up(self, catalog: int) -> None:
        """The version that was on its way is not wanted any more."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE catalog SET target = NULL WHERE catalog = ?", (catalog,))

    def fingerprint(self, catalog: int) -> str:
        """The encoder of the vectors held; empty while those of two may be mixed."""
        ((fingerprint,),) = self._database.rows("SELECT fingerprint FROM catalog WHERE catalog = ?", catalog)
        return cast(str, fingerprint)

    def has_other_vectors(self, catalog: int, vector_bytes: int) -> bool:
        """Whether any vector of the catalog takes other than so many bytes."""
        rows = self._database.rows(
            "SELECT 1 FROM entry JOIN vector v USING (slot) WHERE catalog = ? AND length(v.packed) <> ? LIMIT 1",
            catalog,
            vector_bytes,
        )
        return bool(rows)

    def drop_empty(self, catalog: int) -> None:
        """Forget a catalog that nothing is stored of."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM catalog WHERE catalog = ? AND items = 0 AND NOT own", (catalog,))

    def complete(self, catalog: int, head: bytes, platform: str, fingerprint: str) -> None:
        """The version of this head is here whole."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE catalog SET head = ?, target = NULL, platform = ?, fingerprint = ? WHERE catalog = ?",
                (head, platform, fingerprint, catalog),
            )

    def forks(self) -> list[tuple[bytes, bytes]]:
        """Every proof, by publisher."""
        return cast(list[tuple[bytes, bytes]], self._database.rows("SELECT one, other FROM fork ORDER BY publisher"))

    def add_fork(self, publisher: str, one: bytes, other: bytes) -> None:
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO fork VALUES (?, ?, ?)", (publisher, one, other))

    # -- entries and records -------------------------------------------------------------------------------------

    def recount(self, catalog: int) -> int:
        """How many entries there are, by counting; what is kept of it is mended where it is wrong."""
        ((counted,),) = self._database.rows("SELECT count(*) FROM entry WHERE catalog = ?", catalog)
        if counted != self.count(catalog):
            with self._database.transaction() as connection:
                connection.execute("UPDATE catalog SET items = ? WHERE catalog = ?", (counted, catalog))
        return cast(int, counted)

    def count(self, catalog: int) -> int:
        """How many entries there are, as kept."""
        ((count,),) = self._database.rows("SELECT items FROM catalog WHERE catalog = ?", catalog)
        return cast(int, count)

    def entries(self, catalog: int) -> bytes:
        """All entries (key, record hash) in key order, ENTRY_BYTES each."""
        rows = self._database.rows("SELECT key, record FROM entry WHERE catalog = ? ORDER BY key", catalog)
        return b"".join(chain.from_iterable(cast(list[tuple[bytes, bytes]], rows)))

    def bucket(self, catalog: int, depth: int, bucket: int) -> bytes:
        """The entries of one bucket of a tree of this depth, in key order."""
        rows = self._database.rows(
            "SELECT key, record FROM entry WHERE catalog = ? AND key >= ? AND key < ? ORDER BY key",
            catalog,
            *key_range(depth, bucket),
        )
        return b"".join(chain.from_iterable(cast(list[tuple[bytes, bytes]], rows)))

    def records(self, catalog: int, keys: Sequence[bytes]) -> list[Stored | None]:
        """What is stored of each key, in the order asked; cheap when the keys are of one bucket and in order."""
        if len(keys) <= LOOKUPS_MAX:
            rows = [row for key in keys for row in self._records(catalog, key, key)]
        else:
            rows = self._records(catalog, min(keys), max(keys))
        found = {key: Stored(packed, vector) for key, packed, vector in rows}
        return [found.get(key) for key in keys]

    def _records(self, catalog: int, first: bytes, last: bytes) -> list[tuple[bytes, bytes, bytes]]:
        rows = self._database.rows(
            "SELECT e.key, i.packed, v.packed FROM entry e JOIN item i USING (slot) JOIN vector v USING (slot)"
            " WHERE catalog = ? AND key BETWEEN ? AND ? ORDER BY key",
            catalog,
            first,
            last,
        )
        return cast(list[tuple[bytes, bytes, bytes]], rows)

    def record_hash(self, catalog: int, key: bytes) -> bytes | None:
        rows = self._database.rows("SELECT record FROM entry WHERE catalog = ? AND key = ?", catalog, key)
        return cast(bytes, rows[0][0]) if rows else None

    def vector_hash(self, catalog: int, key: bytes) -> bytes | None:
        """Hash of the vector held for that key now."""
        rows = self._database.rows(
            "SELECT v.packed FROM entry e JOIN vector v USING (slot) WHERE catalog = ? AND key = ?", catalog, key
        )
        return vector_hash(cast(bytes, rows[0][0])) if rows else None

    def fill(self, catalog: int, depth: int, filled: Sequence[Filled]) -> None:
        """Bring buckets to the state that was proven. A record that stays keeps its slot."""
        with self._database.transaction() as connection:
            ((last,),) = connection.execute("SELECT max(slot) FROM item")
            fresh = count((last or 0) + 1)
            entries: list[tuple[int, bytes, bytes, int]] = []
            items: list[tuple[int, bytes]] = []
            vectors: list[tuple[int, bytes]] = []
            for one in filled:
                # A bucket that only grew held none of its records before.
                only_grew = one.growth == len(one.records)
                held = {} if only_grew else self._slots(catalog, depth, one.bucket)
                if one.gone:
                    self._delete(catalog, [(key, held[key]) for key in one.gone])
                for record in one.records:
                    slot = held.get(record.key) or next(fresh)
                    entries.append((catalog, record.key, record.record_hash, slot))
                    items.append((slot, record.packed))
                    if record.vector is not None:
                        vectors.append((slot, record.vector))
            insert_rows(
                connection,
                "INSERT INTO entry VALUES",
                entries,
                " ON CONFLICT (catalog, key) DO UPDATE SET record = excluded.record",
            )
            insert_rows(connection, "INSERT OR REPLACE INTO item VALUES", items)
            insert_rows(connection, "INSERT OR REPLACE INTO vector VALUES", vectors)
            growth = sum(one.growth for one in filled)
            connection.execute("UPDATE catalog SET items = items + ? WHERE catalog = ?", (growth, catalog))

    def _slots(self, catalog: int, depth: int, bucket: int) -> dict[bytes, int]:
        rows = self._database.rows(
            "SELECT key, slot FROM entry WHERE catalog = ? AND key >= ? AND key < ?",
            catalog,
            *key_range(depth, bucket),
        )
        return dict(cast(list[tuple[bytes, int]], rows))

    def _delete(self, catalog: int, places: Iterable[tuple[bytes, int]]) -> None:
        with self._database.transaction() as connection:
            for key, slot in places:
                connection.execute("DELETE FROM entry WHERE catalog = ? AND key = ?", (catalog, key))
                connection.execute("DELETE FROM item WHERE slot = ?", (slot,))
                connection.execute("DELETE FROM vector WHERE slot = ?", (slot,))

    # -- own edits -----------------------------------------------------------------------------------------------

    def edits(self, catalog: int) -> list[bytes]:
        """Own keys written since the last `forget_edits`, in key order."""
        rows = self._database.rows("SELECT key FROM edit WHERE catalog = ? ORDER BY key", catalog)
        return [cast(bytes, key) for (key,) in rows]

    def forget_edits(self, catalog: int) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM edit WHERE catalog = ?", (catalog,))

    # -- peers and queries ---------------------------------------------------------------------------------------

    def addresses(self) -> list[tuple[str, str]]:
        """(address, peer) that connected once, latest first."""
        return cast(
            list[tuple[str, str]],
            self._database.rows("SELECT address, peer FROM address ORDER BY at_ms DESC, address"),
        )

    def add_address(self, address: str, peer: str, now_ms: int, keep: int) -> None:
        """Remember an address; only the latest `keep` stay."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO address VALUES (?, ?, ?)", (address, peer, now_ms))
            connection.execute(
                "DELETE FROM address WHERE address NOT IN"
                " (SELECT address FROM address ORDER BY at_ms DESC, address LIMIT ?)",
                (keep,),
            )

    def bans(self) -> list[tuple[str, int, int]]:
        """(peer, until_ms, how many times)."""
        return cast(
            list[tuple[str, int, int]], self._database.rows("SELECT peer, until_ms, times FROM ban ORDER BY peer")
        )

    def write_ban(self, peer: str, until_ms: int, times: int, keep: int) -> None:
        """Remember a ban; the `keep` that last longest stay."""
        with self._database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO ban VALUES (?, ?, ?)", (peer, until_ms, times))
            connection.execute(
                "DELETE FROM ban WHERE peer NOT IN (SELECT peer FROM ban ORDER BY until_ms DESC, peer LIMIT ?)", (keep,)
            )

    def asked(self, now_ms: int) -> list[tuple[bytes, int]]:
        """Queries that could still be replayed; older ones are forgotten."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM asked WHERE until_ms < ?", (now_ms,))
        return cast(
            list[tuple[bytes, int]], self._database.rows("SELECT query, until_ms FROM asked ORDER BY until_ms, query")
        )

    def forget_asked(self, now_ms: int) -> bool:
        """Queries that can't be replayed any more; whether others are left."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM asked WHERE until_ms < ?", (now_ms,))
        return bool(self._database.rows("SELECT 1 FROM asked LIMIT 1"))

    def add_asked(self, query: bytes, until_ms: int) -> None:
        with self._database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO asked VALUES (?, ?)", (query, until_ms))


def key_range(depth: int, bucket: int) -> tuple[bytes, bytes]:
    """First key of a bucket, and a bound above its last."""
    first, after = bucket << (32 - depth), (bucket + 1) << (32 - depth)
    return first.to_bytes(4, "big"), after.to_bytes(4, "big") if after < 1 << 32 else b"\xff" * (KEY_BYTES + 1)


def entries_by_bucket(entries: bytes, depth: int) -> list[bytes]:
    """All entries of a catalog, split at the borders of the buckets of a tree of this depth."""
    buckets: list[list[bytes]] = [[] for _ in range(1 << depth)]
    for at in range(0, len(entries), ENTRY_BYTES):
        buckets[int.from_bytes(entries[at : at + 4], "big") >> (32 - depth)].append(entries[at : at + ENTRY_BYTES])
    return [b"".join(bucket) for bucket in buckets]
