"""One publisher's catalog on this node: what is here whole, what is on its way, and the tree over what is stored.

The tree follows the store bucket by bucket, so a finished sync needs no second look: its root is the head's root.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.replicas import Replicas, entries_by_bucket
from protocol.heads import CatalogHead, open_head
from protocol.identity import peer_id
from protocol.merkle import Tree, bucket_of, leaf_hash, tree_depth
from protocol.messages import AskFill, AskRecords, AskTree, AskVectors, Fill, Records, TreeLevels, VectorsAnswer
from protocol.serving import answer_fill, answer_records, answer_tree, answer_vectors
from protocol.sync import CatalogSync, Filled


class Shelf:
    """The publisher's place in the store, by its number there.

    `sealed` and `head` are of the version that is here whole, `target` of the newer one that `sync` is bringing.
    """

    def __init__(self, replicas: Replicas, catalog: int, publisher: bytes) -> None:
        self._replicas = replicas
        self.catalog = catalog
        self.publisher = publisher
        self.peer = peer_id(publisher)
        self.sealed: bytes | None = None
        self.head: CatalogHead | None = None
        self.target_sealed: bytes | None = None
        self.target: CatalogHead | None = None
        self.sync: CatalogSync | None = None
        self.forgiven_ms = 0
        self.aimed_ms = 0
        self._tree: Tree | None = None
        self.count = replicas.recount(catalog)

    def restore(self, sealed: bytes | None, target: bytes | None) -> None:
        """What the store says was whole, and what was on its way when the node stopped."""
        if sealed is not None:
            self.sealed, self.head = sealed, open_head(sealed)
        if target is not None:
            self.target_sealed, self.target = target, open_head(target)

    # -- the tree ----------------------------------------------------------------------------------------------------

    def tree(self, depth: int | None = None) -> Tree:
        """The tree over what is stored, at the whole version's depth unless another is asked for."""
        if depth is None:
            depth = self._tree.depth if self._tree else tree_depth(self.count)
        if self._tree is None or self._tree.depth != depth:
            buckets = entries_by_bucket(self._replicas.entries(self.catalog), depth)
            self._tree = Tree(depth, (leaf_hash(depth, number, bucket) for number, bucket in enumerate(buckets)))
        return self._tree

    def rehash(self, keys: Iterable[bytes]) -> Tree:
        """The tree after own edits of these keys."""
        self.count = self._replicas.count(self.catalog)
        depth = tree_depth(self.count)
        if self._tree is None or self._tree.depth != depth:
            return self.tree(depth)
        touched = sorted({bucket_of(key, depth) for key in keys})
        self._tree.replace({bucket: leaf_hash(depth, bucket, self._entries(depth, bucket)) for bucket in touched})
        return self._tree

    def _entries(self, depth: int, bucket: int) -> bytes:
        return self._replicas.bucket(self.catalog, depth, bucket)

    # -- bringing a version here -------------------------------------------------------------------------------------

    def aim(self, sealed: bytes, target: CatalogHead, vector_bytes: int | None) -> None:
        """Begin to bring this version here, from whatever is here now."""
        if sealed != self.target_sealed:
            self._replicas.aim(self.catalog, sealed, target.platform, target.encoder.hex())
        self.target_sealed, self.target = sealed, target
        depth = tree_depth(target.count)
        self.sync = CatalogSync(
            self.publisher,
            target.root,
            self.tree(depth),
            entries_of=lambda bucket: self._entries(depth, bucket),
            vector_hash_of=lambda key: self._replicas.vector_hash(self.catalog, key),
            vector_bytes=vector_bytes,
        )

    def store(self, filled: Sequence[Filled]) -> None:
        """Write proven buckets, and let the tree follow."""
        assert self._tree is not None
        self._replicas.fill(self.catalog, self._tree.depth, filled)
        self._tree.replace({one.bucket: one.leaf for one in filled})
        self.count = self._replicas.count(self.catalog)

    def finish(self) -> bool:
        """Whether the version aimed at is here whole; if so, it now is the head."""
        if self.sync is None or not self.sync.done:
            return False
        assert self.target is not None
        assert self.target_sealed is not None
        assert self._tree is not None
        assert self._tree.root == self.target.root, "every bucket was proven, so the root is"
        self._replicas.complete(self.catalog, self.target_sealed, self.target.platform, self.target.encoder.hex())
        self.sealed, self.head = self.target_sealed, self.target
        self.target_sealed = self.target = self.sync = None
        return True

    def find_lie(self, vector_bytes: int | None) -> str | None:
        """What is wrong with a target whose every item is here: its publisher signed what is not so."""
        if self.sync is None or not self.sync.done or self.target is None:
            return None
        if self.target.count != self.count:
            return f"signed {self.target.count} items and has {self.count}"
        # Vectors that were stored for another encoder are in the same root; they were never held to this one's size.
        mixed = self._replicas.fingerprint(self.catalog) != self.target.encoder.hex()
        if mixed and vector_bytes is not None and self._replicas.has_other_vectors(self.catalog, vector_bytes):
            return "signed vectors of another encoder"
        return None

    @property
    def is_damaged(self) -> bool:
        """Whether what is stored is not what the head says, though it was once."""
        return self.sync is None and self.head is not None and self.tree().root != self.head.root

    def stop(self) -> None:
        """Give up what is on its way."""
        if self.target is not None:
            self._replicas.give_up(self.catalog)
        self.target_sealed = self.target = self.sync = None

    def publish(self, sealed: bytes, head: CatalogHead) -> None:
        """A version of one's own: whole by nature."""
        self._replicas.complete(self.catalog, sealed, head.platform, head.encoder.hex())
        self.sealed, self.head = sealed, head

    # -- answering ---------------------------------------------------------------------------------------------------

    def answer(self, ask: AskTree | AskFill | AskVectors | AskRecords) -> TreeLevels | Fill | VectorsAnswer | Records:
        """A peer's question about this catalog. Raises: RemoteError for one that makes no sense."""
        if isinstance(ask, AskTree):
            return answer_tree(ask, self.tree())
        if isinstance(ask, AskFill):
            depth = self.tree().depth
            return answer_fill(ask, depth, lambda bucket: self._entries(depth, bucket), self._records)
        if isinstance(ask, AskVectors):
            return answer_vectors(ask, self._records)
        return answer_records(ask, self._records)

    def _records(self, keys: list[bytes]) -> list:  # type: ignore[type-arg]
        return self._replicas.records(self.catalog, keys)
