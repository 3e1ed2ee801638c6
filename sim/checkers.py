"""What must hold after every step of every node, whatever happens to it, and what must hold once faults have stopped.

Each checker knows the law it keeps and looks from outside: at the events, the effects and the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from node.catalog_service import ASKS_MAX
from node.events import Effect, Event, Started, Tick
from node.learned import Learned
from node.replicas import entries_by_bucket
from node.transport import Answer, Answered, Ask, Publish, Unanswered
from protocol.heads import open_head
from protocol.limits import FRAME_BYTES_MAX, GOSSIP_BYTES_MAX
from protocol.merkle import Tree, leaf_hash, tree_depth
from protocol.messages import Announce, UpdateAnswer, parse_answer, parse_gossip
from protocol.records import record_hash
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
        if not isinstance(event, Answered | Tick | Started) or not self._writes.new(seat):
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
        head, entries = open_head(sealed), sorted(_entries(seat, catalog))
        depth = tree_depth(len(entries))
        buckets = entries_by_bucket(b"".join(key + record for key, record in entries), depth)
        root = Tree(depth, (leaf_hash(depth, number, bucket) for number, bucket in enumerate(buckets))).root
        if (root, len(entries)) != (head.root, head.count):
            raise BrokenLawError("only verified", seat, now_ms, f"{head.platform} is called whole and is not")


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

    A head that is announced, an update that is told; versions never go back, neither one's own nor others'.
    """

    def __init__(self) -> None:
        self._versions: dict[tuple[int, str], int] = {}
        self._writes = _Writes()

    def after(self, seat: Seat, event: Event, effects: Sequence[Effect], now_ms: int) -> None:
        for effect in effects:
            if isinstance(effect, Publish):
                self._check_announced(seat, effect.data, now_ms)
            elif isinstance(effect, Answer):
                self._check_told(seat, effect.data, now_ms)
        if isinstance(event, Answered | Tick | Started) and self._writes.new(seat):
            self._check_versions(seat, now_ms)

    def _check_announced(self, seat: Seat, data: bytes, now_ms: int) -> None:
        frame = parse_gossip(data)
        if isinstance(frame, Announce) and frame.head not in seat.whole().values():
            raise BrokenLawError("promises kept", seat, now_ms, "a head was told that is not in the store")

    def _check_told(self, seat: Seat, data: bytes, now_ms: int) -> None:
        frame = parse_answer(data)
        if isinstance(frame, UpdateAnswer) and frame.update:
            rows = seat.database.rows("SELECT 1 FROM learned WHERE sealed = ?", frame.update)
            if not rows:
                raise BrokenLawError("promises kept", seat, now_ms, "an update was told that is not in the store")

    def _check_versions(self, seat: Seat, now_ms: int) -> None:
        for publisher, sealed in seat.whole().items():
            version, place = open_head(sealed).version, (seat.number, publisher)
            if version < self._versions.get(place, 0):
                raise BrokenLawError("promises kept", seat, now_ms, f"the version of {publisher} went back")
            self._versions[place] = version


class BudgetsKept:
    """Frames have their size, questions their number, catalogs their room, users their epsilon."""

    def __init__(self) -> None:
        self._asks: dict[int, int] = {}

    def after(self, seat: Seat, event: Event, effects: Sequence[Effect], now_ms: int) -> None:
        for effect in effects:
            if isinstance(effect, Ask | Answer) and len(effect.data) > FRAME_BYTES_MAX:
                raise BrokenLawError("budgets kept", seat, now_ms, f"a frame of {len(effect.data)} bytes")
            if isinstance(effect, Publish) and len(effect.data) > GOSSIP_BYTES_MAX:
                raise BrokenLawError("budgets kept", seat, now_ms, f"gossip of {len(effect.data)} bytes")
        if isinstance(event, Started):
            self._asks[seat.number] = 0
        asked = sum(isinstance(effect, Ask) for effect in effects)
        heard = isinstance(event, Answered | Unanswered)
        self._asks[seat.number] = max(self._asks.get(seat.number, 0) - heard, 0) + asked
        peers = len(seat.engine.peers) if seat.engine is not None else 0
        # Pages, and beside them heads and updates of each peer.
        if self._asks[seat.number] > ASKS_MAX + 2 * len(seat.settings.learning.models) + 4 * peers + 8:
            raise BrokenLawError("budgets kept", seat, now_ms, f"{self._asks[seat.number]} questions at once")
        if isinstance(event, Answered):
            self._check_room(seat, now_ms)
        elif not isinstance(event, Tick):
            self._check_epsilon(seat, now_ms)

    def _check_room(self, seat: Seat, now_ms: int) -> None:
        ((items,),) = seat.database.rows("SELECT coalesce(sum(items), 0) FROM catalog WHERE NOT own")
        if cast(int, items) > seat.settings.items_max + PAGE_ITEMS_MAX:
            raise BrokenLawError("budgets kept", seat, now_ms, f"{items} items of others")

    def _check_epsilon(self, seat: Seat, now_ms: int) -> None:
        plan = seat.settings.learning
        if plan.epsilon is not None:
            for model in plan.models:
                releases = Learned(seat.database).releases(model)
                if releases and releases[-1].epsilon > plan.epsilon + 1e-9:
                    raise BrokenLawError("budgets kept", seat, now_ms, f"epsilon {releases[-1].epsilon}")


def all_checkers() -> list[Checker]:
    """Every law that is looked at after every step."""
    return [OnlyVerified(), UsersStay(), PromisesKept(), BudgetsKept()]


def unsettled(seats: Sequence[Seat]) -> list[str]:
    """What differs between these nodes that should be the same once faults have stopped; nothing, if all is well."""
    complaints = []
    running = [seat for seat in seats if seat.engine is not None]
    own = {seat.peer: seat.whole()[seat.peer] for seat in running if seat.peer in seat.whole()}
    complaints += [f"node {seat.number} has not signed what it sells" for seat in running if seat.unsigned]
    for seat in running:
        whole = seat.whole()
        for publisher, sealed in own.items():
            if whole.get(publisher) != sealed:
                complaints.append(f"node {seat.number} has another version of {publisher}, or none")
        held = seat.replicas.held()
        complaints += [f"node {seat.number} still waits for {one.publisher}" for one in held if one.target is not None]
    return complaints


def resurrected(seats: Sequence[Seat], publisher: Seat, items: Iterable[str]) -> list[str]:
    """Which of these removed items any node still holds."""
    gone = set(items)
    found = []
    for seat in seats:
        held = {one.item.item for one in seat.store.items(publisher=publisher.peer)}
        found += [f"{item} at node {seat.number}" for item in sorted(gone & held)]
    return found


__all__ = ["PLANTED", "BrokenLawError", "all_checkers", "resurrected", "unsettled"]
