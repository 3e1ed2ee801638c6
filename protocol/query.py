"""A signed question to a peer, its signed answer, and the receipt that anybody can check offline.

The asker seals a query to one peer; the peer seals an answer that names the query by hash. The answer is a skeleton:
item ids, record hashes and scores, the model that ranked and the catalog heads it ranked over. The asker fetches the
records it lacks and checks them by hash. Query and answer together are the receipt: no further word of either side is
needed to prove who answered what, when and from which catalogs.

A query carries no user: a text, an item, a vector, or a taste card that its owner exported and consented to.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import astuple, dataclass
from typing import Any

from protocol import limits, wire
from protocol.card import CARD_BYTES_MAX, check_card_fresh, open_card
from protocol.envelope import OVERHEAD_BYTES, open_sealed, seal
from protocol.heads import AT_MS_MAX
from protocol.identity import PUBLIC_BYTES, Identity
from protocol.limits import RemoteError
from protocol.merkle import HASH_BYTES
from protocol.records import CONTROL, check_vector

QUERY_DOMAIN, ANSWER_DOMAIN = "query/1", "answer/1"
NONCE_BYTES = 16
# A text of some 600 words, a vector of two halves, or a card, which is the longest.
SUBJECT_BYTES_MAX = CARD_BYTES_MAX
QUERY_BYTES_MAX = SUBJECT_BYTES_MAX + 512
RESULTS_MAX = 100
# Catalogs that one answer ranks over.
ANSWER_HEADS_MAX = 200
ANSWER_BYTES_MAX = 64 * 1024
MODEL_BYTES_MAX = 64
# Longer than any honest exchange takes; shorter than anybody waits to replay it.
LIFETIME_MS_MAX = 10 * 60 * 1000
SKEW_MS = limits.SKEW_MS
KINDS = ("text", "item", "vector", "card")
RECEIPT_MARK = "p2prec receipt 1"
RECEIPT_BYTES_MAX = QUERY_BYTES_MAX + ANSWER_BYTES_MAX + 2 * OVERHEAD_BYTES + 32
# Larger numbers than are answered can be asked for, and are refused for that reason; these only bound an integer.
NUMBER_MAX = 2**53


@dataclass(frozen=True, slots=True)
class Query:
    """`to`: the public key asked. `network`: the name that both belong to, printable ASCII.

    `subject` by kind: UTF-8 text; publisher and item id (`pack_item_subject`); two halves as int8; sealed card.
    """

    to: bytes
    network: str
    nonce: bytes
    issued_ms: int
    expires_ms: int
    kind: str
    subject: bytes
    encoder: bytes
    k: int


@dataclass(frozen=True, slots=True)
class AnsweredItem:
    """One place of the answer: whose item (place in `heads`), which, in which state, with what score."""

    head: int
    item: str
    record: bytes
    score: float


@dataclass(frozen=True, slots=True)
class AnsweredHead:
    """A catalog version that was ranked over."""

    publisher: bytes
    version: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """Bound to its query by hash."""

    query: bytes
    at_ms: int
    model: str
    heads: tuple[AnsweredHead, ...]
    items: tuple[AnsweredItem, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A verified exchange. `asked_by` and `signed_by` are public keys."""

    asked_by: bytes
    signed_by: bytes
    query: Query
    answer: Answer


def seal_query(identity: Identity, query: Query) -> bytes:
    """Raises: RemoteError for what no node would open; whether this one answers is for `check_fresh` there."""
    _check_query(query)
    return seal(identity, QUERY_DOMAIN, wire.pack(list(astuple(query))))


def open_query(sealed: bytes) -> tuple[bytes, Query]:
    """Untrusted bytes to (asker's public key, query). Says nothing of whether to answer it; see `check_fresh`.

    Raises: RemoteError("too_big" | "malformed" | "bad_signature" | "bad_vector"), for the subject's sake too.
    """
    opened = open_sealed(QUERY_DOMAIN, sealed, QUERY_BYTES_MAX)
    fields = wire.parse(opened.body)
    if not (isinstance(fields, list) and len(fields) == 9):
        raise RemoteError("malformed", "not a query")
    query = Query(*fields)
    _check_query(query)
    return opened.public, query


