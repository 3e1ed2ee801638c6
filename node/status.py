"""A catalog's state as the owner sees it, of a running node and of one that is not running."""

from __future__ import annotations

from node.database import Database
from node.replicas import Replicas
from node.shelf import Shelf
from protocol.heads import open_head
from protocol.identity import parse_peer_id


def catalog_document(shelf: Shelf, encoder: bytes, *, quarantined: bool) -> dict[str, object]:
    """A catalog's state. Items `known` are those stored, `total` those of the newest version heard of."""
    newest = shelf.target or shelf.head
    state = "empty" if newest is None else "syncing" if shelf.target is not None else "whole"
    return {
        "publisher": shelf.peer,
        "platform": newest.platform if newest else None,
        "version": shelf.head.version if shelf.head else None,
        "root": shelf.head.root.hex() if shelf.head else None,
        "items_known": shelf.count,
        "items_total": newest.count if newest else shelf.count,
        "fingerprint": newest.encoder.hex() if newest else None,
        "comparable": newest is not None and newest.encoder == encoder,
        "state": "quarantined" if quarantined else state,
    }


def stored_catalogs(database: Database, encoder: bytes) -> list[dict[str, object]]:
    """The same of a node that does not run."""
    replicas = Replicas(database)
    forked = {open_head(one).publisher for one, _ in replicas.forks()}
    documents = []
    for held in replicas.held():
        shelf = Shelf(replicas, held.catalog, parse_peer_id(held.publisher))
        shelf.restore(held.head, held.target)
        documents.append(catalog_document(shelf, encoder, quarantined=shelf.publisher in forked))
    return documents
