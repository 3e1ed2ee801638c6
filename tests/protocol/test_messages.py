"""Frames: round trips, frozen bytes of each kind, and nothing but a RemoteError from anything else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits, wire
from protocol.limits import RemoteError
from protocol.messages import (
    FRAMES,
    Added,
    AskFill,
    AskHeads,
    AskTree,
    AskVectors,
    BucketFill,
    Changed,
    Fill,
    Frame,
    Heads,
    TreeLevels,
    VectorsAnswer,
    pack_frame,
    parse_frame,
)

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "frames.json"
EXAMPLES: list[Frame] = [
    AskHeads(),
    Heads((b"sealed", b"heads")),
    AskTree(b"r" * 32, ((1, 8), (256, 4))),
    TreeLevels((b"h" * 64, b"i" * 32)),
    AskFill(b"r" * 32, ((7, b"leafhash", b"digest01digest02"), (9, b"leafhash", b""))),
    Fill((None, BucketFill(b"\x00\x05", (Added(b"item", b"vector"), Changed(b"item", b"v" * 32))))),
    AskVectors(((b"k" * 16, b"v" * 32),)),
    VectorsAnswer((b"vector", b"")),
]


@pytest.mark.parametrize("frame", EXAMPLES, ids=lambda frame: type(frame).__name__)
def test_round_trip_and_frozen_bytes(frame: Frame) -> None:
    packed = pack_frame(frame)
    assert parse_frame(packed) == frame
    assert json.loads(VECTORS.read_text())[type(frame).__name__] == packed.hex()


def test_every_kind_has_an_example_and_a_frozen_vector() -> None:
    names = {frame.__name__ for frame, _ in FRAMES.values()}
    assert {type(frame).__name__ for frame in EXAMPLES} == names == set(json.loads(VECTORS.read_text()))


def test_no_frame_has_a_field_for_people() -> None:
    """What is not in the table can't leave a node."""
    for frame, _ in FRAMES.values():
        assert not {"user", "rating", "history", "name"} & set(frame.__dataclass_fields__)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_remote_error(packed: bytes) -> None:
    try:
        parse_frame(packed)
    except RemoteError as error:
        assert error.reason in limits.REASONS


junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 2**40), st.binary(max_size=40), st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(FRAMES)), st.lists(junk, max_size=3))
def test_any_fields_of_a_known_kind_are_a_frame_or_a_remote_error(kind: int, values: list[object]) -> None:
    try:
        frame = parse_frame(wire.pack([kind, *values]))
    except RemoteError as error:
        assert error.reason == "malformed"
    else:
        assert parse_frame(pack_frame(frame)) == frame


@given(st.sampled_from(EXAMPLES), st.data())
def test_cut_and_flipped_frames(frame: Frame, data: st.DataObject) -> None:
    packed = bytearray(pack_frame(frame))
    place = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(RemoteError):
        parse_frame(bytes(packed[:place]))
    packed[place] ^= data.draw(st.integers(1, 255))
    try:
        parse_frame(bytes(packed))
    except RemoteError as error:
        assert error.reason in limits.REASONS


def test_limits_hold() -> None:
    for frame in (
        AskTree(b"r" * 32, ((0, 1),)),
        AskTree(b"r" * 32, ((1, 28),)),
        AskTree(b"r" * 31, ()),
        AskFill(b"r" * 32, ((1, b"leafhash", bytes(8 * 129)),)),
        AskFill(b"r" * 32, ((1, b"leafhash", b""),) * (limits.FILL_BUCKETS_MAX + 1)),
        Fill((BucketFill(b"", (Added(bytes(limits.RECORD_BYTES_MAX + 1), b"v"),)),)),
        Fill((BucketFill(b"", (Added(b"x", bytes(limits.VECTOR_BYTES_MAX + 1)),)),)),
        VectorsAnswer((b"",) * (limits.VECTORS_MAX + 1)),
    ):
        with pytest.raises(RemoteError):
            parse_frame(pack_frame(frame))
    with pytest.raises(RemoteError) as caught:
        parse_frame(bytes(limits.FRAME_BYTES_MAX + 1))
    assert caught.value.reason == "too_big"
