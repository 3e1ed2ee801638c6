"""Signed queries between nodes: asking a peer and checking its answer, and answering those who ask.

A query is admitted only if it is signed, fresh, never seen before, for this node and network, within the asker's
budget and, where the owner keeps a list, from somebody on it; each failing has its own reason. Ranking is a job; the
answer that goes out names what was asked by its hash and what it ranked over by versions and roots.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from node.events import Rank, Ranked
from node.outbox import Outbox
from node.peers import Peers
from node.replicas import Replicas
from node.report import item_document
from node.shelf import Shelf
from protocol.budget import Budget
from protocol.card import open_card
from protocol.heads import open_head
from protocol.identity import Identity, parse_peer_id, peer_id
from protocol.limits import SKEW_MS, RemoteError
from protocol.messages import AskQuery, AskRecords, Frame, QueryAnswer, Records, Refused
from protocol.query import (
    NONCE_BYTES,
    Answer,
    AnsweredHead,
    AnsweredItem,
    Query,
    ReplayWindow,
    check_answers,
    check_fresh,
    open_answer,
    open_query,
    pack_receipt,
    query_hash,
    seal_answer,
    seal_query,
)
from protocol.records import item_key, parse_item, record_hash_of

# How long an answer may take before the asker no longer wants it.
LIFETIME_MS = 60_000
FORGET_MS = 60_000
# Ranking jobs that wait at once; more are refused as busy.
JOBS_MAX = 64


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom the owner lets ask. `allow` None: everybody. Budgets are a peer's queries a minute."""

    network: str
    allow: frozenset[str] | None
    queries_per_minute: int


class QueryService:
    """Both sides of a query."""

    def __init__(
        self,
        replicas: Replicas,
        outbox: Outbox,
        peers: Peers,
        shelves: Mapping[bytes, Shelf],
        identity: Identity,
        encoder: bytes,
        policy: Policy,
        rng: random.Random,
    ) -> None:
        self._replicas = replicas
        self._outbox = outbox
        self._peers = peers
        self._shelves = shelves
        self._identity = identity
        self._encoder = encoder
        self._policy = policy
        self._rng = rng
        self._budget = Budget(policy.queries_per_minute)
        self._window = ReplayWindow()
        # When there is something to forget, whenever it was looked for.
        self._remembers, self._forgot_ms = True, 0

    def start(self, now_ms: int) -> None:
        """Queries answered before a restart are not answered again."""
        for query, until_ms in self._replicas.asked(now_ms):
            self._window.restore(query, until_ms)

    def tick(self, now_ms: int) -> None:
        """Queries that can't be replayed any more need not be remembered."""
        if self._remembers and not 0 <= now_ms - self._forgot_ms < FORGET_MS:
            self._forgot_ms = now_ms
            self._remembers = self._replicas.forget_asked(now_ms)

    def due_ms(self, now_ms: int) -> int:
        """When what was answered may be forgotten."""
        if not self._remembers or self._forgot_ms > now_ms:
            return now_ms + FORGET_MS
        return self._forgot_ms + FORGET_MS

    # -- answering ---------------------------------------------------------------------------------------------------

    def hear(self, ask: AskQuery, peer: str, token: int, now_ms: int) -> None:
        """A peer's query: refuse it, or order the ranking. Raises: RemoteError with the reason of the refusal."""
        sender = parse_peer_id(peer)
        asked_by, query = open_query(ask.query)
        if asked_by != sender:
            raise RemoteError("misdirected", "a query signed by another than who brought it")
        check_fresh(query, self._identity.public, self._policy.network, now_ms)
        if encoder_of(query) not in (None, self._encoder):
            raise RemoteError("wrong_encoder", "a vector of another encoder")
        if self._policy.allow is not None and peer not in self._policy.allow:
            raise RemoteError("not_allowed", "this node answers only whom its owner lists")
        if self._outbox.jobs >= JOBS_MAX:
            raise RemoteError("busy", "too many queries wait already")
        self._budget.admit(peer, now_ms)
        name = query_hash(ask.query)
        self._window.admit(name, query, now_ms)
        self._replicas.add_asked(name, query.expires_ms + SKEW_MS)
        self._remembers = True
        self._outbox.start(Rank(query.kind, query.subject, query.k), partial(self._answer, token, name))

    def _answer(self, token: int, name: bytes, ranked: Ranked, now_ms: int) -> None:
        """The ranking is done: sign it."""
        if not ranked.model:
            self._outbox.refuse(token, "not_found")
            return
        # Only the heads that a result names, and room for no more.
        used = sorted({item.head for item in ranked.items})
        heads = [open_head(ranked.heads[place].sealed) for place in used]
        answer = Answer(
            name,
            now_ms,
            ranked.model,
            tuple(AnsweredHead(head.publisher, head.version, head.root) for head in heads),
            tuple(AnsweredItem(used.index(item.head), item.item, item.record, item.score) for item in ranked.items),
        )
        self._outbox.answer(token, QueryAnswer(seal_answer(self._identity, answer)))

    # -- asking ------------------------------------------------------------------------------------------------------

    def ask(self, token: int, peer: str, kind: str, subject: bytes, k: int, now_ms: int) -> None:
        """The owner asks a connected peer; the command of this token is replied to when the answer is checked."""
        query = Query(
            to=parse_peer_id(peer),
            network=self._policy.network,
            nonce=self._rng.randbytes(NONCE_BYTES),
            issued_ms=now_ms,
            expires_ms=now_ms + LIFETIME_MS,
            kind=kind,
            subject=subject,
            encoder=self._encoder,
            k=k,
        )
        sealed = seal_query(self._identity, query)
        self._outbox.ask(peer, AskQuery(sealed), partial(self._believe, token, peer, query, sealed))

    def _believe(self, token: int, peer: str, query: Query, sealed: bytes, frame: Frame | None, now_ms: int) -> None:
        """The peer's answer. Raises: RemoteError, the peer's fault, after the owner was told."""
        if frame is None:
            self._outbox.reply_mistake(token, f"{peer} did not answer; try again, or ask another peer")
            return
        if isinstance(frame, Refused):
            self._outbox.reply(token, {"peer_id": peer, "refused": frame.reason})
            return
        try:
            if not isinstance(frame, QueryAnswer):
                raise RemoteError("malformed", "not an answer to a query")
            signed_by, answer = open_answer(frame.answer)
            check_answers(answer, signed_by, query, query_hash(sealed))
        except RemoteError as error:
            self._outbox.reply_mistake(token, f"{peer} gave an answer that does not verify ({error})")
            raise
        document = {"peer_id": peer, "model": answer.model, "receipt": pack_receipt(sealed, frame.answer).hex()}
        _Hydration(self, token, peer, answer, document).start()

    def stored(self, head: AnsweredHead, item: AnsweredItem) -> bytes | None:
        """The record as held here, if it is the very one that the answer names."""
        shelf = self._shelves.get(head.publisher)
        if shelf is None or self._replicas.record_hash(shelf.catalog, item_key(item.item)) != item.record:
            return None
        (found,) = self._replicas.records(shelf.catalog, [item_key(item.item)])
        return found.packed if found else None

    def in_catalog(self, head: AnsweredHead) -> bool:
        """Whether this node holds that very version, whole."""
        shelf = self._shelves.get(head.publisher)
        return shelf is not None and shelf.head is not None and shelf.head.root == head.root

    def platform(self, publisher: bytes) -> str:
        shelf = self._shelves.get(publisher)
        return shelf.head.platform if shelf is not None and shelf.head is not None else peer_id(publisher)

    def fetch(self, peer: str, question: AskRecords, hydration: _Hydration) -> None:
        self._outbox.ask(peer, question, partial(hydration.believe, question))

    def reply(self, token: int, document: dict[str, Any]) -> None:
        self._outbox.reply(token, document)


