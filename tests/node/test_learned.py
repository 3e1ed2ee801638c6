"""What is remembered of learning: bounded, and a damaged row stops nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.learning_round import State
from node.database import Database
from node.errors import UserError
from node.learned import SOURCES_MAX, Entry, Learned, LearnedRow, Release, Report
from protocol.identity import Identity
from protocol.updates import UNPROTECTED, ModelUpdate, seal_update

FEATURES = "phi-1/random-10"
REPORT = Report("network", 0.4, 0.5, 8, 16.0, 2, 8)


@pytest.fixture
def learned() -> Learned:
    return Learned(Database(Path(":memory:")))


def update_of(number: int, made_ms: int) -> tuple[bytes, ModelUpdate]:
    identity = Identity(number.to_bytes(32, "big"))
    update = ModelUpdate(identity.public, "taste_prior", FEATURES, bytes(32), 1, made_ms, 3, UNPROTECTED, b"values")
    return seal_update(identity, update), update


def keep(learned: Learned, number: int, at_ms: int) -> str:
    sealed, update = update_of(number, at_ms)
    learned.write_block("taste_prior", sealed, update, at_ms)
    return Identity(number.to_bytes(32, "big")).peer_id


def test_what_is_written_is_read(learned: Learned) -> None:
    row = LearnedRow(State(np.arange(4.0), np.ones(2, np.float32), 7), 99, update_of(1, 5)[0], REPORT)
    learned.write("taste_prior", FEATURES, row)
    found = learned.find("taste_prior", FEATURES)
    assert found is not None
    assert np.array_equal(found.state.values_V, row.state.values_V) and found.state.age == 7
    assert (found.at_ms, found.sealed, found.report) == (row.at_ms, row.sealed, row.report)
    assert learned.find("taste_prior", "phi-1/other") is None


def test_strangers_in_any_number_drive_out_nobody_who_taught_something(learned: Learned) -> None:
    friend = keep(learned, 1, 10)
    learned.write_entry("taste_prior", friend, Entry(accepted=1))
    for number in range(2, SOURCES_MAX + 12):
        stranger = keep(learned, number, 10 + number)
        learned.write_entry("taste_prior", stranger, Entry(refused=1))
    held = {one.source for one in learned.blocks("taste_prior")}
    assert len(held) == SOURCES_MAX
    assert friend in held
    assert set(learned.ledger("taste_prior")) <= held


def test_an_update_that_came_while_the_one_before_was_judged_stays_fresh(learned: Learned) -> None:
    source = keep(learned, 1, 10)
    learned.mark_seen("taste_prior", source, 10)
    assert [one.fresh for one in learned.blocks("taste_prior")] == [False]
    keep(learned, 1, 20)
    learned.mark_seen("taste_prior", source, 10)
    assert [one.fresh for one in learned.blocks("taste_prior")] == [True]


@pytest.mark.parametrize(
    ("column", "value"),
    [("state", b"odd"), ("moments", b"odd"), ("age", "old"), ("sealed", b"odd"), ("report", "{}"), ("report", "odd")],
)
def test_a_damaged_model_is_learned_anew(learned: Learned, column: str, value: object) -> None:
    row = LearnedRow(State(np.arange(4.0), np.ones(2, np.float32), 7), 99, update_of(1, 5)[0], REPORT)
    learned.write("taste_prior", FEATURES, row)
    with learned._database.transaction() as connection:
        connection.execute(f"UPDATE learned SET {column} = ?", (value,))
    assert learned.find("taste_prior", FEATURES) is None


def test_a_damaged_block_is_passed_over(learned: Learned) -> None:
    keep(learned, 1, 10)
    other = keep(learned, 2, 10)
    with learned._database.transaction() as connection:
        connection.execute("UPDATE block SET sealed = ? WHERE source <> ?", (b"odd", other))
    assert [one.source for one in learned.blocks("taste_prior")] == [other]


def test_a_flipped_bit_is_found_before_a_block_is_judged_or_ranks(learned: Learned) -> None:
    """Its signature no longer fits; of one that was judged long ago, who sent it and when is all that is wanted."""
    source = keep(learned, 1, 10)
    ((sealed,),) = learned._database.rows("SELECT sealed FROM block")
    assert isinstance(sealed, bytes)
    with learned._database.transaction() as connection:
        connection.execute("UPDATE block SET sealed = ?", (sealed[:-1] + bytes([sealed[-1] ^ 1]),))
    assert learned.blocks("taste_prior") == []
    learned.mark_seen("taste_prior", source, 10)
    assert [one.source for one in learned.blocks("taste_prior")] == [source]
    assert learned.blocks("taste_prior", verify_all=True) == []


@pytest.mark.parametrize("column", ["epsilon", "noise_multiplier", "users", "released"])
def test_a_damaged_record_of_what_was_spent_is_an_error(learned: Learned, column: str) -> None:
    learned.write_release("taste_prior", Release(1, 0.6, 8.0, 25, b"values"))
    assert len(learned.releases("taste_prior")) == 1
    with learned._database.transaction() as connection:
        connection.execute(f"UPDATE release SET {column} = 'odd'")
    with pytest.raises(UserError, match="damaged"):
        learned.releases("taste_prior")


def test_what_was_published_bare_is_no_release_and_never_forgotten(learned: Learned) -> None:
    assert not learned.bare()
    learned.write_bare("projection", 5)
    assert learned.bare()
    assert learned.releases("projection") == []


@pytest.mark.parametrize(
    ("entry", "trusted"),
    [
        (Entry(), False),
        (Entry(accepted=3), True),
        (Entry(accepted=3, row=1), False),
        (Entry(accepted=3, until_ms=9), False),
    ],
)
def test_who_was_let_in_last_is_trusted(entry: Entry, trusted: bool) -> None:
    assert entry.trusted is trusted
