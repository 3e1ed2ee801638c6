"""The one door to open_clip: pictures and texts to unit vectors, and a fingerprint that says which encoder made them.

An encoder is named by `tiny` (embedded), `MODEL/PRETRAINED` (an open_clip tag, downloaded only when the cache
lacks it) or `MODEL@FILE` (a local checkpoint). Everything that can change a vector (weights, architecture,
tokenizer, preprocessing, precision, how an item's halves are fused) is in the fingerprint; vectors of different
fingerprints must never be compared. A picture that can't be read is reported and leaves its batch standing;
a text longer than the encoder reads is cut, and counted.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import pickle
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import open_clip
import torch
from PIL import Image, ImageOps
from safetensors import SafetensorError
from tqdm import tqdm

from models.fusion import FUSION_RULE, IMAGE_WEIGHT, IMAGE_WEIGHT_TINY

Vectors: TypeAlias = npt.NDArray[np.float32]
Picture: TypeAlias = Image.Image | Path | bytes
Tokenizer: TypeAlias = Callable[[list[str]], torch.Tensor]
Say: TypeAlias = Callable[[str], None]

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
MERGES_FILE = "bpe.txt.gz"
# Enough to fill two cores without holding many decoded pictures: 64 of 224 x 224 are 38 MB of float32.
BATCH = 64
# A shop photo has 1 to 20 million pixels; above this a small file can eat the machine's memory.
PIXELS_MAX = 50_000_000
# What PIL raises on bytes that are no picture, or a broken one.
PICTURE_ERRORS = (OSError, ValueError, SyntaxError, struct.error, EOFError, Image.DecompressionBombError)
WEIGHT_ERRORS = (
    RuntimeError,
    AssertionError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    StopIteration,
    OSError,
    EOFError,
    pickle.UnpicklingError,
    SafetensorError,
)


class EncoderError(ValueError):
    """The encoder asked for can't be had. One sentence that says what to change."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors in the order asked; float32 [n, dim], unit rows, or a zero row where `problems` says why.

    `cut` are the positions of texts longer than the encoder reads.
    """

    vectors: Vectors
    problems: dict[int, str]
    cut: tuple[int, ...] = ()


class Encoder:
    """A CLIP model ready to encode, always in evaluation mode, float32, no gradients."""

    def __init__(
        self,
        name: str,
        model: Any,
        preprocess: Any,
        tokenizer: Any,
        image_weight: float,
        identity: dict[str, Any],
    ) -> None:
        self.name = name
        self.image_weight = image_weight
        self._model = model.eval()
        self._preprocess = preprocess
        self._tokenizer: Any = tokenizer
        self.dim = int(self._encode_tokens(tokenizer([""])).shape[1])
        fusion = {"fusion": FUSION_RULE, "image_weight": image_weight}
        self.fingerprint = _digest({**identity, **fusion, "precision": "fp32"})

    @staticmethod
    def load(name: str, *, say: Say | None = None) -> Encoder:
        """Open the encoder `name`. `say` hears of a download before it starts. Raises: EncoderError."""
        if name == "tiny":
            with resources.as_file(resources.files("models.tiny")) as folder:
                return Encoder.load_folder(folder, name="tiny", image_weight=IMAGE_WEIGHT_TINY)
        model, at, file = name.partition("@")
        if at:
            return _load_checkpoint(name, _known_model(model), Path(file).expanduser())
        model, slash, tag = name.partition("/")
        if slash:
            return _load_pretrained(name, _known_model(model), tag, say or (lambda _: None))
        raise EncoderError(
            f"encoder {name!r} is not known: use tiny, MODEL/PRETRAINED (as in ViT-B-32/laion2b_s34b_b79k) "
            "or MODEL@FILE for a local checkpoint"
        )

    @staticmethod
    def load_folder(folder: Path, *, name: str = "", image_weight: float = IMAGE_WEIGHT) -> Encoder:
        """Open a folder with open_clip_config.json, open_clip_model.safetensors and bpe.txt.gz."""
        for file in (CONFIG_FILE, WEIGHTS_FILE, MERGES_FILE):
            if not (folder / file).is_file():
                raise EncoderError(f"encoder folder {folder} lacks {file}")
        with _quiet(), _one_sentence(folder / WEIGHTS_FILE, "the model that its config describes"):
            model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        tokenizer = _folder_tokenizer(folder)
        identity = {
            "model": json.loads((folder / CONFIG_FILE).read_text())["model_cfg"],
            "weights": _file_digest(folder / WEIGHTS_FILE),
            "tokenizer": _file_digest(folder / MERGES_FILE),
            "preprocess": _preprocess_identity(model),
        }
        return Encoder(name or str(folder), model, preprocess, tokenizer, image_weight, identity)

    def encode_images(self, pictures: Sequence[Picture], *, progress: bool = False) -> Encoded:
        """Encode pictures; one that can't be read gets a zero row and a sentence in `problems`."""
        vectors = np.zeros((len(pictures), self.dim), np.float32)
        problems: dict[int, str] = {}
        with ThreadPoolExecutor(2) as pool:
            for start, batch in _batches(pictures, "pictures", progress):
                prepared = list(enumerate(pool.map(self._prepare, batch), start))
                problems |= {row: sentence for row, sentence in prepared if isinstance(sentence, str)}
                pixels = {row: tensor for row, tensor in prepared if isinstance(tensor, torch.Tensor)}
                if pixels:
                    vectors[list(pixels)] = self._encode_pixels(torch.stack(list(pixels.values())))
        return Encoded(vectors, problems)

    def encode_texts(self, texts: Sequence[str], *, progress: bool = False) -> Encoded:
        """Encode texts; what does not fit the context is cut at its end and listed in `cut`."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        cut: list[int] = []
        for start, batch in _batches(texts, "texts", progress):
            tokens = self._tokenizer(list(batch))
            vectors[start : start + len(batch)] = self._encode_tokens(tokens)
            full = (tokens[:, -1] != 0).nonzero().flatten().tolist()
            cut += [start + place for place in full if self._is_cut(batch[place])]
        return Encoded(vectors, {}, tuple(cut))

    def _prepare(self, picture: Picture) -> torch.Tensor | str:
        """Pixels ready for the model, or a sentence that says why there are none."""
        try:
            tensor: torch.Tensor = self._preprocess(_open_picture(picture))
            return tensor
        except PICTURE_ERRORS as error:
            where = str(picture) if isinstance(picture, Path) else "picture"
            return f"{where} can't be read as a picture ({type(error).__name__})"

    @torch.inference_mode()
    def _encode_pixels(self, pixels: torch.Tensor) -> Vectors:
        return _unit(self._model.encode_image(pixels))

    @torch.inference_mode()
    def _encode_tokens(self, tokens: torch.Tensor) -> Vectors:
        return _unit(self._model.encode_text(tokens))

    def _is_cut(self, text: str) -> bool:
        """Whether a text that fills the context also goes beyond it. Not asked of others: counting costs time."""
        if isinstance(self._tokenizer, open_clip.SimpleTokenizer):
            # The two marks at start and end take part in the length.
            return bool(len(self._tokenizer.encode(text)) > self._tokenizer.context_length - 2)
        inner = getattr(self._tokenizer, "tokenizer", None)
        return bool(inner is not None and len(inner(text)["input_ids"]) > self._tokenizer.context_length)


def open_untrained(folder: Path) -> tuple[torch.nn.Module, Tokenizer]:
    """The randomly initialised model of a folder's config, in training mode, and its tokenizer. For training only."""
    config = json.loads((folder / CONFIG_FILE).read_text())["model_cfg"]
    model: torch.nn.Module = open_clip.CLIP(**config)
    return model.train(), _folder_tokenizer(folder)


