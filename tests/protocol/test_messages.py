"""Frames: round trips, frozen bytes of each kind, and nothing but a RemoteError from anything else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits, wire
from protocol.heads import HEAD_BYTES_MAX
from protocol.limits import RemoteError
from protocol.messages import (
    ANSWERS,
    FRAMES,
    GOSSIP,
    QUESTIONS,
    Added,
    Announce,
    AskFill,
    AskHeads,
    AskQuery,
    AskRecords,
    AskTree,
    AskUpdate,
    AskVectors,
    BucketFill,
    Changed,
    Fill,
    Forked,
    Frame,
    Heads,
    QueryAnswer,
    Records,
    Refused,
    TreeLevels,
    UpdateAnswer,
    VectorsAnswer,
    heads_digest,
    kind_name,
    pack_frame,
    parse_answer,
    parse_gossip,
    parse_question,
)
from protocol.query import RESULTS_MAX

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "frames.json"
PARSERS = {QUESTIONS: parse_question, ANSWERS: parse_answer, GOSSIP: parse_gossip}
EXAMPLES: list[Frame] = [
    AskHeads(b"d" * 32),
    Heads(b"d" * 32, (b"sealed", b"heads"), ((b"two", b"faces"),)),
    AskTree(b"p" * 32, b"r" * 32, ((1, 8), (256, 4))),
    TreeLevels((b"h" * 64, b"i" * 32)),
    AskFill(b"p" * 32, b"r" * 32, ((7, b"leafhash", b"digest01digest02"), (9, b"leafhash", b""))),
    Fill((None, BucketFill(b"\x00\x05", (Added(b"item", b"vector"), Changed(b"item", b"v" * 32))))),
    AskVectors(b"p" * 32, ((b"k" * 16, b"v" * 32),)),
    VectorsAnswer((b"vector", b"")),
    Announce(b"sealed"),
    Forked(b"two", b"faces"),
    AskQuery(b"sealed query"),
    QueryAnswer(b"sealed answer"),
    AskRecords(b"p" * 32, ((b"k" * 16, b"r" * 32), (b"l" * 16, b"s" * 32))),
    Records(((b"item", b"v" * 32), (b"", b""))),
    Refused("not_found"),
    AskUpdate("taste_prior", "phi-1/tiny-128", 1_700_000_000_000, b"sealed update"),
    UpdateAnswer(b"sealed update"),
]


def parse_frame(packed: bytes) -> Frame:
    """By whichever of the three parsers takes it; the last one's error when none does."""
    for parse in (parse_question, parse_answer):
        try:
            return parse(packed)
        except RemoteError:
            pass
    return parse_gossip(packed)


@pytest.mark.parametrize("frame", EXAMPLES, ids=lambda frame: type(frame).__name__)
def test_round_trip_and_frozen_bytes(frame: Frame) -> None:
    packed = pack_frame(frame)
    assert parse_frame(packed) == frame
    assert json.loads(VECTORS.read_text())[type(frame).__name__] == packed.hex()


@pytest.mark.parametrize("frame", EXAMPLES, ids=lambda frame: type(frame).__name__)
def test_each_kind_is_accepted_in_its_place_only(frame: Frame) -> None:
    packed = pack_frame(frame)
    for kinds, parse in PARSERS.items():
        if type(frame) in kinds:
            assert parse(packed) == frame
        else:
            with pytest.raises(RemoteError, match="malformed"):
                parse(packed)


@pytest.mark.parametrize("frame", EXAMPLES, ids=lambda frame: type(frame).__name__)
def test_the_name_of_a_kind_is_in_its_first_two_bytes(frame: Frame) -> None:
    assert kind_name(pack_frame(frame)[:2]) == type(frame).__name__


@pytest.mark.parametrize(
    "packed", [b"", b"\x91", b"\x91\x00", b"\x91\x12", b"\x81\x01", b"\xc4\x01", b"\xdc\x00\x02\x01"]
)
def test_what_is_no_frame_has_no_name(packed: bytes) -> None:
    assert kind_name(packed) == "unknown"


