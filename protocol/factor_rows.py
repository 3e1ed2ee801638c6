"""A part of an item-factor table as bytes: which items it speaks of, a Gram matrix, and a row for each item.

    gram      upper triangle, row by row, FACTORS (FACTORS + 1) / 2 float32
    least     float32, 0 to 1: of items with more raters the part speaks wherever their keys are
    low last  the first and the last key of which it speaks whoever rated them, 6 bytes each, big-endian
    rows      by ascending key: key 6 bytes; raters, above, likers, scale as float16; FACTORS int8 (times the scale)

Numbers are little-endian, keys big-endian. An item without a row, of the keys spoken of, is one that nobody has.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from protocol.limits import RemoteError

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]

FACTORS = 16
KEY_BYTES = 6
KEY_MAX = 2 ** (8 * KEY_BYTES) - 1
TRIANGLE = FACTORS * (FACTORS + 1) // 2
HEAD_BYTES = 4 * TRIANGLE + 4 + 2 * KEY_BYTES
ROW = np.dtype([("key", "u1", (KEY_BYTES,)), ("shares", "<f2", (3,)), ("scale", "<f2"), ("taste", "i1", (FACTORS,))])
# What an update has room for, beside its other fields.
ROWS_MAX = (65_000 - HEAD_BYTES) // ROW.itemsize


def row_key(publisher: str, item: str) -> int:
    """The name of an item's row, 48 bits; a million items share one with a chance of 1 in 560 in all."""
    said = b"p2prec/row/1\0" + publisher.encode() + b"\0" + item.encode()
    return int.from_bytes(hashlib.sha256(said).digest()[:KEY_BYTES])


def pack_rows(gram_T: Floats, least: float, low: int, last: int, keys_R: Keys, sums_RC: Floats) -> bytes:
    """`gram_T` [TRIANGLE]; `sums_RC` [rows, 3 + FACTORS], finite. Raises: ValueError for more than ROWS_MAX rows."""
    if len(keys_R) > ROWS_MAX:
        raise ValueError(f"{len(keys_R)} rows do not fit into an update")
    rows = np.zeros(len(keys_R), ROW)
    rows["key"] = keys_R.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - KEY_BYTES :]
    rows["shares"] = sums_RC[:, :3]
    taste_RF = sums_RC[:, 3:]
    rows["scale"] = np.abs(taste_RF).max(axis=1, initial=0) / 127
    # What float16 made of the scale, or the largest would not fit.
    scale_R = rows["scale"].astype(np.float64)[:, None]
    scaled_RF = np.divide(taste_RF, scale_R, out=np.zeros_like(taste_RF), where=scale_R > 0)
    rows["taste"] = np.clip(np.rint(scaled_RF), -127, 127)
    ends = b"".join(key.to_bytes(KEY_BYTES) for key in (low, last))
    return gram_T.astype("<f4").tobytes() + np.float32(least).tobytes() + ends + rows.tobytes()


def parse_rows(packed: bytes) -> tuple[Floats, float, int, int, Keys, Floats]:
    """Untrusted bytes to what `pack_rows` was given, finite, keys ascending.

    Raises: RemoteError("bad_update").
    """
    count, over = divmod(len(packed) - HEAD_BYTES, ROW.itemsize)
    if over or not 0 <= count <= ROWS_MAX:
        raise RemoteError("bad_update", f"{len(packed)} bytes are no part of an item-factor table")
    # A signalling NaN warns where it is cast; it is refused below like any other.
    with np.errstate(invalid="ignore"):
        gram_T = np.frombuffer(packed, "<f4", TRIANGLE).astype(np.float64)
    least = float(np.frombuffer(packed, "<f4", 1, 4 * TRIANGLE)[0])
    at = 4 * TRIANGLE + 4
    low, last = (int.from_bytes(packed[at + n : at + n + KEY_BYTES]) for n in (0, KEY_BYTES))
    rows = np.frombuffer(packed, ROW, count, HEAD_BYTES)
    wide = np.zeros((count, 8), np.uint8)
    wide[:, 8 - KEY_BYTES :] = rows["key"]
    keys_R = wide.view(">u8").reshape(-1).astype(np.uint64)
    taste_RF = rows["taste"].astype(np.float64) * rows["scale"].astype(np.float64)[:, None]
    sums_RC = np.concatenate([rows["shares"].astype(np.float64), taste_RF], axis=1)
    if not (
        np.isfinite(gram_T).all() and np.isfinite(sums_RC).all() and (rows["scale"] >= 0).all() and 0 <= least <= 1
    ):
        raise RemoteError("bad_update", "a number that is not finite, or below 0 or above 1")
    if not low <= last or (keys_R[1:] <= keys_R[:-1]).any():
        raise RemoteError("bad_update", "keys that do not ascend")
    return gram_T, least, low, last, keys_R, sums_RC
