"""The encoder: names, errors in one sentence, unit rows, bad pictures, cut texts, fingerprints."""

from __future__ import annotations

import gzip
import io
import json
import shutil
from pathlib import Path

import huggingface_hub
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from models.clip import CONFIG_FILE, MERGES_FILE, WEIGHTS_FILE, Encoder, EncoderError


@pytest.fixture(scope="module")
def encoder(clip_folder: Path) -> Encoder:
    return Encoder.load_folder(clip_folder)


def pictures(n: int, size: tuple[int, int] = (90, 70)) -> list[Image.Image]:
    rng = np.random.default_rng(4)
    return [Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)) for _ in range(n)]


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_rows_are_unit_float32_and_repeat(encoder: Encoder) -> None:
    for encoded in (encoder.encode_images(pictures(5)), encoder.encode_texts(["red dress", "blue jeans", ""])):
        assert encoded.vectors.dtype == np.float32
        assert encoded.vectors.shape[1] == encoder.dim == 32
        assert np.allclose(np.linalg.norm(encoded.vectors, axis=1), 1, atol=1e-5)
        assert encoded.problems == {}
    assert np.array_equal(encoder.encode_images(pictures(5)).vectors, encoder.encode_images(pictures(5)).vectors)


def test_one_alone_equals_one_among_many(encoder: Encoder) -> None:
    """In training mode a picture's vector would depend on its batch (cosine 0.69 was seen)."""
    many = pictures(70)
    together = encoder.encode_images(many).vectors
    alone = np.concatenate([encoder.encode_images([many[i]]).vectors for i in (0, 33, 69)])
    assert np.allclose(together[[0, 33, 69]], alone, atol=1e-5)
    texts = [f"red dress {i}" for i in range(70)]
    assert np.allclose(encoder.encode_texts(texts).vectors[66], encoder.encode_texts([texts[66]]).vectors[0], atol=1e-5)


def test_a_bad_picture_is_reported_and_the_batch_kept(encoder: Encoder, tmp_path: Path) -> None:
    good = pictures(1)[0]
    good.save(tmp_path / "good.png")
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(png(good)[:2000])
    files = [tmp_path / name for name in ("good.png", "text.jpg", "empty.jpg", "cut.png", "gone.png")]
    encoded = encoder.encode_images([*files, png(good), good, b"\xff\xd8\xff"])
    assert sorted(encoded.problems) == [1, 2, 3, 4, 7]
    assert "text.jpg can't be read as a picture" in encoded.problems[1]
    present = encoded.vectors.any(axis=1)
    assert present.tolist() == [True, False, False, False, False, True, True, False]
    assert np.allclose(encoded.vectors[0], encoded.vectors[6], atol=1e-6)


def test_a_picture_of_too_many_pixels_is_not_decoded(encoder: Encoder) -> None:
    bomb = png(Image.new("1", (20_000, 10_000)))
    assert len(bomb) < 100_000
    assert list(encoder.encode_images([bomb]).problems) == [0]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "I;16", "1"])
def test_every_pixel_format_is_read(encoder: Encoder, mode: str) -> None:
    image = Image.new("I;16", (40, 40)) if mode == "I;16" else pictures(1)[0].convert(mode)
    assert encoder.encode_images([image]).problems == {}


def test_transparency_is_white_and_rotation_is_undone(encoder: Encoder) -> None:
    red = Image.new("RGB", (80, 80), (200, 0, 0))
    clear = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    white = Image.new("RGB", (80, 80), "white")
    clear_v, white_v, red_v = encoder.encode_images([clear, white, red]).vectors
    assert np.allclose(clear_v, white_v, atol=1e-6)
    assert not np.allclose(red_v, white_v, atol=1e-3)
    picture = pictures(1)[0]
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90 clockwise to view"
    picture.rotate(90, expand=True).save(stream, "PNG", exif=exif)
    turned, upright = encoder.encode_images([stream.getvalue(), picture]).vectors
    assert np.allclose(turned, upright, atol=1e-5)


def test_long_texts_are_cut_and_counted(encoder: Encoder) -> None:
    long = "red dress " * 50
    encoded = encoder.encode_texts(["red", long, "x" * 15, "x y z"])
    assert encoded.cut == (1, 2)
    # What is beyond the context has no influence: that is what cutting means.
    assert np.allclose(encoded.vectors[1], encoder.encode_texts([long + "blue"]).vectors[0], atol=1e-6)


def test_nothing_to_encode(encoder: Encoder) -> None:
    assert encoder.encode_images([]).vectors.shape == (0, 32)
    assert encoder.encode_texts([]).vectors.shape == (0, 32)