def test_every_kind_has_an_example_and_a_frozen_vector() -> None:
    names = {frame.__name__ for frame, _ in FRAMES.values()}
    assert list(FRAMES) == list(range(1, 18))
    assert sorted([*QUESTIONS, *ANSWERS, *GOSSIP], key=str) == sorted((frame for frame, _ in FRAMES.values()), key=str)
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
        assert error.reason in limits.REASONS
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
    one = b"p" * 32
    for frame in (
        AskHeads(b"short"),
        Heads(b"", (), ()),
        Heads(one, (b"",), ()),
        Heads(one, (bytes(HEAD_BYTES_MAX + 1),), ()),
        Heads(one, (b"x",) * (limits.HEADS_MAX + 1), ()),
        AskTree(one, one, ((0, 1),)),
        AskTree(one, one, ((1, 28),)),
        AskTree(one, b"r" * 31, ()),
        AskTree(b"p" * 31, one, ()),
        AskFill(one, one, ((1, b"leafhash", bytes(8 * 129)),)),
        AskFill(one, one, ((1, b"leafhash", b""),) * (limits.FILL_BUCKETS_MAX + 1)),
        Fill((BucketFill(b"", (Added(bytes(limits.RECORD_BYTES_MAX + 1), b"v"),)),)),
        Fill((BucketFill(b"", (Added(b"x", bytes(limits.VECTOR_BYTES_MAX + 1)),)),)),
        Fill((BucketFill(b"", (Changed(b"x", b"v" * 31),)),)),
        AskVectors(one, ((b"k" * 15, one),)),
        VectorsAnswer((b"",) * (limits.VECTORS_MAX + 1)),
        Announce(b""),
        Forked(b"x", bytes(HEAD_BYTES_MAX + 1)),
        AskQuery(bytes(5000)),
        QueryAnswer(bytes(70_000)),
        AskRecords(one, ((b"k" * 16, one),) * (RESULTS_MAX + 1)),
        Records(((b"item", b""),)),
        Records(((b"", one),)),
        Records(((b"item", b"short"),)),
        Refused("bored"),
    ):
        with pytest.raises(RemoteError):
            parse_frame(pack_frame(frame))


def test_frames_over_their_size_are_not_even_parsed() -> None:
    for parse, bytes_max in (
        (parse_question, limits.FRAME_BYTES_MAX),
        (parse_answer, limits.FRAME_BYTES_MAX),
        (parse_gossip, limits.GOSSIP_BYTES_MAX),
    ):
        with pytest.raises(RemoteError) as caught:
            parse(bytes(bytes_max + 1))
        assert caught.value.reason == "too_big"


def test_a_thousand_heads_or_fork_proofs_of_the_largest_size_fit_a_frame() -> None:
    head = bytes(HEAD_BYTES_MAX)
    for heads in (0, limits.HEADS_MAX // 2, limits.HEADS_MAX):
        full = Heads(bytes(32), (head,) * heads, ((head, head),) * (limits.HEADS_MAX - heads))
        packed = pack_frame(full)
        assert len(packed) <= limits.FRAME_BYTES_MAX
        assert parse_answer(packed) == full


def test_a_digest_names_heads_and_forks_in_any_order() -> None:
    assert heads_digest((b"a", b"b"), ()) == heads_digest((b"b", b"a"), ())
    assert heads_digest((b"a",), ((b"b", b"c"),)) != heads_digest((b"a", b"b", b"c"), ())
    assert heads_digest((), ((b"b", b"c"), (b"d", b"e"))) == heads_digest((), ((b"d", b"e"), (b"b", b"c")))
    assert heads_digest((), ()) == hashlib.sha256().digest()


@pytest.mark.parametrize("number", [True, 1.0, "1", None])
def test_only_a_number_is_a_number(number: object) -> None:
    with pytest.raises(RemoteError):
        parse_question(wire.pack([3, b"p" * 32, b"r" * 32, [[number, 1]]]))


@pytest.mark.parametrize("changed", [0, 1, None, b"", "x"])
def test_only_true_and_false_say_whether_a_record_changed(changed: object) -> None:
    with pytest.raises(RemoteError):
        parse_answer(wire.pack([6, [[b"", [[changed, b"item", b"v" * 32]]]]]))
