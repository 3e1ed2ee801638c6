"""Catalogs between nodes: signing one's own, hearing of others', bringing them here verified, and serving all.

Heads come by gossip and by asking every peer from time to time; neither is relied upon alone. What differs is fetched
from every connected peer that has a part of it, several questions at once; the pure state machines in
`protocol.announce` and `protocol.sync` decide what is believed, this file moves their questions and answers.
"""

from __future__ import annotations

from functools import partial

from node.outbox import Outbox
from node.peers import Peers
from node.publisher import Publisher
from node.replicas import Replicas
from node.shelf import Shelf
from node.status import catalog_document
from node.targets import Targets
from node.teller import HEADS_MS_MAX, Teller
from protocol.announce import HeadBook, Heard
from protocol.heads import CatalogHead
from protocol.identity import Identity, parse_peer_id, peer_id
from protocol.limits import RemoteError
from protocol.messages import (
    Announce,
    AskFill,
    AskHeads,
    AskRecords,
    AskTree,
    AskVectors,
    Forked,
    Frame,
    Heads,
    Refused,
    heads_digest,
)
from protocol.sync import CatalogSync, Question

# Questions on their way in all: a page each, so 16 MiB wait in memory at the most.
ASKS_MAX = 40
# A sync that nobody can go on with is tried again with everybody so often.
FORGIVE_MS = 20_000
# Publishers that make room for a new one, of whom there is nothing but a head.
FORGOTTEN_AT_ONCE = 50


