"""Delta: leaving one out by the formula and by hand, no delta where nothing is known, and what content cannot see."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.delta import Delta
from models.features import phi_of
from models.interactions import History, interactions_of
from models.linear_taste import Told, posterior
from models.taste_prior import TastePrior
from tests.models.conformance import EMPTY, N_ITEMS, RatingPredictorTests, history, table, world


class TestDelta(RatingPredictorTests):
    model = Delta

    def test_errors_are_those_of_leaving_each_rating_out(self) -> None:
        fitted, histories, _ = self.fitted()
        assert isinstance(fitted, Delta)
        content, mine = fitted.content, histories[6]
        told = content.told(mine)
        for place in range(len(mine)):
            rest = Told(np.delete(told.x_RK, place, 0), np.delete(told.y_R, place))
            taste_K = posterior(rest, content.prior).mean_K
            error = told.y_R[place] - told.x_RK[place] @ taste_K
            assert fitted.errors(mine)[place] == pytest.approx(error, abs=1e-6)

    def test_contributions_and_what_needs_no_history_make_the_score(self) -> None:
        fitted, histories, _ = self.fitted()
        assert isinstance(fitted, Delta)
        mine, content = histories[2], fitted.content
        for item in (0, 17):
            through_content = content.expected([mine])[0, item] - content.contributions(mine, item).sum()
            whole = through_content + content.spread * fitted.bias_I[item] + fitted.contributions(mine, item).sum()
            assert whole == pytest.approx(fitted.scores([mine])[0, item], abs=1e-4)

    def test_a_block_from_elsewhere_can_be_the_content(self) -> None:
        fitted, histories, items = self.fitted()
        assert isinstance(fitted, Delta)
        over = Delta().fit_over(fitted.content.block, table(histories), items)
        assert_allclose(over.scores(histories), fitted.scores(histories), atol=1e-5)


def test_an_item_without_ratings_has_its_content_alone() -> None:
    histories, items = world()
    known = [History(one.items[one.items < 50], one.values[one.items < 50]) for one in histories]
    fitted = Delta().fit(table(known), items)
    content = TastePrior().fit(table(known), items)
    assert_allclose(fitted.expected([*known, EMPTY])[:, 50:], content.expected([*known, EMPTY])[:, 50:], atol=1e-5)
    assert np.abs(fitted.bias_I[:50]).max() > 0.01


def people(n_users: int, seed: int = 0) -> tuple[list[History], list[History]]:
    """Tastes in content, and two things it does not show: item 5 is a masterpiece, and the odd items divide people."""
    rng = np.random.default_rng(seed)
    _, items = world()
    phi = phi_of(items)
    hidden = np.where(np.arange(N_ITEMS) % 2, 2.0, -2.0)
    told, asked = [], []
    for _ in range(n_users):
        full = (
            4
            + 1.5 * phi @ rng.normal(size=phi.shape[1])
            + rng.choice([-1, 1]) * hidden
            + 0.3 * rng.normal(size=N_ITEMS)
        )
        full[5] += 4
        rows = rng.permutation(N_ITEMS)
        told.append(History(rows[:20], full[rows[:20]].astype(np.float32)))
        asked.append(History(rows[20:], full[rows[20:]].astype(np.float32)))
    return told, asked


def test_it_finds_what_content_does_not_show() -> None:
    _, items = world()
    told, asked = people(150)
    errors, masterpiece = {}, {}
    for name, model in (("delta", Delta()), ("bias", Delta(rank=0)), ("content", TastePrior())):
        expected = model.fit(table(told[:100]), items).expected(told[100:])
        errors[name] = np.mean([(expected[user, one.items] - one.values) ** 2 for user, one in enumerate(asked[100:])])
        masterpiece[name] = expected[:, 5].mean() - np.delete(expected, 5, 1).mean()
    assert errors["delta"] < 0.8 * errors["content"]
    assert masterpiece["bias"] > max(2, masterpiece["content"] + 1)


def test_shrinkage_is_pseudo_ratings_of_nothing() -> None:
    _, items = world()
    fitted = Delta(rank=0, shrink=3.0).fit(interactions_of([history([1, 2], [9.0, 1.0])], N_ITEMS), items)
    errors = fitted.errors(history([1, 2], [9.0, 1.0]))
    assert_allclose(fitted.bias_I[[1, 2]], errors / 4, rtol=1e-5)
    assert not fitted.bias_I[3:].any()
