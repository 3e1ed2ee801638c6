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
# Lists and maps in one message. A Fill of 128 full buckets holds 17,000; a MiB of empty lists would hold a million,
# take 60 MB and a third of a second to be refused.
WIRE_LISTS_MAX = 20_000

# A frame is read whole before it is parsed. py-libp2p's own readers fail above 6.5 MB; 1 MiB keeps memory small.
FRAME_BYTES_MAX = 1_048_576
# What a server fills a page with before it stops: large enough that round trips do not count.
PAGE_BYTES = 384 * 1024
# Nodes of one tree request: at most this many hashes come back, 256 KiB.
TREE_HASHES_MAX = 8192
# Buckets of one fill request; their `have` digests are at most 128 KiB.
FILL_BUCKETS_MAX = 128
# Two halves of 1,280 numbers, the widest CLIP known; a bucket of 128 largest records still fits into a frame.
VECTOR_BYTES_MAX = 2560
VECTORS_MAX = 128
# Gossip is for heads. py-libp2p writes a pubsub stream from two tasks; frames under 64 KB can't interleave.
GOSSIP_BYTES_MAX = 60_000
# Publishers that a node knows of, the quarantined ones included: a sealed head or a fork proof of each fits one frame.
HEADS_MAX = 1000
# One's own head is told again so often, for those who missed it: 5 KB a second from 1,000 publishers.
ANNOUNCE_MS = 300_000
# How far two clocks may differ.
SKEW_MS = 2 * 60 * 1000
# Items of one catalog. A million take 1.6 GB of disk, and a head may claim any number; no shop seen comes near this.
CATALOG_ITEMS_MAX = 4_000_000
# Nodes of different networks don't answer each other: a test network beside the real one, or a closed one.
NETWORK = "p2prec"
NETWORK_BYTES_MAX = 32

Reason = Literal[
    "malformed",
    "too_big",
    "bad_signature",
    "bad_vector",
    "bad_update",
    "bad_proof",
    "misdirected",
    "expired",
    "replayed",
    "too_many",
    "wrong_network",
    "wrong_encoder",
    "not_allowed",
    "over_budget",
    "over_limit",
    "not_found",
    "busy",
]
REASONS: tuple[str, ...] = get_args(Reason)


class RemoteError(Exception):
    """Bytes from outside broke a rule. `reason` is from a closed list, so that it can be counted."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason
