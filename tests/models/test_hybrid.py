"""The hybrid: it prefers what predicts, buckets apart where they differ, and leaves out what can't take part."""

from __future__ import annotations

import numpy as np
import pytest

from models import ease
from models.ease import Ease
from models.hybrid import Hybrid, standardised
from models.interactions import interactions_of
from models.recommender import TooLargeError
from tests.models.conformance import N_ITEMS, RecommenderTests, history, table, world


def camps(n_users: int = 120) -> list[tuple[int, list[int]]]:
    """Two camps of users, each rating items of both: only who likes what tells them apart."""
    rng = np.random.default_rng(4)
    return [(user % 2, rng.choice(N_ITEMS, 20, replace=False).tolist()) for user in range(n_users)]


class TestHybrid(RecommenderTests):
    model = Hybrid
    params = {"settings": {"als": {"factors": 8}, "ease": {"reg": 5.0}}}

    def test_what_predicts_wins_over_chance(self) -> None:
        _, items = world()
        histories = [history(rated, [9.0 if item % 2 == camp else 1.0 for item in rated]) for camp, rated in camps()]
        fitted = Hybrid(models=["random", "ease"], settings={"ease": {"reg": 5.0}}).fit(table(histories), items)
        assert fitted.weights_BM.shape == (3, 2)
        assert (fitted.weights_BM[:, 1] >= 0.8).all()
        assert np.allclose(fitted.weights_BM.sum(axis=1), 1)

    def test_a_pick_ranks_as_the_model_picked(self) -> None:
        histories, items = world()
        ratings = table(histories)
        fitted = Hybrid(models=["ease"], settings={"ease": {"reg": 5.0}}).fit(ratings, items)
        alone = Ease(reg=5.0).fit(ratings, items)
        for one in histories:
            assert fitted.recommend(one, 10)[0].tolist() == alone.recommend(one, 10)[0].tolist()

    def test_the_blend_is_the_weighted_sum_of_standard_scores(self) -> None:
        histories, items = world()
        fitted = Hybrid(models=["ease", "most_liked"], edges=[12]).fit(table(histories), items)
        fitted.weights_BM = np.array([[1, 0], [0.25, 0.75]], np.float32)
        short, long = history([1, 2], [9, 1]), histories[0]
        parts = [standardised(fitted.fitted[name].scores([short, long])) for name in fitted.models]
        scores = fitted.scores([short, long])
        assert np.allclose(scores[0], parts[0][0], atol=1e-6)
        assert np.allclose(scores[1], 0.25 * parts[0][1] + 0.75 * parts[1][1], atol=1e-6)

    def test_held_back_ratings_are_back_in_the_end(self) -> None:
        histories, items = world()
        ratings = table(histories)
        fitted = Hybrid(models=["most_liked"], held=0.9).fit(ratings, items)
        whole = Hybrid(models=["most_liked"], held=0.0).fit(ratings, items)
        assert np.array_equal(fitted.scores(histories), whole.scores(histories))

    def test_a_model_beyond_its_limit_takes_no_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ease, "SIDE_MAX", 1)
        histories, items = world()
        fitted = Hybrid(models=["ease", "most_liked"]).fit(table(histories), items)
        assert list(fitted.fitted) == ["most_liked"]
        assert (fitted.weights_BM[:, 1] == 1).all()
        with pytest.raises(TooLargeError, match="limits of all models"):
            Hybrid(models=["ease"]).fit(table(histories), items)

    def test_names_are_checked_when_made(self) -> None:
        with pytest.raises(ValueError, match="no model 'magic'"):
            Hybrid(models=["magic"])
        with pytest.raises(ValueError, match="at least one model"):
            Hybrid(models=[])

    def test_nothing_held_back_is_liked(self) -> None:
        _, items = world()
        ratings = interactions_of([history([1, 2, 3], [0, 1, 2])], N_ITEMS)
        assert (Hybrid(models=["ease", "als"]).fit(ratings, items).weights_BM == 0.5).all()


def test_rows_that_say_nothing_stay_silent() -> None:
    scores = np.array([[0.1] * 7, [1, 2, 3, 4, 5, 6, 7], [1e20, 0, 0, 0, 0, 0, 0]], np.float32)
    parts = standardised(scores)
    assert not parts[0].any()
    assert np.allclose(parts[1].mean(), 0, atol=1e-6)
    assert np.allclose(parts[1:].std(axis=1), 1, atol=1e-5)
