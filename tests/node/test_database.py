"""The database file: migrations, transactions, and every way in which the file or the disk can be wrong."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from node import database
from node.database import APPLICATION_ID, MIGRATIONS, Database
from node.errors import UserError


def test_a_new_file_gets_every_migration_and_durable_settings(tmp_path: Path) -> None:
    db = Database(tmp_path / "node.sqlite")
    assert db.rows("PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert db.rows("PRAGMA application_id") == [(APPLICATION_ID,)]
    assert db.rows("PRAGMA journal_mode") == [("wal",)]
    assert db.rows("PRAGMA synchronous") == [(2,)]
    assert db.rows("PRAGMA page_size") == [(database.PAGE_BYTES,)]


def test_an_older_file_is_migrated_once_and_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "node.sqlite"
    first = Database(path)
    with first.transaction() as connection:
        connection.execute("INSERT INTO rating VALUES ('ada', 'p', 'i', 7, 1)")
    first.close()
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, ("ALTER TABLE rating ADD COLUMN note TEXT",)))
    for _ in range(2):
        again = Database(path)
        assert again.rows("SELECT user, value, note FROM rating") == [("ada", 7.0, None)]
        assert again.rows("PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
        again.close()


def test_a_failed_migration_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "node.sqlite"
    Database(path).close()
    broken = (*MIGRATIONS, ("CREATE TABLE extra (x)", "CREATE TABLE rating (x)"))
    monkeypatch.setattr(database, "MIGRATIONS", broken)
    with pytest.raises(sqlite3.OperationalError):
        Database(path)
    monkeypatch.undo()
    db = Database(path)
    assert db.rows("PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert db.rows("SELECT name FROM sqlite_schema WHERE name = 'extra'") == []


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    db = Database(tmp_path / "node.sqlite")
    with pytest.raises(ZeroDivisionError), db.transaction() as connection:
        connection.execute("INSERT INTO rating VALUES ('ada', 'p', 'i', 7, 1)")
        _ = 1 / 0
    assert db.rows("SELECT count(*) FROM rating") == [(0,)]


def test_files_that_are_not_ours(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"not a database at all " * 100)
    with pytest.raises(UserError, match="is damaged"):
        Database(garbage)
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    with pytest.raises(UserError, match="another program"):
        Database(other)
    newer = tmp_path / "newer.sqlite"
    Database(newer).close()
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version=9999")
    connection.close()
    with pytest.raises(UserError, match="newer p2prec"):
        Database(newer)
    with pytest.raises(UserError, match="can't be opened"):
        Database(tmp_path / "no" / "such" / "folder.sqlite")


def test_a_full_disk_is_one_sentence_and_loses_nothing_stored(tmp_path: Path) -> None:
    """SQLite's own limit of pages stands in for the disk; the error is the very same."""
    db = Database(tmp_path / "node.sqlite")
    with db.transaction() as connection:
        connection.execute("INSERT INTO vector VALUES (1, zeroblob(100000))")
    (pages,) = db.rows("PRAGMA page_count")[0]
    db.rows(f"PRAGMA max_page_count={pages}")
    with pytest.raises(UserError, match="disk is full; free some space"), db.transaction() as connection:
        connection.execute("INSERT INTO vector VALUES (2, zeroblob(1000000))")
    assert db.rows("SELECT slot FROM vector") == [(1,)]


def test_a_second_writer_waits_and_then_says_so(tmp_path: Path) -> None:
    one, two = (Database(tmp_path / "node.sqlite", busy_ms=50) for _ in range(2))
    with one.transaction() as connection:
        connection.execute("INSERT INTO rating VALUES ('ada', 'p', 'i', 7, 1)")
        with pytest.raises(UserError, match="another process holds it"), two.transaction():
            pass
    assert two.rows("SELECT count(*) FROM rating") == [(1,)]


def test_a_step_in_memory_writes_all_or_nothing(tmp_path: Path) -> None:
    """In memory the transaction begins with the first write; on the disk before it. Nobody can tell."""
    for path in (Path(":memory:"), tmp_path / "node.sqlite"):
        db = Database(path)
        with db.step(durable=True), db.transaction() as connection:
            connection.execute("INSERT INTO rating VALUES ('ada', 'p', 'i', 7, 1)")
        with pytest.raises(ZeroDivisionError), db.step(durable=False):
            with db.transaction() as connection:
                connection.execute("INSERT INTO rating VALUES ('ben', 'p', 'i', 7, 1)")
            with db.transaction() as connection:
                connection.execute("INSERT INTO rating VALUES ('cat', 'p', 'i', 7, 1)")
            raise ZeroDivisionError
        assert db.rows("SELECT user FROM rating") == [("ada",)]
        with db.transaction() as connection:
            connection.execute("INSERT INTO rating VALUES ('dan', 'p', 'i', 7, 1)")
        with pytest.raises(ZeroDivisionError), db.transaction() as connection:
            connection.execute("INSERT INTO rating VALUES ('eve', 'p', 'i', 7, 1)")
            raise ZeroDivisionError
        assert db.rows("SELECT count(*) FROM rating") == [(2,)], "outside of a step each transaction is its own"


def test_a_snapshot_is_of_one_moment(tmp_path: Path) -> None:
    one, other = (Database(tmp_path / "node.sqlite") for _ in range(2))

    def write(user: str) -> None:
        with other.transaction() as connection:
            connection.execute("INSERT INTO rating VALUES (?, 'p', 'i', 7, 1)", (user,))

    write("ada")
    with one.snapshot():
        before = one.rows("SELECT user FROM rating")
        write("ben")
        assert one.rows("SELECT user FROM rating") == before == [("ada",)]
    assert len(one.rows("SELECT user FROM rating")) == 2
    with pytest.raises(ZeroDivisionError), one.snapshot():
        _ = 1 / 0
    with one.transaction(), one.snapshot():
        assert len(one.rows("SELECT user FROM rating")) == 2
    write("cat")