def test_the_fingerprint_covers_all_that_changes_a_vector(clip_folder: Path, tmp_path: Path) -> None:
    def changed(name: str) -> Path:
        return Path(shutil.copytree(clip_folder, tmp_path / name))

    base = Encoder.load_folder(clip_folder).fingerprint
    assert Encoder.load_folder(changed("same")).fingerprint == base
    weights = changed("weights")
    tensors = load_file(weights / WEIGHTS_FILE)
    tensors["text_projection"][0, 0] += 1e-3
    save_file(tensors, weights / WEIGHTS_FILE)
    preprocess = changed("preprocess")
    config = json.loads((preprocess / CONFIG_FILE).read_text())
    config["preprocess_cfg"]["fill_color"] = 0
    (preprocess / CONFIG_FILE).write_text(json.dumps(config))
    merges = changed("merges")
    (merges / MERGES_FILE).write_bytes(gzip.compress(b"#version: test\nr e\nre d</w>\nd e"))
    others = [Encoder.load_folder(folder).fingerprint for folder in (weights, preprocess, merges)]
    fused = Encoder.load_folder(clip_folder, image_weight=0.9).fingerprint
    assert len({base, *others, fused}) == 5
    assert all(len(bytes.fromhex(fingerprint)) == 32 for fingerprint in (base, *others, fused))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "is not known"),
        ("huge", "is not known"),
        ("ViT-B-33/openai", "no model 'ViT-B-33'"),
        ("ViT-B-33@weights.pt", "no model 'ViT-B-33'"),
        ("ViT-B-32/of_the_future", "no pretrained weights 'of_the_future'; it has: "),
        ("ViT-B-32@/nowhere/weights.pt", "/nowhere/weights.pt does not exist"),
    ],
)
def test_wrong_names_are_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(EncoderError, match=sentence) as caught:
        Encoder.load(name)
    assert "\n" not in str(caught.value)


def test_a_missing_download_says_so_and_offers_a_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_HUB_OFFLINE=1 does; without it the hub's client tries for most of a minute before it gives up."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    said: list[str] = []
    with pytest.raises(EncoderError, match=r"could not be downloaded.*RN50@FILE"):
        Encoder.load("RN50/cc12m", say=said.append)
    assert said == ["downloading RN50/cc12m (not in the cache)"]


def test_folders_that_lack_a_file(clip_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clip_folder, tmp_path / "copy"))
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(EncoderError, match=f"lacks {WEIGHTS_FILE}"):
        Encoder.load_folder(folder)


@pytest.mark.slow
def test_a_real_architecture_from_a_checkpoint_file(clip_folder: Path, tmp_path: Path) -> None:
    """ViT-B-32 at full size, randomly initialised and written by this test, through the ordinary path."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = open_clip.create_model("ViT-B-32").eval()
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file({name: tensor.half() for name, tensor in tensors.items()}, tmp_path / "vit.safetensors")
    encoder = Encoder.load(f"ViT-B-32@{tmp_path / 'vit.safetensors'}")
    assert (encoder.dim, encoder.image_weight) == (512, 0.5)
    image = pictures(1, (224, 224))[0]
    mine = encoder.encode_images([image]).vectors[0]
    preprocess = open_clip.image_transform(224, is_train=False)
    with torch.no_grad():
        theirs = model.encode_image(preprocess(image)[None], normalize=True)[0].numpy()
        text = model.encode_text(open_clip.tokenize(["a red dress"]), normalize=True)[0].numpy()
    assert mine @ theirs > 0.999
    assert encoder.encode_texts(["a red dress"]).vectors[0] @ text > 0.999
    assert encoder.encode_texts(["dress " * 100, "dress"]).cut == (0,)

    with pytest.raises(EncoderError, match=r"can't be loaded as RN50"):
        Encoder.load(f"RN50@{tmp_path / 'vit.safetensors'}")
    with pytest.raises(EncoderError, match=r"can't be loaded as ViT-B-32"):
        Encoder.load(f"ViT-B-32@{clip_folder / WEIGHTS_FILE}")
    for name, content in (("garbage.pt", b"garbage"), ("garbage.safetensors", b"garbage"), ("empty.pt", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(EncoderError, match=r"damaged, or for another architecture"):
            Encoder.load(f"ViT-B-32@{tmp_path / name}")


def test_a_pt_file_is_never_unpickled_into_code(clip_folder: Path, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path(tmp_path / "owned").touch, ())

    torch.save({"state_dict": Attack()}, tmp_path / "attack.pt")
    with pytest.raises(EncoderError):
        Encoder.load(f"ViT-B-32@{tmp_path / 'attack.pt'}")
    assert not (tmp_path / "owned").exists()
