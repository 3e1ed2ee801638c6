"""Content-based: likes attract, dislikes repel, and a reason is the rating that did the work."""

from __future__ import annotations

import numpy as np
import pytest

from models.content import Content
from tests.models.conformance import RecommenderTests, history, table, world


class TestContent(RecommenderTests):
    model = Content

    def test_the_score_is_the_sum_of_its_contributions(self) -> None:
        fitted, histories, _ = self.fitted()
        for item in (0, 17, 59):
            parts = fitted.contributions(histories[2], item)
            assert parts.sum() == pytest.approx(fitted.scores([histories[2]])[0, item], abs=1e-5)

    def test_a_twin_of_something_liked_comes_first_and_of_something_disliked_last(self) -> None:
        histories, items = world()
        for half in (items.image_ID, items.text_ID):
            half[50], half[51] = half[1], half[2]
        fitted = Content().fit(table(histories), items)
        mine = history([1, 2, 3], [10, -1, 4])
        rows, _ = fitted.recommend(mine, 60)
        assert rows[0] == 50
        assert rows[-1] == 51
        assert fitted.contributions(mine, 50).argmax() == 0
        assert fitted.contributions(mine, 51).argmin() == 1

    def test_someone_who_rates_everything_the_same_still_has_a_taste(self) -> None:
        fitted, _, _ = self.fitted()
        scores = fitted.scores([history([5, 6], [9, 9])])[0]
        assert np.ptp(scores) > 0
        assert scores[5] > np.median(scores)

    @pytest.mark.parametrize("values", [[9.0], [7.0], [10.0, 10.0, 10.0], [7.0] * 6])
    def test_a_lone_user_who_only_praises_gets_more_of_the_same(self, values: list[float]) -> None:
        """Their mean is everybody's mean; it must not cancel them out."""
        _, items = world()
        mine = history(list(range(len(values))), values)
        fitted = Content().fit(table([mine]), items)
        assert (fitted.weights(mine) > 0).all()
        rows, scores = fitted.recommend(mine, 1)
        assert scores[0] > 0
        assert fitted.contributions(mine, int(rows[0])).max() > 0

    @pytest.mark.parametrize("values", [[-1.0], [0.0, 2.0], [3.0] * 4])
    def test_a_lone_user_who_only_complains_is_never_shown_likenesses(self, values: list[float]) -> None:
        _, items = world()
        mine = history(list(range(len(values))), values)
        assert (Content().fit(table([mine]), items).weights(mine) < 0).all()

    def test_generous_neighbours_do_not_turn_a_nine_into_a_dislike(self) -> None:
        _, items = world()
        modest = history([1], [9])
        fitted = Content().fit(table([modest, history(list(range(2, 50)), [10.0] * 48)]), items)
        assert fitted.weights(modest)[0] > 0
