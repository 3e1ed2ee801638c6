"""What every recommender must do, whatever it has learned. A model's test file subclasses `RecommenderTests`."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from models.fusion import Items, centre_items
from models.interactions import History, Interactions, interactions_of
from models.recommender import Recommender

N_ITEMS, DIM = 60, 12


def world(seed: int = 0, n_users: int = 25) -> tuple[list[History], Items]:
    """Users who like what lies along their own direction: signal that any content-aware model can find."""
    rng = np.random.default_rng(seed)
    halves = rng.normal(size=(2, N_ITEMS, DIM))
    halves /= np.linalg.norm(halves, axis=2, keepdims=True)
    items = centre_items(halves[0].astype(np.float32), halves[1].astype(np.float32), 0.5)
    taste = rng.normal(size=(n_users, DIM)) + rng.normal(size=DIM)
    full = np.clip(np.rint(4 + 3 * taste @ halves[1].T + rng.normal(size=(n_users, N_ITEMS))), -1, 10)
    histories = []
    for user in range(n_users):
        rated = np.sort(rng.choice(N_ITEMS, 15, replace=False))
        histories.append(History(rated.astype(np.int64), full[user, rated].astype(np.float32)))
    return histories, items


def history(items: list[int], values: list[float]) -> History:
    return History(np.array(items, np.int64), np.array(values, np.float32))


EMPTY = history([], [])


class RecommenderTests:
    """Subclass and set `model`."""

    model: ClassVar[type[Recommender]]

    def fitted(self, seed: int = 0) -> tuple[Recommender, list[History], Items]:
        histories, items = world(seed)
        return self.model().fit(interactions_of(histories, N_ITEMS), items), histories, items

    def test_scores_have_the_stated_shape_and_are_finite(self) -> None:
        fitted, histories, _ = self.fitted()
        scores = fitted.scores(histories)
        assert scores.shape == (len(histories), N_ITEMS)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()

    def test_the_same_fit_gives_the_same_scores(self) -> None:
        a, histories, _ = self.fitted()
        b, _, _ = self.fitted()
        assert np.array_equal(a.scores(histories), b.scores(histories))

    def test_scoring_changes_nothing(self) -> None:
        fitted, histories, _ = self.fitted()
        before = fitted.scores(histories)
        fitted.recommend(histories[0], 5)
        fitted.contributions(histories[0], 3)
        assert np.array_equal(before, fitted.scores(histories))

    def test_a_users_scores_do_not_depend_on_who_else_asks(self) -> None:
        fitted, histories, _ = self.fitted()
        together = fitted.scores(histories)
        alone = np.concatenate([fitted.scores([one]) for one in histories])
        assert np.allclose(together, alone, atol=1e-6)

    def test_the_order_of_the_ratings_does_not_matter(self) -> None:
        fitted, histories, _ = self.fitted()
        one = histories[3]
        turned = History(one.items[::-1].copy(), one.values[::-1].copy())
        assert np.allclose(fitted.scores([one]), fitted.scores([turned]), atol=1e-5)

    def test_rated_and_excluded_items_never_come_back(self) -> None:
        fitted, histories, _ = self.fitted()
        for one in histories:
            rows, _ = fitted.recommend(one, N_ITEMS, exclude=np.array([1, 2, 3]))
            assert not set(rows.tolist()) & (set(one.items.tolist()) | {1, 2, 3})
            assert len(set(rows.tolist())) == len(rows)

    def test_lists_are_sorted_and_ties_go_to_the_lower_row(self) -> None:
        fitted, histories, _ = self.fitted()
        rows, scores = fitted.recommend(histories[0], N_ITEMS)
        pairs = list(zip((-scores).tolist(), rows.tolist(), strict=True))
        assert pairs == sorted(pairs)

    def test_a_user_who_was_not_there_is_served(self) -> None:
        fitted, _, _ = self.fitted()
        rows, _ = fitted.recommend(history([4, 9], [9, -1]), 5)
        assert len(rows) == 5

    def test_a_user_with_nothing_and_a_user_with_one_rating_are_served(self) -> None:
        fitted, _, _ = self.fitted()
        for one in (EMPTY, history([7], [10.0])):
            rows, scores = fitted.recommend(one, 10)
            assert len(rows) == 10
            assert np.isfinite(scores).all()

    def test_asking_for_nothing_or_for_more_than_there_is(self) -> None:
        fitted, histories, _ = self.fitted()
        assert len(fitted.recommend(histories[0], 0)[0]) == 0
        assert len(fitted.recommend(histories[0], 10_000)[0]) == N_ITEMS - len(histories[0])
        assert len(fitted.recommend(histories[0], 5, exclude=np.arange(N_ITEMS))[0]) == 0

    def test_nobody_has_rated_anything(self) -> None:
        _, items = world()
        fitted = self.model().fit(interactions_of([], N_ITEMS), items)
        assert np.isfinite(fitted.scores([EMPTY])).all()

    def test_ratings_of_other_items_are_refused(self) -> None:
        histories, items = world()
        with pytest.raises(ValueError, match="items"):
            self.model().fit(interactions_of(histories, N_ITEMS + 1), items)

    def test_contributions_are_one_number_a_rating(self) -> None:
        fitted, histories, _ = self.fitted()
        parts = fitted.contributions(histories[0], 5)
        assert parts.shape == (len(histories[0]),)
        assert np.isfinite(parts).all()
        assert fitted.contributions(EMPTY, 5).shape == (0,)

    def test_beats_chance_on_data_with_signal(self) -> None:
        """Mean rank correlation between scores and held-back ratings, over users, is clearly positive."""
        correlations = []
        for seed in range(5):
            histories, items = world(seed)
            kept = [History(h.items[:10], h.values[:10]) for h in histories]
            fitted = self.model().fit(interactions_of(kept, N_ITEMS), items)
            for one, kept_one in zip(histories, kept, strict=True):
                held_rows, held_values = one.items[10:], one.values[10:]
                if np.ptp(held_values) > 0:
                    scores = fitted.scores([kept_one])[0, held_rows]
                    correlations.append(np.corrcoef(scores.argsort().argsort(), held_values.argsort().argsort())[0, 1])
        assert np.mean(correlations) > 0.15


def table(histories: list[History]) -> Interactions:
    return interactions_of(histories, N_ITEMS)
