"""Neighbourhoods that predict ratings: against plain loops, with and without centring."""

from __future__ import annotations

import numpy as np
import pytest

from models.rating_neighbours import ItemRatingNeighbours, RatingNeighbours, UserRatingNeighbours
from tests.models.conformance import N_ITEMS, RatingPredictorTests, table, world


def similarity(a: np.ndarray, b: np.ndarray, both: int, shrink: float) -> float:
    """Cosine of two rows with gaps as 0, damped by how many ratings they share."""
    if not both:
        return 0.0
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12) * both / (both + shrink))


def loop(fitted: RatingNeighbours, by_item: bool) -> np.ndarray:
    """The docstring's formula, one pair at a time."""
    histories, _ = world()
    seen = np.zeros((len(histories), N_ITEMS), bool)
    signal = np.zeros((len(histories), N_ITEMS))
    for user, one in enumerate(histories):
        seen[user, one.items] = True
        signal[user, one.items] = fitted.biases.residuals(one) if fitted.centred else one.values
    own = fitted.biases.expected(histories).astype(np.float64)
    rows, rated = (signal.T, seen.T) if by_item else (signal, seen)
    near = np.zeros((len(rows), len(rows)), np.float32)
    for a in range(len(rows)):
        for b in range(len(rows)):
            if not (by_item and a == b):
                near[a, b] = similarity(rows[a], rows[b], int((rated[a] & rated[b]).sum()), fitted.shrink)
        order = sorted(range(len(rows)), key=lambda other: (-near[a, other], other))
        near[a, order[fitted.k :]] = 0
    near = np.maximum(near, 0)
    expected = own.copy()
    for user in range(len(histories)):
        for item in range(N_ITEMS):
            base = 0 if fitted.centred else own[user, item]
            if by_item:
                votes = [(near[item, h], signal[user, h] - base) for h in np.flatnonzero(seen[user])]
            else:
                votes = [(near[user, v], signal[v, item] - base) for v in np.flatnonzero(seen[:, item])]
            weight = sum(sim for sim, _ in votes)
            expected[user, item] += sum(sim * vote for sim, vote in votes) / max(weight + fitted.damping, 1e-9)
    return expected


class _Both(RatingPredictorTests):
    params = {"shrink": 1.0}

    @pytest.mark.parametrize("centred", [True, False])
    @pytest.mark.parametrize(("k", "shrink", "damping"), [(3, 2.0, 0.1), (100, 0.0, 0.0)])
    def test_by_a_loop(self, k: int, shrink: float, damping: float, centred: bool) -> None:
        histories, items = world()
        fitted = self.make(k=k, shrink=shrink, damping=damping, centred=centred).fit(table(histories), items)
        assert isinstance(fitted, RatingNeighbours)
        expected = loop(fitted, by_item=self.model is ItemRatingNeighbours)
        assert np.allclose(fitted.expected(histories), expected, atol=2e-3)

    @pytest.mark.parametrize("centred", [True, False])
    def test_contributions_add_up_to_what_the_neighbours_said(self, centred: bool) -> None:
        histories, items = world()
        fitted = self.make(centred=centred).fit(table(histories), items)
        assert isinstance(fitted, RatingNeighbours)
        one = histories[2]
        said = fitted.expected([one])[0] - fitted.biases.expected([one])[0]
        for item in (0, 17, 59):
            assert fitted.contributions(one, item).sum() == pytest.approx(said[item], abs=1e-3)

    def test_blocks_make_no_difference(self, monkeypatch: pytest.MonkeyPatch) -> None:
        whole, histories, _ = self.fitted()
        monkeypatch.setattr("models.rating_neighbours.ROWS", 7)
        blocks, _, _ = self.fitted()
        assert np.allclose(whole.scores(histories), blocks.scores(histories), atol=1e-6)


class TestItemRatingNeighbours(_Both):
    model = ItemRatingNeighbours


class TestUserRatingNeighbours(_Both):
    model = UserRatingNeighbours
