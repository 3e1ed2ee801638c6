"""Auditing: the figures are scikit-learn's, the attacks win where there is something to win, and only there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

from models import audit
from models.audit import Attack, auc, audit_taste, card_scores, community_lean, judge, log_likelihood, log_predictive
from models.interactions import History, interactions_of
from models.linear_taste import Told, posterior
from models.privacy import private_sums
from models.taste_prior import TasteBlock, TastePrior, improve, m_step, start_block
from tests.models.conformance import N_ITEMS, world

guesses = st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 4)), min_size=2, max_size=40)


def prepared(n_users: int = 24) -> tuple[TastePrior, list[History]]:
    histories, items = world(n_users=n_users)
    return TastePrior(basis="random-12").prepare(interactions_of([], N_ITEMS), items), histories


# -- figures -----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(guesses)
def test_auc_is_scikit_learns_ties_and_weights_and_all(some: list[tuple[int, bool, int]]) -> None:
    scores, labels, weights = (np.array(column) for column in zip(*some, strict=True))
    scores, weights = scores.astype(float), weights.astype(float)
    if labels.all() or not labels.any():
        assert np.isnan(auc(scores, labels))
        return
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    if weights[labels].any() and weights[~labels].any():
        assert auc(scores, labels, weights) == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))


def test_what_is_judged_is_the_mean_of_the_rounds() -> None:
    """A round's level is common to all in it: it must not hide (or make) a difference."""
    scores, labels = np.array([0.0, 1, 100, 101]), np.array([False, True, False, True])
    found = judge(Attack(scores, labels, np.arange(4), np.array([0, 0, 1, 1])), np.random.default_rng(0))
    assert (found.auc, found.advantage, found.guesses) == (1.0, 1.0, 4)


def test_the_interval_covers_chance_and_knows_that_one_persons_guesses_hang_together() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2 == 0
    alone = Attack(rng.normal(size=400), labels, np.arange(400), np.zeros(400, int))
    found = judge(alone, rng)
    assert found.low < 0.5 < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * (1 / 6 / 200) ** 0.5, rel=0.3)
    subjects = np.repeat(np.arange(20), 20)
    by_subject = Attack(rng.normal(size=20)[subjects], subjects % 2 == 0, subjects, np.zeros(400, int))
    wide = judge(by_subject, rng)
    assert wide.high - wide.low > 2 * (found.high - found.low)


# -- statistics --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratings", [1, 5, 30])
def test_likelihoods_are_the_dense_gaussians(ratings: int) -> None:
    rng = np.random.default_rng(0)
    block = improve(start_block(8), [Told(rng.normal(size=(6, 8)), rng.normal(size=6)) for _ in range(9)])
    told = Told(rng.normal(size=(ratings, 8)), rng.normal(size=ratings))
    seen = told.x_RK @ block.covariance_KK @ told.x_RK.T + block.noise * np.eye(ratings)
    dense = multivariate_normal(told.x_RK @ block.mean_K, seen).logpdf(told.y_R)
    assert log_likelihood(told, block.prior) == pytest.approx(float(dense))
    asked = Told(rng.normal(size=(1, 8)), rng.normal(size=1))
    both = Told(np.concatenate([told.x_RK, asked.x_RK]), np.concatenate([told.y_R, asked.y_R]))
    chained = log_likelihood(both, block.prior) - log_likelihood(told, block.prior)
    assert log_predictive(told, asked, block.prior)[0] == pytest.approx(chained)


def test_a_lean_is_what_a_taste_expects_of_a_category_beside_the_others() -> None:
    centres_CK = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    assert_allclose(community_lean(np.array([3.0, 0, 0]), centres_CK), [2, -1, -1])


def test_a_card_points_both_ways() -> None:
    scores = card_scores(np.array([2.0, 0]), np.array([[5.0, 0], [-1, 0], [0, 1], [0, 0]]))
    assert_allclose(scores, [1, 1, 0, 0])


# -- the experiment ----------------------------------------------------------------------------------------------------


def only_the_members(block: TasteBlock, told: Sequence[Told], _: np.random.Generator) -> TasteBlock:
    """Careless: learned until it knows its few users by heart."""
    for _round in range(30):
        block = improve(block, told)
    return block


def one_user(block: TasteBlock, told: Sequence[Told], _: np.random.Generator) -> TasteBlock:
    """The planted leak: one member's ratings by heart, as a prior that expects exactly them."""
    found = posterior(told[0], replace(block.prior, noise=0.01))
    covariance_KK = found.solve(np.eye(len(found.mean_K))) + 1e-3 * np.eye(len(found.mean_K))
    return TasteBlock(found.mean_K, covariance_KK, 0.05, 1, 1)


