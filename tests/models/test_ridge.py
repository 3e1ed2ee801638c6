"""Ridge: against the normal equations, and the choice of its strength."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.features import phi_of
from models.interactions import History, interactions_of
from models.linear_taste import LEVEL_SHRINK
from models.ridge import STRENGTHS, Ridge
from tests.models.conformance import N_ITEMS, RatingPredictorTests, history, world


class TestRidge(RatingPredictorTests):
    model = Ridge

    def test_is_the_textbook_solution(self) -> None:
        histories, items = world()
        fitted = Ridge(strength=2.0).fit(interactions_of(histories, N_ITEMS), items)
        mine = histories[3]
        level = (mine.values.sum() + LEVEL_SHRINK * fitted.overall) / (len(mine) + LEVEL_SHRINK)
        x_RK = phi_of(items)[mine.items].astype(float)
        # The dual form (Saunders et al. 1998), over ratings instead of features.
        dual_R = np.linalg.solve(x_RK @ x_RK.T + 2.0 * np.eye(len(mine)), mine.values - level)
        expected_I = level + phi_of(items) @ (x_RK.T @ dual_R)
        assert_allclose(fitted.expected([mine])[0], expected_I, atol=1e-4)

    def test_contributions_and_the_level_make_the_score(self) -> None:
        fitted, histories, _ = self.fitted()
        assert isinstance(fitted, Ridge)
        for item in (0, 17, 59):
            whole = fitted.level(histories[2]) + fitted.contributions(histories[2], item).sum()
            assert whole == pytest.approx(fitted.scores([histories[2]])[0, item], abs=1e-4)

    @pytest.mark.parametrize(("noise", "weak"), [(0.0, True), (30.0, False)])
    def test_noise_asks_for_more_strength(self, noise: float, weak: bool) -> None:
        histories, items = world()
        rng = np.random.default_rng(1)
        phi = phi_of(items)
        told = []
        for one in histories:
            values = 4 + 3 * phi[one.items] @ rng.normal(size=phi.shape[1]) + noise * rng.normal(size=len(one))
            told.append(History(one.items, values.astype(np.float32)))
        chosen = Ridge().fit(interactions_of(told, N_ITEMS), items).noise
        assert chosen in STRENGTHS
        assert (chosen <= 1) is weak

    def test_strangers_do_not_matter(self) -> None:
        """No sharing: others' ratings move neither the taste nor, with the same scale, anything else."""
        histories, items = world()
        fitted = Ridge(strength=1.0).fit(interactions_of(histories, N_ITEMS), items)
        other = Ridge(strength=1.0).fit(interactions_of(histories[:5], N_ITEMS), items)
        other.overall, other.spread = fitted.overall, fitted.spread
        assert_allclose(fitted.expected(histories), other.expected(histories), atol=1e-5)

    def test_uncertainty_shrinks_where_it_was_told(self) -> None:
        fitted, _, _ = self.fitted()
        assert isinstance(fitted, Ridge)
        before, after = fitted.deviations(history([], [])), fitted.deviations(history([5], [9.0]))
        assert after[5] < before[5]
        assert (after <= before + 1e-5).all()
