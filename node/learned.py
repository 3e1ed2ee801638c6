"""What a node has learned with others, in its database: states, the newest update of each source, and the ledger."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, dataclass
from typing import Any, cast

import numpy as np

from models.learning_round import Ranks, State
from models.shared_model import Crowd
from node.database import Database

# Of each model: at 64 KiB, 16 MiB. The one heard longest ago makes room.
SOURCES_MAX = 256


@dataclass(frozen=True, slots=True)
class Report:
    """One period's outcome in figures: mean losses of the judges, which block ranks, local users, the crowd."""

    ranks: Ranks
    network_loss: float
    start_loss: float
    users: int
    crowd_users: float
    crowd_nodes: int

    @property
    def crowd(self) -> Crowd:
        return Crowd(self.crowd_users, self.crowd_nodes)


@dataclass(frozen=True, slots=True)
class LearnedRow:
    """A model as it stands: `sealed` is the update that others may have, empty when there is none."""

    state: State
    at_ms: int
    sealed: bytes
    report: Report


@dataclass(frozen=True, slots=True)
class HeldBlock:
    """A source's newest update."""

    source: str
    sealed: bytes
    made_ms: int
    at_ms: int
    fresh: bool


@dataclass(slots=True)
class Entry:
    """A source's account: verdicts, `row` refused running, the last gains, and until when it is not listened to."""

    accepted: int = 0
    refused: int = 0
    invalid: int = 0
    row: int = 0
    warm: float = 0.0
    cold: float = 0.0
    until_ms: int = 0

    def trusted(self, now_ms: int) -> bool:
        """Its last block was let in, and nothing is held against it."""
        return self.accepted > 0 and self.row == 0 and self.until_ms <= now_ms


@dataclass(frozen=True, slots=True)
class Release:
    """What was published with noise: when, with how much, the epsilon spent with it in all, of how many users, and the
    block itself (packed)."""

    at_ms: int
    noise_multiplier: float
    epsilon: float
    users: int
    values: bytes


class Learned:
    """Typed reads and writes over one Database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def models(self) -> list[str]:
        """What was ever learned here."""
        return [cast(str, model) for (model,) in self._database.rows("SELECT model FROM learned ORDER BY model")]

    def find(self, model: str, features: str) -> LearnedRow | None:
        """What was learned of that model; None where it was over other features."""
        rows = self._database.rows(
            "SELECT state, moments, age, at_ms, sealed, report FROM learned WHERE model = ? AND features = ?",
            model,
            features,
        )
        if not rows:
            return None
        values, moments, age, at_ms, sealed, report = cast(tuple[bytes, bytes, int, int, bytes, str], rows[0])
        state = State(np.frombuffer(values, np.float64), np.frombuffer(moments, np.float32), age)
        return LearnedRow(state, at_ms, sealed, Report(**json.loads(report)))

    def write(self, model: str, features: str, row: LearnedRow) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO learned VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    model,
                    features,
                    row.state.values_V.astype(np.float64).tobytes(),
                    row.state.moments.astype(np.float32).tobytes(),
                    row.state.age,
                    row.at_ms,
                    row.sealed,
                    json.dumps(asdict(row.report)),
                ),
            )

    # -- blocks of others --------------------------------------------------------------------------------------------

    def blocks(self, model: str) -> list[HeldBlock]:
        """By source."""
        rows = self._database.rows(
            "SELECT source, sealed, made_ms, at_ms, fresh FROM block WHERE model = ? ORDER BY source", model
        )
        return [HeldBlock(*row[:4], bool(row[4])) for row in cast(list[tuple[str, bytes, int, int, int]], rows)]

    def made_ms(self, model: str, source: str) -> int:
        """When the update that is held of a source was made; 0 where there is none."""
        rows = self._database.rows("SELECT made_ms FROM block WHERE model = ? AND source = ?", model, source)
        return cast(int, rows[0][0]) if rows else 0

    def write_block(self, model: str, block: HeldBlock) -> None:
        """Replace what is held of that source; of all sources, the SOURCES_MAX heard last stay."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?, ?)",
                (model, block.source, block.sealed, block.made_ms, block.at_ms, block.fresh),
            )
            connection.execute(
                "DELETE FROM block WHERE model = ?1 AND source NOT IN"
                " (SELECT source FROM block WHERE model = ?1 ORDER BY at_ms DESC, source LIMIT ?2)",
                (model, SOURCES_MAX),
            )

    def mark_seen(self, model: str, source: str, made_ms: int) -> None:
        """A period of learning has judged this update; one that came meanwhile stays fresh."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE block SET fresh = 0 WHERE model = ? AND source = ? AND made_ms = ?", (model, source, made_ms)
            )

    # -- ledger ------------------------------------------------------------------------------------------------------

    def ledger(self, model: str) -> dict[str, Entry]:
        """By source."""
        rows = self._database.rows(
            "SELECT source, accepted, refused, invalid, row, warm, cold, until_ms FROM ledger WHERE model = ?"
            " ORDER BY source",
            model,
        )
        return {cast(str, row[0]): Entry(*cast(tuple[Any, ...], row[1:])) for row in rows}

    def write_entry(self, model: str, source: str, entry: Entry) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (model, source, *asdict(entry).values()),
            )

    # -- private releases --------------------------------------------------------------------------------------------

    def releases(self, model: str) -> list[Release]:
        """In the order made."""
        rows = self._database.rows(
            "SELECT at_ms, noise_multiplier, epsilon, users, released FROM release WHERE model = ? ORDER BY rowid",
            model,
        )
        return [Release(*row) for row in cast(list[tuple[int, float, float, int, bytes]], rows)]

    def write_release(self, model: str, release: Release) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO release VALUES (?, ?, ?, ?, ?, ?)",
                (model, *astuple(release)),
            )
