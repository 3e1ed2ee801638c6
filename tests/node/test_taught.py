"""Ranking by what was learned with others: whose block decides what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features import PricedItems
from models.interactions import interactions_of
from models.learning_round import Ranks, State
from models.privacy import private_sums
from models.recommender import Scores
from models.shared_model import NO_MOMENTS, Backed, Crowd
from models.shared_models import shared_model
from models.shared_taste import OwnTaste, SharedTaste
from models.taste_prior import ITERATIONS, TastePrior, start_block
from node.blocks import parse_block
from node.database import Database
from node.events import Released, Spending, Train
from node.index import Index
from node.learned import Entry, Learned, LearnedRow, Report
from node.learner import Learner, LearningSet
from node.store import Catalog
from node.taught import Taught, taught_by, taught_model, taught_scores
from protocol.identity import Identity
from protocol.updates import UNPROTECTED, ModelUpdate, seal_update
from protocol.weights import pack_weights
from tests.node.network.learning_world import BASIS, FEATURES, ITEMS, items_of, users_of

HALF = ITEMS // 2
CROWD = Crowd(40, 2)


def index_of(items: PricedItems) -> Index:
    """Half of the items are shop a's, half shop b's."""
    catalogs = {
        number: Catalog(number, name, name, FEATURES, number == 1, HALF) for number, name in ((1, "a"), (2, "b"))
    }
    return Index([], items, catalogs, {}, np.repeat([1, 2], HALF).astype(np.int64))


def own_block(items: PricedItems, seed: int) -> bytes:
    """What twenty users make of the start, packed."""
    own = shared_model(OwnTaste.called, items, users_of(items, 20, seed), BASIS, 0)
    return pack_weights(own.send(own.alone()[0]))


def taught_with(items: PricedItems, by_source: dict[str, bytes]) -> Taught:
    values_V, _ = shared_model(SharedTaste.called, items, users_of(items, 20, 1), BASIS, 0).alone()
    return Taught(SharedTaste.called, BASIS, Backed(values_V, CROWD), by_source)


def scores_with(items: PricedItems, by_source: dict[str, bytes]) -> Scores:
    (user,), index, taught = users_of(items, 1, 5), index_of(items), taught_with(items, by_source)
    return taught_scores(taught, taught_model(taught, index, [user]), index, user)


def test_a_source_orders_its_own_items_and_takes_no_place_of_others() -> None:
    items = items_of(0)
    plain_I, own_I = scores_with(items, {}), scores_with(items, {"b": own_block(items, 7)})
    assert np.array_equal(plain_I[:HALF], own_I[:HALF])
    assert np.array_equal(np.sort(plain_I[HALF:]), np.sort(own_I[HALF:]))
    assert not np.array_equal(np.argsort(plain_I[HALF:]), np.argsort(own_I[HALF:]))
    # The order is the source's own: as if its block alone ranked.
    (user,), own = users_of(items, 1, 5), shared_model(OwnTaste.called, items, users_of(items, 1, 5), BASIS, 0)
    values_V = parse_block(own, own_block(items, 7))
    assert values_V is not None
    alone_I = own.take(values_V, CROWD).scores([user])[0]
    assert np.array_equal(np.argsort(alone_I[HALF:]), np.argsort(own_I[HALF:]))


@pytest.mark.parametrize("by_source", [{"b": b"odd"}, {"nobody": b"\xff" * 40}, {"c": None}])
def test_a_block_that_is_none_or_of_a_shop_without_items_changes_nothing(by_source: dict[str, bytes | None]) -> None:
    items = items_of(0)
    given = {source: packed or own_block(items, 7) for source, packed in by_source.items()}
    assert np.array_equal(scores_with(items, given), scores_with(items, {}))


class TestWhatRanks:
    """Of all that a home has learned."""

    @pytest.fixture
    def learned(self) -> Learned:
        return Learned(Database(Path(":memory:")))

    def write(self, learned: Learned, model: str, ranks: Ranks = "network") -> None:
        row = LearnedRow(State(np.zeros(4), NO_MOMENTS, 3), 99, b"", Report(ranks, 0.4, 0.5, 8, 16.0, 2, 8))
        learned.write(model, FEATURES, row)

    def hear(self, learned: Learned, model: str, epsilon_milli: int, entry: Entry) -> str:
        identity = Identity(bytes([7] * 32))
        update = ModelUpdate(identity.public, model, FEATURES, bytes(32), 1, 5, 3, epsilon_milli, b"values")
        learned.write_block(model, seal_update(identity, update), update, 6)
        learned.write_entry(model, identity.peer_id, entry)
        return identity.peer_id

    def test_nothing_before_anything_was_learned_or_where_it_does_not_help(self, learned: Learned) -> None:
        assert taught_by(learned, FEATURES, BASIS) is None
        self.write(learned, SharedTaste.called, "start")
        assert taught_by(learned, FEATURES, BASIS) is None

    def test_another_model_where_the_first_does_not_help(self, learned: Learned) -> None:
        self.write(learned, SharedTaste.called, "start")
        self.write(learned, "two_tower")
        taught = taught_by(learned, FEATURES, BASIS)
        assert taught is not None and taught.model == "two_tower"

    @pytest.mark.parametrize(("entry", "kept"), [(Entry(accepted=1), True), (Entry(accepted=1, row=1), False)])
    def test_own_blocks_of_those_who_were_let_in(self, learned: Learned, entry: Entry, kept: bool) -> None:
        self.write(learned, SharedTaste.called)
        self.write(learned, OwnTaste.called)
        source = self.hear(learned, OwnTaste.called, UNPROTECTED, entry)
        taught = taught_by(learned, FEATURES, BASIS)
        assert taught is not None and taught.model == SharedTaste.called
        assert taught.by_source == ({source: b"values"} if kept else {})

    def test_ones_own_users_refine_what_was_told_with_noise(self, learned: Learned) -> None:
        self.write(learned, SharedTaste.called)
        self.write(learned, OwnTaste.called)
        self.hear(learned, SharedTaste.called, 8_000, Entry(accepted=1))
        taught = taught_by(learned, FEATURES, BASIS)
        assert taught is not None and taught.model == OwnTaste.called


class TestOwnTaste:
    """The merged block refined by one's own users."""

    def test_without_users_it_is_the_merged_block(self) -> None:
        items = items_of(0)
        backed = taught_with(items, {}).block
        own = shared_model(OwnTaste.called, items, [], BASIS, 0, backed)
        assert isinstance(own, OwnTaste)
        found = own.block(own.improve(own.start(), NO_MOMENTS, 0, CROWD)[0], CROWD)
        wanted = SharedTaste(TastePrior(basis=BASIS).prepare(interactions_of([], ITEMS), items), ()).block(
            backed.values_V, CROWD
        )
        assert np.allclose(found.mean_K, wanted.mean_K)
        assert np.allclose(found.covariance_KK, wanted.covariance_KK)
        assert found.noise == pytest.approx(wanted.noise)

    def test_towards_the_start_it_is_the_taste_prior_of_these_users_alone(self) -> None:
        items, users = items_of(0), users_of(items_of(0), 12, 3)
        own = shared_model(OwnTaste.called, items, users, BASIS, 0)
        assert isinstance(own, OwnTaste)
        oracle = TastePrior(basis=BASIS, iterations=ITERATIONS).fit(interactions_of(users, ITEMS), items)
        found = own.block(own.alone()[0], CROWD)
        assert np.allclose(found.mean_K, oracle.mean_K)
        assert np.allclose(found.covariance_KK, oracle.covariance_KK)


@given(st.integers(1, 60), st.sampled_from([0.1, 0.6, 2.0, 20.0, 90.0]), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_release_is_a_block_that_anybody_takes_however_loud_the_noise(users: int, noise: float, chance: int) -> None:
    items = items_of(0)
    prepared = TastePrior(basis=BASIS).prepare(interactions_of([], ITEMS), items)
    shared = SharedTaste(prepared, ())
    told = [prepared.told(one) for one in users_of(items, users, 2)]
    sums = private_sums(start_block(prepared.z_IK.shape[1]), told, noise, np.random.default_rng(chance))
    packed = pack_weights(shared.send(shared.within_bounds(shared.averages(sums))))
    assert parse_block(shared, packed) is not None


def test_two_releases_of_the_same_users_have_noise_of_their_own() -> None:
    items = items_of(0)
    known = LearningSet(items, users_of(items, 25, 0))
    job = Train("taste_prior", None, (), Crowd(), 7, spending=Spending(8.0, ()))
    one, other = (Learner(lambda: known, BASIS).run(job).released for _ in range(2))
    assert isinstance(one, Released) and isinstance(other, Released)
    assert one.values != other.values, "the job's chance is no noise"
