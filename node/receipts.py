"""What a signed answer says, checked from its bytes alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from protocol.identity import peer_id
from protocol.query import Query, verify_receipt


def receipt_document(content: bytes) -> dict[str, Any]:
    """A receipt that holds, as `p2prec verify` tells it. Raises: RemoteError for one that does not."""
    receipt = verify_receipt(content)
    heads = [
        {"publisher": peer_id(head.publisher), "version": head.version, "root": head.root.hex()}
        for head in receipt.answer.heads
    ]
    items = [
        {
            "item": item.item,
            "publisher": heads[item.head]["publisher"],
            "record": item.record.hex(),
            "score": round(item.score, 6),
        }
        for item in receipt.answer.items
    ]
    return {
        "valid": True,
        "signed_by": peer_id(receipt.signed_by),
        "asked_by": peer_id(receipt.asked_by),
        "query": query_document(receipt.query),
        "items": items,
        "model": receipt.answer.model,
        "heads": heads,
        "at": datetime.fromtimestamp(receipt.answer.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
    }


def query_document(query: Query) -> dict[str, Any]:
    """What was asked, as far as it can be shown in a line."""
    about = (
        query.subject.decode()
        if query.kind == "text"
        else query.subject[32:].decode()
        if query.kind == "item"
        else None
    )
    return {
        "kind": query.kind,
        "about": about,
        "k": query.k,
        "network": query.network,
        "encoder": query.encoder.hex(),
        "issued_ms": query.issued_ms,
        "expires_ms": query.expires_ms,
    }
