"""What must hold after every step of every node, whatever happens to it, and what must hold once faults have stopped.

Each checker knows the law it keeps and looks from outside: at the events, the effects and the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np

from models.privacy import epsilon_of
from node.catalog_service import ASKS_MAX
from node.events import Effect, Event, JobDone, Started, StartJob, Tick, Train, Trained
from node.learned import Learned
from node.learner import DELTA
from node.replicas import entries_by_bucket
from node.transport import Answer, Answered, Ask, HangUp, PeerDown, Publish, Unanswered
from protocol.heads import open_head
from protocol.identity import peer_id
from protocol.limits import FRAME_BYTES_MAX, GOSSIP_BYTES_MAX
from protocol.merkle import Tree, leaf_hash, tree_depth
from protocol.messages import (
    Announce,
    AskUpdate,
    Forked,
    Frame,
    Heads,
    UpdateAnswer,
    kind_name,
    parse_answer,
    parse_gossip,
    parse_question,
)
from protocol.records import record_hash
from protocol.updates import open_update
from sim.seat import Seat
from sim.world import Checker

# A page may arrive after the room is full.
PAGE_ITEMS_MAX = 4096
#: Every user of a simulation is called so: it must never be read in a frame.
PLANTED = "planted-user-"


class BrokenLawError(AssertionError):
    """A law of the design was broken, by this node at this moment."""

    def __init__(self, law: str, seat: Seat, now_ms: int, what: str) -> None:
        super().__init__(f"{law}: node {seat.number} at {now_ms}: {what}")
        self.law = law


class _Writes:
    """Which stores were written to since they were last looked at: the others need no look."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def new(self, seat: Seat) -> bool:
        before, self._seen[seat.number] = self._seen.get(seat.number, -1), seat.database.changes
        return before != seat.database.changes


class OnlyVerified:
    """No unverified record in any store: each is one that its publisher wrote, and a whole catalog has its head's root.

    What publishers wrote is read from their own stores, not from the network.
    """

    def __init__(self) -> None:
        self._written: dict[str, set[tuple[bytes, bytes]]] = {}
        self._checked: dict[tuple[int, str], set[tuple[bytes, bytes]]] = {}
        self._heads: dict[tuple[int, str], bytes | None] = {}
        self._writes = _Writes()

    def after(self, seat: Seat, event: Event, effects: Sequence[Effect], now_ms: int) -> None:
        if not self._writes.new(seat):
            return
        for held in seat.replicas.held():
            place = (seat.number, held.publisher)
            if held.own and not isinstance(event, Answered):
                self._written.setdefault(held.publisher, set()).update(_entries(seat, held.catalog))
            elif not held.own and (held.target is not None or held.head != self._heads.get(place)):
                self._check(seat, held.catalog, held.publisher, now_ms)
                if held.head is not None and held.target is None:
                    self._check_root(seat, held.catalog, held.head, now_ms)
                self._heads[place] = held.head

    def _check(self, seat: Seat, catalog: int, publisher: str, now_ms: int) -> None:
        entries = set(_entries(seat, catalog))
        known = self._checked.setdefault((seat.number, publisher), set())
        if not entries - known <= self._written.get(publisher, set()):
            raise BrokenLawError("only verified", seat, now_ms, f"a record that {publisher} never wrote")
        rows = seat.database.rows(
            "SELECT key, record, i.packed, v.packed FROM entry JOIN item i USING (slot) JOIN vector v USING (slot)"
            " WHERE catalog = ? ORDER BY key",
            catalog,
        )
        for key, record, item, vector in cast(list[tuple[bytes, bytes, bytes, bytes]], rows):
            if (key, record) not in known and record_hash(item, vector) != record:
                raise BrokenLawError("only verified", seat, now_ms, "a record that is not that of its hash")
        self._checked[seat.number, publisher] = entries

    def _check_root(self, seat: Seat, catalog: int, sealed: bytes, now_ms: int) -> None:
        if not is_whole(seat, catalog, sealed):
            platform = open_head(sealed).platform
            raise BrokenLawError("only verified", seat, now_ms, f"{platform} is called whole and is not")


def is_whole(seat: Seat, catalog: int, sealed: bytes) -> bool:
    """Whether what is stored has this head's root, by hashing all of it."""
    head, entries = open_head(sealed), sorted(_entries(seat, catalog))
    depth = tree_depth(len(entries))
    buckets = entries_by_bucket(b"".join(key + record for key, record in entries), depth)
    root = Tree(depth, (leaf_hash(depth, number, bucket) for number, bucket in enumerate(buckets))).root
    return (root, len(entries)) == (head.root, head.count)


def _entries(seat: Seat, catalog: int) -> Iterable[tuple[bytes, bytes]]:
    rows = seat.database.rows("SELECT key, record FROM entry WHERE catalog = ?", catalog)
    return cast(list[tuple[bytes, bytes]], rows)


