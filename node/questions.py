"""Questions to peers, as the wire has them, and what to do about each way to refuse one."""

from __future__ import annotations

from node.errors import UserError
from protocol.query import SUBJECT_BYTES_MAX

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


def text_subject(text: str) -> tuple[str, bytes]:
    """Items nearest to a text. Raises: UserError."""
    try:
        subject = text.strip().encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{text!r} is not UTF-8 text") from error
    if not 0 < len(subject) <= SUBJECT_BYTES_MAX:
        raise UserError(f"--text needs 1 to {SUBJECT_BYTES_MAX} bytes")
    return "text", subject


def refusal_sentence(peer: str, reason: str) -> str:
    """What a person reads when `peer` does not answer."""
    return f"{peer} refused: {reason}" + (f"; {ADVICE[reason]}" if reason in ADVICE else "")
