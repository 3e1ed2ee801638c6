"""A node's decisions, all of them: `step(events, now_ms) -> effects`, synchronous, one transaction a step.

In production a thin runtime feeds it and carries out its effects; in a simulation a heap of virtual time does. What
a step decided leaves only after its transaction is written: a node never says what it could forget. Pages of catalogs
alone do not wait for the disk; a power cut may take the latest, and with them a version that was whole.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from node.catalog_service import CatalogService
from node.database import Database
from node.events import Command, Effect, Event, JobDone, Started, Tick
from node.learned import Learned
from node.learning_service import NO_LEARNING, LearningPlan, LearningService
from node.outbox import Outbox, Pending, Traffic
from node.owner_service import OwnerService
from node.peers import Peers
from node.query_service import Policy, QueryService
from node.replicas import Replicas
from node.transport import (
    Answered,
    Asked,
    DialFailed,
    Discovered,
    Gossip,
    Misbehaved,
    PeerDown,
    PeerUp,
    Unanswered,
)
from protocol.identity import Identity
from protocol.limits import RemoteError
from protocol.messages import AskQuery, AskUpdate, Refused, kind_name, parse_answer, parse_gossip, parse_question

# Of all other publishers together: about 8 GB with vectors of 1 KiB. Anybody may publish; the disk is the owner's.
ITEMS_MAX = 5_000_000
# Parts of a catalog, as answers.
PAGES = ("TreeLevels", "Fill", "VectorsAnswer")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the owner chose. `encoder` is the fingerprint (32 bytes), `vector_bytes` what its vectors take."""

    platform: str
    encoder: bytes
    vector_bytes: int
    policy: Policy
    named: tuple[str, ...] = ()
    """Addresses to be connected to, always."""
    items_max: int = ITEMS_MAX
    """How many items of others there is room for."""
    learning: LearningPlan = NO_LEARNING


def is_page(event: Event) -> bool:
    """Whether it is a part of a catalog that was asked for."""
    return isinstance(event, Answered) and kind_name(event.data) in PAGES