def simple_bpe_ranks() -> dict[tuple[str, str], int]:
    """CLIP's own merges and their ranks, from which a smaller vocabulary can be cut."""
    ranks: dict[tuple[str, str], int] = open_clip.SimpleTokenizer().bpe_ranks
    return ranks


def _load_checkpoint(name: str, model: str, file: Path) -> Encoder:
    if not file.is_file():
        raise EncoderError(f"checkpoint {file} does not exist")
    return _assemble(name, model, file, {})


def _load_pretrained(name: str, model: str, tag: str, say: Say) -> Encoder:
    config = open_clip.get_pretrained_cfg(model, tag)
    if not config:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise EncoderError(f"{model} has no pretrained weights {tag!r}; it has: {tags}")
    file = _cached_weights(config)
    if file is None:
        say(f"downloading {name} (not in the cache)")
        try:
            file = Path(open_clip.download_pretrained(config))
        except (OSError, RuntimeError, ValueError) as error:
            raise EncoderError(
                f"{name} is not in the cache and could not be downloaded ({type(error).__name__}); "
                f"connect once, or give a local file as {model}@FILE"
            ) from error
    return _assemble(name, model, file, config)


def _assemble(name: str, model: str, file: Path, tag_config: dict[str, Any]) -> Encoder:
    """One path for downloaded and local weights. The tag's own activation and pixel statistics are kept."""
    preprocess_config = {k: v for k, v in tag_config.items() if k in ("mean", "std", "interpolation", "resize_mode")}
    with _quiet(), _one_sentence(file, model):
        clip, _, preprocess = open_clip.create_model_and_transforms(
            model,
            pretrained=str(file),
            force_quick_gelu=bool(tag_config.get("quick_gelu", False)),
            image_mean=preprocess_config.get("mean"),
            image_std=preprocess_config.get("std"),
            image_interpolation=preprocess_config.get("interpolation"),
            image_resize_mode=preprocess_config.get("resize_mode"),
        )
    try:
        tokenizer = open_clip.get_tokenizer(model)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        raise EncoderError(f"the tokenizer of {model} could not be loaded ({type(error).__name__})") from error
    identity = {
        "model": open_clip.get_model_config(model),
        "quick_gelu": bool(tag_config.get("quick_gelu", False)),
        "weights": _file_digest(file),
        "tokenizer": f"{type(tokenizer).__name__}/{model}",
        "preprocess": _preprocess_identity(clip),
    }
    return Encoder(name, clip, preprocess, tokenizer, IMAGE_WEIGHT, identity)


