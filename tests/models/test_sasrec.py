"""SASRec: never looks ahead, padding is invisible, and it learns what follows what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.testing import assert_allclose, assert_array_equal

from models.interactions import History, Interactions, interactions_of
from models.sasrec import LENGTH, SasRec, encoded, windows_of
from tests.models.conformance import N_ITEMS, RecommenderTests, history, table, world

RING = 12


def walkers(n_users: int, seed: int = 0) -> Interactions:
    """Everybody walks the same ring of items, from a start of their own: the next item says itself."""
    rng = np.random.default_rng(seed)
    users = []
    for _ in range(n_users):
        rows = (rng.integers(RING) + np.arange(6)) % RING
        users.append(History(rows.astype(np.int64), np.full(6, 9.0, np.float32), np.arange(6)))
    return interactions_of(users, N_ITEMS)


class TestSasRec(RecommenderTests):
    model = SasRec
    params = {"factors": 8, "epochs": 5}

    def test_beats_chance_on_data_with_signal(self) -> None:
        """Its signal is order, and elsewhere there is none; here the next step of a walk must be in the first three."""
        _, items = world()
        fitted = SasRec(factors=32, epochs=60, learning_rate=5e-3).fit(walkers(60), items)
        right = []
        for start in range(RING):
            walked = (start + np.arange(4)) % RING
            rows, _ = fitted.recommend(history(walked.tolist(), [9.0] * 4), 3)
            right.append((start + 4) % RING in rows)
        assert np.mean(right) > 0.9

    def test_contributions_are_what_forgetting_costs(self) -> None:
        fitted, _, _ = self.fitted()
        mine = history([4, 9, 30, 2], [9.0, 10.0, -1.0, 8.0])
        parts = fitted.contributions(mine, 7)
        without = history([4, 30, 2], [9.0, -1.0, 8.0])
        assert parts[2] == 0
        assert_allclose(parts[1], (fitted.scores([mine]) - fitted.scores([without]))[0, 7], atol=1e-5)

    def test_times_decide_the_order_and_old_likes_fall_off(self) -> None:
        fitted, _, _ = self.fitted()
        mine = history([4, 9, 2], [9.0, 10.0, 8.0])
        turned = replace(history([2, 4, 9], [8.0, 9.0, 10.0]), at=np.array([3, 1, 2]))
        assert np.array_equal(fitted.scores([mine]), fitted.scores([turned]))
        assert not np.array_equal(fitted.scores([mine]), fitted.scores([history([9, 4, 2], [10.0, 9.0, 8.0])]))
        rows = np.random.default_rng(0).permutation(N_ITEMS)
        whole = history(rows.tolist(), [9.0] * N_ITEMS)
        recent = history(rows[-LENGTH:].tolist(), [9.0] * LENGTH)
        assert np.array_equal(fitted.scores([whole]), fitted.scores([recent]))
        assert fitted.contributions(whole, 3).shape == (N_ITEMS,)


def weights() -> dict[str, torch.Tensor]:
    histories, items = world()
    model = SasRec(factors=8, epochs=0)
    return {
        name: torch.from_numpy(array)
        for name, array in model.fit(table(histories), items).arrays().items()
        if "." in name
    }


def test_no_position_looks_ahead() -> None:
    one, other = np.array([[3, 7, 9, 11]]), np.array([[3, 7, 9, 50]])
    assert_allclose(encoded(weights(), one, 2)[0, :3], encoded(weights(), other, 2)[0, :3], atol=1e-6)
    assert not np.allclose(encoded(weights(), one, 2)[0, 3], encoded(weights(), other, 2)[0, 3])


def test_padding_changes_nothing() -> None:
    alone, padded = np.array([[3, 7, 9]]), np.array([[-1, -1, 3, 7, 9], [1, 2, 4, 5, 6]])
    assert_allclose(encoded(weights(), alone, 2)[0], encoded(weights(), padded, 2)[0, 2:], atol=1e-5)


def test_windows_are_stretches_of_the_sequence() -> None:
    long = np.arange(200)
    for seed in range(10):
        windows = windows_of([long, np.array([5, 6])], np.random.default_rng(seed))
        assert windows.shape == (2, LENGTH + 1)
        assert_array_equal(np.diff(windows[0]), 1)
        assert_array_equal(windows[1, -3:], [-1, 5, 6])
