"""Warm-up and adaptive clipping, against their definitions; and that the models which offer them use them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from models.descent import Descent
from models.interactions import interactions_of
from models.low_rank import LowRank
from models.projection import Projection
from models.recommender import Recommender
from models.sasrec import SasRec
from models.two_tower import TwoTower
from models.two_tower_seed import SeedTwoTower
from tests.models.conformance import world

GRADIENTS = [np.array([3.0, 4.0]), np.array([0.3, 0.4]), np.array([30.0, 40.0]), np.array([6.0, 8.0])]


def walk(**options: float) -> list[np.ndarray]:
    """What plain descent at rate 1 moves in each step, on slopes that are given."""
    weight = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    descent = Descent(torch.optim.SGD([weight], lr=1.0), **options)  # type: ignore[arg-type]
    moved = []
    for slope in GRADIENTS:
        before = weight.detach().numpy().copy()
        descent.step((weight * torch.from_numpy(slope)).sum())
        moved.append(before - weight.detach().numpy())
    return moved


def test_without_options_it_is_the_optimizer() -> None:
    assert_allclose(walk(), GRADIENTS)


def test_warm_up_rises_evenly_and_ends() -> None:
    assert_allclose(walk(warmup=3), [slope * rate for slope, rate in zip(GRADIENTS, (1 / 3, 2 / 3, 1, 1), strict=True)])


def test_clipping_is_to_the_percentile_of_the_lengths_so_far() -> None:
    lengths = [np.linalg.norm(slope) for slope in GRADIENTS]
    for step, moved in enumerate(walk(clip=25)):
        bound = np.percentile(lengths[: step + 1], 25)
        assert np.linalg.norm(moved) == pytest.approx(min(bound, lengths[step]), rel=1e-5)
        assert_allclose(moved / np.linalg.norm(moved), [0.6, 0.8])


def test_the_shorter_of_two_bounds_counts() -> None:
    assert max(np.linalg.norm(moved) for moved in walk(clip=100, longest=1.0)) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("options", [{"warmup": -1}, {"clip": 0.0}, {"clip": 101.0}])
def test_what_cannot_be_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"warm-up|percentile"):
        walk(**options)


@pytest.mark.parametrize("kind", [LowRank, Projection, SasRec, SeedTwoTower, TwoTower])
def test_every_model_that_offers_them_uses_them(kind: type[Recommender]) -> None:
    histories, items = world()
    ratings = interactions_of(histories, len(items))
    plain = kind().fit(ratings, items).scores(histories)
    for options in ({"warmup": 20}, {"clip": 10.0}):
        assert not np.array_equal(kind(**options).fit(ratings, items).scores(histories), plain), options  # type: ignore[call-arg]