def check_fresh(query: Query, me: bytes, network: str, now_ms: int) -> None:
    """Raise RemoteError unless the query is for this node and for now.

    Raises: RemoteError("wrong_network" | "misdirected" | "over_limit" | "expired"), the last for its card's sake too.
    """
    if query.network != network:
        raise RemoteError("wrong_network", f"a query of the network {query.network}")
    if query.to != me:
        raise RemoteError("misdirected", "a query for another node")
    if query.k > RESULTS_MAX:
        raise RemoteError("over_limit", f"more than {RESULTS_MAX} results asked for")
    if query.expires_ms - query.issued_ms > LIFETIME_MS_MAX:
        raise RemoteError("over_limit", f"a query for more than {LIFETIME_MS_MAX} ms")
    if not query.issued_ms - SKEW_MS <= now_ms <= query.expires_ms + SKEW_MS:
        raise RemoteError("expired", "a query of another time")
    if query.kind == "card":
        check_card_fresh(open_card(query.subject)[1], now_ms)


def pack_item_subject(publisher: bytes, item: str) -> bytes:
    """The subject of a query about an item: whose (32 bytes), which."""
    return publisher + item.encode()


def parse_item_subject(subject: bytes) -> tuple[bytes, str]:
    """(publisher, item id). Raises: RemoteError("malformed")."""
    item = _parse_text(subject[PUBLIC_BYTES:])
    if not 0 < len(subject) - PUBLIC_BYTES <= limits.ITEM_ID_BYTES_MAX or CONTROL.search(item):
        raise RemoteError("malformed", "not an item's name")
    return subject[:PUBLIC_BYTES], item


def query_hash(sealed_query: bytes) -> bytes:
    """What an answer names its query by: 32 bytes over the query as sealed."""
    return hashlib.sha256(sealed_query).digest()


def seal_answer(identity: Identity, answer: Answer) -> bytes:
    """Raises: RemoteError if the answer breaks a rule."""
    _check_answer(answer)
    heads = [[head.publisher, head.version, head.root] for head in answer.heads]
    items = [[item.head, item.item, item.record, item.score] for item in answer.items]
    body = wire.pack([answer.query, answer.at_ms, answer.model, heads, items])
    if len(body) > ANSWER_BYTES_MAX:
        raise RemoteError("too_big", "an answer")
    return seal(identity, ANSWER_DOMAIN, body)


def open_answer(sealed: bytes) -> tuple[bytes, Answer]:
    """Untrusted bytes to (signer's public key, answer). Raises: RemoteError."""
    opened = open_sealed(ANSWER_DOMAIN, sealed, ANSWER_BYTES_MAX)
    fields = wire.parse(opened.body)
    if not (isinstance(fields, list) and len(fields) == 5):
        raise RemoteError("malformed", "not an answer")
    query, at_ms, model, heads, items = fields
    answer = Answer(
        query,
        at_ms,
        model,
        tuple(AnsweredHead(*row) for row in _rows(heads, 3, ANSWER_HEADS_MAX)),
        tuple(AnsweredItem(*row) for row in _rows(items, 4, RESULTS_MAX)),
    )
    _check_answer(answer)
    return opened.public, answer


def pack_receipt(sealed_query: bytes, sealed_answer: bytes) -> bytes:
    """The receipt file."""
    return wire.pack([RECEIPT_MARK, sealed_query, sealed_answer])


def verify_receipt(receipt: bytes) -> Receipt:
    """Everything that two signatures can prove, from the file alone. Raises: RemoteError with what is wrong."""
    if len(receipt) > RECEIPT_BYTES_MAX:
        raise RemoteError("too_big", "a receipt")
    parts = wire.parse(receipt)
    if not (isinstance(parts, list) and len(parts) == 3 and parts[0] == RECEIPT_MARK):
        raise RemoteError("malformed", "not a receipt")
    if not all(isinstance(part, bytes) for part in parts[1:]):
        raise RemoteError("malformed", "not a receipt")
    asked_by, query = open_query(parts[1])
    signed_by, answer = open_answer(parts[2])
    check_answers(answer, signed_by, query, query_hash(parts[1]))
    return Receipt(asked_by, signed_by, query, answer)


