"""Saved models: damaged, mixed up, foreign and hostile files are refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.popularity import Popularity
from models.saving import ARRAYS_FILE, MODEL_FILE, load_model, save_model
from tests.models.conformance import table, world


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
    import hashlib

    (folder / ARRAYS_FILE).write_bytes(b"cos\nsystem\n")
    rewrite(folder, arrays_sha256=hashlib.sha256(b"cos\nsystem\n").hexdigest())
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_model(folder)
