"""A learned block as bytes: each section as int8, with one float32 scale for every 64 values.

A chunk of up to 64 values x is its scale s = max|x| / 127 (float32, little-endian), then round(x / s) as int8; the last
chunk of a section is as short as it needs to be. Sections hold values of like size, so that none is lost beside
another's. How many sections there are and how long is known from the model's name, and does not travel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from protocol.limits import RemoteError

Values = npt.NDArray[np.float64]

CHUNK = 64
# Beyond any honest weight, and far from where float32 ends.
SCALE_MAX = 1e6


def pack_weights(sections: Sequence[Values]) -> bytes:
    """Sections (float64 [n] each) to bytes. Raises: ValueError for what is not finite or too large to travel."""
    parts = []
    for section_S in sections:
        for at in range(0, len(section_S), CHUNK):
            chunk_C = section_S[at : at + CHUNK]
            largest = float(np.abs(chunk_C).max())
            if not largest <= 127 * SCALE_MAX:
                raise ValueError("a weight is not finite, or too large to be sent")
            scale = np.float32(largest / 127)
            # A value that float32 holds as 0 is sent as 0.
            values_C = np.rint(chunk_C / scale) if scale > 0 else np.zeros(len(chunk_C))
            parts += [scale.tobytes(), np.clip(values_C, -127, 127).astype(np.int8).tobytes()]
    return b"".join(parts)


def weights_bytes(lengths: Sequence[int]) -> int:
    """What sections of these lengths take."""
    return sum(length + 4 * -(-length // CHUNK) for length in lengths)


def parse_weights(packed: bytes, lengths: Sequence[int]) -> list[Values]:
    """Untrusted bytes to sections of these lengths: float64, finite. Raises: RemoteError("bad_update")."""
    if len(packed) != weights_bytes(lengths):
        raise RemoteError("bad_update", f"{len(packed)} bytes are no block of {sum(lengths)} values")
    sections, at = [], 0
    for length in lengths:
        chunks = []
        for start in range(0, length, CHUNK):
            count = min(CHUNK, length - start)
            scale = float(np.frombuffer(packed, "<f4", 1, at)[0])
            if not 0 <= scale <= SCALE_MAX:
                raise RemoteError("bad_update", "a scale that no honest node sends")
            chunks.append(scale * np.frombuffer(packed, np.int8, count, at + 4).astype(np.float64))
            at += 4 + count
        sections.append(np.concatenate(chunks) if chunks else np.zeros(0))
    return sections