def encoder_of(query: Query) -> bytes | None:
    """The fingerprint that the answer must be computed with; None where the asked one's own will do."""
    if query.kind == "card":
        _, card = open_card(query.subject)
        return card.encoder
    return query.encoder if query.kind == "vector" else None


def check_record(packed: bytes, hash_of_vector: bytes, key: bytes, known: bytes) -> None:
    """Raise RemoteError unless this is the record that the peer signed for, of the item that it named."""
    if record_hash_of(packed, hash_of_vector) != known:
        raise RemoteError("bad_proof", "a record that is not the one it signed for")
    if item_key(parse_item(packed).item) != key:
        raise RemoteError("bad_proof", "a record of another item")


class _Hydration:
    """From the skeleton of an answer to items: records held here first, the rest from the peer, each by its hash."""

    def __init__(self, service: QueryService, token: int, peer: str, answer: Answer, document: dict[str, Any]) -> None:
        self._service = service
        self._token = token
        self._peer = peer
        self._answer = answer
        self._document = document
        self._packed: dict[int, bytes] = {}
        # Places whose record was here, verified against its publisher's root.
        self._held: set[int] = set()
        self._waiting = 0

    def start(self) -> None:
        lacking: dict[int, list[int]] = defaultdict(list)
        for place, item in enumerate(self._answer.items):
            head = self._answer.heads[item.head]
            packed = self._service.stored(head, item)
            if packed is not None:
                self._packed[place] = packed
                self._held.add(place)
            elif not self._service.in_catalog(head):
                lacking[item.head].append(place)
            # Else that very version is here, whole, and has no such record: whatever the peer would show is not the
            # publisher's. No fault is counted: an honest node may name a version while its next one is on its way.
        self._waiting = len(lacking)
        for number, places in lacking.items():
            items = [self._answer.items[place] for place in places]
            wanted = tuple((item_key(item.item), item.record) for item in items)
            self._service.fetch(self._peer, AskRecords(self._answer.heads[number].publisher, wanted), self)
        self._finish()

    def believe(self, question: AskRecords, frame: Frame | None, now_ms: int) -> None:
        """Records from the peer, each checked against the hash that the peer signed. Raises: RemoteError."""
        self._waiting -= 1
        fault: RemoteError | None = None
        got: dict[bytes, bytes] = {}
        if isinstance(frame, Records) and len(frame.records) == len(question.wanted):
            for (key, known), (packed, hash_of_vector) in zip(question.wanted, frame.records, strict=True):
                try:
                    if packed:
                        check_record(packed, hash_of_vector, key, known)
                        got[known] = packed
                except RemoteError as error:
                    fault = error
        for place, item in enumerate(self._answer.items):
            if item.record in got and place not in self._held:
                self._packed[place] = got[item.record]
        self._finish()
        if fault is not None:
            raise fault

    def _finish(self) -> None:
        if self._waiting:
            return
        rows = []
        for place, item in enumerate(self._answer.items):
            if place not in self._packed:
                continue
            head = self._answer.heads[item.head]
            record = parse_item(self._packed[place])
            row = item_document(peer_id(head.publisher), self._service.platform(head.publisher), record)
            verified = "catalog" if place in self._held else "record"
            rows.append({**row, "score": round(item.score, 6), "verified": verified})
        self._document["items"] = rows
        self._document["unresolved"] = len(self._answer.items) - len(rows)
        self._service.reply(self._token, self._document)
