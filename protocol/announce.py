"""Heads as they are told from node to node: which is new, which proves a fork, and what is told in turn.

Anybody may pass a head on, any number of times and in any order; the signature says whose it is. The order of arrival
does not matter to what is believed in the end, and a replay changes nothing. No I/O and no clock: to restore, let the
book hear again what was stored. A publisher that signed two heads of one version is quarantined for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from protocol.heads import CatalogHead, is_fork, open_head
from protocol.limits import ANNOUNCE_MS, CATALOG_ITEMS_MAX, HEADS_MAX, RemoteError

# Versions remembered of each publisher, newest first: a fork is found among these. 1,000 publishers take 4 MB.
VERSIONS_KEPT = 8

Verdict: TypeAlias = Literal["newer", "own", "known", "older", "fork", "quarantined"]
Fork: TypeAlias = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Signed:
    """A verified head and the bytes that prove it."""

    sealed: bytes
    head: CatalogHead


@dataclass(frozen=True, slots=True)
class Heard:
    """What a head is, beside those heard before. `fork` is the proof where the verdict says so.

    own: newer than anything that this node signed as far as it knows, yet by its own key; it goes past `head.version`.
    """

    verdict: Verdict
    head: CatalogHead
    fork: Fork | None = None


class HeadBook:
    """The newest verified head of every publisher, and who forked. `me` is the node's own public key.

    At most HEADS_MAX publishers, the quarantined ones and oneself among them.
    """

    def __init__(self, me: bytes) -> None:
        self._me = me
        # publisher -> version -> head, for those that are trusted
        self._publishers: dict[bytes, dict[int, Signed]] = {}
        self._forks: dict[bytes, Fork] = {}
        # The same heads by their bytes: what was heard before needs no second look at the signature.
        self._seen: dict[bytes, CatalogHead] = {}
        self._told_ms: int | None = None

    def hear(self, sealed: bytes, now_ms: int) -> Heard:
        """A head from anywhere, one's own included.

        A fork is only told; `hear_fork` keeps the proof, as it does those that others found.
        Raises: RemoteError("too_big" | "malformed" | "bad_signature") for what is no head, RemoteError("over_limit")
        for one of more than CATALOG_ITEMS_MAX items, RemoteError("too_many") for one publisher more than fits.
        """
        head = self._seen.get(sealed) or open_head(sealed)
        publisher = head.publisher
        if head.count > CATALOG_ITEMS_MAX:
            raise RemoteError("over_limit", f"a catalog of {head.count} items")
        if publisher in self._forks:
            return Heard("quarantined", head)
        versions = self._publishers.get(publisher)
        if versions is None:
            self._check_room(publisher)
            versions = self._publishers[publisher] = {}
        newest = max(versions, default=0)
        same = versions.get(head.version)
        if same is not None and is_fork(same.head, head):
            return Heard("fork", head, _in_order(same.sealed, sealed))
        if same is not None:
            return Heard("known" if head.version == newest else "older", head)
        self._keep(versions, Signed(sealed, head))
        if head.version < newest:
            return Heard("older", head)
        if publisher == self._me:
            self._told_ms = now_ms
            return Heard("own", head)
        return Heard("newer", head)

    def hear_fork(self, one: bytes, other: bytes) -> bytes | None:
        """A proof from anywhere: the publisher that it quarantines, or None if that one is quarantined already.

        Raises: RemoteError("bad_proof") for two heads that prove nothing, and what `hear` raises.
        """
        fork = _in_order(one, other)
        first, second = open_head(one), open_head(other)
        if not is_fork(first, second):
            raise RemoteError("bad_proof", "two heads that are no fork")
        publisher = first.publisher
        if publisher in self._forks:
            return None
        if publisher not in self._publishers:
            self._check_room(publisher)
        for signed in self._publishers.pop(publisher, {}).values():
            del self._seen[signed.sealed]
        self._forks[publisher] = fork
        return publisher

    def forget(self, publisher: bytes) -> None:
        """Make room: a publisher of whom nothing is held. What it tells again is new."""
        for signed in self._publishers.pop(publisher, {}).values():
            del self._seen[signed.sealed]

    def publishers(self) -> tuple[bytes, ...]:
        """All that are trusted, the longest known first."""
        return tuple(self._publishers)

    def newest(self, publisher: bytes) -> Signed | None:
        """The newest head of a publisher that is trusted and known."""
        versions = self._publishers.get(publisher)
        return versions[max(versions)] if versions else None

    def version_of(self, publisher: bytes) -> int:
        """Its version, 0 where there is none."""
        signed = self.newest(publisher)
        return signed.head.version if signed else 0

    def is_quarantined(self, publisher: bytes) -> bool:
        return publisher in self._forks

    def heads(self) -> tuple[bytes, ...]:
        """The newest sealed heads, by publisher."""
        return tuple(versions[max(versions)].sealed for _, versions in sorted(self._publishers.items()))

    def forks(self) -> tuple[Fork, ...]:
        """The proofs, by publisher."""
        return tuple(fork for _, fork in sorted(self._forks.items()))

    def announcement_ms(self, now_ms: int) -> int:
        """When one's own head is to be told again; ANNOUNCE_MS from now where there is none."""
        return (now_ms if self._told_ms is None else self._told_ms) + ANNOUNCE_MS

    def announcement_due(self, now_ms: int) -> bool:
        """Whether one's own head was last told ANNOUNCE_MS ago; if so, it counts as told now."""
        if self._told_ms is None or now_ms - self._told_ms < ANNOUNCE_MS:
            return False
        self._told_ms = now_ms
        return True

    def _keep(self, versions: dict[int, Signed], signed: Signed) -> None:
        versions[signed.head.version] = signed
        self._seen[signed.sealed] = signed.head
        if len(versions) > VERSIONS_KEPT:
            del self._seen[versions.pop(min(versions)).sealed]

    def _check_room(self, publisher: bytes) -> None:
        """One place is kept for oneself."""
        others = len(self._publishers.keys() - {self._me}) + len(self._forks.keys() - {self._me})
        if publisher != self._me and others >= HEADS_MAX - 1:
            raise RemoteError("too_many", f"more than {HEADS_MAX} publishers")


def _in_order(one: bytes, other: bytes) -> Fork:
    """The same proof whichever head came first."""
    return (one, other) if one < other else (other, one)