class Engine:
    """One node. Chance and time are arguments; the database is its only memory that outlives it."""

    def __init__(self, database: Database, identity: Identity, settings: Settings, rng: random.Random) -> None:
        self._database = database
        self._outbox = Outbox()
        replicas = Replicas(database)
        self._peers = Peers(replicas, self._outbox, identity.peer_id, settings.named, rng)
        self._catalogs = CatalogService(
            replicas,
            self._outbox,
            self._peers,
            identity,
            settings.platform,
            settings.encoder,
            settings.vector_bytes,
            settings.items_max,
        )
        self._queries = QueryService(
            replicas,
            self._outbox,
            self._peers,
            self._catalogs.shelves,
            identity,
            settings.encoder,
            settings.policy,
            rng,
        )
        self._learning = LearningService(
            Learned(database), self._outbox, self._peers, identity, settings.encoder, settings.learning, rng
        )
        self._owner = OwnerService(
            identity.peer_id, self._outbox, self._peers, self._catalogs, self._queries, self._learning
        )

    def step(self, events: Sequence[Event], now_ms: int) -> list[Effect]:
        """Deal with events in order; what was decided, once it is on the disk. Raises: UserError from the disk."""
        # Pages can be asked for again after a power cut: nothing was promised to anybody.
        durable = not all(isinstance(event, Unanswered) or is_page(event) for event in events)
        with self._database.step(durable=durable):
            for event in events:
                self._handle(event, now_ms)
            self._catalogs.pump(now_ms)
        return self._outbox.take_effects()

    @property
    def peers(self) -> list[str]:
        """Who is connected."""
        return list(self._peers.connected)

    @property
    def traffic(self) -> Traffic:
        """What went in and out since the start."""
        return self._outbox.traffic

    def due_ms(self, now_ms: int) -> int:
        """When the next `Tick` may find something to do; those before it find nothing, and may be left out.

        Edits of one's own catalog come from other processes, through the store: whoever edits sees to a tick himself.
        """
        services = (self._peers, self._catalogs, self._queries, self._learning, self._owner)
        return min(one.due_ms(now_ms) for one in services)

    def _handle(self, event: Event, now_ms: int) -> None:
        match event:
            case Started():
                self._owner.addresses = event.addresses
                self._catalogs.start(now_ms)
                self._queries.start(now_ms)
                self._learning.start(now_ms)
                self._peers.tick(now_ms)
            case Tick():
                self._catalogs.tick(now_ms)
                self._queries.tick(now_ms)
                self._learning.tick(now_ms)
                self._owner.tick(now_ms)
                self._peers.tick(now_ms)
            case Command():
                self._owner.handle(event, now_ms)
            case JobDone():
                self._outbox.take_job(event.token)(event.result, now_ms)
            case PeerUp():
                if self._peers.up(event.peer, event.address, now_ms):
                    self._catalogs.up(event.peer, now_ms)
                    self._owner.up(event.peer, now_ms)
            case PeerDown():
                self._forget(event.peer, now_ms)
                self._peers.down(event.peer, now_ms)
            case DialFailed():
                self._peers.dial_failed(event.address, now_ms)
            case Discovered():
                self._peers.discovered(event.address)
            case Misbehaved():
                self._fault(event.peer, RemoteError(event.reason), now_ms)
            case _:
                self._hear(event, now_ms)

    def _hear(self, event: Gossip | Asked | Answered | Unanswered, now_ms: int) -> None:
        """What peers said. The one place where a peer's fault ends: counted, scored, and never a traceback."""
        peer = ""
        try:
            match event:
                case Gossip():
                    # Forwarders check size and signature only, so what it says is its author's fault.
                    peer = event.author
                    self._outbox.traffic.count_in(event.data)
                    self._catalogs.hear_gossip(parse_gossip(event.data), event.author, now_ms)
                case Asked():
                    peer = event.peer
                    self._outbox.traffic.count_in(event.data)
                    self._answer(event, now_ms)
                case Answered():
                    waiting = self._outbox.take_question(event.token)
                    self._outbox.traffic.count_in(event.data)
                    if waiting is not None:
                        peer = waiting.peer
                        self._believe(waiting, event.data, now_ms)
                case Unanswered():
                    waiting = self._outbox.take_question(event.token)
                    if waiting is not None:
                        waiting.then(None, now_ms)
        except RemoteError as error:
            self._fault(peer, error, now_ms)

    def _believe(self, waiting: Pending, data: bytes, now_ms: int) -> None:
        """An answer to whoever waits for it. Raises: RemoteError."""
        try:
            answer = parse_answer(data)
        except RemoteError:
            waiting.then(None, now_ms)
            raise
        waiting.then(answer, now_ms)

    def _answer(self, event: Asked, now_ms: int) -> None:
        """A peer's question gets its answer, or the reason why not. Raises: RemoteError, after refusing."""
        try:
            question = parse_question(event.data)
            if isinstance(question, AskQuery):
                self._queries.hear(question, event.peer, event.token, now_ms)
            elif isinstance(question, AskUpdate):
                self._learning.hear(question, event.peer, event.token, now_ms)
            else:
                self._outbox.answer(event.token, self._catalogs.answer(question))
        except RemoteError as error:
            self._outbox.answer(event.token, Refused(error.reason))
            raise

    def _fault(self, peer: str, error: RemoteError, now_ms: int) -> None:
        self._outbox.traffic.refused[error.reason] += 1
        if peer and self._peers.fault(peer, error.reason, now_ms):
            self._outbox.say(f"banned {peer} for a while: {error}")
            self._forget(peer, now_ms)

    def _forget(self, peer: str, now_ms: int) -> None:
        """A peer is gone: whoever waits for it hears so."""
        for then in self._outbox.forget(peer):
            then(None, now_ms)
        self._catalogs.down(peer)