def check_answers(answer: Answer, signed_by: bytes, query: Query, hash_of_query: bytes) -> None:
    """Raise RemoteError unless this is that peer's answer to that query, given in its time."""
    if answer.query != hash_of_query:
        raise RemoteError("misdirected", "an answer to another query")
    if signed_by != query.to:
        raise RemoteError("misdirected", "an answer by somebody who was not asked")
    if not query.issued_ms - SKEW_MS <= answer.at_ms <= query.expires_ms + SKEW_MS:
        raise RemoteError("expired", "an answer of another time")
    if len(answer.items) > query.k:
        raise RemoteError("malformed", "more results than asked for")


class ReplayWindow:
    """Queries seen, for as long as they could be replayed. At most `size` at once; more are refused."""

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._until_ms: dict[bytes, int] = {}

    def restore(self, hash_of_query: bytes, until_ms: int) -> None:
        """A query that was admitted before the node was started anew."""
        self._until_ms[hash_of_query] = until_ms

    def admit(self, hash_of_query: bytes, query: Query, now_ms: int) -> None:
        """Raise RemoteError("replayed") for a query seen before, ("too_many") when no more can be remembered."""
        if hash_of_query in self._until_ms:
            raise RemoteError("replayed", "a query seen before")
        if len(self._until_ms) >= self._size:
            self._until_ms = {seen: until for seen, until in self._until_ms.items() if until >= now_ms}
        if len(self._until_ms) >= self._size:
            raise RemoteError("too_many", "more live queries than can be remembered")
        self._until_ms[hash_of_query] = query.expires_ms + SKEW_MS


def _check_query(query: Query) -> None:
    fits = (
        _is_bytes(query.to, PUBLIC_BYTES)
        and isinstance(query.network, str)
        and 0 < len(query.network) <= limits.NETWORK_BYTES_MAX
        and query.network.isascii()
        and query.network.isprintable()
        and _is_bytes(query.nonce, NONCE_BYTES)
        and _is_bytes(query.encoder, HASH_BYTES)
        and isinstance(query.kind, str)
        and query.kind in KINDS
        and isinstance(query.subject, bytes)
        and 0 < len(query.subject) <= SUBJECT_BYTES_MAX
        and _is_number(query.issued_ms, 0, AT_MS_MAX)
        and _is_number(query.expires_ms, 0, AT_MS_MAX)
        and _is_number(query.k, 1, NUMBER_MAX)
    )
    if not fits or query.expires_ms <= query.issued_ms:
        raise RemoteError("malformed", "a field of the query")
    if query.kind == "text":
        _parse_text(query.subject)
    elif query.kind == "item":
        parse_item_subject(query.subject)
    elif query.kind == "card":
        open_card(query.subject)
    elif len(query.subject) > limits.VECTOR_BYTES_MAX:
        raise RemoteError("bad_vector", "a vector longer than any")
    else:
        check_vector(query.subject, None)


def _parse_text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise RemoteError("malformed", "not UTF-8") from error


def _check_answer(answer: Answer) -> None:
    fits = (
        _is_bytes(answer.query, HASH_BYTES)
        and _is_number(answer.at_ms, 0, AT_MS_MAX)
        and isinstance(answer.model, str)
        and answer.model.isprintable()
        and 0 < len(answer.model.encode("utf-8", "surrogatepass")) <= MODEL_BYTES_MAX
        and len(answer.heads) <= ANSWER_HEADS_MAX
        and len(answer.items) <= RESULTS_MAX
        and all(
            _is_bytes(head.publisher, PUBLIC_BYTES)
            and _is_number(head.version, 1, 2**63 - 1)
            and _is_bytes(head.root, HASH_BYTES)
            for head in answer.heads
        )
        and all(
            _is_number(item.head, 0, len(answer.heads) - 1)
            and isinstance(item.item, str)
            and not CONTROL.search(item.item)
            and 0 < len(item.item.encode("utf-8", "surrogatepass")) <= limits.ITEM_ID_BYTES_MAX
            and _is_bytes(item.record, HASH_BYTES)
            and type(item.score) is float
            and math.isfinite(item.score)
            for item in answer.items
        )
    )
    if not fits:
        raise RemoteError("malformed", "a field of the answer")


def _rows(value: Any, width: int, most: int) -> list[list[Any]]:
    if not isinstance(value, list) or len(value) > most:
        raise RemoteError("malformed", f"not a list of at most {most}")
    if any(not isinstance(row, list) or len(row) != width for row in value):
        raise RemoteError("malformed", f"not rows of {width}")
    return list(value)


def _is_bytes(value: object, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size


def _is_number(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
