"""The cross-platform experiment in miniature: the world as nodes would import it, and the referee over small stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.clip import Encoder
from models.features import basis_of, features_of
from models.fusion import similarity
from models.interactions import History
from models.learning_round import State
from models.shared_model import NO_MOMENTS
from models.shared_models import shared_model
from node.config import load_home
from node.database import Database
from node.errors import UserError
from node.learned import Learned, LearnedRow, Report
from node.session import open_store
from node.store import Rating, Store, Write
from protocol.records import pack_item
from sim.cross_platform import (
    CEILINGS,
    RANDOM,
    World,
    as_binary,
    given,
    history_of,
    hold_back,
    liked_mean,
    load_world,
    turned,
)
from sim.demo import call
from sim.referee import AT_B, ISOLATED, P2P, POOLED, WARM, Judgement, Place, Referee, open_place, rows
from sim.tastes import LIKED

SIZES = (30, 25)
PEOPLE, LEARNERS = 38, 30
PEERS = ("node a", "node b")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load("tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture(scope="module")
def world(encoder: Encoder, folder: Path) -> World:
    return load_world(4, PEOPLE, encoder, "tiny", folder, image_size=48, sizes=SIZES)


@pytest.fixture(scope="module")
def judged(world: World, encoder: Encoder) -> Judgement:
    return judgement(world, encoder)


def judgement(world: World, encoder: Encoder) -> Judgement:
    """As nodes that met, and learned no more than the common start."""
    before, new_B = hold_back(world)
    stores = [stock_up(before, encoder, side, both=both) for side, both in ((0, False), (0, True), (1, True))]
    columns = before.columns(PEERS)
    model = shared_model("taste_prior", world.items, [], basis_of("tiny"), 0)
    report = Report("network", 0.5, 0.6, users=LEARNERS, crowd_users=2.0 * LEARNERS, crowd_nodes=2, judges=20)
    row = LearnedRow(State(model.start(), NO_MOMENTS, 3), 1, b"", report)
    Learned(stores[1].database).write("taste_prior", features_of("tiny"), row)
    places = [place_of(store, encoder, side, columns) for store, side in zip(stores, (0, 0, 1), strict=True)]
    return Referee(before, LEARNERS, *places).ask(new_B)


def stock_up(world: World, encoder: Encoder, side: int, *, both: bool) -> Store:
    """A store in memory: the shop's catalog and its learners' ratings; the other's catalog too, where they met."""
    store, parts = Store(Database(Path(":memory:"))), (world.home, world.away)
    for shop in (0, 1) if both else (side,):
        catalog = store.own_catalog(PEERS[shop], world.platforms[shop], encoder.fingerprint)
        here = zip(world.records[parts[shop]], world.vectors[parts[shop]], strict=True)
        store.write_items(catalog, [Write(item.item, pack_item(item), vector, b"") for item, vector in here])
    columns = world.columns(PEERS)
    rated = given(world, slice(0, LEARNERS), parts[side])
    store.write_ratings(Rating(f"user {user}", *columns[column], value, 1) for user, column, value in rated)
    return store


def place_of(store: Store, encoder: Encoder, side: int, columns: list[tuple[str, str]]) -> Place:
    return open_place(store, PEERS[side], "tiny", encoder.fingerprint, columns)


def test_items_and_vectors_are_what_an_import_stores(world: World, folder: Path, tmp_path: Path) -> None:
    for part, platform in ((world.home, world.platforms[0]), (world.away, world.platforms[1])):
        shop, home = folder / "seed-4" / platform.lower(), str(tmp_path / platform)
        call("init", "--home", home, "--platform", platform, "--encoder", "tiny")
        call("catalog", "import", f"{shop}/catalog.csv", "--images", f"{shop}/images", "--home", home)
        with open_store(load_home(Path(home))) as store:
            fingerprint = load_home(Path(home)).config.fingerprint
            assert [one.item for one in store.items()] == world.records[part]
            assert store.vectors(fingerprint) == world.vectors[part]
            packed = [bytes(row[0]) for row in store.database.rows("SELECT packed FROM item ORDER BY slot")]  # type: ignore[call-overload]
        assert packed == [pack_item(item) for item in world.records[part]]


