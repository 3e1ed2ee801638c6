"""Queries, answers and receipts: bound to each other, to their time and to their signers, and to nothing looser."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.card import Card, seal_card
from protocol.envelope import OVERHEAD_BYTES, seal
from protocol.identity import Identity
from protocol.limits import NETWORK, SKEW_MS, RemoteError
from protocol.query import (
    ANSWER_HEADS_MAX,
    KINDS,
    LIFETIME_MS_MAX,
    QUERY_BYTES_MAX,
    RECEIPT_BYTES_MAX,
    RESULTS_MAX,
    Answer,
    AnsweredHead,
    AnsweredItem,
    Query,
    ReplayWindow,
    check_fresh,
    open_answer,
    open_query,
    pack_item_subject,
    pack_receipt,
    parse_item_subject,
    query_hash,
    seal_answer,
    seal_query,
    verify_receipt,
)
from protocol.wire import pack

ASKER, PEER, EVE = Identity(b"a" * 32), Identity(b"p" * 32), Identity(b"e" * 32)
NOW = 1_700_000_000_000
QUERY = Query(PEER.public, NETWORK, b"n" * 16, NOW, NOW + 60_000, "text", b"red floral dress", b"f" * 32, 10)
HEADS = (AnsweredHead(PEER.public, 3, b"r" * 32), AnsweredHead(EVE.public, 1, b"s" * 32))
CARD = Card(b"f" * 32, b"\x01" * 64, b"\x01" * 8, b"n" * 16, NOW, NOW + 86_400_000, "Recommend to me.", 0.0)
SUBJECTS = {
    "text": b"red floral dress",
    "item": pack_item_subject(EVE.public, "g7"),
    "vector": b"\x01\xff" * 512,
    "card": seal_card(EVE, CARD),
}
ITEMS = (AnsweredItem(0, "10017413", b"x" * 32, 0.75), AnsweredItem(1, "g7", b"y" * 32, -0.5))


def exchange(query: Query = QUERY, answerer: Identity = PEER, **changes: object) -> bytes:
    sealed = seal_query(ASKER, query)
    answer = Answer(query_hash(sealed), NOW + 500, "content", HEADS, ITEMS)
    return pack_receipt(sealed, seal_answer(answerer, replace(answer, **changes)))  # type: ignore[arg-type]


def test_a_receipt_proves_the_exchange_by_itself() -> None:
    receipt = verify_receipt(exchange())
    assert (receipt.asked_by, receipt.signed_by) == (ASKER.public, PEER.public)
    assert receipt.query == QUERY
    assert receipt.answer.items == ITEMS
    assert receipt.answer.heads == HEADS


@pytest.mark.parametrize("kind", KINDS)
def test_each_flipped_bit_and_each_cut_spoils_a_receipt(kind: str) -> None:
    receipt = exchange(replace(QUERY, kind=kind, subject=SUBJECTS[kind]))
    verify_receipt(receipt)
    for place in range(len(receipt)):
        with pytest.raises(RemoteError):
            verify_receipt(receipt[:place])
        for flip in (1 << bit for bit in range(8)):
            with pytest.raises(RemoteError) as caught:
                verify_receipt(receipt[:place] + bytes([receipt[place] ^ flip]) + receipt[place + 1 :])
            assert caught.value.reason in limits.REASONS


@pytest.mark.parametrize(
    ("receipt", "reason"),
    [
        (lambda: exchange(answerer=EVE), "misdirected"),
        (lambda: exchange(query=replace(QUERY, to=EVE.public)), "misdirected"),
        (lambda: exchange(at_ms=QUERY.expires_ms + SKEW_MS + 1), "expired"),
        (lambda: exchange(at_ms=QUERY.issued_ms - SKEW_MS - 1), "expired"),
        (lambda: exchange(query=replace(QUERY, k=1)), "malformed"),
        (lambda: pack(["other", b"", b""]), "malformed"),
        (lambda: pack(["p2prec receipt 1", 5, b""]), "malformed"),
        (lambda: b"", "malformed"),
        (lambda: bytes(RECEIPT_BYTES_MAX + 1), "too_big"),
    ],
)
def test_what_makes_a_receipt_worthless(receipt: object, reason: str) -> None:
    with pytest.raises(RemoteError) as caught:
        verify_receipt(receipt())  # type: ignore[operator]
    assert caught.value.reason == reason


def test_an_answer_to_another_query_is_no_answer_to_this_one() -> None:
    other = seal_query(ASKER, replace(QUERY, nonce=b"o" * 16))
    answer = seal_answer(PEER, Answer(query_hash(other), NOW, "content", HEADS, ITEMS))
    with pytest.raises(RemoteError, match="another query"):
        verify_receipt(pack_receipt(seal_query(ASKER, QUERY), answer))


def reason_of(query: Query, now_ms: int = NOW, network: str = NETWORK, me: bytes = PEER.public) -> str:
    """Why a query that opens is not answered."""
    assert open_query(seal_query(ASKER, query)) == (ASKER.public, query)
    try:
        check_fresh(query, me, network, now_ms)
    except RemoteError as error:
        return error.reason
    return "ok"


def test_queries_are_for_one_node_of_one_network_and_a_short_time() -> None:
    late = QUERY.expires_ms + SKEW_MS
    assert [reason_of(QUERY, now) for now in (NOW - SKEW_MS, NOW, late)] == ["ok"] * 3
    assert [reason_of(QUERY, now) for now in (NOW - SKEW_MS - 1, late + 1)] == ["expired"] * 2
    assert reason_of(QUERY, me=EVE.public) == "misdirected"
    assert reason_of(QUERY, network="other") == "wrong_network"
    assert reason_of(replace(QUERY, network="p2prec ")) == "wrong_network"


def test_more_than_is_answered_can_be_asked_for_and_is_refused_for_that_reason() -> None:
    for most in (replace(QUERY, k=RESULTS_MAX), replace(QUERY, expires_ms=NOW + LIFETIME_MS_MAX)):
        assert reason_of(most) == "ok"
    for more in (replace(QUERY, k=RESULTS_MAX + 1), replace(QUERY, expires_ms=NOW + LIFETIME_MS_MAX + 1)):
        assert reason_of(more) == "over_limit"


def test_a_card_that_expired_is_not_asked_about() -> None:
    for at_ms, reason in ((CARD.issued_ms, "ok"), (CARD.expires_ms, "ok"), (CARD.expires_ms + 1, "expired")):
        query = replace(QUERY, kind="card", subject=SUBJECTS["card"], issued_ms=at_ms, expires_ms=at_ms + 1000)
        assert reason_of(query, at_ms) == reason


def test_item_subjects() -> None:
    assert parse_item_subject(pack_item_subject(EVE.public, "gr\u00fcn")) == (EVE.public, "gr\u00fcn")
    for bad in (b"", EVE.public, EVE.public[:-1], EVE.public + b"\xff", EVE.public + b"x" * 129, EVE.public + b"a\n"):
        with pytest.raises(RemoteError) as caught:
            parse_item_subject(bad)
        assert caught.value.reason == "malformed"


@pytest.mark.parametrize(
    ("kind", "subject", "reason"),
    [
        ("text", b"\xff", "malformed"),
        ("item", EVE.public, "malformed"),
        ("vector", b"\x01" * 63, "bad_vector"),
        ("vector", bytes(64), "bad_vector"),
        ("vector", b"\x01" * (limits.VECTOR_BYTES_MAX + 2), "bad_vector"),
        ("card", b"card", "malformed"),
        ("card", SUBJECTS["card"][:-1] + b"!", "bad_signature"),
        ("card", SUBJECTS["item"], "malformed"),
    ],
)
def test_malformed_subjects_are_neither_sealed_nor_opened(kind: str, subject: bytes, reason: str) -> None:
    bad = replace(QUERY, kind=kind, subject=subject)
    for attempt in (lambda: seal_query(ASKER, bad), lambda: open_query(seal(ASKER, "query/1", pack(values_of(bad))))):
        with pytest.raises(RemoteError) as caught:
            attempt()
        assert caught.value.reason == reason


def values_of(query: Query) -> list[object]:
    return [getattr(query, field.name) for field in fields(query)]


@pytest.mark.parametrize(
    "change",
    [
        {"to": b"short"},
        {"nonce": b""},
        {"encoder": b"x"},
        {"kind": "user"},
        {"subject": b""},
        {"subject": bytes(5000)},
        {"k": 0},
        {"k": 2**53 + 1},
        {"kind": ["text"]},
        {"network": ""},
        {"network": "x" * 33},
        {"network": "caf\u00e9"},
        {"network": "a\n"},
        {"network": b"p2prec"},
        {"k": True},
        {"expires_ms": NOW},
        {"expires_ms": 2**53 + 1},
        {"issued_ms": -1},
    ],
)
def test_queries_out_of_bounds_are_neither_sealed_nor_opened(change: dict[str, object]) -> None:
    bad = replace(QUERY, **change)  # type: ignore[arg-type]
    with pytest.raises(RemoteError):
        seal_query(ASKER, bad)
    with pytest.raises(RemoteError):
        open_query(seal(ASKER, "query/1", pack(values_of(bad))))


@pytest.mark.parametrize(
    ("heads", "items"),
    [
        ([[b"short", 1, b"r" * 32]], []),
        ([[PEER.public, 0, b"r" * 32]], []),
        ([[PEER.public, 1]], []),
        (5, []),
        ([], [[0, "x", b"y" * 32, 0.5]]),
        ([[PEER.public, 1, b"r" * 32]], [[1, "x", b"y" * 32, 0.5]]),
        ([[PEER.public, 1, b"r" * 32]], [[0, "", b"y" * 32, 0.5]]),
        ([[PEER.public, 1, b"r" * 32]], [[0, "x", b"y" * 32, float("nan")]]),
        ([[PEER.public, 1, b"r" * 32]], [[0, "x", b"y" * 32, 1]]),
        ([[PEER.public, 1, b"r" * 32]] * (ANSWER_HEADS_MAX + 1), []),
        ([[PEER.public, 1, b"r" * 32]], [[0, "x", b"y" * 32, 0.5]] * (RESULTS_MAX + 1)),
    ],
)
def test_answers_out_of_bounds_are_refused_though_well_signed(heads: object, items: object) -> None:
    with pytest.raises(RemoteError) as caught:
        open_answer(seal(PEER, "answer/1", pack([b"q" * 32, NOW, "content", heads, items])))
    assert caught.value.reason == "malformed"


@given(st.binary(max_size=300))
def test_arbitrary_bytes(raw: bytes) -> None:
    for opener in (open_query, open_answer, verify_receipt):
        with pytest.raises(RemoteError):
            opener(raw)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_travels(kind: str) -> None:
    query = replace(QUERY, kind=kind, subject=SUBJECTS[kind])
    assert open_query(seal_query(ASKER, query)) == (ASKER.public, query)


def test_a_full_answer_fits() -> None:
    heads = tuple(AnsweredHead(bytes(32), 2**63 - 1, bytes(32)) for _ in range(ANSWER_HEADS_MAX))
    items = tuple(AnsweredItem(ANSWER_HEADS_MAX - 1, "x" * 128, bytes(32), 0.1) for _ in range(RESULTS_MAX))
    answer = Answer(bytes(32), NOW, "m" * 64, heads, items)
    sealed = seal_answer(PEER, answer)
    assert open_answer(sealed) == (PEER.public, answer)
    assert len(pack_receipt(bytes(QUERY_BYTES_MAX + OVERHEAD_BYTES), sealed)) <= RECEIPT_BYTES_MAX


def test_the_replay_window_admits_once_and_forgets_in_time() -> None:
    window = ReplayWindow(size=3)

    def admit(n: int, now_ms: int) -> str:
        query = replace(QUERY, nonce=bytes([n]) * 16, issued_ms=now_ms, expires_ms=now_ms + 1000)
        try:
            window.admit(query_hash(seal_query(ASKER, query)), query, now_ms)
        except RemoteError as error:
            return error.reason
        return "ok"

    assert [admit(n, NOW) for n in (1, 1, 2, 3, 4)] == ["ok", "replayed", "ok", "ok", "too_many"]
    later = NOW + 1000 + SKEW_MS + 1
    assert [admit(n, later) for n in (5, 6, 7, 8)] == ["ok", "ok", "ok", "too_many"]


def test_queries_from_before_a_restart_stay_replayed() -> None:
    window = ReplayWindow()
    name = query_hash(seal_query(ASKER, QUERY))
    window.restore(name, QUERY.expires_ms + SKEW_MS)
    with pytest.raises(RemoteError) as caught:
        window.admit(name, QUERY, NOW)
    assert caught.value.reason == "replayed"
