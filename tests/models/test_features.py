"""phi: the halves' similarity seen through a fixed basis, missing halves and prices as written."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.features import (
    PRICE_COLUMNS,
    PRICE_LENGTH,
    basis_of,
    open_basis,
    phi_of,
    portable,
    priced,
    standard_log_price,
)
from models.fusion import centre_items, similarity
from tests.models.conformance import N_ITEMS, world
from tests.models.test_fusion import world as halves


def test_the_basis_is_orthonormal_and_frozen() -> None:
    basis = open_basis("random-24", 32)
    assert_allclose(basis.vectors_DK.T @ basis.vectors_DK, np.eye(24), atol=1e-6)
    assert basis.scale == pytest.approx((64 / 24) ** 0.5)
    # Nodes of today and tomorrow must agree; if these digits change, FEATURE_RULE must.
    assert_allclose(basis.vectors_DK[0, :3], [-0.170014, 0.142851, 0.066113], atol=1e-6)


def test_the_tiny_encoders_basis_keeps_most_of_its_items() -> None:
    basis = open_basis("tiny-128", 512)
    assert basis.vectors_DK.shape == (1024, 128)
    assert_allclose(basis.vectors_DK.T @ basis.vectors_DK, np.eye(128), atol=2e-3)
    assert 1 < basis.scale < 1.2
    assert basis_of("tiny") == "tiny-128"
    assert basis_of("ViT-B-32/openai") == "random-256"


@pytest.mark.parametrize("name", ["random", "random-0", "random-x", "pca-3", ""])
def test_an_unknown_basis_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no basis"):
        open_basis(name, 32)


def test_a_basis_for_other_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="vectors of 512 numbers, not 32"):
        open_basis("tiny-128", 32)


def test_fewer_directions_are_the_first_of_more() -> None:
    assert_allclose(open_basis("random-8", 32).vectors_DK, open_basis("random-24", 32).vectors_DK[:, :8], atol=1e-6)


def test_with_all_directions_products_are_the_fused_similarity() -> None:
    items = centre_items(*halves(2, missing=0), 0.3)
    phi_IK = phi_of(items, "random-1000")[:, :-2]
    assert phi_IK.shape == (40, 32)
    assert_allclose(phi_IK @ phi_IK.T, similarity(items, np.arange(40)), atol=1e-5)


def test_mean_square_length_is_one_whatever_the_directions() -> None:
    rng = np.random.default_rng(0)
    items = centre_items(*(rng.normal(size=(2, 3000, 64)).astype(np.float32)), 0.5)
    for directions in (16, 64, 128):
        assert (phi_of(items, f"random-{directions}") ** 2).sum(axis=1).mean() == pytest.approx(1, abs=0.05)


def test_a_missing_half_does_not_shorten_an_item() -> None:
    image, text = halves(5, missing=0)
    image[1] = 0
    items = centre_items(image, text, 0.7)
    lengths = np.linalg.norm(phi_of(items, "random-1000"), axis=1)
    assert_allclose(lengths, 1, atol=1e-5)


def test_an_item_sees_the_same_whoever_its_neighbours_are() -> None:
    """Only the centring looks at other items; the basis never does."""
    _, items = world()
    some = dataclasses.replace(
        items,
        image_ID=items.image_ID[:7],
        text_ID=items.text_ID[:7],
        has_image_I=items.has_image_I[:7],
        has_text_I=items.has_text_I[:7],
    )
    assert_allclose(phi_of(some), phi_of(items)[:7], atol=1e-6)


def test_price_columns() -> None:
    _, items = world()
    z_I = np.full(N_ITEMS, np.nan, np.float32)
    z_I[:3] = 0, 2, 99
    columns = phi_of(priced(items, z_I))[:, -2:]
    assert_allclose(columns[0], [0, -PRICE_LENGTH / 2**0.5], atol=1e-6)
    assert_allclose(columns[1], PRICE_LENGTH * np.array([2, 3 / 2**0.5]), atol=1e-6)
    assert_allclose(columns[2], PRICE_LENGTH * np.array([3, 8 / 2**0.5]), atol=1e-6)
    assert not columns[3:].any()
    assert not phi_of(items)[:, -2:].any()
    assert phi_of(items).shape == phi_of(priced(items, z_I)).shape


def test_prices_are_judged_within_their_market() -> None:
    price = np.array([10, 20, 40, 1000, 2000, 4000, np.nan, -3, 7], float)
    market = np.array([0, 0, 0, 1, 1, 1, 1, 0, 2])
    z_I = standard_log_price(price, market)
    assert_allclose(z_I[:3], z_I[3:6], atol=1e-6)
    assert_allclose([z_I[:3].mean(), z_I[:3].std()], [0, 1], atol=1e-6)
    assert np.isnan(z_I[6:8]).all()
    assert z_I[8] == 0


def test_refusals() -> None:
    _, items = world()
    with pytest.raises(ValueError, match="prices of shape"):
        priced(items, np.zeros(3, np.float32))
    broken = centre_items(*halves(1), 0.5)
    broken.text_ID[3, 2] = np.inf
    with pytest.raises(ValueError, match="finite"):
        phi_of(broken)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_portable_taste_ranks_items_as_it_does_over_phi(weight: float) -> None:
    image_ID, text_ID = np.random.default_rng(4).normal(size=(2, 40, 16)).astype(np.float32)
    price_I = np.random.default_rng(6).normal(scale=2, size=40).astype(np.float32)
    price_I[::7] = np.nan
    items = priced(centre_items(image_ID, text_ID, weight), price_I)
    taste_K = np.random.default_rng(5).normal(size=12 + PRICE_COLUMNS)
    found_I = portable(taste_K, items, "random-12").scores(items)
    wanted_I = phi_of(items, "random-12") @ taste_K
    assert_allclose(open_basis("random-12", 16).scale * found_I, wanted_I, atol=1e-5)
