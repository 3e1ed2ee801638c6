"""The taste prior: against a dense Gaussian, additive, and it finds what was planted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.interactions import History, interactions_of
from models.linear_taste import Told, posterior
from models.ridge import Ridge
from models.taste_prior import TasteBlock, TastePrior, e_step, improve, m_step, start_block
from tests.models.conformance import N_ITEMS, RatingPredictorTests, history, table, world


def planted(n_users: int, seed: int = 0, size: int = 12, rank: int = 2) -> tuple[list[Told], np.ndarray, np.ndarray]:
    """Users whose tastes lie in a plane, off-centre: what they told, the mean and the covariance behind it."""
    rng = np.random.default_rng(seed)
    mean_K, root_KR = rng.normal(size=size) / 2, rng.normal(size=(size, rank))
    told = []
    for _ in range(n_users):
        x_RK = rng.normal(size=(20, size)) / size**0.5
        taste_K = mean_K + root_KR @ rng.normal(size=rank)
        told.append(Told(x_RK, x_RK @ taste_K + 0.3 * rng.normal(size=20)))
    return told, mean_K, root_KR @ root_KR.T


class TestTastePrior(RatingPredictorTests):
    model = TastePrior

    def prior(self) -> tuple[TastePrior, list[History]]:
        fitted, histories, _ = self.fitted()
        assert isinstance(fitted, TastePrior)
        return fitted, histories

    def test_folding_in_is_conditioning_the_joint_gaussian(self) -> None:
        """The oracle never forms w: items' ratings are jointly Gaussian, condition on those given."""
        fitted, histories = self.prior()
        mine, z_IK = histories[4], fitted.z_IK.astype(float)
        joint_II, mean_I = z_IK @ fitted.covariance_KK @ z_IK.T, z_IK @ fitted.mean_K
        given = mine.items
        seen = joint_II[np.ix_(given, given)] + fitted.noise * np.eye(len(given))
        told = (mine.values - fitted.level(mine)) / fitted.spread
        gain = np.linalg.solve(seen, joint_II[given]).T
        expected = fitted.level(mine) + fitted.spread * (mean_I + gain @ (told - mean_I[given]))
        assert_allclose(fitted.expected([mine])[0], expected, atol=2e-3)
        variance = np.diag(joint_II) - np.einsum("ij,ji->i", gain, joint_II[given])
        assert_allclose(fitted.deviations(mine), fitted.spread * variance**0.5, rtol=2e-3)

    def test_contributions_are_the_askers_own_whoever_asked_before(self) -> None:
        """A fold-in is kept from item to item; not from user to user, nor from prior to prior."""
        fitted, histories = self.prior()
        fresh, _ = self.prior()
        for one in (histories[1], histories[2], histories[1]):
            for item in (9, 3):
                assert_allclose(fitted.contributions(one, item), self.prior()[0].contributions(one, item))
        fitted.noise *= 4
        assert np.abs(fitted.contributions(histories[1], 3) - fresh.contributions(histories[1], 3)).max() > 1e-3

    def test_contributions_are_the_change_from_saying_the_level(self) -> None:
        """Linear: a rating's contribution is what the score loses if the rating had been the level, all else equal."""
        fitted, histories = self.prior()
        told = fitted.told(histories[1])
        parts = fitted.contributions(histories[1], 9)
        z_K = fitted.z_IK[9]
        for place in range(len(parts)):
            y_R = told.y_R.copy()
            y_R[place] = 0
            without = posterior(Told(told.x_RK, y_R), fitted.prior).mean_K
            change = fitted.spread * z_K @ (fitted.taste(histories[1]) - without)
            assert parts[place] == pytest.approx(change, abs=1e-4)

    def test_before_learning_it_is_ridge(self) -> None:
        histories, items = world()
        started = TastePrior(iterations=0).fit(table(histories), items)
        assert_allclose(
            started.expected(histories), Ridge(strength=1.0).fit(table(histories), items).expected(histories), atol=1e-4
        )

    def test_nobody_yet_means_the_prior_mean(self) -> None:
        fitted, _ = self.prior()
        expected = fitted.overall + fitted.spread * fitted.z_IK @ fitted.mean_K
        assert_allclose(fitted.expected([history([], [])])[0], expected, atol=1e-4)

    def test_another_nodes_block_can_be_taken_and_a_wrong_one_not(self) -> None:
        histories, items = world()
        one = TastePrior().fit(table(histories[:12]), items)
        other = TastePrior(iterations=0).fit(table(histories[:12]), items)
        other.take(one.block)
        assert np.array_equal(one.scores(histories), other.scores(histories))
        with pytest.raises(ValueError, match="does not fit"):
            other.take(start_block(5))


def test_the_e_step_is_the_dense_one() -> None:
    told, _, _ = planted(3)
    block = m_step(e_step(start_block(12), told))
    sums = e_step(block, told)
    mean, outer, error = np.zeros(12), np.zeros((12, 12)), 0.0
    for one in told:
        variance = np.linalg.inv(one.x_RK.T @ one.x_RK / block.noise + np.linalg.inv(block.covariance_KK))
        found = variance @ (one.x_RK.T @ one.y_R / block.noise + np.linalg.solve(block.covariance_KK, block.mean_K))
        mean += found
        outer += np.outer(found, found) + variance
        error += ((one.y_R - one.x_RK @ found) ** 2).sum() + np.trace(one.x_RK @ variance @ one.x_RK.T)
    assert_allclose(sums.mean_K, mean, atol=1e-9)
    assert_allclose(sums.outer_KK, outer, atol=1e-9)
    assert sums.error == pytest.approx(error)
    assert (sums.n_users, sums.n_ratings) == (3, 60)