def test_a_world_is_encoded_once(world: World, encoder: Encoder, folder: Path) -> None:
    class Stranger:
        fingerprint = encoder.fingerprint

        def encode_images(self, pictures: object, *, progress: bool = False) -> object:
            raise AssertionError("encoded again")

        encode_texts = encode_images

    again = load_world(4, PEOPLE, Stranger(), "tiny", folder, image_size=48, sizes=SIZES)
    assert again.vectors == world.vectors
    np.testing.assert_array_equal(again.ratings.complete_UI, world.ratings.complete_UI)
    with pytest.raises(UserError, match="another seed, size"):
        load_world(4, PEOPLE, Stranger(), "tiny", folder, image_size=48, sizes=(30, 24))


def test_thirty_people_are_the_personas_and_more_are_joined_by_others(
    world: World, encoder: Encoder, folder: Path
) -> None:
    few = load_world(4, 30, encoder, "tiny", folder, image_size=48, sizes=SIZES)
    assert (len(few.ratings.complete_UI), len(world.ratings.complete_UI)) == (30, PEOPLE)
    assert world.seen_UI.shape == world.ratings.present_UI.shape == (PEOPLE, sum(SIZES))


def test_given_ratings_are_those_of_the_histories(world: World) -> None:
    found = given(world, slice(3, 5), world.away)
    for user in (3, 4):
        history = history_of(world, user, world.away)
        mine = [(column, value) for who, column, value in found if who == user]
        assert mine == list(zip(history.items.tolist(), history.values.tolist(), strict=True))
    assert {user for user, _, _ in found} == {3, 4}
    assert all(world.away.start <= column < world.away.stop for _, column, _ in found)


def test_what_is_held_back_is_a_share_of_away_and_unrated(world: World) -> None:
    before, new_B = hold_back(world, 0.2)
    assert (len(new_B), new_B.sum()) == (25, 5)
    assert not before.ratings.present_UI[:, world.away][:, new_B].any()
    same = np.r_[np.ones(30, bool), ~new_B]
    np.testing.assert_array_equal(before.ratings.present_UI[:, same], world.ratings.present_UI[:, same])
    assert world.ratings.present_UI[:, world.away][:, new_B].any()


def test_a_turned_world_has_the_other_shop_first_and_turns_back(world: World) -> None:
    other = turned(world)
    assert (other.home, other.away, other.platforms) == (slice(0, 25), slice(25, 55), ("Mayurva", "Ostrella"))
    assert other.records[:25] == world.records[30:]
    np.testing.assert_array_equal(other.items.text_ID[25:], world.items.text_ID[:30])
    np.testing.assert_array_equal(other.items.log_price_I[:25], world.items.log_price_I[30:])
    np.testing.assert_array_equal(other.ratings.complete_UI[:, other.home], world.ratings.complete_UI[:, world.away])
    back = turned(other)
    assert (back.records, back.vectors, back.home) == (world.records, world.vectors, world.home)
    np.testing.assert_array_equal(back.ratings.present_UI, world.ratings.present_UI)


def test_binary_ratings_are_the_ends_of_the_scale_and_keep_who_likes_what(world: World) -> None:
    told = as_binary(world)
    assert set(np.unique(told.ratings.complete_UI)) == {-1, 10}
    np.testing.assert_array_equal(told.ratings.complete_UI >= LIKED, world.ratings.complete_UI >= LIKED)
    np.testing.assert_array_equal(told.ratings.present_UI, world.ratings.present_UI)
    assert told.binary and not world.binary


