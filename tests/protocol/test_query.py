"""Queries, answers and receipts: bound to each other, to their time and to their signers, and to nothing looser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.envelope import seal
from protocol.identity import Identity
from protocol.limits import RemoteError
from protocol.query import (
    ANSWER_HEADS_MAX,
    KINDS,
    LIFETIME_MS_MAX,
    RESULTS_MAX,
    SKEW_MS,
    Answer,
    AnsweredHead,
    AnsweredItem,
    Query,
    ReplayWindow,
    check_fresh,
    open_answer,
    open_query,
    pack_receipt,
    query_hash,
    seal_answer,
    seal_query,
    verify_receipt,
)
from protocol.wire import pack

ASKER, PEER, EVE = Identity(b"a" * 32), Identity(b"p" * 32), Identity(b"e" * 32)
NOW = 1_700_000_000_000
QUERY = Query(PEER.public, b"n" * 16, NOW, NOW + 60_000, "text", b"red floral dress", b"f" * 32, 10)
HEADS = (AnsweredHead(PEER.public, 3, b"r" * 32), AnsweredHead(EVE.public, 1, b"s" * 32))
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


@given(st.data())
def test_any_changed_byte_spoils_a_receipt(data: st.DataObject) -> None:
    receipt = bytearray(exchange())
    receipt[data.draw(st.integers(0, len(receipt) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteError) as caught:
        verify_receipt(bytes(receipt))
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
        (lambda: bytes(200_000), "too_big"),
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


def test_queries_are_for_one_node_and_a_short_time() -> None:
    check_fresh(QUERY, PEER.public, NOW)
    check_fresh(QUERY, PEER.public, QUERY.expires_ms + SKEW_MS)
    for me, now, reason in (
        (EVE.public, NOW, "misdirected"),
        (PEER.public, QUERY.expires_ms + SKEW_MS + 1, "expired"),
        (PEER.public, NOW - SKEW_MS - 1, "expired"),
    ):
        with pytest.raises(RemoteError) as caught:
            check_fresh(QUERY, me, now)
        assert caught.value.reason == reason


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
        {"k": RESULTS_MAX + 1},
        {"k": True},
        {"expires_ms": NOW},
        {"expires_ms": NOW + LIFETIME_MS_MAX + 1},
        {"issued_ms": -1},
    ],
)
def test_queries_out_of_bounds_are_neither_sealed_nor_opened(change: dict[str, object]) -> None:
    bad = replace(QUERY, **change)  # type: ignore[arg-type]
    with pytest.raises(RemoteError):
        seal_query(ASKER, bad)
    fields = [bad.to, bad.nonce, bad.issued_ms, bad.expires_ms, bad.kind, bad.subject, bad.encoder, bad.k]
    with pytest.raises(RemoteError):
        open_query(seal(ASKER, "query/1", pack(fields)))


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
    query = replace(QUERY, kind=kind)
    assert open_query(seal_query(ASKER, query)) == (ASKER.public, query)


def test_a_full_answer_fits() -> None:
    heads = tuple(AnsweredHead(bytes(32), 2**63 - 1, bytes(32)) for _ in range(ANSWER_HEADS_MAX))
    items = tuple(AnsweredItem(ANSWER_HEADS_MAX - 1, "x" * 128, bytes(32), 0.1) for _ in range(RESULTS_MAX))
    answer = Answer(bytes(32), NOW, "m" * 64, heads, items)
    assert open_answer(seal_answer(PEER, answer)) == (PEER.public, answer)


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
