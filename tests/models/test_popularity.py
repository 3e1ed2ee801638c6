"""Popularity: the damped mean of centred ratings, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.interactions import interactions_of
from models.popularity import SHRINK, Popularity
from models.reference import MIDDLE, OVERALL_SHRINK, USER_SHRINK, user_references
from tests.models.conformance import RecommenderTests, history, world


class TestPopularity(RecommenderTests):
    model = Popularity

    def test_by_hand(self) -> None:
        _, items = world()
        ratings = interactions_of([history([0, 1], [9, 5]), history([0], [7])], 60)
        everyone = (21 + OVERALL_SHRINK * MIDDLE) / (3 + OVERALL_SHRINK)
        references = [
            (14 + USER_SHRINK * everyone) / (2 + USER_SHRINK),
            (7 + USER_SHRINK * everyone) / (1 + USER_SHRINK),
        ]
        assert user_references(ratings) == pytest.approx(references)
        scores = Popularity().fit(ratings, items).scores([history([], [])])[0]
        assert scores[0] == pytest.approx(((9 - references[0]) + (7 - references[1])) / (2 + SHRINK))
        assert scores[1] == pytest.approx((5 - references[0]) / (1 + SHRINK))
        assert not scores[2:].any()

    def test_what_a_lone_rater_loves_is_popular(self) -> None:
        _, items = world()
        scores = Popularity().fit(interactions_of([history([5, 6, 7], [10, 10, 10])], 60), items).score_I
        assert set(scores.argsort()[-3:].tolist()) == {5, 6, 7}
        assert scores[5] > 0

    def test_twenty_friends_beat_one_enthusiast(self) -> None:
        _, items = world()
        crowd = [history([0, 2], [8, 1]) for _ in range(20)]
        ratings = interactions_of([*crowd, history([1, 2], [10, 1])], 60)
        scores = Popularity().fit(ratings, items).score_I
        assert scores[0] > scores[1] > scores[2]

    def test_everybody_gets_the_same(self) -> None:
        fitted, histories, _ = self.fitted()
        assert np.ptp(fitted.scores(histories), axis=0).max() == 0
