"""Which versions are to be brought here, and when: the newest head of each publisher, as far as there is room.

Anybody may sign a head in a moment, while aiming at one costs a tree over what is held; so heads wait here, the newest
only, and are aimed at one by one. What there is no room for waits until there is. Room counts items that are stored:
a claim alone takes none.
"""

from __future__ import annotations

from node.outbox import Outbox
from node.replicas import Replicas
from node.shelf import Shelf
from protocol.heads import CatalogHead
from protocol.identity import peer_id

# A catalog is aimed at anew at most so often, and only so many in one step: the largest takes a tenth of a second.
AIM_MS, AIMS_STEP_MAX = 1_000, 2


class Targets:
    """Heads that wait, by publisher. `encoder` is the own fingerprint, `vector_bytes` what its vectors take."""

    def __init__(
        self,
        replicas: Replicas,
        outbox: Outbox,
        shelves: dict[bytes, Shelf],
        own: Shelf,
        encoder: bytes,
        vector_bytes: int,
        items_max: int,
    ) -> None:
        self._replicas = replicas
        self._outbox = outbox
        self._shelves = shelves
        self._own = own
        self._encoder = encoder
        self._vector_bytes = vector_bytes
        self._items_max = items_max
        self._wanted: dict[bytes, tuple[bytes, CatalogHead]] = {}
        self._too_large: set[bytes] = set()

    def want(self, sealed: bytes, head: CatalogHead) -> None:
        """A newer version than any before of its publisher."""
        self._wanted[head.publisher] = (sealed, head)

    def drop(self, publisher: bytes) -> None:
        self._wanted.pop(publisher, None)
        self._too_large.discard(publisher)

    def aim(self, now_ms: int) -> list[Shelf]:
        """Begin with what is due and fits; the shelves that have a new target."""
        aimed: list[Shelf] = []
        for publisher, (sealed, head) in list(self._wanted.items()):
            shelf = self._shelves.get(publisher)
            waits = shelf is not None and 0 <= now_ms - shelf.aimed_ms < AIM_MS
            if waits or len(aimed) == AIMS_STEP_MAX or not self._has_room(head):
                continue
            del self._wanted[publisher]
            if shelf is None:
                number = self._replicas.add(peer_id(publisher), head.platform, head.encoder.hex(), own=False)
                shelf = self._shelves[publisher] = Shelf(self._replicas, number, publisher)
            shelf.aim(sealed, head, self._vector_bytes if head.encoder == self._encoder else None)
            shelf.aimed_ms = now_ms
            aimed.append(shelf)
        return aimed

    @property
    def waiting(self) -> bool:
        """Whether a head waits for its turn, or for room."""
        return bool(self._wanted)

    @property
    def items(self) -> int:
        """Items of others that are stored here."""
        return sum(shelf.count for shelf in self._shelves.values() if shelf is not self._own)

    @property
    def overfull(self) -> bool:
        """Whether more is stored than there is room for: several catalogs grew into the same room."""
        return self.items > self._items_max

    def _has_room(self, head: CatalogHead) -> bool:
        shelf = self._shelves.get(head.publisher)
        others = self.items - (shelf.count if shelf is not None else 0)
        if others + head.count <= self._items_max:
            self._too_large.discard(head.publisher)
            return True
        if head.publisher not in self._too_large:
            self._too_large.add(head.publisher)
            self._outbox.say(f"no room for {head.count} items of {head.platform}; see --items-max")
        return False
