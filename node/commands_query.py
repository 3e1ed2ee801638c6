"""The commands that cross the border: query a peer, verify a receipt, export and import a taste card."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from node.answers import open_answers
from node.cards import card_document
from node.config import home_folder, load_home
from node.control import need_node
from node.errors import UserError
from node.questions import refusal_sentence, text_subject
from node.receipts import receipt_document
from node.report import Report, item_line
from node.session import now_ms
from protocol.card import CARD_BYTES_MAX, open_card
from protocol.limits import RemoteError
from protocol.query import RECEIPT_BYTES_MAX, RESULTS_MAX


def run_query(options: Namespace) -> Report:
    """Ask a peer through the running node, and keep its signed answer."""
    home = load_home(home_folder(options.home))
    if not 1 <= options.k <= RESULTS_MAX:
        raise UserError(f"-k must be 1 to {RESULTS_MAX}")
    kind, subject = query_subject(options)
    arguments = {"peer": options.peer, "kind": kind, "subject": subject.hex(), "k": options.k}
    document = need_node(home, "query", arguments)
    if "refused" in document:
        return Report(document, [refusal_sentence(options.peer, document["refused"])], exit_code=1)
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
        return text_subject(options.text)
    if options.card is not None:
        return "card", read_card(Path(options.card))
    home = load_home(home_folder(options.home))
    with open_answers(home) as answers:
        return answers.item_subject(options.item)


def run_verify(options: Namespace) -> Report:
    """Check a receipt from the file alone."""
    content = read_file(Path(options.receipt), RECEIPT_BYTES_MAX)
    try:
        document = receipt_document(content)
    except RemoteError as error:
        return Report({"valid": False, "reason": str(error)}, [f"not valid: {error}"], exit_code=1)
    told = f"{len(document['items'])} items over {len(document['heads'])} catalogs"
    return Report(document, [f"valid: signed by {document['signed_by']} at {document['at']}, {told}"])


def run_card_export(options: Namespace) -> Report:
    """A user's taste as a signed file that the user may take along. Holds no name, no rating, no item."""
    home = load_home(home_folder(options.home))
    with open_answers(home) as answers:
        sealed = answers.card(options.user, options.days, now_ms())
    write_file(Path(options.out), sealed)
    document = {**card_document(sealed), "out": options.out}
    return Report(document, [f"{options.out}: {len(sealed)} bytes, good for {options.days} days", document["consent"]])


def run_card_import(options: Namespace) -> Report:
    """A visitor's card into this shop: a name to recommend for."""
    home = load_home(home_folder(options.home))
    with open_answers(home) as answers:
        document = answers.bring_card(read_card(Path(options.file)), options.user, now_ms())
    user = document["user"]
    return Report(document, [f"visitor {user}, card made by {document['made_by']}; now: p2prec recommend {user}"])


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
