"""The model over an item-factor table: its users' vectors against the objective, its items against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.factor_table import FACTORS, FIRST, FactorTable, mistake_in, no_table
from models.interactions import History
from models.item_factors import ALPHA, ItemFactors, liked_from, solve_table, users_table, vector_of
from tests.models.conformance import N_ITEMS, RatingPredictorTests, history, table, world

KEYS = np.arange(N_ITEMS, dtype=np.uint64)
LIKED, OVERALL = 7.0, 4.0


def taught(before: FactorTable, histories: list[History]) -> FactorTable:
    return users_table(before, len(histories), KEYS, histories, LIKED, OVERALL)


class TestItemFactors(RatingPredictorTests):
    model = ItemFactors

    def test_contributions_sum_to_the_score(self) -> None:
        fitted, histories, _ = self.fitted()
        for one in histories[:5]:
            for item in (0, 17):
                parts = fitted.contributions(one, item)
                assert parts.sum() == pytest.approx(fitted.scores([one])[0, item], rel=1e-3, abs=1e-5)

    def test_who_likes_nothing_is_served_what_most_like(self) -> None:
        fitted, histories, _ = self.fitted()
        assert isinstance(fitted, ItemFactors)
        likers_I = np.zeros(N_ITEMS)
        for one in histories:
            likers_I[one.items[one.values >= LIKED]] += 1
        scores_I = fitted.scores([history([3], [2.0])])[0]
        np.testing.assert_allclose(scores_I, likers_I / len(histories), rtol=1e-6)

    def test_what_nobody_rated_is_expected_at_the_users_level(self) -> None:
        histories, items = world()
        fitted = ItemFactors().fit(table([History(one.items[one.items > 4], one.values[one.items > 4]) for one in
                                          histories]), items)  # fmt: skip
        expected_I = fitted.expected([histories[0]])[0]
        assert np.ptp(expected_I[:5]) == 0 and np.ptp(expected_I[5:]) > 0


def test_likes_begin_where_a_nodes_seven_is() -> None:
    assert liked_from((-1, 10)) == pytest.approx(7)
    assert 3.5 < liked_from((0.5, 5)) < 4


@given(st.integers(0, 1_000), st.integers(1, 12))
def test_a_users_vector_is_the_best_that_there_is(seed: int, likes: int) -> None:
    """The objective of iALS, written out over all pairs, rises whichever way the vector is moved."""
    rng = np.random.default_rng(seed)
    item_RF = rng.normal(size=(30, FACTORS))
    ridge = 0.7
    liked = rng.permutation(30)[:likes]
    best_F = vector_of(item_RF.T @ item_RF + ridge * np.eye(FACTORS), item_RF[liked])

    def loss(vector_F: np.ndarray) -> float:
        score_R = item_RF @ vector_F
        squares = float(score_R @ score_R) + ridge * float(vector_F @ vector_F)
        return squares + float(((1 + ALPHA) * (1 - score_R[liked]) ** 2 - score_R[liked] ** 2).sum())

    for _ in range(5):
        assert loss(best_F + 0.01 * rng.normal(size=FACTORS)) > loss(best_F)


def test_items_of_a_table_are_those_of_dense_algebra() -> None:
    """Each item's own d x d solve, under the assumption of the file's head that its likers are spread as all users."""
    rng = np.random.default_rng(3)
    vectors_UF = rng.normal(size=(40, FACTORS))
    vectors_UF /= np.linalg.norm(vectors_UF, axis=1, keepdims=True)
    likes_UR = rng.random((40, 6)) < 0.4
    gram_FF = vectors_UF.T @ vectors_UF / 40
    tastes_RF = likes_UR.T @ vectors_UF / 40
    share_R = likes_UR.mean(axis=0)
    sums_RC = np.column_stack([share_R, 0 * share_R, share_R, tastes_RF])
    solved = solve_table(FactorTable(np.arange(6, dtype=np.uint64), sums_RC, gram_FF), 40)
    ridge_FF = 0.2 * np.trace(gram_FF) / FACTORS * np.eye(FACTORS)
    for row in range(6):
        whole_FF = (1 + ALPHA * share_R[row]) * gram_FF + ridge_FF
        expected_F = (1 + ALPHA) * np.linalg.solve(whole_FF, tastes_RF[row])
        np.testing.assert_allclose(solved.item_RF[row], expected_F, rtol=1e-6, atol=1e-7)


def test_the_table_of_users_counts_what_each_of_them_has() -> None:
    histories, _ = world()
    before = taught(no_table(), histories)
    made = taught(before, histories)
    for row, key in enumerate(made.keys_R.tolist()):
        rated = [one for one in histories if key in one.items]
        liking = [one for one in rated if one.values[one.items == key][0] >= LIKED]
        assert made.sums_RC[row, 0] == pytest.approx(len(rated) / len(histories))
        assert made.sums_RC[row, 2] == pytest.approx(len(liking) / len(histories))
        # Unit vectors: their sum is no longer than they are many.
        assert np.linalg.norm(made.sums_RC[row, FIRST:]) <= len(liking) / len(histories) + 1e-12
    likers = sum(bool((one.values >= LIKED).any()) for one in histories)
    assert np.trace(made.gram_FF) == pytest.approx(likers / len(histories))


def test_rows_may_come_in_any_order() -> None:
    """What is learned depends on keys, not on where an item stands."""
    histories, _ = world()
    shuffled = np.random.default_rng(0).permutation(N_ITEMS)
    moved = [History(shuffled[one.items], one.values) for one in histories]
    keys_I = np.empty(N_ITEMS, np.uint64)
    keys_I[shuffled] = KEYS
    one = taught(taught(no_table(), histories), histories)
    first = users_table(no_table(), len(moved), keys_I, moved, LIKED, OVERALL)
    other = users_table(first, len(moved), keys_I, moved, LIKED, OVERALL)
    assert np.array_equal(one.keys_R, other.keys_R)
    np.testing.assert_allclose(one.sums_RC, other.sums_RC, rtol=1e-9, atol=1e-12)


def test_items_of_one_key_share_a_row_in_which_a_user_counts_once() -> None:
    keys_I = np.zeros(3, np.uint64)
    histories = [history([0, 1, 2], [9.0, 8.0, 7.0]), history([2], [9.0]), history([0], [1.0])]
    made = users_table(no_table(), 3, keys_I, histories, LIKED, OVERALL)
    assert made.keys_R.tolist() == [0]
    assert made.sums_RC[0, 0] == 1 and made.sums_RC[0, 2] == pytest.approx(2 / 3)


def test_what_any_users_make_is_taken_by_others() -> None:
    """Also of who gives loved items the lowest rating, and a rare one the highest: far above their own level."""
    crowd = [history(list(range(9)), [10.0] * 9) for _ in range(30)]
    histories = [*crowd, history([*range(9), 20], [-1.0] * 9 + [10.0])]
    made = no_table()
    for _ in range(5):
        made = taught(made, histories)
        assert mistake_in(made) is None