class UsersStay:
    """No user in any frame: names are planted, and looked for in every byte that leaves."""

    def after(self, seat: Seat, event: Event, effects: Sequence[Effect], now_ms: int) -> None:
        for effect in effects:
            if isinstance(effect, Ask | Answer | Publish) and PLANTED.encode() in effect.data:
                raise BrokenLawError("users stay", seat, now_ms, "a user's name in a frame")


class PromisesKept:
    """Nothing is said that the store does not hold, and nothing that was said is forgotten, restarts or not.

    A head that is announced, an update that is told, a proof against a publisher; what a period of learning brought;
    versions never go back, neither one's own nor others', and who is quarantined stays so.
    """

    def __init__(self) -> None:
        self._versions: dict[tuple[int, str], int] = {}
        self._left: dict[tuple[int, str], bytes | None] = {}
        self._told: dict[tuple[int, str], tuple[int, bytes]] = {}
        self._jobs: dict[tuple[int, int], Train] = {}
        self._proofs: dict[int, set[str]] = {}
        self._writes = _Writes()

    def after(self, seat: Seat, event: Event, effects: Sequence[Effect], now_ms: int) -> None:
        if isinstance(event, Started):
            self._check_memory(seat, now_ms)
        for effect in effects:
            if isinstance(effect, Publish):
                self._check_announced(seat, effect.data, now_ms)
            elif isinstance(effect, Answer):
                self._check_answer(seat, effect.data, now_ms)
            elif isinstance(effect, Ask) and kind_name(effect.data) == "AskUpdate":
                question = parse_question(effect.data)
                assert isinstance(question, AskUpdate)
                self._check_told(seat, question.update, now_ms)
            elif isinstance(effect, StartJob) and isinstance(effect.job, Train):
                self._jobs[seat.number, effect.token] = effect.job
        if isinstance(event, JobDone) and isinstance(event.result, Trained):
            job = self._jobs.pop((seat.number, event.token), None)
            if job is not None:
                self._check_learned(seat, job, event.result, now_ms)
        if self._writes.new(seat):
            self._check_versions(seat, now_ms)

    def _check_memory(self, seat: Seat, now_ms: int) -> None:
        """What a node that begins must still know; of others' catalogs a power cut may leave an older version."""
        if not self._proofs.get(seat.number, set()) <= quarantined(seat):
            raise BrokenLawError("promises kept", seat, now_ms, "a proof that was told is forgotten")
        if seat.power_cut:
            seat.power_cut = False
            others = [one for one in self._versions if one[0] == seat.number and one[1] != seat.peer]
            for place in others:
                del self._versions[place]

    def _check_announced(self, seat: Seat, data: bytes, now_ms: int) -> None:
        frame = parse_gossip(data)
        if isinstance(frame, Announce) and frame.head not in seat.whole().values():
            raise BrokenLawError("promises kept", seat, now_ms, "a head was told that is not in the store")
        if isinstance(frame, Forked):
            publisher = peer_id(open_head(frame.one).publisher)
            self._proofs.setdefault(seat.number, set()).add(publisher)
            if publisher not in quarantined(seat):
                raise BrokenLawError("promises kept", seat, now_ms, "a proof was told that is not in the store")

    def _check_answer(self, seat: Seat, data: bytes, now_ms: int) -> None:
        frame = parse_answer(data)
        if isinstance(frame, UpdateAnswer):
            self._check_told(seat, frame.update, now_ms)
        elif isinstance(frame, Heads):
            if not set(frame.heads) <= set(seat.whole().values()):
                raise BrokenLawError("promises kept", seat, now_ms, "a catalog is offered that is not here whole")
            out = quarantined(seat)
            if out and any(peer_id(open_head(sealed).publisher) in out for sealed in frame.heads):
                raise BrokenLawError("promises kept", seat, now_ms, "a catalog is offered whose publisher forked")

    def _check_told(self, seat: Seat, sealed: bytes, now_ms: int) -> None:
        if not sealed:
            return
        if not seat.database.rows("SELECT 1 FROM learned WHERE sealed = ?", sealed):
            raise BrokenLawError("promises kept", seat, now_ms, "an update was told that is not in the store")
        update = open_update(sealed)
        made_ms, before = self._told.get((seat.number, update.model), (-1, b""))
        if sealed != before and update.made_ms <= made_ms:
            raise BrokenLawError("promises kept", seat, now_ms, "an update was told that is no newer than the last")
        self._told[seat.number, update.model] = update.made_ms, sealed

    def _check_learned(self, seat: Seat, job: Train, result: Trained, now_ms: int) -> None:
        row, came = Learned(seat.database).find(job.model, seat.settings.learning.features), result.outcome.state
        if row is None or not (
            np.array_equal(row.state.values_V, came.values_V)
            and np.array_equal(row.state.moments, came.moments)
            and row.state.age == came.age
        ):
            raise BrokenLawError("promises kept", seat, now_ms, f"what was learned of {job.model} is not in the store")

    def _check_versions(self, seat: Seat, now_ms: int) -> None:
        out = quarantined(seat)
        for held in seat.replicas.held():
            place = seat.number, held.publisher
            if held.publisher in out:
                if not held.own and (held.target, held.head) != (None, self._left.setdefault(place, held.head)):
                    raise BrokenLawError("promises kept", seat, now_ms, f"{held.publisher} is heard though it forked")
            elif held.head is not None:
                version = open_head(held.head).version
                if version < self._versions.get(place, 0):
                    raise BrokenLawError("promises kept", seat, now_ms, f"the version of {held.publisher} went back")
                self._versions[place] = version


