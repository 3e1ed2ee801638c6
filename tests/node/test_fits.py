"""Models that are kept: never older than they may be, and never of an index that is gone."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import numpy as np
import pytest

from models.popularity import Popularity
from node.answers import Answers
from node.config import Config, Home
from node.database import Database
from node.errors import NotFoundError, UserError
from node.fits import REST, Fits, Fitted, everybody, fit
from node.index import Index, load_index
from node.live_index import RELOAD_SECONDS, LiveIndex
from node.replicas import Replicas
from node.store import Rating, Store
from tests.node.network.homes import DIM, ENCODER, identity, vector_of, write_of

ITEMS = [f"i{n}" for n in range(12)]


class Kept:
    """A store with items, read over one connection and written over another, and a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.peer = identity(1).peer_id
        self.path = folder / "node.sqlite"
        self.writer, self.store = Store(Database(self.path)), Store(Database(self.path))
        self.catalog = self.writer.own_catalog(self.peer, "Asolo", ENCODER.hex())
        self.writer.write_items(self.catalog, [write_of(item) for item in ITEMS])
        self.now = 0.0
        self.reads = 0
        self.fits = Fits(self.store, self.clock)
        self.index = self.load(self.store)

    def clock(self) -> float:
        """Every look takes a second, so a fit does."""
        self.now += 1.0
        return self.now

    def load(self, store: Store) -> Index:
        self.reads += 1
        return load_index(store, ENCODER.hex(), 0.5, DIM)

    def rate(self, user: str, item: str, value: float, store: Store | None = None) -> None:
        (store or self.writer).write_ratings([Rating(user, self.peer, item, value, 1)])

    def popular(self) -> Fitted:
        return self.fits.named(self.index, Popularity.name)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.mark.parametrize("own", [False, True], ids=["by another process", "by this one"])
def test_a_fit_rests_for_twenty_times_what_it_took_and_no_longer(kept: Kept, own: bool) -> None:
    store = kept.store if own else kept.writer
    first = kept.popular()
    assert kept.popular() is first
    kept.rate("ada", "i3", 9, store)
    assert kept.popular() is first, "what is general may be a moment old"
    kept.now += REST
    second = kept.popular()
    assert second is not first and len(second.everyone) == 1
    kept.now += 100 * REST
    assert kept.popular() is second, "nothing was written since"


def test_a_fit_is_that_of_now_when_it_is_made(kept: Kept) -> None:
    for number, item in enumerate(ITEMS[:5]):
        kept.rate("ada", item, 2 * number)
    oracle = fit(kept.index, kept.writer.ratings(), Popularity.name)
    (history,) = everybody(kept.index, kept.writer.ratings())
    np.testing.assert_array_equal(kept.popular().scores(kept.index, history), oracle.scores(kept.index, history))


def test_another_index_is_another_fit_and_the_old_one_is_let_go(kept: Kept) -> None:
    """Whatever is asked first: nobody may ask for a list for days."""
    answers = answers_of(kept)
    answers.recommend("ada", 3, None, None, 0)
    old = id(kept.index)
    kept.index = kept.load(kept.store)
    answers.similar("i1", 3)
    gc.collect()
    assert not any(type(one) is Index and id(one) == old for one in gc.get_objects())


def test_a_model_that_can_not_be_is_no_fit(kept: Kept) -> None:
    with pytest.raises(UserError, match="no model 'nope'"):
        kept.fits.named(kept.index, "nope")
    assert kept.fits.taught(kept.index, lambda: None) is None


def test_a_users_own_ratings_are_those_of_now(kept: Kept) -> None:
    """Whatever is kept of everybody."""
    answers = answers_of(kept)
    rated: list[str] = []
    for item in ITEMS[:6]:
        told = answers.recommend("ada", len(ITEMS), None, None, 0)
        assert told["ratings"] == len(rated)
        assert {one["item"] for one in told["items"]} == set(ITEMS) - set(rated)
        kept.rate("ada", item, 8)
        rated.append(item)
    assert [one["item"] for one in answers.history("ada")["ratings"]] == sorted(rated)


