"""Taste cards: what a user takes along to another shop, and how a shop reads what a visitor brought.

The card holds the user's taste as one coarse vector over the encoder's space: the sum of the centred items that the
user rated, each weighted as the content-based model weights it. No name, no item and no rating is on it; what the
vector itself tells of a taste is what its owner consents to share.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from models.content import Content
from models.interactions import interactions_of
from node.config import Home
from node.errors import UserError
from node.index import Index
from node.ranking import histories_of
from node.store import Rating
from protocol.card import NONCE_BYTES, Card, seal_card
from protocol.vectors import pack_vectors

CARD_DAYS_MAX = 365
DAY_MS = 24 * 3_600_000
CONSENT = (
    "Made by a shop at its customer's wish. It tells the customer's taste as one coarse vector, with no name, purchase "
    "or rating. It may be used to recommend to whoever brings it, until it expires, and for nothing else."
)
# With fewer ratings than this, the vector is hardly more than the items themselves.
RATINGS_MIN = 5


def make_card(home: Home, index: Index, ratings: Sequence[Rating], user: str, now_ms: int, days: int) -> bytes:
    """A user's sealed card. Raises: UserError where there is too little to tell."""
    users = sorted({rating.user for rating in ratings} | {user})
    histories = histories_of(index, ratings, users)
    history = histories[users.index(user)]
    if len(history) < RATINGS_MIN:
        raise UserError(f"{user} has {len(history)} ratings of known items here; a card needs at least {RATINGS_MIN}")
    model = Content().fit(interactions_of(histories, len(index.stored)), index.items)
    weights_R = model.weights(history)
    image_D = weights_R @ index.items.image_ID[history.items]
    text_D = weights_R @ index.items.text_ID[history.items]
    if not (image_D.any() or text_D.any()):
        raise UserError(f"{user} rated everything alike, which tells no taste; a card needs likes and dislikes")
    (vector,) = pack_vectors(image_D[None].astype(np.float32), text_D[None].astype(np.float32))
    card = Card(
        encoder=bytes.fromhex(home.config.fingerprint),
        vector=vector,
        nonce=os.urandom(NONCE_BYTES),
        issued_ms=now_ms,
        expires_ms=now_ms + days * DAY_MS,
        consent=CONSENT,
        noise=0.0,
    )
    return seal_card(home.identity, card)


def card_user(sealed: bytes) -> str:
    """The name that a visitor gets who gives none: from the card's bytes, so the same card is the same visitor."""
    return f"visitor-{hashlib.sha256(sealed).hexdigest()[:10]}"


def check_comparable(card: Card, home: Home, now_ms: int) -> None:
    """Raise UserError unless this shop can use the card."""
    if card.encoder.hex() != home.config.fingerprint:
        raise UserError("the card was made with another encoder and can't be compared with this shop's items")
    if card.expires_ms < now_ms:
        raise UserError("the card has expired; its owner can export a new one")
