"""The one door to sqlite3: opening, ordered migrations, and transactions with visible borders.

WAL with `synchronous=FULL` where a promise was made: a transaction that returned survives kill -9 (a test kills) and,
by SQLite's word, power loss. 16 KiB pages suit 1 KiB vectors: none needs an overflow page. One writer at a time; a
second process waits BUSY_MS for its turn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import NoReturn, TypeAlias

from node.errors import BusyError, UserError

BUSY_MS = 30_000
PAGE_BYTES = 16_384
# A database that lives in memory: thousands do in a simulation, and every table takes a page.
MEMORY, MEMORY_PAGE_BYTES = ":memory:", 1_024
MAPPED_BYTES_MAX = 1 << 30
Connection: TypeAlias = sqlite3.Connection
# Rows that are inserted by one statement.
ROWS_A_STATEMENT = 200
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
    (
        # Sealed heads: of the version that is here whole, and of the newer one that is on its way.
        "ALTER TABLE catalog ADD COLUMN head BLOB",
        "ALTER TABLE catalog ADD COLUMN target BLOB",
        # How many entries there are, kept by whoever writes them: counting a million takes longer than signing them.
        "ALTER TABLE catalog ADD COLUMN items INTEGER NOT NULL DEFAULT 0",
        "UPDATE catalog SET items = (SELECT count(*) FROM entry WHERE entry.catalog = catalog.catalog)",
        # Own keys written since the own head was signed: what the next version has to hash again.
        "CREATE TABLE edit (catalog INTEGER, key BLOB, PRIMARY KEY (catalog, key)) WITHOUT ROWID",
        # Two sealed heads of one version by one publisher. The proof stays; the publisher's items are not shown.
        "CREATE TABLE fork (publisher TEXT PRIMARY KEY, one BLOB NOT NULL, other BLOB NOT NULL) WITHOUT ROWID",
        # Queries answered, for as long as they could be replayed.
        "CREATE TABLE asked (query BLOB PRIMARY KEY, until_ms INTEGER NOT NULL) WITHOUT ROWID",
        # Addresses that connected once, so that a restart finds its peers again.
        "CREATE TABLE address (address TEXT PRIMARY KEY, peer TEXT NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE ban (peer TEXT PRIMARY KEY, until_ms INTEGER NOT NULL, times INTEGER NOT NULL) WITHOUT ROWID",
        # Taste cards that visitors brought, by the name that this shop gave each.
        "CREATE TABLE card (user TEXT PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID",
    ),
    (
        # What this node has learned, to go on from: float64 values, float32 moments; and its update as last signed.
        """CREATE TABLE learned (
            model TEXT PRIMARY KEY,
            features TEXT NOT NULL,
            state BLOB NOT NULL,
            moments BLOB NOT NULL,
            age INTEGER NOT NULL,
            at_ms INTEGER NOT NULL,
            sealed BLOB NOT NULL,
            report TEXT NOT NULL) WITHOUT ROWID""",
        # The newest update of each source; `fresh` until a period of learning has seen it.
        """CREATE TABLE block (
            model TEXT NOT NULL,
            source TEXT NOT NULL,
            sealed BLOB NOT NULL,
            made_ms INTEGER NOT NULL,
            at_ms INTEGER NOT NULL,
            fresh INTEGER NOT NULL,
            PRIMARY KEY (model, source))""",
        # What each source's updates did to this node's own users; `row`: refused so many times running.
        """CREATE TABLE ledger (
            model TEXT NOT NULL,
            source TEXT NOT NULL,
            accepted INTEGER NOT NULL,
            refused INTEGER NOT NULL,
            invalid INTEGER NOT NULL,
            row INTEGER NOT NULL,
            warm REAL NOT NULL,
            cold REAL NOT NULL,
            until_ms INTEGER NOT NULL,
            PRIMARY KEY (model, source)) WITHOUT ROWID""",
        # Private releases: each cost its noise multiplier of the budget, and is what others may have until the next.
        """CREATE TABLE release (
            model TEXT NOT NULL,
            at_ms INTEGER NOT NULL,
            noise_multiplier REAL NOT NULL,
            epsilon REAL NOT NULL,
            users INTEGER NOT NULL,
            released BLOB NOT NULL)""",
    ),
)


class DatabaseBusyError(BusyError):
    """Another process is writing. Nothing was begun, so the same can be tried again."""


class Database:
    """One open database file. Used by one thread at a time, not always the same one."""

    def __init__(self, path: Path, busy_ms: int = BUSY_MS) -> None:
        """Open or create. Raises: UserError when the file is not ours, is too new, or can't be opened."""
        self.path = path
        self._durable: bool | None = None
        self._alone = str(path) == MEMORY
        self._in_step = False
        try:
            self._open(busy_ms)
        except sqlite3.DatabaseError as error:
            self._fail(error)

    def _open(self, busy_ms: int) -> None:
        self._connection = sqlite3.connect(
            self.path, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False
        )
        self._connection.execute(f"PRAGMA page_size={MEMORY_PAGE_BYTES if self._alone else PAGE_BYTES}")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        # Pages come from the system's cache without a copy: serving a catalog reads a third faster.
        self._connection.execute(f"PRAGMA mmap_size={MAPPED_BYTES_MAX}")
        self._migrate()

    @property
    def changes(self) -> int:
        """How many rows were written through this connection."""
        return self._connection.total_changes

    @property
    def version(self) -> tuple[int, int]:
        """Another pair of numbers whenever anybody wrote anything."""
        return self.changes, self._connection.execute("PRAGMA data_version").fetchone()[0]

    def close(self) -> None:
        self._connection.close()

    def rows(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        """All rows of a query."""
        try:
            return self._connection.execute(query, arguments).fetchall()
        except sqlite3.DatabaseError as error:
            self._fail(error)

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Connection]:
        """All of the block's writes or none; they survive kill -9 once the (outermost) block is left.

        `durable` ones are on the disk by then; others may be undone by a power cut, as a whole and the latest first.
        """
        if self._connection.in_transaction:
            yield self._connection
            return
        try:
            self._begin(durable)
            if self._in_step:
                yield self._connection
                return
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        except sqlite3.DatabaseError as error:
            self._fail(error)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within, everything read is of one moment, whatever others write meanwhile."""
        if self._connection.in_transaction:
            yield
            return
        try:
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._roll_back()
        except sqlite3.DatabaseError as error:
            self._fail(error)

    @contextmanager
    def step(self, *, durable: bool) -> Iterator[None]:
        """A `transaction` that nobody knows to write: in memory, where there is nobody to keep out, it begins with the
        first write. Most steps of a simulation write nothing."""
        if not self._alone:
            with self.transaction(durable=durable):
                yield
            return
        self._in_step = True
        try:
            yield
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._in_step = False

    def _begin(self, durable: bool) -> None:
        if durable is not self._durable:
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            hint = "another process holds it; try again when that has finished"
            raise DatabaseBusyError(f"{self.path}: {hint}") from error

    def _roll_back(self) -> None:
        # A full disk makes SQLite roll back by itself.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

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

    def _fail(self, error: sqlite3.DatabaseError) -> NoReturn:
        """Raises the disk's fault in words that tell the owner what to do; any other as it is."""
        said = str(error)
        if not isinstance(error, sqlite3.OperationalError):
            if "not a database" not in said and "malformed" not in said:
                raise error
            hint = "is damaged; restore it from a backup, or remove it and import again"
            raise UserError(f"{self.path} {hint}") from error
        hints = {
            "database or disk is full": "the disk is full; free some space and run the command again",
            "database is locked": "another process holds it; try again when that has finished",
            "disk I/O error": "the disk can't be read or written; look at the system's log",
            "attempt to write a readonly database": "it can't be written; check its permissions",
            "unable to open database file": "it can't be opened; check that the folder exists and is writable",
        }
        if said not in hints:
            raise error
        raise UserError(f"{self.path}: {hints[said]}") from error


def insert_rows(connection: Connection, insert: str, rows: Sequence[tuple[object, ...]], after: str = "") -> None:
    """Rows of one width, many to a statement.

    Python's lock is given back once a statement: row by row, the network's thread would wait for its turn each time.
    """
    for at in range(0, len(rows), ROWS_A_STATEMENT):
        some = rows[at : at + ROWS_A_STATEMENT]
        row = f"({', '.join('?' * len(some[0]))})"
        connection.execute(f"{insert} {', '.join([row] * len(some))}{after}", list(chain.from_iterable(some)))
