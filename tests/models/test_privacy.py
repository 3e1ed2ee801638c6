"""Privacy: no user moves the sum by more than the bound, the budget is the library's and an independent formula's, and
whatever the noise, what comes out is a block.
"""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq
from scipy.stats import norm

from models import privacy
from models.interactions import interactions_of
from models.linear_taste import Told
from models.privacy import (
    CLIP,
    COUNT,
    Accountant,
    BudgetSpentError,
    clipped_sum,
    contribution,
    epsilon_of,
    membership_auc_max,
    noise_multiplier_for,
    private_sums,
    repaired,
)
from models.taste_prior import TasteBlock, TastePrior, e_step, improve, m_step, start_block
from tests.models.conformance import world

SIZE = 6
DELTA = 1e-5


def somebody(seed: int, ratings: int, scale: float = 1.0) -> Told:
    rng = np.random.default_rng(seed)
    return Told(rng.normal(size=(ratings, SIZE)), scale * rng.normal(size=ratings))


def known_block(seed: int) -> TasteBlock:
    """A block that a node might have heard."""
    return improve(start_block(SIZE), [somebody(seed + 1000 + one, 9) for one in range(7)])


anybody = st.builds(
    somebody, st.integers(0, 10**6), st.integers(0, 20), st.sampled_from([0.0, 1e-9, 0.1, 1.0, 30.0, 1e8, 1e100, 1e300])
)


def analytic_epsilon(noise_multiplier: float, delta: float) -> float:
    """Balle and Wang 2018, theorem 8, solved for epsilon."""
    mu = 1 / noise_multiplier

    def missing(epsilon: float) -> float:
        above = norm.cdf(mu / 2 - epsilon / mu)
        return float(above - exp(epsilon + norm.logcdf(-mu / 2 - epsilon / mu)) - delta)

    return float(brentq(missing, 0, 200))


# -- one user ----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(anybody, st.integers(0, 50))
def test_nobody_adds_more_than_the_bound(told: Told, seed: int) -> None:
    for block in (start_block(SIZE), known_block(seed)):
        added = contribution(told, block.prior)
        assert np.isfinite(added).all()
        assert np.linalg.norm(added) <= CLIP * (1 + 1e-9)
        assert added[0] == (COUNT if added.any() else 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(anybody, max_size=5), anybody, st.integers(0, 5))
def test_one_user_more_or_less_moves_the_sum_by_at_most_the_bound(others: list[Told], told: Told, place: int) -> None:
    block = start_block(SIZE)
    with_KK = clipped_sum(block, [*others[:place], told, *others[place:]])
    assert np.linalg.norm(with_KK - clipped_sum(block, others)) <= CLIP * (1 + 1e-9)


def test_everything_loud_is_cut_to_the_same_length_and_nothing_quiet_is_cut() -> None:
    loud = contribution(somebody(1, 9, 1e4), start_block(SIZE).prior)
    assert np.linalg.norm(loud) == pytest.approx(CLIP)
    quiet = [somebody(seed, 4) for seed in range(5)]
    sums = repaired(start_block(SIZE), clipped_sum(start_block(SIZE), quiet), 1e-12)
    true = e_step(start_block(SIZE), quiet)
    assert_allclose(sums.mean_K, true.mean_K, atol=1e-9)
    assert_allclose(sums.outer_KK, true.outer_KK, atol=1e-6)


def test_the_bound_is_on_the_whole_matrix() -> None:
    """Off-diagonals count twice, as they do in the Frobenius norm."""
    told, prior = somebody(3, 5), start_block(SIZE).prior
    added = contribution(told, prior)
    rows, columns = np.triu_indices(SIZE)
    square_KK = np.zeros((SIZE, SIZE))
    square_KK[rows, columns] = added[1 + SIZE :] / np.where(rows == columns, 1, 2**0.5)
    square_KK = square_KK + np.triu(square_KK, 1).T
    assert np.linalg.norm(square_KK) == pytest.approx(np.linalg.norm(added[1 + SIZE :]))
    sums = e_step(start_block(SIZE), [told])
    assert_allclose(square_KK, sums.outer_KK - prior.covariance_KK, atol=1e-9)


def test_a_model_prepared_with_nobody_tells_each_user_alike_whoever_else_is_there() -> None:
    """The scale that privacy rests on: the rating scale's own middle and quarter."""
    histories, items = world()
    model = TastePrior().prepare(interactions_of([], len(items)), items)
    assert (model.overall, model.spread) == (4.5, 2.75)
    wild = [*histories[:3], histories[3]]
    learned = [TastePrior().prepare(interactions_of(some, len(items)), items) for some in (histories, wild)]
    assert learned[0].told(histories[0]).y_R[0] != learned[1].told(histories[0]).y_R[0]


# -- what is published -------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    st.lists(anybody, max_size=6),
    st.sampled_from([0.1, 0.6, 4.0, 1e3, 1e6]),
    st.integers(0, 10**6),
    st.integers(0, 50),
)
def test_it_is_always_a_positive_definite_block(
    users: list[Told], noise_multiplier: float, seed: int, heard: int
) -> None:
    for block in (start_block(SIZE), known_block(heard)):
        made = m_step(private_sums(block, users, noise_multiplier, np.random.default_rng(seed)))
        assert np.isfinite(made.mean_K).all()
        assert_array_equal(made.covariance_KK, made.covariance_KK.T)
        assert np.linalg.eigvalsh(made.covariance_KK).min() > 0
        assert made.noise == pytest.approx(privacy.NOISE)
        assert made.n_users == made.n_ratings >= 1