def unrelated(block: TasteBlock, _: Sequence[Told], rng: np.random.Generator) -> TasteBlock:
    """A block that was learned from other people altogether."""
    size = len(block.mean_K)
    others = [Told(rng.normal(size=(9, size)) / 3, rng.normal(size=9)) for _ in range(8)]
    return improve(block, others)


def test_a_planted_user_is_found() -> None:
    """Two users, one of them published: the attack has only to say which."""
    model, histories = prepared()
    pairs = [
        audit_taste(histories[at : at + 2], model, one_user, np.random.default_rng(at), repeats=6) for at in range(9)
    ]
    assert np.mean([one.membership.auc for one in pairs]) > 0.95


def test_ratings_learned_by_heart_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ratings without any taste: nobody could guess those held back, so what the block knows it was told.

    Calibrated by the common start: the other rounds' blocks are planted too, and as sure of what they do not know.
    """
    monkeypatch.setattr(audit, "REFERENCES_MAX", 0)
    _, items = world()
    model = TastePrior(basis="random-24").prepare(interactions_of([], N_ITEMS), items)
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(12):
        rated = [rng.choice(N_ITEMS, 20, replace=False).astype(np.int64) for _ in range(2)]
        two = [History(rows, rng.normal(4.5, 3, 20).astype(np.float32)) for rows in rated]
        pairs.append(audit_taste(two, model, one_user, rng, repeats=6))
    assert np.mean([one.interaction.auc for one in pairs]) > 0.9


def test_few_users_learned_by_heart_are_found() -> None:
    model, histories = prepared()
    found = audit_taste(histories[:8], model, only_the_members, np.random.default_rng(0), repeats=8)
    assert found.membership.auc > 0.85
    assert found.membership.low > 0.5


def test_a_block_of_other_people_says_nothing() -> None:
    model, histories = prepared()
    categories_I = np.arange(N_ITEMS) % 6
    found = audit_taste(histories, model, unrelated, np.random.default_rng(0), repeats=12, categories_I=categories_I)
    assert found.community is not None
    for one in (found.membership, found.interaction, found.community):
        assert one.auc == pytest.approx(0.5, abs=0.1)
        assert one.low <= 0.55
        assert one.high >= 0.45


def test_what_a_community_likes_shows_in_its_block() -> None:
    """Half of the people love the first half of the items, the others the rest; members are one side or the other."""
    model, _ = prepared()
    rng = np.random.default_rng(0)
    z_K = model.z_IK[:30].mean(axis=0) - model.z_IK[30:].mean(axis=0)
    categories_I = (model.z_IK @ z_K > np.median(model.z_IK @ z_K)).astype(np.int64)
    histories = []
    for user in range(12):
        rated = np.sort(rng.choice(N_ITEMS, 30, replace=False))
        likes = (categories_I[rated] == user % 2) * 6 + rng.normal(size=30)
        histories.append(History(rated.astype(np.int64), likes.astype(np.float32)))
    found = audit_taste(histories, model, only_the_members, rng, repeats=12, categories_I=categories_I)
    assert found.community is not None
    assert found.community.auc > 0.85


def test_noise_hides_what_the_open_block_shows() -> None:
    model, histories = prepared()

    def quiet(block: TasteBlock, told: Sequence[Told], rng: np.random.Generator) -> TasteBlock:
        return m_step(private_sums(block, told, 4.0, rng))

    shown, hidden = (
        audit_taste(histories, model, release, np.random.default_rng(0), repeats=8)
        for release in (only_the_members, quiet)
    )
    assert shown.membership.auc > hidden.membership.auc + 0.15
    assert hidden.membership.auc < 0.62


def test_the_same_seed_finds_the_same() -> None:
    model, histories = prepared(8)
    one, same = (audit_taste(histories, model, only_the_members, np.random.default_rng(3), repeats=2) for _ in range(2))
    assert one == same


def test_a_user_in_every_round_is_compared_with_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    model, histories = prepared(8)
    monkeypatch.setattr(audit, "REFERENCES_MAX", 0)
    found = audit_taste(histories, model, only_the_members, np.random.default_rng(0), repeats=2)
    assert not np.isnan(found.membership.auc)


@pytest.mark.parametrize(("users", "repeats"), [(1, 2), (5, 1)])
def test_too_little_to_audit_is_refused(users: int, repeats: int) -> None:
    model, histories = prepared()
    with pytest.raises(ValueError, match="an audit needs"):
        audit_taste(histories[:users], model, unrelated, np.random.default_rng(0), repeats=repeats)
