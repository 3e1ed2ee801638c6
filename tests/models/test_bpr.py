"""BPR: a user's vector against scikit-learn's logistic regression, and training that orders what it saw."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models import bpr
from models.bpr import Bpr
from tests.models.conformance import N_ITEMS, RecommenderTests, history, table, world


class TestBpr(RecommenderTests):
    model = Bpr
    params = {"factors": 8, "epochs": 40, "relevant": 6.0}
    # The common world leaves each user two likes: too few for any model of pairs. See the next test.
    has_signal = False

    def test_finds_two_camps(self) -> None:
        """Even users like even items, odd users odd ones; each rated a third. The rest is ordered by camp."""
        rng = np.random.default_rng(0)
        _, items = world()
        histories = []
        for user in range(100):
            rated = rng.choice(N_ITEMS, 20, replace=False)
            histories.append(history(rated.tolist(), np.where(rated % 2 == user % 2, 9.0, 2.0).tolist()))
        scores = self.make().fit(table(histories), items).scores(histories)
        own = np.arange(N_ITEMS) % 2 == np.arange(100)[:, None] % 2
        unseen = np.ones_like(own)
        for user, one in enumerate(histories):
            unseen[user, one.items] = False
        shares = [
            (row[mine & new][:, None] > row[~mine & new]).mean()
            for row, mine, new in zip(scores, own, unseen, strict=True)
        ]
        assert np.mean(shares) > 0.95

    def fitted_bpr(self, **params: float) -> Bpr:
        histories, items = world()
        fitted = self.make(**params).fit(table(histories), items)
        assert isinstance(fitted, Bpr)
        return fitted

    def test_a_users_vector_is_a_logistic_regression_on_pairs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bpr, "STEPS", 20)
        fitted = self.fitted_bpr(reg=0.05)
        fitted.bias_I = np.zeros_like(fitted.bias_I)  # scikit-learn knows no offsets
        liked = np.array([3, 8, 20, 41])
        better, ahead_PF, _ = fitted._pairs(liked)
        assert set(better.tolist()) == set(liked.tolist())
        # Each pair both ways round, for a classifier needs two classes: the objective doubles, and C halves.
        oracle = LogisticRegression(C=1 / (2 * 0.05 * len(better)), fit_intercept=False, tol=1e-10, max_iter=1000)
        oracle.fit(np.vstack([ahead_PF, -ahead_PF]), np.repeat([1, 0], len(ahead_PF)))
        assert np.allclose(fitted.user_vector(liked), oracle.coef_[0], atol=1e-3)

    def test_contributions_add_up_to_the_users_part_of_the_score(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bpr, "STEPS", 20)
        fitted = self.fitted_bpr()
        one = history([3, 8, 20, 41, 5], [9, 8, 7, 10, 1])
        for item in (0, 17, 59):
            parts = fitted.contributions(one, item)
            assert parts[4] == 0
            assert parts.sum() + fitted.bias_I[item] == pytest.approx(fitted.scores([one])[0, item], abs=1e-4)

    def test_liked_items_come_before_others(self) -> None:
        """Of what it was trained on, nearly every pair is in order."""
        histories, _ = world()
        fitted = self.fitted_bpr(reg=0.001)
        shares = []
        for scores, one in zip(fitted.scores(histories), histories, strict=True):
            liked = one.items[one.values >= 6]
            rest = np.setdiff1d(np.arange(N_ITEMS), liked)
            shares += [float((scores[item] > scores[rest]).mean()) for item in liked]
        assert np.mean(shares) > 0.9

    def test_more_likes_than_pairs(self) -> None:
        """All count, though there is room for 16 pairs only."""
        fitted = self.fitted_bpr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bpr, "PAIRS", 16)
            better, _, _ = fitted._pairs(np.arange(40))
        assert set(better.tolist()) == set(range(40))
        assert np.isfinite(fitted.user_vector(np.arange(N_ITEMS))).all()

    def test_a_draw_that_is_liked_is_noticed(self) -> None:
        known, asked = np.array([2, 5, 9]), np.array([0, 2, 3, 9, 10, 5])
        for size in (11, bpr.TABLE_MAX + 1):
            assert bpr._membership(known, size)(asked).tolist() == [False, True, False, True, False, True]

    @pytest.mark.filterwarnings("ignore:overflow")
    def test_a_learning_rate_that_diverges_is_named(self) -> None:
        histories, items = world()
        with pytest.raises(ValueError, match=r"learning rate of 1e\+30 is too high"):
            Bpr(learning_rate=1e30, reg=1.0).fit(table(histories), items)
