"""Signing one's own catalog: what was imported, removed or repriced becomes a new version, told to everybody."""

from __future__ import annotations

from node.outbox import Outbox
from node.replicas import Replicas
from node.shelf import Shelf
from protocol.announce import HeadBook
from protocol.heads import CatalogHead, seal_head
from protocol.identity import Identity
from protocol.limits import CATALOG_ITEMS_MAX
from protocol.messages import Announce

# Own versions at least this far apart: an import commits several times a second, and each version is hashed by all.
VERSION_MS = 3_000


class Publisher:
    """The own shelf's versions. `encoder` is the own fingerprint (32 bytes)."""

    def __init__(
        self,
        replicas: Replicas,
        outbox: Outbox,
        book: HeadBook,
        shelf: Shelf,
        identity: Identity,
        platform: str,
        encoder: bytes,
    ) -> None:
        self._replicas = replicas
        self._outbox = outbox
        self._book = book
        self._shelf = shelf
        self._identity = identity
        self._platform = platform
        self._encoder = encoder
        self._published_ms = 0
        # A newer version by this key was heard: this home is an older copy, or there are two.
        self.is_behind = False

    def start(self, now_ms: int) -> None:
        """Sign what was edited while the node did not run."""
        head = self._shelf.head
        if head is None or self._shelf.tree().root != head.root:
            self.publish(now_ms)
        self._replicas.forget_edits(self._shelf.catalog)

    def publish_edits(self, now_ms: int) -> bool:
        """Sign what was edited since the last version; whether there is a new one."""
        if 0 <= now_ms - self._published_ms < VERSION_MS:
            return False
        if self.is_behind:
            self.is_behind = False
            self._outbox.say("a newer version is signed with this node's key; if two nodes have it, stop one of them")
            return self.publish(now_ms)
        edits = self._replicas.edits(self._shelf.catalog)
        if not edits:
            return False
        head = self._shelf.head
        if head is not None and self._shelf.rehash(edits).root == head.root:
            self._replicas.forget_edits(self._shelf.catalog)
            return False
        return self.publish(now_ms)

    def publish(self, now_ms: int) -> bool:
        """A new version, if there is something to say; whether there was."""
        tree = self._shelf.rehash(self._replicas.edits(self._shelf.catalog))
        count = self._shelf.count
        self._replicas.forget_edits(self._shelf.catalog)
        if self._shelf.head is None and not count:
            return False
        if count > CATALOG_ITEMS_MAX:
            self._outbox.say(
                f"{count} items are more than the {CATALOG_ITEMS_MAX} that peers accept; nothing is signed"
            )
            return False
        # Unix time, so that a home restored from a backup goes on above whatever it signed after the backup.
        version = max(now_ms, self._book.version_of(self._identity.public) + 1)
        head = CatalogHead(self._identity.public, self._platform, version, tree.root, count, self._encoder, now_ms)
        sealed = seal_head(self._identity, head)
        self._book.hear(sealed, now_ms)
        self._shelf.publish(sealed, head)
        self._published_ms = now_ms
        self._outbox.publish(Announce(sealed))
        self._outbox.say(f"own catalog signed: {count} items, version {version}")
        return True

    def due_ms(self, now_ms: int) -> int:
        """When there is something to tell: what was edited shows in the store alone."""
        return now_ms if self.is_behind else self._book.announcement_ms(now_ms)

    def tell_again(self, now_ms: int) -> None:
        """The own head from time to time, for those who missed it."""
        if self._shelf.sealed is not None and self._book.announcement_due(now_ms):
            self._outbox.publish(Announce(self._shelf.sealed))