class CatalogService:
    """All catalogs of one node.

    `encoder` is the own fingerprint (32 bytes), `vector_bytes` what its vectors take, `items_max` how many items of
    others this node has room for.
    """

    def __init__(
        self,
        replicas: Replicas,
        outbox: Outbox,
        peers: Peers,
        identity: Identity,
        platform: str,
        encoder: bytes,
        vector_bytes: int,
        items_max: int,
    ) -> None:
        self._replicas = replicas
        self._outbox = outbox
        self._peers = peers
        self._identity = identity
        self._encoder = encoder
        self._vector_bytes = vector_bytes
        self._book = HeadBook(identity.public)
        self._tellers: dict[str, Teller] = {}
        self._asks = 0
        self._told: Heads | None = None
        replicas.add(identity.peer_id, platform, encoder.hex(), own=True)
        self.shelves: dict[bytes, Shelf] = {}
        for held in replicas.held():
            shelf = Shelf(replicas, held.catalog, parse_peer_id(held.publisher))
            shelf.restore(held.head, held.target)
            self.shelves[shelf.publisher] = shelf
        self._own = self.shelves[identity.public]
        self._targets = Targets(replicas, outbox, self.shelves, self._own, encoder, vector_bytes, items_max)
        self._publisher = Publisher(replicas, outbox, self._book, self._own, identity, platform, encoder)

    # -- one's own ---------------------------------------------------------------------------------------------------

    def start(self, now_ms: int) -> None:
        """Go on where the node stopped: proofs, heads, one's own edits, versions that were on their way."""
        for one, other in self._replicas.forks():
            self._book.hear_fork(one, other)
        for shelf in self.shelves.values():
            for sealed in (shelf.sealed, shelf.target_sealed):
                if sealed is not None:
                    self._book.hear(sealed, now_ms)
            if shelf is not self._own and shelf.target_sealed is not None and shelf.target is not None:
                self._targets.want(shelf.target_sealed, shelf.target)
        self._publisher.start(now_ms)

    # -- hearing of others' ------------------------------------------------------------------------------------------

    def up(self, peer: str, now_ms: int) -> None:
        """A peer connected (or is told again to be here): it is asked what it holds."""
        self._tellers.setdefault(peer, Teller())
        self._ask_heads(now_ms)

    def down(self, peer: str) -> None:
        """A peer is gone: what it was asked for is asked of others."""
        self._tellers.pop(peer, None)
        for shelf in self.shelves.values():
            if shelf.sync is not None:
                shelf.sync.lost(peer)

    def hear_gossip(self, frame: Announce | Forked, author: str, now_ms: int) -> None:
        """A head or a fork proof from the topic. Raises: RemoteError."""
        if isinstance(frame, Forked):
            self._hear_fork(frame.one, frame.other)
        else:
            self._hear_head(frame.head, author, now_ms)

    def _hear_head(self, sealed: bytes, teller: str, now_ms: int) -> None:
        """Somebody who holds a catalog says so. Raises: RemoteError for a head that is none."""
        heard = self._hear(sealed, now_ms)
        if heard is None:
            return
        if heard.fork is not None:
            self._hear_fork(*heard.fork)
            return
        head = heard.head
        if teller in self._tellers and heard.verdict != "quarantined":
            self._tellers[teller].versions[head.publisher] = head.version
        if heard.verdict == "own":
            self._publisher.is_behind = True
        elif heard.verdict == "newer":
            self._targets.want(sealed, head)
            for one in self._tellers.values():
                one.soon(now_ms)

    def _hear_fork(self, one: bytes, other: bytes) -> None:
        """Two heads of one version: keep the proof, stop, tell everybody. Raises: RemoteError for what is no proof."""
        publisher = self._book.hear_fork(one, other)
        if publisher is None:
            return
        self._replicas.add_fork(peer_id(publisher), one, other)
        self._targets.drop(publisher)
        if publisher in self.shelves:
            self.shelves[publisher].stop()
        self._told = None
        self._outbox.publish(Forked(one, other))
        if publisher == self._identity.public:
            self._outbox.say(
                "somebody has this node's key: two catalogs of one version are signed with it; make a new home"
            )
        else:
            self._outbox.say(f"{peer_id(publisher)} signed two catalogs of one version; its items are no longer shown")

    def _hear(self, sealed: bytes, now_ms: int) -> Heard | None:
        """What the book says of a head; None when it is full of publishers whose items are held."""
        try:
            return self._book.hear(sealed, now_ms)
        except RemoteError as error:
            if error.reason != "too_many":
                raise
        for publisher in self._forgettable()[:FORGOTTEN_AT_ONCE]:
            self._book.forget(publisher)
            self._targets.drop(publisher)
            shelf = self.shelves.pop(publisher, None)
            if shelf is not None:
                self._replicas.drop_empty(shelf.catalog)
        try:
            return self._book.hear(sealed, now_ms)
        except RemoteError:
            self._outbox.traffic.refused["too_many"] += 1
            return None

    def _forgettable(self) -> list[bytes]:
        """Publishers of whom nothing is stored and who are not here themselves: heads alone cost nothing to make."""
        held = {publisher for publisher, shelf in self.shelves.items() if shelf.count or shelf.peer in self._tellers}
        return [one for one in self._book.publishers() if one not in held and one != self._own.publisher]

    def _vector_bytes_of(self, head: CatalogHead) -> int | None:
        """How long the vectors of this catalog must be, where that is known."""
        return self._vector_bytes if head.encoder == self._encoder else None

    # -- asking ------------------------------------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """What is due: own edits, the own head again, heads of peers."""
        if self._publisher.publish_edits(now_ms):
            self._told = None
        self._publisher.tell_again(now_ms)
        self._ask_heads(now_ms)
        for shelf in self.shelves.values():
            if shelf.sync is not None and shelf.sync.idle and not 0 <= now_ms - shelf.forgiven_ms < FORGIVE_MS:
                # Nobody at hand has the rest. Whoever lied will lie again and be banned; whoever erred may have mended.
                shelf.forgiven_ms = now_ms
                for peer in self._tellers:
                    shelf.sync.forgive(peer)

    def due_ms(self, now_ms: int) -> int:
        """When a peer is to be asked for its heads, or the own one told; every tick while a catalog is on its way."""
        if self._targets.waiting or any(shelf.sync is not None for shelf in self.shelves.values()):
            return now_ms
        asks = (teller.ask_again_ms for teller in self._tellers.values() if not teller.asking)
        return min(self._publisher.due_ms(now_ms), *asks, now_ms + HEADS_MS_MAX)

    def _ask_heads(self, now_ms: int) -> None:
        for peer, teller in self._tellers.items():
            if teller.is_due(now_ms):
                teller.asking = True
                self._outbox.ask(peer, AskHeads(teller.seen), partial(self._believe_heads, peer))

    def _believe_heads(self, peer: str, answer: Frame | None, now_ms: int) -> None:
        """A peer's list of what it holds whole."""
        teller = self._tellers.get(peer)
        if teller is None:
            return
        teller.asking = False
        teller.later(now_ms)
        if answer is None or isinstance(answer, Refused):
            return
        if not isinstance(answer, Heads):
            raise RemoteError("malformed", "not an answer to what was asked")
        if answer.digest == teller.seen:
            return
        if heads_digest(answer.heads, answer.forks) != answer.digest:
            raise RemoteError("malformed", "heads that are not those of their digest")
        teller.versions.clear()
        fault: RemoteError | None = None
        for one, other in answer.forks:
            try:
                self._hear_fork(one, other)
            except RemoteError as error:
                fault = error
        for sealed in answer.heads:
            try:
                self._hear_head(sealed, peer, now_ms)
            except RemoteError as error:
                fault = error
        teller.seen = answer.digest
        teller.soon(now_ms)
        for shelf in self.shelves.values():
            if shelf.sync is not None:
                shelf.sync.forgive(peer)
        if fault is not None:
            raise fault

    def pump(self, now_ms: int) -> None:
        """Ask whoever may have a part of what is missing, as many at once as the limits allow."""
        for shelf in self._targets.aim(now_ms):
            self._finish(shelf)
        for shelf in self.shelves.values():
            if shelf.sync is None or shelf.target is None:
                continue
            for peer in self._sources(shelf.publisher, shelf.target.version, now_ms):
                teller = self._tellers[peer]
                while teller.asks < teller.asks_max and self._asks < ASKS_MAX:
                    question = shelf.sync.take(peer)
                    if question is None:
                        break
                    teller.asks += 1
                    self._asks += 1
                    self._outbox.ask(peer, question, partial(self._believe, shelf, shelf.sync, peer, question))

    def _sources(self, publisher: bytes, version: int, now_ms: int) -> list[str]:
        """Peers that told of this catalog: those with this version first, then by how little they are asked already."""
        telling = [
            peer for peer, teller in self._tellers.items() if publisher in teller.versions and not teller.rests(now_ms)
        ]
        return sorted(
            telling, key=lambda peer: (self._tellers[peer].versions[publisher] != version, self._tellers[peer].asks)
        )

    def _believe(
        self, shelf: Shelf, sync: CatalogSync, peer: str, question: Question, answer: Frame | None, now_ms: int
    ) -> None:
        """An answer, or that none comes. Raises: RemoteError, the peer's fault, after what was true was stored."""
        self._asks -= 1
        teller = self._tellers.get(peer)
        if teller is not None:
            teller.asks -= 1
        if shelf.sync is not sync:
            return
        if answer is None or isinstance(answer, Refused):
            if teller is not None:
                teller.rest(now_ms)
            sync.failed(peer, question)
            return
        if teller is not None:
            teller.answered()
        belief = sync.believe(peer, question, answer)
        shelf.store(belief.filled)
        self._finish(shelf)
        if self._targets.overfull and shelf.sync is not None:
            self._outbox.say(f"no more room: {shelf.peer} is left unfinished; see --items-max")
            shelf.stop()
        if belief.fault is not None:
            raise belief.fault

    def _finish(self, shelf: Shelf) -> None:
        """A version that is whole is held, told, and shown."""
        lie = shelf.find_lie(self._vector_bytes_of(shelf.target)) if shelf.target is not None else None
        if lie is not None:
            self._outbox.traffic.refused["malformed"] += 1
            self._outbox.say(f"{shelf.peer} {lie}; that version is refused")
            shelf.stop()
        if shelf.finish():
            self._told = None
            assert shelf.head is not None
            self._outbox.say(f"{shelf.head.platform}: {shelf.count} items, version {shelf.head.version}, verified")

    # -- answering ---------------------------------------------------------------------------------------------------

    def answer(self, ask: AskHeads | AskTree | AskFill | AskVectors | AskRecords) -> Frame:
        """A peer's question about catalogs. Raises: RemoteError."""
        if isinstance(ask, AskHeads):
            told = self._heads()
            return Heads(told.digest, (), ()) if ask.seen == told.digest else told
        shelf = self.shelves.get(ask.publisher)
        if shelf is None or self._book.is_quarantined(ask.publisher):
            raise RemoteError("not_found", "no catalog of that publisher")
        if shelf is not self._own and shelf.is_damaged and shelf.sealed is not None and shelf.head is not None:
            shelf.aim(shelf.sealed, shelf.head, self._vector_bytes_of(shelf.head))
        return shelf.answer(ask)

    def _heads(self) -> Heads:
        """What is here whole, and the proofs."""
        if self._told is None:
            heads = tuple(
                shelf.sealed
                for shelf in self.shelves.values()
                if shelf.sealed is not None and not self._book.is_quarantined(shelf.publisher)
            )
            forks = self._book.forks()
            self._told = Heads(heads_digest(heads, forks), heads, forks)
        return self._told

    # -- reporting ---------------------------------------------------------------------------------------------------

    def report(self) -> list[dict[str, object]]:
        """What `p2prec node status` shows of each catalog, own first."""
        return [
            catalog_document(shelf, self._encoder, quarantined=self._book.is_quarantined(shelf.publisher))
            for shelf in self.shelves.values()
        ]