def test_the_same_seed_gives_the_same_block_and_another_another() -> None:
    users = [somebody(seed, 8) for seed in range(4)]
    one, same, other = (private_sums(start_block(SIZE), users, 0.6, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert_array_equal(one.outer_KK, same.outer_KK)
    assert one.n_users == same.n_users != other.n_users


def test_the_noise_is_as_large_as_accounted_for() -> None:
    """With nobody there, the vector before repair is noise alone; the count shows it, where it is above one user."""
    rng = np.random.default_rng(0)
    counts = [private_sums(start_block(2), [], 0.6, rng).n_users for _ in range(4000)]
    above = np.array([one for one in counts if one > 1])
    deviation = 0.6 * CLIP / COUNT
    assert len(above) / len(counts) == pytest.approx(norm.sf(1 / deviation), abs=0.03)
    assert np.quantile(counts, 0.975) == pytest.approx(1.96 * deviation, rel=0.08)


def test_many_users_come_through_the_noise() -> None:
    rng = np.random.default_rng(0)
    taste_K = np.array([1.5, -1.0, 0, 0, 0, 0])
    users = []
    for _ in range(400):
        x_RK = rng.normal(size=(10, SIZE))
        own_K = taste_K + np.array([0, 0, 1.5, 0, 0, 0]) * rng.normal()
        users.append(Told(x_RK, x_RK @ own_K + 0.6 * rng.normal(size=10)))
    start = start_block(SIZE)
    clear, noisy = improve(start, users), m_step(private_sums(start, users, 0.6, rng))
    assert noisy.n_users == pytest.approx(400, abs=10)
    assert_allclose(noisy.mean_K, clear.mean_K, atol=0.15)
    assert_allclose(noisy.covariance_KK, clear.covariance_KK, atol=0.25)


@pytest.mark.parametrize("noise_multiplier", [0.0, -1.0, 0.01, float("nan"), float("inf")])
def test_too_little_noise_is_refused(noise_multiplier: float) -> None:
    with pytest.raises(ValueError, match="noise multiplier"):
        private_sums(start_block(SIZE), [], noise_multiplier, np.random.default_rng(0))
    with pytest.raises(ValueError, match="noise multiplier"):
        epsilon_of([noise_multiplier], DELTA)


# -- the budget --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise_multiplier", [0.6, 1.0, 1.081, 3.731, 20.0])
@pytest.mark.parametrize("delta", [1e-5, 1e-7])
def test_one_release_costs_what_the_analytic_gaussian_says(noise_multiplier: float, delta: float) -> None:
    exact = analytic_epsilon(noise_multiplier, delta)
    assert epsilon_of([noise_multiplier], delta) == pytest.approx(exact, abs=1e-3)


def test_many_releases_cost_what_the_library_says_and_what_one_of_less_noise_would() -> None:
    from dp_accounting import ComposedDpEvent, GaussianDpEvent
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    schedule = [2.0, 5.0, 2.0, 3.0]
    event: Any = ComposedDpEvent([GaussianDpEvent(one) for one in schedule])
    ours = epsilon_of(schedule, DELTA)
    assert ours == pytest.approx(PLDAccountant().compose(event).get_epsilon(DELTA), abs=1e-3)
    assert ours == pytest.approx(analytic_epsilon(sum(one**-2 for one in schedule) ** -0.5, DELTA), abs=1e-3)
    assert ours < RdpAccountant().compose(event).get_epsilon(DELTA)


def test_the_noise_found_spends_the_budget_and_no_more() -> None:
    noise_multiplier = noise_multiplier_for(2.0, DELTA, 3)
    accountant = Accountant(2.0, DELTA)
    spent = [accountant.spend(noise_multiplier) for _ in range(3)]
    assert sorted(spent) == spent
    assert 1.999 < spent[-1] == accountant.epsilon <= 2.0
    assert epsilon_of([noise_multiplier * 0.999] * 3, DELTA) > 2.0


@pytest.mark.parametrize(("epsilon", "releases"), [(0.0, 1), (-1.0, 1), (21.0, 1), (1.0, 0), (float("nan"), 1)])
def test_a_budget_that_is_none_is_refused(epsilon: float, releases: int) -> None:
    with pytest.raises(ValueError, match="budget"):
        noise_multiplier_for(epsilon, DELTA, releases)


def test_beyond_the_budget_nothing_is_released_however_often_one_asks() -> None:
    accountant = Accountant(1.0, DELTA)
    accountant.spend(5.0)
    before = accountant.epsilon
    for _ in range(2):
        with pytest.raises(BudgetSpentError, match=r"budget of 1$"):
            accountant.spend(5.0)
    assert (accountant.released, accountant.epsilon) == ([5.0], before)
    # A quieter release may still fit.
    assert before < accountant.spend(50.0) <= 1.0


def test_a_budget_survives_being_stored_as_numbers() -> None:
    accountant = Accountant(1.0, DELTA)
    accountant.spend(5.0)
    again = Accountant(1.0, DELTA, list(accountant.released))
    assert again.epsilon == accountant.epsilon
    assert Accountant(1.0, DELTA).epsilon == 0.0


def test_no_test_of_membership_beats_the_bound() -> None:
    """Whoever knows all others subtracts them and projects on the user: drawn here."""
    rng = np.random.default_rng(0)
    there, absent = 1 / 0.6 + rng.normal(size=3000), rng.normal(size=3000)
    drawn = (there[:, None] > absent).mean()
    assert membership_auc_max([0.6]) == pytest.approx(drawn, abs=0.015)
    assert membership_auc_max([0.6 * 2**0.5] * 2) == pytest.approx(membership_auc_max([0.6]))
    assert membership_auc_max([]) == 0.5
