"""What a node has learned with others, in its database: states, the newest update of each source, and the ledger."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from typing import Any, cast

import numpy as np

from models.learning_round import Ranks, State
from models.shared_model import Crowd
from node.database import Database
from node.errors import UserError
from protocol.identity import peer_id
from protocol.limits import RemoteError
from protocol.updates import ModelUpdate, open_update

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
    judges: int

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
    """A source's newest update; `fresh` until a period has judged it."""

    source: str
    update: ModelUpdate
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

    @property
    def trusted(self) -> bool:
        """Its last block was let in: a quarantine begins with one that was not, and ends with one that was."""
        return self.accepted > 0 and self.row == 0 and self.until_ms == 0


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
        """What was learned of that model; None where it was over other features, or is damaged: it is learned anew."""
        rows = self._database.rows(
            "SELECT state, moments, age, at_ms, sealed, report FROM learned WHERE model = ? AND features = ?",
            model,
            features,
        )
        if not rows:
            return None
        values, moments, age, at_ms, sealed, report = cast(tuple[bytes, bytes, int, int, bytes, str], rows[0])
        try:
            state = State(np.frombuffer(values, np.float64), np.frombuffer(moments, np.float32), int(age))
            if sealed:
                open_update(sealed)
            return LearnedRow(state, int(at_ms), sealed, Report(**json.loads(report)))
        except (ValueError, TypeError, RemoteError):
            return None

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

    def blocks(self, model: str, *, verify_all: bool = False) -> list[HeldBlock]:
        """By source; a damaged one is passed over, its source will send another.

        Signatures were verified when they came. Again, against a disk's mistakes, those of blocks that are still to be
        judged, and of all where asked: there may be hundreds, at an eighth of a millisecond.
        """
        rows = self._database.rows(
            "SELECT source, sealed, at_ms, fresh FROM block WHERE model = ? ORDER BY source", model
        )
        held = []
        for source, sealed, at_ms, fresh in cast(list[tuple[str, bytes, int, int]], rows):
            with suppress(RemoteError, TypeError):
                update = open_update(sealed, verified=not (fresh or verify_all))
                held.append(HeldBlock(source, update, at_ms, bool(fresh)))
        return held

    def made_ms(self, model: str, source: str) -> int:
        """When the update that is held of a source was made; 0 where there is none."""
        rows = self._database.rows("SELECT made_ms FROM block WHERE model = ? AND source = ?", model, source)
        return cast(int, rows[0][0]) if rows else 0

    def write_block(self, model: str, sealed: bytes, update: ModelUpdate, at_ms: int) -> None:
        """Replace what is held of that source. SOURCES_MAX stay, first those of whom a block was let in before, then
        those heard last; who goes is forgotten by the ledger too, so that strangers can't fill the disk.
        """
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?, ?, ?)",
                (model, peer_id(update.source), sealed, update.made_ms, at_ms, True),
            )
            connection.execute(
                "DELETE FROM block WHERE model = ?1 AND source NOT IN (SELECT source FROM block LEFT JOIN ledger"
                " USING (model, source) WHERE model = ?1"
                " ORDER BY coalesce(accepted, 0) > 0 DESC, block.at_ms DESC, source LIMIT ?2)",
                (model, SOURCES_MAX),
            )
            connection.execute(
                "DELETE FROM ledger WHERE model = ?1 AND source NOT IN (SELECT source FROM block WHERE model = ?1)",
                (model,),
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
        """In the order made. Raises: UserError when the record is damaged: what was spent is not known any more."""
        rows = self._database.rows(
            "SELECT at_ms, noise_multiplier, epsilon, users, released FROM release"
            " WHERE model = ? AND noise_multiplier <> 0 ORDER BY rowid",
            model,
        )
        if not all(tuple(map(type, row)) == (int, float, float, int, bytes) for row in rows):
            raise UserError("the record of what was published with noise is damaged: restore the home from a copy")
        return [Release(*row) for row in cast(list[tuple[int, float, float, int, bytes]], rows)]

    def write_release(self, model: str, release: Release) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO release VALUES (?, ?, ?, ?, ?, ?)",
                (model, *astuple(release)),
            )

    def bare(self) -> bool:
        """Whether anything learned here was ever published without noise."""
        return bool(self._database.rows("SELECT 1 FROM release WHERE noise_multiplier = 0 LIMIT 1"))

    def write_bare(self, model: str, at_ms: int) -> None:
        """From now on nothing can be promised to these users."""
        self.write_release(model, Release(at_ms, 0.0, math.inf, 0, b""))
