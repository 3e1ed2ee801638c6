"""What every recommender must do, whatever it has learned. A model's test file subclasses `RecommenderTests`, or
`RatingPredictorTests` when the model predicts ratings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from models.fusion import Items, centre_items
from models.interactions import History, Interactions, interactions_of
from models.recommender import RatingPredictor, Recommender
from models.registry import model_class
from models.saving import load_model, save_model

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
    """Subclass and set `model`; `params` where the defaults would take long."""

    model: ClassVar[type[Recommender]]
    params: ClassVar[dict[str, Any]] = {}
    has_signal: ClassVar[bool] = True
    """False for models that are meant to know nothing."""

    def make(self, **params: Any) -> Recommender:
        return self.model(**{**self.params, **params})

    def fitted(self, seed: int = 0) -> tuple[Recommender, list[History], Items]:
        histories, items = world(seed)
        return self.make().fit(interactions_of(histories, N_ITEMS), items), histories, items

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
        if self.model.uses_order:
            return
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
        fitted = self.make().fit(interactions_of([], N_ITEMS), items)
        assert np.isfinite(fitted.scores([EMPTY])).all()

    def test_ratings_of_other_items_are_refused(self) -> None:
        histories, items = world()
        with pytest.raises(ValueError, match="items"):
            self.make().fit(interactions_of(histories, N_ITEMS + 1), items)

    def test_contributions_are_one_number_a_rating(self) -> None:
        fitted, histories, _ = self.fitted()
        parts = fitted.contributions(histories[0], 5)
        assert parts.shape == (len(histories[0]),)
        assert np.isfinite(parts).all()
        assert fitted.contributions(EMPTY, 5).shape == (0,)

    def test_beats_chance_on_data_with_signal(self) -> None:
        """Mean rank correlation between scores and held-back ratings, over users, is clearly positive."""
        if not self.has_signal:
            return
        correlations = []
        for seed in range(5):
            histories, items = world(seed)
            kept = [History(h.items[:10], h.values[:10]) for h in histories]
            fitted = self.make().fit(interactions_of(kept, N_ITEMS), items)
            for one, kept_one in zip(histories, kept, strict=True):
                held_rows, held_values = one.items[10:], one.values[10:]
                if np.ptp(held_values) > 0:
                    scores = fitted.scores([kept_one])[0, held_rows]
                    correlations.append(np.corrcoef(scores.argsort().argsort(), held_values.argsort().argsort())[0, 1])
        assert np.mean(correlations) > 0.15

    def test_parameters_make_a_twin(self) -> None:
        made = self.make()
        twin = self.model(**made.params())
        assert twin.params() == made.params()
        assert json.loads(json.dumps(made.params())) == made.params()

    def test_the_registry_knows_it(self) -> None:
        assert model_class(self.model.name) is self.model

    def test_a_saved_model_scores_the_same_to_the_bit(self, tmp_path: Path) -> None:
        fitted, histories, _ = self.fitted()
        save_model(fitted, tmp_path)
        loaded = load_model(tmp_path)
        assert type(loaded) is self.model
        assert loaded.params() == fitted.params()
        asked = [*histories, EMPTY, history([7], [10.0])]
        assert np.array_equal(loaded.scores(asked), fitted.scores(asked))
        assert np.array_equal(loaded.contributions(asked[0], 3), fitted.contributions(asked[0], 3))
        if isinstance(fitted, RatingPredictor):
            assert isinstance(loaded, RatingPredictor)
            assert np.array_equal(loaded.predict(asked), fitted.predict(asked))

    def test_arrays_of_another_model_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"."):
            self.make().with_arrays({"stranger": np.zeros(3, np.float32)})

    def test_a_seed_replays_and_another_differs(self) -> None:
        if "seed" not in self.make().params():
            return
        histories, items = world()
        ratings = interactions_of(histories, N_ITEMS)
        one, same, other = (self.make(seed=seed).fit(ratings, items).scores(histories) for seed in (5, 5, 6))
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_fitting_again_forgets_what_was_learned_before(self) -> None:
        histories, items = world(1)
        ratings = interactions_of(histories, N_ITEMS)
        used, _, _ = self.fitted()
        assert np.array_equal(
            used.fit(ratings, items).scores(histories), self.make().fit(ratings, items).scores(histories)
        )

    def test_one_user(self) -> None:
        histories, items = world()
        fitted = self.make().fit(interactions_of(histories[:1], N_ITEMS), items)
        self.check_serves(fitted, N_ITEMS, [histories[0], EMPTY, histories[1]])

    @pytest.mark.parametrize("values", [[], [9.0], [-1.0], [4.0, 9.0]])
    def test_one_item(self, values: list[float]) -> None:
        unit = np.eye(1, DIM, dtype=np.float32)
        histories = [history([0], [value]) for value in values]
        fitted = self.make().fit(interactions_of(histories, 1), centre_items(unit, unit, 0.5))
        self.check_serves(fitted, 1, [*histories, EMPTY])
        assert fitted.recommend(EMPTY, 10)[0].tolist() == [0]
        assert len(fitted.recommend(history([0], [9.0]), 10)[0]) == 0

    def test_items_nobody_has_vectors_for(self) -> None:
        histories, _ = world()
        none = np.zeros((N_ITEMS, DIM), np.float32)
        fitted = self.make().fit(interactions_of(histories, N_ITEMS), centre_items(none, none, 0.5))
        self.check_serves(fitted, N_ITEMS, [*histories, EMPTY])

    @pytest.mark.parametrize("value", [-1.0, 0.0, 4.5, 7.0, 10.0])
    def test_all_the_same_rating(self, value: float) -> None:
        histories, items = world()
        same = [history(h.items.tolist(), [value] * len(h)) for h in histories]
        fitted = self.make().fit(interactions_of(same, N_ITEMS), items)
        self.check_serves(fitted, N_ITEMS, [*same, EMPTY])

    def test_a_user_who_rated_everything(self) -> None:
        histories, items = world()
        rng = np.random.default_rng(3)
        whole = history(list(range(N_ITEMS)), rng.integers(-1, 11, N_ITEMS).tolist())
        fitted = self.make().fit(interactions_of([whole, *histories], N_ITEMS), items)
        self.check_serves(fitted, N_ITEMS, [whole, EMPTY])
        assert len(fitted.recommend(whole, 10)[0]) == 0

    def test_another_scale(self) -> None:
        histories, items = world()
        stars = [History(h.items, (0.5 + (h.values + 1) * 4.5 / 11).astype(np.float32)) for h in histories]
        fitted = self.make().fit(interactions_of(stars, N_ITEMS, (0.5, 5.0)), items)
        self.check_serves(fitted, N_ITEMS, [*stars, EMPTY])

    def test_purchases(self) -> None:
        histories, items = world()
        bought = [history(h.items[h.values >= 7].tolist(), [1.0] * int((h.values >= 7).sum())) for h in histories]
        fitted = self.make().fit(interactions_of(bought, N_ITEMS, (0.0, 1.0)), items)
        self.check_serves(fitted, N_ITEMS, [*bought, EMPTY])

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_what_is_not_a_number_never_gets_in(self, bad: float) -> None:
        histories, items = world()
        with pytest.raises(ValueError, match="finite"):
            self.make().fit(interactions_of([*histories, history([3], [bad])], N_ITEMS), items)
        vectors = items.image_ID.copy()
        vectors[4, 2] = bad
        with pytest.raises(ValueError, match="finite"):
            self.make().fit(interactions_of(histories, N_ITEMS), centre_items(vectors, items.text_ID, 0.5))

    def check_serves(self, fitted: Recommender, n_items: int, histories: list[History]) -> None:
        """Finite scores of the right shape for everybody, also from the list that `recommend` gives."""
        scores = fitted.scores(histories)
        assert scores.shape == (len(histories), n_items)
        assert np.isfinite(scores).all()
        for one in histories:
            rows, best = fitted.recommend(one, n_items + 1)
            assert sorted([*rows.tolist(), *one.items.tolist()]) == list(range(n_items))
            assert np.isfinite(best).all()
        if isinstance(fitted, RatingPredictor):
            predicted = fitted.predict(histories)
            assert predicted.shape == scores.shape
            assert predicted.dtype == np.float32
            assert np.isfinite(predicted).all()
            assert (predicted >= np.float32(fitted.low)).all()
            assert (predicted <= np.float32(fitted.high)).all()


class RatingPredictorTests(RecommenderTests):
    """Also that predictions are ratings: in range, and nearer to held-back ratings than one mean for all."""

    def predictor(self, ratings: Interactions, items: Items) -> RatingPredictor:
        fitted = self.make().fit(ratings, items)
        assert isinstance(fitted, RatingPredictor)
        return fitted

    def test_predictions_stay_within_what_was_seen(self) -> None:
        histories, items = world()
        mild = [History(h.items, np.clip(h.values, 2, 6)) for h in histories]
        fitted = self.predictor(interactions_of(mild, N_ITEMS), items)
        assert (fitted.low, fitted.high) == (2, 6)
        predicted = fitted.predict([*mild, history([1, 2, 3], [10.0, 10.0, 10.0]), history([4], [-1.0]), EMPTY])
        assert predicted.min() >= 2
        assert predicted.max() <= 6

    def test_one_rating_for_all_is_predicted_for_all(self) -> None:
        histories, items = world()
        same = [history(h.items.tolist(), [3.0] * len(h)) for h in histories]
        assert (self.predictor(table(same), items).predict([*same, EMPTY]) == 3).all()

    def test_errs_less_than_the_mean_on_ratings_held_back(self) -> None:
        if not self.has_signal:
            return
        mine, means = [], []
        for seed in range(5):
            histories, items = world(seed)
            kept = [History(h.items[:10], h.values[:10]) for h in histories]
            predicted = self.predictor(table(kept), items).predict(kept)
            mean = table(kept).values.mean()
            for user, one in enumerate(histories):
                mine.append((predicted[user, one.items[10:]] - one.values[10:]) ** 2)
                means.append((mean - one.values[10:]) ** 2)
        assert np.mean(mine) < np.mean(means)

    def test_a_stretched_scale_stretches_the_predictions(self) -> None:
        """Errors on 0.5..5 are those on -1..10 in proportion, give or take what damping and rates do."""
        if not self.has_signal:
            return
        histories, items = world()
        stars = [History(h.items, (0.5 + (h.values + 1) * 4.5 / 11).astype(np.float32)) for h in histories]
        ours = self.predictor(table(histories), items).predict(histories)
        theirs = self.predictor(interactions_of(stars, N_ITEMS, (0.5, 5.0)), items).predict(stars)
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.8


def table(histories: list[History]) -> Interactions:
    return interactions_of(histories, N_ITEMS)
