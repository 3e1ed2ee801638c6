"""An item's vector as bytes: image half and text half, int8 each, no scale.

A half is a direction, so its length need not travel: q = round(x * 127 / max|x|) and back x = q / |q|. With 512 normal
components the cosine to the original stays above 0.9998 (a test holds it there); float32 would be four times the
traffic for nothing. A half that is missing (no photo, no text) is all zeros; both missing is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from protocol.limits import RemoteError

Vectors = npt.NDArray[np.float32]


def pack_vectors(image_ID: Vectors, text_ID: Vectors) -> list[bytes]:
    """Halves (float32 [items, dim], zero rows where missing) to one bytes object of 2 x dim an item."""
    return [image + text for image, text in zip(pack_halves(image_ID), pack_halves(text_ID), strict=True)]


def pack_halves(half_ID: Vectors) -> list[bytes]:
    """One half of each item: dim bytes, zeros where missing. Raises: ValueError for NaN or infinity."""
    if not np.isfinite(half_ID).all():
        raise ValueError("a vector holds NaN or infinity")
    largest_I = np.abs(half_ID).max(axis=1, keepdims=True, initial=0)
    quantised = np.rint(half_ID * (127 / np.maximum(largest_I, 1e-12))).astype(np.int8)
    return [row.tobytes() for row in quantised]


def parse_vectors(packed: Sequence[bytes], dim: int) -> tuple[Vectors, Vectors]:
    """Packed vectors to halves: float32 [items, dim], unit rows, zero rows where missing.

    Raises: RemoteError("bad_vector") when a length is wrong or an item has neither half.
    """
    if any(len(vector) != 2 * dim for vector in packed):
        raise RemoteError("bad_vector", f"a vector is not {2 * dim} bytes")
    both = np.frombuffer(b"".join(packed), np.int8).reshape(len(packed), 2, dim).astype(np.float32)
    length = np.sqrt(np.einsum("ihd,ihd->ih", both, both))
    if not length.any(axis=1).all():
        raise RemoteError("bad_vector", "an item has neither a picture's nor a text's vector")
    both /= np.maximum(length, 1e-12)[:, :, None]
    return both[:, 0], both[:, 1]
