"""Saved models: damaged, mixed up, foreign and hostile files are refused in one sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from models.popularity import Popularity
from models.recommender import Recommender
from models.registry import MODELS, model_class
from models.saved_checks import ITEMS_MAX, NUMBER_MAX
from models.saving import ARRAYS_FILE, MODEL_FILE, load_model, save_model
from tests.models.conformance import EMPTY, N_ITEMS, table, world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    histories, items = world()
    save_model(Popularity(shrink=5).fit(table(histories), items), tmp_path / "saved" / "popularity")
    return tmp_path / "saved" / "popularity"


def rewrite(folder: Path, **changes: Any) -> None:
    head = json.loads((folder / MODEL_FILE).read_text())
    (folder / MODEL_FILE).write_text(json.dumps({**head, **changes}))


def test_saving_over_another_model_leaves_only_the_new_one(folder: Path) -> None:
    histories, items = world(1)
    second = Popularity().fit(table(histories), items)
    save_model(second, folder)
    loaded = load_model(folder)
    assert loaded.params() == {"shrink": 3.0}
    assert np.array_equal(loaded.scores(histories), second.scores(histories))


@pytest.mark.parametrize("file", [ARRAYS_FILE, MODEL_FILE])
def test_every_cut_and_most_flips_are_refused(folder: Path, file: str) -> None:
    whole = (folder / file).read_bytes()
    # The final line feed of the JSON carries nothing.
    for length in range(len(whole) - 1):
        (folder / file).write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"."):
            load_model(folder)
    (folder / file).write_bytes(b"\xff" + whole[1:])
    with pytest.raises(ValueError, match=r"not JSON|damaged"):
        load_model(folder)


def test_any_flipped_bit_of_the_arrays_is_noticed(folder: Path) -> None:
    whole = bytearray((folder / ARRAYS_FILE).read_bytes())
    for place in range(len(whole)):
        whole[place] ^= 1
        (folder / ARRAYS_FILE).write_bytes(whole)
        with pytest.raises(ValueError, match="damaged"):
            load_model(folder)
        whole[place] ^= 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "pickle"}, "no model 'pickle'; there are: .*popularity"),
        ({"name": None}, "does not describe a model"),
        ({"format": 2}, "format 2; this program reads 1"),
        ({"version": 99}, "version 99 of popularity; this program reads 1"),
        ({"params": {"shrink": 3, "colour": 1}}, "parameters that popularity does not know"),
        ({"params": [3]}, "does not describe a model"),
        ({"name": "content", "params": {}}, "lack"),
        ({"arrays_sha256": "0"}, "damaged or belongs to another model"),
    ],
)
def test_heads_that_do_not_fit(folder: Path, changes: dict[str, Any], sentence: str) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ValueError, match=sentence):
        load_model(folder)


def test_a_folder_without_a_model(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no saved model: model\.json is missing"):
        load_model(tmp_path)
    (folder / ARRAYS_FILE).unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors is missing"):
        load_model(folder)
    (folder / MODEL_FILE).write_text("[1]")
    (folder / ARRAYS_FILE).write_bytes(b"")
    with pytest.raises(ValueError, match="does not describe a model"):
        load_model(folder)


def test_a_digest_that_fits_does_not_make_safetensors(folder: Path) -> None:
    (folder / ARRAYS_FILE).write_bytes(b"cos\nsystem\n")
    rewrite(folder, arrays_sha256=hashlib.sha256(b"cos\nsystem\n").hexdigest())
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_model(folder)


@cache
def fitted(name: str) -> Recommender:
    """Hardly trained: what is tampered with need not be any good."""
    histories, items = world()
    kind = model_class(name)
    short = {key: 1 for key in ("epochs", "steps") if key in kind().params()}
    return kind(**short).fit(table(histories), items)


def forged(model: Recommender, folder: Path, **changed: np.ndarray) -> Path:
    """Saved with other arrays and the digest that fits them."""
    save_model(model, folder)
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in model.arrays().items()}
    tensors = save({**arrays, **changed})
    (folder / ARRAYS_FILE).write_bytes(tensors)
    rewrite(folder, arrays_sha256=hashlib.sha256(tensors).hexdigest())
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


#: Of a length of their own: what BPR draws, and a layer that is not asked again once its answers are kept.
FREE = ("others_J", "item")


def bent(array: np.ndarray) -> Iterator[np.ndarray]:
    """The array with one length or axis more or less, and as other numbers."""
    yield array[None]
    for axis, length in enumerate(array.shape):
        if length:
            yield np.delete(array, 0, axis)
        yield np.concatenate([array, np.ones_like(array.take([0] if length else [], axis))], axis)
    if array.ndim:
        yield np.asarray(array.sum(axis=0))
    yield array.astype(np.complex64)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_numbers_that_are_none_are_refused_whatever_the_digest_says(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    for key, array in model.arrays().items():
        if array.dtype.kind == "f" and array.size:
            for bad in (np.nan, -np.inf, 2 * NUMBER_MAX):
                spoiled = array.copy()
                spoiled.flat[-1] = bad
                assert key in refusal(forged(model, tmp_path, **{key: spoiled}))
        elif array.dtype.kind == "i" and array.size:
            spoiled = array.copy()
            spoiled.flat[-1] = -1
            assert key in refusal(forged(model, tmp_path, **{key: spoiled}))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", sorted(MODELS))
def test_arrays_of_other_shapes_are_refused_or_serve(name: str, tmp_path: Path) -> None:
    """A model of one array may as well be one of fewer items; whatever loads must answer everybody in numbers."""
    model, (histories, _) = fitted(name), world()
    several = len([array for array in model.arrays().values() if N_ITEMS in array.shape]) > 1
    for key, array in model.arrays().items():
        for other in bent(np.asarray(array)):
            if other.shape == array.shape and other.dtype == array.dtype:
                continue
            try:
                loaded = load_model(forged(model, tmp_path, **{key: other}))
            except ValueError as error:
                assert str(tmp_path) in str(error)
                assert "\n" not in str(error)
                continue
            assert not several or key in FREE, (key, array.shape, other.shape)
            scores = loaded.scores([EMPTY])
            assert np.isfinite(scores).all()
            if scores.shape[1] >= N_ITEMS:
                assert np.isfinite(loaded.scores(histories)).all()


@pytest.mark.parametrize("name", sorted(MODELS))
def test_parameters_of_other_kinds_are_refused(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    save_model(model, tmp_path)
    params = model.params()
    for key, value in params.items():
        signs = [] if key == "relevant" else [-1]
        nones = [] if key in ("relevant", "clip", "strength", "settings") else [None]
        words = [] if key == "basis" else ["much"]
        for bad in (float("nan"), float("inf"), 10**400, [[]], {"much": 1}, *signs, *nones, *words):
            rewrite(tmp_path, params={**params, key: bad})
            assert key in refusal(tmp_path), (bad, value)


@pytest.mark.parametrize("name", ["als", "sasrec", "delta", "als_ratings", "lightgcn", "low_rank", "bpr"])
def test_parameters_that_claim_more_than_was_saved_make_no_work(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    save_model(model, tmp_path)
    for key in {"factors", "blocks", "rank"} & set(model.params()):
        rewrite(tmp_path, params={**model.params(), key: 2**62})
        refusal(tmp_path)


def test_a_catalog_that_no_array_bears_out_is_bounded(tmp_path: Path) -> None:
    assert "n_items" in refusal(forged(fitted("random"), tmp_path, n_items=np.array(ITEMS_MAX + 1)))


def test_a_part_of_a_hybrid_is_looked_at_too(tmp_path: Path) -> None:
    model = fitted("hybrid")
    # A part that is never asked: the whole would serve without it.
    weights = np.zeros_like(model.arrays()["weights_BM"])
    weights[:, -1] = 1
    users = len(model.arrays()["user_knn/likes_UI.indptr"]) - 1
    arrays = {"weights_BM": weights, "user_knn/likes_UI.shape": np.array([users, N_ITEMS + 1])}
    assert "user_knn" in refusal(forged(model, tmp_path, **arrays))
    save_model(model, tmp_path)
    rewrite(tmp_path, params={**model.params(), "settings": {"ease": {"reg": "much"}}})
    assert "reg of ease" in refusal(tmp_path)


def test_items_keep_their_flags_and_their_weight(tmp_path: Path) -> None:
    model = fitted("content")
    assert "flags" in refusal(forged(model, tmp_path, has_text_I=np.full(N_ITEMS, 2)))
    assert "weight" in refusal(forged(model, tmp_path, image_weight=np.array(1.5)))


def test_numbers_that_numpy_does_not_have(folder: Path) -> None:
    tensors = (folder / ARRAYS_FILE).read_bytes().replace(b'"F32","shape":[60]', b'"BF16","shape":[120]')
    head = len(tensors) - N_ITEMS * 4 - 8
    tensors = head.to_bytes(8, "little") + tensors[8:]
    (folder / ARRAYS_FILE).write_bytes(tensors)
    rewrite(folder, arrays_sha256=hashlib.sha256(tensors).hexdigest())
    assert "safetensors" in refusal(folder)