def test_the_mean_of_liked_is_zero_for_who_liked_nothing(world: World) -> None:
    rows = np.array([3, 40])
    scores_UI = liked_mean(world.items, [History(rows, np.array([value, 1], np.float32)) for value in (LIKED, 2)])
    np.testing.assert_allclose(scores_UI[0], similarity(world.items, rows[:1])[0], atol=1e-6)
    assert not scores_UI[1].any()


def test_a_place_has_the_worlds_columns_in_order_or_is_refused(world: World, encoder: Encoder) -> None:
    columns = world.columns(PEERS)
    whole = place_of(stock_up(world, encoder, 1, both=True), encoder, 1, columns)
    assert [one.item for one in whole.index.stored] == world.records
    assert len(whole.histories) == LEARNERS
    np.testing.assert_array_equal(np.sort(whole.histories[0].items), history_of(world, 0, world.away).items)
    with pytest.raises(ValueError, match="without gaps"):
        place_of(stock_up(world, encoder, 1, both=False), encoder, 1, columns)


def test_the_four_questions_lie_between_floor_and_ceiling(judged: Judgement) -> None:
    asked = dict.fromkeys(question for question, _ in judged.figures)
    assert list(asked) == ["New item", "Discover", "Newcomer", WARM]
    for question in asked:
        assert judged.mean(question, (CEILINGS[1], "")) > judged.mean(question, (RANDOM, ""))
        for line in (line for where, line in judged.figures if where == question):
            assert judged.figures[question, line]["ndcg"].shape == (PEOPLE - LEARNERS,)
    taste = [judged.mean("Discover", ("taste_prior", setting)) for setting in (P2P, POOLED)]
    assert all(one > judged.mean("Discover", (RANDOM, "")) for one in (judged.mean("Discover", ("ridge", P2P)), *taste))
    assert taste[0] != taste[1]


def test_rows_tell_every_line_once(judged: Judgement) -> None:
    table = rows(judged)
    assert len(table) == len(judged.figures)
    assert {row["setting"] for row in table} == {"", P2P, ISOLATED, POOLED}
    assert {(row["slice"], row["platform"]) for row in table} == {
        ("New item", "Mayurva"), ("Discover", "Mayurva"), ("Newcomer", "Mayurva"), (WARM, "Ostrella"),
    }  # fmt: skip
    assert all(row["low"] <= row["ndcg"] <= row["high"] and row["ratings"] == "full" for row in table)
    assert {row["model"] for row in table if not row["setting"]} == {RANDOM, *CEILINGS}
    errors = [(row["rmse"], row["mae"]) for row in table if row["slice"] == WARM and row["model"] == "ridge"]
    assert len(errors) == 2 and all(0 < mae <= rmse < 11 for rmse, mae in errors)
    assert all(row["rmse"] is row["mae"] is None for row in table if row["slice"] != WARM)
    assert AT_B not in {row["setting"] for row in table} and "popularity, Mayurva's own" in {
        row["model"] for row in table
    }


def test_binary_errors_are_in_the_unit_of_0_and_1(world: World, encoder: Encoder, judged: Judgement) -> None:
    told = judgement(as_binary(world), encoder)
    assert {row["ratings"] for row in rows(told)} == {"binary"}
    assert all(mae <= told.rmse[line] <= 1 for line, mae in told.mae.items())
    # Chance and the ceilings do not hang on what was told.
    for question, line in judged.figures:
        if line[1] == "":
            np.testing.assert_array_equal(told.figures[question, line]["ndcg"], judged.figures[question, line]["ndcg"])


def test_the_other_shop_can_be_asked_too(world: World, encoder: Encoder) -> None:
    told = judgement(turned(world), encoder)
    assert {row["platform"] for row in rows(told) if row["slice"] == "Discover"} == {"Ostrella"}
    assert told.mean("Discover", (CEILINGS[1], "")) > told.mean("Discover", (RANDOM, ""))
