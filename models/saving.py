"""A fitted model as two files in a folder: `model.safetensors` (what it learned) and `model.json` (what it is).

Nothing is pickled, and models.saved_checks looks at all that was read: a file from elsewhere can at worst be refused.
The JSON carries the digest of the tensors and is written last: a copy that was cut short, changed or mixed up from two
models does not open. A loaded model gives the same scores to the bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.fusion import Items
from models.recommender import Arrays, Recommender, check_axes
from models.registry import model_class
from models.saved_checks import BROKEN, check_numbers, check_params, check_serves

ARRAYS_FILE, MODEL_FILE = "model.safetensors", "model.json"
FORMAT = 1
ITEM_ARRAYS = tuple(field.name for field in fields(Items))


def save_model(model: Recommender, folder: Path) -> None:
    """Write a fitted model into `folder`, which is made if need be; a model that was there is replaced."""
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in model.arrays().items()}
    tensors = save(arrays)
    head = {
        "format": FORMAT,
        "name": model.name,
        "version": model.version,
        "params": model.params(),
        "arrays_sha256": hashlib.sha256(tensors).hexdigest(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ARRAYS_FILE).write_bytes(tensors)
    (folder / MODEL_FILE).write_text(json.dumps(head, indent=1) + "\n", "utf-8")


def load_model(folder: Path) -> Recommender:
    """The fitted model of a folder. Raises: ValueError, one sentence, when there is none or it can't be trusted."""
    for file in (MODEL_FILE, ARRAYS_FILE):
        if not (folder / file).is_file():
            raise ValueError(f"{folder} holds no saved model: {file} is missing")
    head = _parse_head(folder / MODEL_FILE)
    tensors = (folder / ARRAYS_FILE).read_bytes()
    if hashlib.sha256(tensors).hexdigest() != head["arrays_sha256"]:
        raise ValueError(f"{folder / ARRAYS_FILE} is damaged or belongs to another model")
    kind = model_class(head["name"])
    if head["version"] != kind.version:
        raise ValueError(f"{folder} holds version {head['version']} of {kind.name}; this program reads {kind.version}")
    try:
        check_params(kind, head["params"])
        model = kind(**head["params"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / MODEL_FILE} cannot be used: {error}") from error
    try:
        arrays = load(tensors)
    # A KeyError of the kinds of numbers that numpy does not have.
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{folder / ARRAYS_FILE} is not a safetensors file of numpy's numbers") from error
    try:
        check_numbers(arrays)
        check_serves(model.with_arrays(arrays))
    except BROKEN as error:
        said = error if isinstance(error, ValueError) else f"its arrays do not fit {kind.name}"
        raise ValueError(f"{folder / ARRAYS_FILE} cannot be used: {said}") from error
    return model


def items_arrays(items: Items) -> Arrays:
    """The items as arrays, for models that keep them."""
    return {name: np.asarray(getattr(items, name)) for name in ITEM_ARRAYS}


def items_from(arrays: Mapping[str, npt.NDArray[Any]]) -> Items:
    """The items that `items_arrays` took apart. Raises: ValueError when an array is missing or wrong."""
    missing = [name for name in ITEM_ARRAYS if name not in arrays]
    if missing:
        raise ValueError(f"saved items lack {', '.join(missing)}")
    check_axes({name: arrays[name] for name in ITEM_ARRAYS})
    if any(arrays[name].dtype != bool for name in ("has_image_I", "has_text_I")):
        raise ValueError("saved items do not say by flags which halves they have")
    if not 0 <= arrays["image_weight"] <= 1:
        raise ValueError("saved items have an image weight outside [0, 1]")
    columns: dict[str, Any] = {name: arrays[name] for name in ITEM_ARRAYS}
    return Items(**columns | {"image_weight": float(arrays["image_weight"])})


def _parse_head(file: Path) -> dict[str, Any]:
    try:
        head = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON, of UTF-8, and of lists in lists without end
        raise ValueError(f"{file} is not JSON") from error
    kinds = {"format": int, "name": str, "version": int, "params": dict, "arrays_sha256": str}
    if not isinstance(head, dict) or any(type(head.get(key)) is not kind for key, kind in kinds.items()):
        raise ValueError(f"{file} does not describe a model")
    if head["format"] != FORMAT:
        raise ValueError(f"{file} has format {head['format']}; this program reads {FORMAT}")
    return head