def test_one_index_for_all_threads_read_again_when_a_catalog_changed(kept: Kept) -> None:
    live = LiveIndex(lambda: Database(kept.path), kept.load, kept.clock)
    kept.reads = 0
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(live.current().index)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.reads == 1 and len({id(one) for one in found}) == 1
    kept.rate("ada", "i1", 5)
    kept.now += 10 * RELOAD_SECONDS
    assert live.current().index is found[0], "a rating changes no catalog"
    with kept.writer.database.transaction() as connection:
        connection.execute("UPDATE catalog SET head = ?", (b"a new version",))
    kept.now += 10 * RELOAD_SECONDS
    assert live.current().index is not found[0] and kept.reads == 2


def test_what_is_written_by_anybody_is_another_version(kept: Kept) -> None:
    versions = [kept.store.database.version]
    for write in (
        lambda: kept.rate("ada", "i1", 5),
        lambda: kept.rate("ada", "i1", 5, kept.store),
        lambda: kept.writer.remove_rating("ada", kept.peer, "i1"),
        lambda: kept.writer.write_items(kept.catalog, [write_of("new", vector=vector_of("new"))]),
    ):
        assert kept.store.database.version == versions[-1]
        write()
        versions.append(kept.store.database.version)
    assert len(set(versions)) == len(versions)


def answers_of(kept: Kept) -> Answers:
    home = Home(kept.path.parent, Config("Asolo", "ViT-B-32/openai", ENCODER.hex(), DIM), identity(1))
    return Answers(home, kept.store, lambda: kept.index, lambda: None)  # type: ignore[arg-type, return-value]


def test_an_item_that_came_after_the_index_is_said_to_have_just_come(kept: Kept) -> None:
    kept.writer.write_items(kept.catalog, [write_of("late")])
    later = Replicas(kept.writer.database).add(identity(2).peer_id, "Bella", ENCODER.hex(), own=False)
    kept.writer.write_items(later, [write_of("later")])
    other = Replicas(kept.writer.database).add(identity(3).peer_id, "Corso", "another", own=False)
    kept.writer.write_items(other, [write_of("strange")])
    answers = answers_of(kept)
    for item, said in (("late", "just come"), ("later", "just come"), ("strange", "another encoder")):
        with pytest.raises(UserError, match=said):
            answers.similar(item, 3)
        answers.rate("ada", item, 7, 1)
        assert answers.item(item)["item"] == item
    assert {one["item"]: one["platform"] for one in answers.history("ada")["ratings"]} == {
        "late": "Asolo",
        "later": "Bella",
        "strange": "Corso",
    }


def test_a_rating_of_now_is_the_latest_whatever_an_import_was_dated(kept: Kept) -> None:
    answers = answers_of(kept)
    kept.writer.write_ratings([Rating("ada", kept.peer, "i1", 2.0, 4_000_000_000_000)])
    answers.rate("ada", "i1", 9, 5)
    assert [(one["rating"], one["at_ms"]) for one in answers.history("ada")["ratings"]] == [(9.0, 5)]


def test_a_rating_of_what_is_gone_can_be_taken_back(kept: Kept) -> None:
    answers = answers_of(kept)
    answers.rate("ada", "i1", 9, 5)
    kept.writer.remove_items(kept.catalog, ["i1"])
    kept.index = kept.load(kept.store)
    (gone,) = answers.history("ada")["ratings"]
    assert (gone["item"], gone["name"], gone["rating"]) == ("i1", None, 9.0)
    assert answers.unrate("ada", f"{kept.peer}/i1")["removed"] == 1
    assert answers.history("ada")["ratings"] == []
    with pytest.raises(NotFoundError):
        answers.unrate("ada", f"{kept.peer}/i1")


def test_a_card_that_has_expired_locks_nobody_out(kept: Kept) -> None:
    answers, day_ms = answers_of(kept), 24 * 3_600_000
    for number, item in enumerate(ITEMS[:6]):
        answers.rate("ada", item, 1.5 * number, 1)
    answers.bring_card(answers.card("ada", 1, 0), "ada", 0)
    assert answers.recommend("ada", 3, None, None, day_ms - 1)["model"] == "card"
    after = answers.recommend("ada", 3, None, None, day_ms + 1)
    assert after["model"] == "content" and "has expired" in after["note"] and len(after["items"]) == 3
    assert "note" not in answers.recommend("ada", 3, "content", None, day_ms + 1)
