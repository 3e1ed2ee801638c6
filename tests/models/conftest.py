"""A small, randomly initialised CLIP in a folder: the real loading code, without real weights."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.clip import CONFIG_FILE, MERGES_FILE, WEIGHTS_FILE, open_untrained

CONFIG = {
    "model_cfg": {
        "embed_dim": 32,
        # A ResNet, because its BatchNorm shows at once when a model was left in training mode.
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "head_width": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 517, "width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"resize_mode": "longest", "fill_color": 250},
}
MERGES = "#version: test\nr e\nre d</w>\nd r"


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    (folder / CONFIG_FILE).write_text(json.dumps(CONFIG))
    (folder / MERGES_FILE).write_bytes(gzip.compress(MERGES.encode()))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, _ = open_untrained(folder)
        # Running statistics that are not the start's: evaluation and training mode must differ.
        with torch.no_grad():
            model.encode_image(torch.randn(8, 3, 64, 64))
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / WEIGHTS_FILE)
    return folder