def _known_model(model: str) -> str:
    if model not in open_clip.list_models():
        raise EncoderError(f"open_clip has no model {model!r}; one that it has is ViT-B-32")
    return model


def _cached_weights(config: dict[str, Any]) -> Path | None:
    """The weights' file if an earlier download left it, by the same order of preference as open_clip's."""
    if config.get("file"):
        return Path(config["file"])
    if config.get("hf_hub"):
        from huggingface_hub import try_to_load_from_cache

        repository, _, filename = config["hf_hub"].rpartition("/")
        filename = filename or "open_clip_pytorch_model.bin"
        safe = "open_clip_model.safetensors" if filename == "open_clip_pytorch_model.bin" else None
        stem, dot, ending = filename.rpartition(".")
        safe = safe or (f"{stem}.safetensors" if dot and ending in ("bin", "pth") else filename)
        for candidate in dict.fromkeys((safe, filename)):
            found = try_to_load_from_cache(repository, candidate)
            if isinstance(found, str):
                return Path(found)
        return None
    cached = Path("~/.cache/clip").expanduser() / str(config.get("url", "")).rpartition("/")[2]
    return cached if cached.is_file() else None


def _folder_tokenizer(folder: Path) -> Any:
    # Without bpe_path open_clip silently gives its own 49,408 tokens, which a small model has no rows for.
    return open_clip.get_tokenizer(f"local-dir:{folder}", bpe_path=str(folder / MERGES_FILE))


def _open_picture(picture: Picture) -> Image.Image:
    """Upright RGB; transparency on white, as shops show it. Raises one of PICTURE_ERRORS."""
    if isinstance(picture, Image.Image):
        image = picture
    else:
        image = Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture)
    if image.width * image.height > PIXELS_MAX:
        raise ValueError("too many pixels")
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _unit(vectors: torch.Tensor) -> Vectors:
    unit: Vectors = torch.nn.functional.normalize(vectors.float(), dim=-1).cpu().numpy()
    return unit


def _batches(things: Sequence[Any], noun: str, progress: bool) -> Iterator[tuple[int, Sequence[Any]]]:
    """Slices of BATCH, under a bar on stderr when asked for and stderr is a terminal."""
    with tqdm(total=len(things), unit=f" {noun}", disable=None if progress else True) as bar:
        for start in range(0, len(things), BATCH):
            batch = things[start : start + BATCH]
            yield start, batch
            bar.update(len(batch))


def _preprocess_identity(model: Any) -> dict[str, Any]:
    config: dict[str, Any] = open_clip.get_model_preprocess_cfg(model)
    return {**config, "upright": True, "transparency": "white"}


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(identity: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits. Floats here are configuration, not measurements."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=list).encode()).hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence open_clip's log lines and warnings while it loads; what matters becomes an EncoderError."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextmanager
def _one_sentence(file: Path, wanted: str) -> Iterator[None]:
    """Any way in which weights can be wrong, as one sentence that names the file."""
    try:
        yield
    except WEIGHT_ERRORS as error:
        raise EncoderError(
            f"checkpoint {file} can't be loaded as {wanted}: it is damaged, or for another architecture"
        ) from error
