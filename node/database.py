"""The one door to sqlite3: opening, ordered migrations, and transactions with visible borders.

WAL with `synchronous=FULL`: a transaction that returned survives kill -9 (a test kills) and, by SQLite's word, power
loss. 16 KiB pages suit 1 KiB vectors: none needs an overflow page. One writer at a time; a second process waits
BUSY_MS for its turn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.errors import UserError

BUSY_MS = 30_000
PAGE_BYTES = 16_384
APPLICATION_ID = 0x70327072  # "p2pr": another program's SQLite file is refused instead of migrated

# Every migration is a tuple of statements, applied in one transaction; the list is only ever appended to.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # One row for each publisher whose items are known. `own` is this node's.
        """CREATE TABLE catalog (
            catalog INTEGER PRIMARY KEY,
            publisher TEXT NOT NULL UNIQUE,
            platform TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            own INTEGER NOT NULL)""",
        # Narrow and in key order: what tree and difference scans will touch. key = records.item_key.
        """CREATE TABLE entry (
            catalog INTEGER NOT NULL REFERENCES catalog,
            key BLOB NOT NULL,
            record BLOB NOT NULL,
            slot INTEGER NOT NULL UNIQUE,
            PRIMARY KEY (catalog, key)) WITHOUT ROWID""",
        # slot = row of the vector matrix. Item bytes exactly as published.
        "CREATE TABLE item (slot INTEGER PRIMARY KEY, packed BLOB NOT NULL)",
        "CREATE TABLE vector (slot INTEGER PRIMARY KEY, packed BLOB NOT NULL)",
        # Own items only: hash of what the encoder read, so that unchanged items are not encoded again.
        "CREATE TABLE source (slot INTEGER PRIMARY KEY, digest BLOB NOT NULL)",
        # Ratings name the item, not its slot: they outlive a removed item. Never leaves this node.
        """CREATE TABLE rating (
            user TEXT NOT NULL,
            publisher TEXT NOT NULL,
            item TEXT NOT NULL,
            value REAL NOT NULL,
            at_ms INTEGER NOT NULL,
            PRIMARY KEY (user, publisher, item)) WITHOUT ROWID""",
    ),
)


class Database:
    """One open database file. Not shared between threads."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises: UserError when the file is not ours, is too new, or can't be opened."""
        self.path = path
        with self._named_errors():
            self._connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None)
            self._connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            self._migrate()

    def close(self) -> None:
        self._connection.close()

    def rows(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        """All rows of a query."""
        with self._named_errors():
            return self._connection.execute(query, arguments).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's writes or none; they are on the disk when the block is left."""
        with self._named_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A full disk makes SQLite roll back by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _migrate(self) -> None:
        (owner,) = self._connection.execute("PRAGMA application_id").fetchone()
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if owner != APPLICATION_ID and tables:
            raise UserError(f"{self.path} is a database of another program")
        if version > len(MIGRATIONS):
            raise UserError(f"{self.path} was written by a newer p2prec; upgrade to open it")
        for number in range(version, len(MIGRATIONS)):
            with self.transaction() as connection:
                # Read again under the lock: two processes may open a new file at once.
                if connection.execute("PRAGMA user_version").fetchone()[0] > number:
                    continue
                for statement in MIGRATIONS[number]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={number + 1}")

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """The disk's faults in words that tell the owner what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            hint = {
                "database or disk is full": "the disk is full; free some space and run the command again",
                "database is locked": "another process holds it; try again when that has finished",
                "attempt to write a readonly database": "it can't be written; check its permissions",
                "unable to open database file": "it can't be opened; check that the folder exists and is writable",
            }.get(str(error))
            if hint is None:
                raise
            raise UserError(f"{self.path}: {hint}") from error
        except sqlite3.DatabaseError as error:
            if "not a database" not in str(error) and "malformed" not in str(error):
                raise
            raise UserError(
                f"{self.path} is damaged; restore it from a backup, or remove it and import again"
            ) from error
