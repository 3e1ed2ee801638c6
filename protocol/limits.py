"""Every limit of the record plane, with its unit and its reason, and the error that a peer's bytes can raise.

A limit that can be exceeded by bytes from outside lives here and nowhere else.
"""

from __future__ import annotations

from typing import Literal, get_args

# An item id is chosen by a shop; 128 bytes hold every id, URL slug and SKU seen in real exports.
ITEM_ID_BYTES_MAX = 128
NAME_BYTES_MAX = 512
# Longer than any encoder reads (77 tokens); the rest is for people.
DESCRIPTION_BYTES_MAX = 2000
# Brand, category, colour, gender: words, not sentences.
ATTRIBUTE_BYTES_MAX = 96
URL_BYTES_MAX = 480
# The whole packed record. 128 items of a full tree bucket (4 KiB + vector) stay under a 1 MiB page.
RECORD_BYTES_MAX = 4096
# Prices are integer minor units; 10^13 is a hundred thousand million in any two-decimal currency.
PRICE_MINOR_MAX = 10**13
# msgpack nesting accepted from outside; records are flat, so deeper is an attack or a mistake.
WIRE_DEPTH_MAX = 8

Reason = Literal["malformed", "too_big", "bad_signature", "bad_vector", "bad_proof"]
REASONS: tuple[str, ...] = get_args(Reason)


class RemoteError(Exception):
    """Bytes from outside broke a rule. `reason` is from a closed list, so that it can be counted."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason
