"""EASE: against dense linear algebra in both of its spaces, and its limits."""

from __future__ import annotations

import numpy as np
import pytest

from models import ease
from models.ease import Ease
from models.fusion import centre_items
from models.interactions import Interactions, interactions_of
from tests.models.conformance import EMPTY, N_ITEMS, RecommenderTests, history, table, world


def dense_weights(likes_UI: np.ndarray, reg: float) -> np.ndarray:
    """Steck's listing, in float64."""
    inverse = np.linalg.inv(likes_UI.T @ likes_UI + reg * np.eye(likes_UI.shape[1]))
    weights = inverse / -inverse.diagonal()
    np.fill_diagonal(weights, 0)
    return np.asarray(weights)


class TestEase(RecommenderTests):
    model = Ease
    params = {"reg": 5.0}

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_both_spaces_agree_with_the_dense_formula(self, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ease, "USERS_PER_ITEM_MAX", share)
        histories, items = world()
        fitted = Ease(reg=5, relevant=6).fit(table(histories), items)
        assert (len(fitted.inverse_UU) > 0) == (share == 1)
        likes_UI = np.zeros((len(histories), N_ITEMS))
        for user, one in enumerate(histories):
            likes_UI[user, one.items[one.values >= 6]] = 1
        weights = dense_weights(likes_UI, 5)
        asked = [*histories, history([1, 2, 59], [9.0, 0.0, 8.0])]
        theirs = np.vstack([likes_UI, np.isin(np.arange(N_ITEMS), [1, 59])]) @ weights
        someone = theirs.any(axis=1)
        assert np.allclose(fitted.scores(asked)[someone], theirs[someone], atol=1e-5)
        parts = fitted.contributions(asked[-1], 7)
        assert np.allclose(parts, [weights[1, 7], 0, weights[59, 7]], atol=1e-5)

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_scores_are_sums_of_contributions(self, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ease, "USERS_PER_ITEM_MAX", share)
        fitted, histories, _ = self.fitted()
        for item in (0, int(histories[2].items[0]), 59):
            parts = fitted.contributions(histories[2], item)
            assert parts.sum() == pytest.approx(fitted.scores([histories[2]])[0, item], abs=1e-5)

    def test_who_likes_nothing_gets_what_most_like(self) -> None:
        fitted, _, _ = self.fitted()
        assert isinstance(fitted, Ease)
        for one in (EMPTY, history([3], [-1.0])):
            assert np.array_equal(fitted.scores([one])[0], fitted.popular_I)

    def test_too_large_a_matrix_is_refused_before_it_is_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ease, "SIDE_MAX", 20)
        histories, items = world()
        with pytest.raises(ValueError, match="60 rows here, and 20 is its limit: use als"):
            Ease().fit(interactions_of(histories, N_ITEMS), items)

    def test_without_a_penalty(self) -> None:
        histories, items = world()
        with pytest.raises(ValueError, match="penalty above 0"):
            Ease(reg=0).fit(table(histories), items)

    def test_a_pair_rated_twice_is_refused(self) -> None:
        two = np.zeros(2, np.int64)
        unit = np.eye(1, 4, dtype=np.float32)
        with pytest.raises(ValueError, match="same item twice"):
            Ease().fit(Interactions(two, two, np.ones(2, np.float32), 1, 1), centre_items(unit, unit, 0.5))
