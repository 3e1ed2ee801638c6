"""The commands that cross the border: query a peer, verify a receipt, export and import a taste card."""

from __future__ import annotations

import time
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from node.cards import CARD_DAYS_MAX, card_user, make_card, visitor_taste
from node.config import home_folder, load_home
from node.control import need_node
from node.errors import UserError
from node.report import Report, item_line
from node.session import home_index, home_taught, open_store, the_item
from protocol.card import CARD_BYTES_MAX, open_card, seal_card
from protocol.identity import parse_peer_id, peer_id
from protocol.limits import RemoteError
from protocol.query import RECEIPT_BYTES_MAX, RESULTS_MAX, SUBJECT_BYTES_MAX, Query, pack_item_subject, verify_receipt

# What to do about each refusal.
ADVICE = {
    "not_allowed": "it answers only peers that its owner lists",
    "over_budget": "wait a minute before asking again",
    "over_limit": "ask for fewer results",
    "not_found": "it does not know that item",
    "wrong_encoder": "it uses another encoder, so vectors and cards can't be compared; ask by text",
    "wrong_network": "it belongs to another network",
    "expired": "set this machine's clock",
    "busy": "try again in a moment",
}


def run_query(options: Namespace) -> Report:
    """Ask a peer through the running node, and keep its signed answer."""
    home = load_home(home_folder(options.home))
    if not 1 <= options.k <= RESULTS_MAX:
        raise UserError(f"-k must be 1 to {RESULTS_MAX}")
    kind, subject = query_subject(options)
    arguments = {"peer": options.peer, "kind": kind, "subject": subject.hex(), "k": options.k}
    document = need_node(home, "query", arguments)
    if "refused" in document:
        reason = document["refused"]
        advice = f"; {ADVICE[reason]}" if reason in ADVICE else ""
        return Report(document, [f"{options.peer} refused: {reason}{advice}"], exit_code=1)
    receipt = bytes.fromhex(document.pop("receipt"))
    if options.receipt:
        write_file(Path(options.receipt), receipt)
    document["receipt"] = options.receipt
    lines = [f"{place:3}. {item_line(row)}  [{row['score']:.3f}]" for place, row in enumerate(document["items"], 1)]
    if document["unresolved"]:
        lines.append(f"{document['unresolved']} more could not be fetched or did not verify")
    return Report(document, lines or [f"{options.peer} has nothing like that"])


def query_subject(options: Namespace) -> tuple[str, bytes]:
    """What is asked, as the wire has it. Raises: UserError."""
    if options.text is not None:
        subject = options.text.strip().encode()
        if not 0 < len(subject) <= SUBJECT_BYTES_MAX:
            raise UserError(f"--text needs 1 to {SUBJECT_BYTES_MAX} bytes")
        return "text", subject
    if options.card is not None:
        return "card", read_card(Path(options.card))
    home = load_home(home_folder(options.home))
    with open_store(home) as store:
        stored = the_item(store, options.item)
        publisher = next(c.publisher for c in store.catalogs() if c.catalog == stored.catalog)
    return "item", pack_item_subject(parse_peer_id(publisher), stored.item.item)


def run_verify(options: Namespace) -> Report:
    """Check a receipt from the file alone."""
    path = Path(options.receipt)
    content = read_file(path, RECEIPT_BYTES_MAX)
    try:
        receipt = verify_receipt(content)
    except RemoteError as error:
        return Report({"valid": False, "reason": str(error)}, [f"not valid: {error}"], exit_code=1)
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
    at = datetime.fromtimestamp(receipt.answer.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    document = {
        "valid": True,
        "signed_by": peer_id(receipt.signed_by),
        "asked_by": peer_id(receipt.asked_by),
        "query": query_document(receipt.query),
        "items": items,
        "model": receipt.answer.model,
        "heads": heads,
        "at": at,
    }
    lines = [f"valid: signed by {document['signed_by']} at {at}, {len(items)} items over {len(heads)} catalogs"]
    return Report(document, lines)


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


def run_card_export(options: Namespace) -> Report:
    """A user's taste as a signed file that the user may take along. Holds no name, no rating, no item."""
    home = load_home(home_folder(options.home))
    if not 1 <= options.days <= CARD_DAYS_MAX:
        raise UserError(f"--days must be 1 to {CARD_DAYS_MAX}")
    with open_store(home) as store:
        index = home_index(home, store)
        card = make_card(
            index,
            store.ratings(),
            options.user,
            home_taught(home, store),
            encoder=home.config.encoder,
            fingerprint=home.config.fingerprint,
            now_ms=now_ms(),
            days=options.days,
        )
    sealed = seal_card(home.identity, card)
    write_file(Path(options.out), sealed)
    document = {**card_document(sealed), "out": options.out}
    return Report(document, [f"{options.out}: {len(sealed)} bytes, good for {options.days} days", card.consent])


def run_card_import(options: Namespace) -> Report:
    """A visitor's card into this shop: a name to recommend for."""
    home = load_home(home_folder(options.home))
    sealed = read_card(Path(options.file))
    _, card = open_card(sealed)
    visitor_taste(sealed, home, home.config.dim or len(card.vector) // 2, now_ms())
    user = options.user or card_user(sealed)
    with open_store(home) as store:
        store.write_card(user, sealed)
    document = {**card_document(sealed), "user": user}
    return Report(document, [f"visitor {user}, card made by {document['made_by']}; now: p2prec recommend {user}"])


def card_document(sealed: bytes) -> dict[str, Any]:
    made_by, card = open_card(sealed)
    return {
        "made_by": peer_id(made_by),
        "fingerprint": card.encoder.hex(),
        "bytes": len(sealed),
        "consent": card.consent,
        "expires": datetime.fromtimestamp(card.expires_ms / 1000, UTC).isoformat(timespec="seconds"),
    }


def read_card(path: Path) -> bytes:
    """A card's bytes, verified. Raises: UserError."""
    sealed = read_file(path, CARD_BYTES_MAX)
    try:
        open_card(sealed)
    except RemoteError as error:
        raise UserError(f"{path} is no valid taste card ({error})") from error
    return sealed


def read_file(path: Path, bytes_max: int) -> bytes:
    """A small file, whole. Raises: UserError."""
    try:
        with path.open("rb") as stream:
            return stream.read(bytes_max + 1)
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from error


def write_file(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UserError(f"can't write {path}: {error.strerror}") from error


def now_ms() -> int:
    return time.time_ns() // 1_000_000