def test_nodes_sums_add_up_to_one_machines_step() -> None:
    told, _, _ = planted(30)
    block = start_block(12)
    together = m_step(e_step(block, told))
    apart = m_step(e_step(block, told[:7]) + e_step(block, told[7:]))
    assert_allclose(together.covariance_KK, apart.covariance_KK, atol=1e-12)
    assert together.n_users == apart.n_users == 30
    assert_allclose(m_step(e_step(block, told * 3)).mean_K, m_step(e_step(block, told).times(3)).mean_K, atol=1e-12)


def test_the_order_of_users_does_not_matter() -> None:
    told, _, _ = planted(10)
    assert_allclose(
        improve(start_block(12), told).covariance_KK, improve(start_block(12), told[::-1]).covariance_KK, atol=1e-12
    )


def log_evidence(block: TasteBlock, told: list[Told]) -> float:
    """log p(ratings), by the dense marginal of each user."""
    total = 0.0
    for one in told:
        seen = one.x_RK @ block.covariance_KK @ one.x_RK.T + block.noise * np.eye(len(one.y_R))
        rest = one.y_R - one.x_RK @ block.mean_K
        total += -0.5 * (np.linalg.slogdet(seen)[1] + rest @ np.linalg.solve(seen, rest))
    return total


def test_each_iteration_explains_the_ratings_better_and_finds_the_planted_plane() -> None:
    told, mean_K, covariance_KK = planted(400)
    block, evidence = start_block(12), []
    for _ in range(30):
        block = improve(block, told)
        evidence.append(log_evidence(block, told))
    assert (np.diff(evidence) > 0).all()
    assert np.corrcoef(block.mean_K, mean_K)[0, 1] > 0.95
    assert block.noise == pytest.approx(0.09, rel=0.15)
    found = np.linalg.eigh(block.covariance_KK)[1][:, -2:]
    true = np.linalg.eigh(covariance_KK)[1][:, -2:]
    # Cosines of the angles between the two planes.
    assert np.linalg.svd(found.T @ true)[1].min() > 0.95


def test_a_shared_plane_needs_fewer_ratings_than_ridge() -> None:
    told, _, _ = planted(230)
    told, fresh = told[:200], told[200:]
    block = start_block(12)
    for _ in range(10):
        block = improve(block, told)
    errors = {"prior": 0.0, "ridge": 0.0}
    for one in fresh:
        few = Told(one.x_RK[:4], one.y_R[:4])
        for name, known in (("prior", block), ("ridge", start_block(12))):
            taste = posterior(few, known.prior).mean_K
            errors[name] += ((one.y_R[4:] - one.x_RK[4:] @ taste) ** 2).sum()
    assert errors["prior"] < 0.5 * errors["ridge"]


def test_the_sums_are_the_plain_loop_over_users_of_few_and_many_ratings() -> None:
    """The oracle inverts every user's precision, whichever form the code takes."""
    told, _, _ = planted(30)
    told = [Told(one.x_RK[: 1 + place % 20], one.y_R[: 1 + place % 20]) for place, one in enumerate(told)]
    block = improve(start_block(12), told)
    mean_K, outer_KK, error = np.zeros(12), np.zeros((12, 12)), 0.0
    for one in told:
        variance_KK = np.linalg.inv(one.x_RK.T @ one.x_RK / block.noise + np.linalg.inv(block.covariance_KK))
        start = np.linalg.solve(block.covariance_KK, block.mean_K)
        taste_K = variance_KK @ (one.x_RK.T @ one.y_R / block.noise + start)
        mean_K += taste_K
        outer_KK += np.outer(taste_K, taste_K) + variance_KK
        error += ((one.y_R - one.x_RK @ taste_K) ** 2).sum() + np.trace(one.x_RK @ variance_KK @ one.x_RK.T)
        assert_allclose(posterior(one, block.prior).solve(np.eye(12)), variance_KK, atol=1e-8)
    sums = e_step(block, told)
    assert_allclose(sums.mean_K, mean_K, atol=1e-8)
    assert_allclose(sums.outer_KK, outer_KK, atol=1e-8)
    assert sums.error == pytest.approx(error, rel=1e-8)


def test_users_without_ratings_change_nothing() -> None:
    told, _, _ = planted(5)
    nobody = Told(np.empty((0, 12)), np.empty(0))
    assert e_step(start_block(12), [*told, nobody]).n_users == 5
    assert m_step(e_step(start_block(12), [nobody])).noise == start_block(12).noise


def test_purchases_of_one_value_do_not_break_the_noise() -> None:
    _, items = world()
    bought = [history([1, 2, 3], [1.0] * 3), history([2, 3], [1.0] * 2)]
    fitted = TastePrior().fit(interactions_of(bought, N_ITEMS, (0.0, 1.0)), items)
    assert fitted.noise > 0
    assert np.linalg.eigvalsh(fitted.covariance_KK).min() > 0