def quarantined(seat: Seat) -> set[str]:
    """Publishers of whom this node holds the proof that they forked."""
    return {cast(str, publisher) for (publisher,) in seat.database.rows("SELECT publisher FROM fork")}


class BudgetsKept:
    """Frames have their size, questions their number, catalogs their room, users their epsilon."""

    def __init__(self) -> None:
        self._asks: dict[int, dict[int, str]] = {}
        self._releases: dict[tuple[int, str], int] = {}

    def after(self, seat: Seat, event: Event, effects: Sequence[Effect], now_ms: int) -> None:
        for effect in effects:
            if isinstance(effect, Ask | Answer) and len(effect.data) > FRAME_BYTES_MAX:
                raise BrokenLawError("budgets kept", seat, now_ms, f"a frame of {len(effect.data)} bytes")
            if isinstance(effect, Publish) and len(effect.data) > GOSSIP_BYTES_MAX:
                raise BrokenLawError("budgets kept", seat, now_ms, f"gossip of {len(effect.data)} bytes")
            if (
                seat.settings.learning.epsilon is not None
                and isinstance(effect, Ask | Answer)
                and kind_name(effect.data) in ("AskUpdate", "UpdateAnswer")
            ):
                self._check_release(seat, effect.data, now_ms)
        asked = self._asks_after(seat, event, effects)
        if seat.engine is None:
            return
        peers = len(seat.engine.peers)
        # Pages, and beside them heads and updates of each peer.
        if asked > ASKS_MAX + 2 * len(seat.settings.learning.models) + 4 * peers + 8:
            raise BrokenLawError("budgets kept", seat, now_ms, f"{asked} questions at once")
        if isinstance(event, Answered):
            self._check_room(seat, now_ms)
        elif not isinstance(event, Tick):
            self._check_epsilon(seat, now_ms)

    def _asks_after(self, seat: Seat, event: Event, effects: Sequence[Effect]) -> int:
        """How many questions wait for an answer; from who is gone none comes."""
        if isinstance(event, Started):
            self._asks[seat.number] = {}
        asks = self._asks.setdefault(seat.number, {})
        if isinstance(event, Answered | Unanswered):
            asks.pop(event.token, None)
        gone = [one.peer for one in (event, *effects) if isinstance(one, PeerDown | HangUp)]
        for token in [token for token, peer in asks.items() if peer in gone]:
            del asks[token]
        asks.update({effect.token: effect.peer for effect in effects if isinstance(effect, Ask)})
        return len(asks)

    def _check_room(self, seat: Seat, now_ms: int) -> None:
        ((items,),) = seat.database.rows("SELECT coalesce(sum(items), 0) FROM catalog WHERE NOT own")
        if cast(int, items) > seat.settings.items_max + PAGE_ITEMS_MAX:
            raise BrokenLawError("budgets kept", seat, now_ms, f"{items} items of others")

    def _check_epsilon(self, seat: Seat, now_ms: int) -> None:
        """What all releases cost together, whatever the node says that they do."""
        plan = seat.settings.learning
        for model in plan.models if plan.epsilon is not None else ():
            releases = Learned(seat.database).releases(model)
            if len(releases) > self._releases.get((seat.number, model), 0):
                self._releases[seat.number, model] = len(releases)
                epsilon = epsilon_of([one.noise_multiplier for one in releases], DELTA)
                if plan.epsilon is not None and epsilon > plan.epsilon + 1e-9:
                    raise BrokenLawError("budgets kept", seat, now_ms, f"epsilon {epsilon:.3f} of {plan.epsilon:g}")

    def _check_release(self, seat: Seat, data: bytes, now_ms: int) -> None:
        """Under a promise nothing is told but releases that were counted."""
        told: Frame = parse_question(data) if kind_name(data) == "AskUpdate" else parse_answer(data)
        if isinstance(told, AskUpdate | UpdateAnswer) and told.update:
            update = open_update(told.update)
            if update.values not in [one.values for one in Learned(seat.database).releases(update.model)]:
                raise BrokenLawError("budgets kept", seat, now_ms, f"{update.model} was told and never counted")


def all_checkers() -> list[Checker]:
    """Every law that is looked at after every step."""
    return [OnlyVerified(), UsersStay(), PromisesKept(), BudgetsKept()]
