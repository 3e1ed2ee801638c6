"""Taste cards: what a user takes along to another shop, and how a shop reads what a visitor brought.

The card holds the user's taste as one coarse vector over the encoder's space: what the taste prior makes of the user's
ratings, by the block that nodes learned together, or by the common start where nothing was learned yet. By it another
shop ranks its items with an NDCG@10 of .57 from 20 ratings and .78 from 200, where popularity has .34 (`python -m
tests.bench.two_shops`). No name, no item and no rating is on it; what the vector itself tells of a taste is what its
owner consents to share. What the taste says of prices is not on it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from models.features import basis_of, taste_halves
from models.interactions import History, interactions_of
from models.taste_prior import TastePrior
from node.config import Home
from node.errors import UserError
from node.index import Index
from node.ranking import histories_of
from node.store import Rating
from node.taught import Taught, taught_model
from protocol.card import NONCE_BYTES, Card
from protocol.vectors import pack_vectors

CARD_DAYS_MAX = 365
DAY_MS = 24 * 3_600_000
CONSENT = (
    "Made by a shop at its customer's wish. It tells the customer's taste as one coarse vector, with no name, purchase "
    "or rating. It may be used to recommend to whoever brings it, until it expires, and for nothing else."
)
# With fewer ratings than this, the vector is hardly more than the items themselves.
RATINGS_MIN = 5


def make_card(
    index: Index,
    ratings: Sequence[Rating],
    user: str,
    taught: Taught | None,
    *,
    encoder: str,
    fingerprint: str,
    now_ms: int,
    days: int,
) -> Card:
    """A user's card, by what was learned with others, for the shop to seal. `encoder` is the name.

    Raises: UserError where there is too little to tell.
    """
    users = sorted({rating.user for rating in ratings} | {user})
    histories = histories_of(index, ratings, users)
    history = histories[users.index(user)]
    if len(history) < RATINGS_MIN:
        raise UserError(f"{user} has {len(history)} ratings of known items here; a card needs at least {RATINGS_MIN}")
    if not np.ptp(history.values):
        raise UserError(f"{user} rated everything alike, which tells no taste; a card needs likes and dislikes")
    model = taste_model(index, histories, taught, basis_of(encoder))
    image_D, text_D = taste_halves(model.taste(history), index.items, model.basis)
    (vector,) = pack_vectors(image_D[None], text_D[None])
    return Card(
        encoder=bytes.fromhex(fingerprint),
        vector=vector,
        nonce=os.urandom(NONCE_BYTES),
        issued_ms=now_ms,
        expires_ms=now_ms + days * DAY_MS,
        consent=CONSENT,
        noise=0.0,
    )


def taste_model(index: Index, histories: Sequence[History], taught: Taught | None, basis: str) -> TastePrior:
    """The taste prior as it was learned, or at the start where it is another model that helps here, or none."""
    if taught is not None:
        learned = taught_model(taught, index, histories)
        if isinstance(learned, TastePrior):
            return learned
    return TastePrior(basis=basis).prepare(interactions_of(histories, len(index.items)), index.items)


def card_user(sealed: bytes) -> str:
    """The name that a visitor gets who gives none: from the card's bytes, so the same card is the same visitor."""
    return f"visitor-{hashlib.sha256(sealed).hexdigest()[:10]}"


def check_comparable(card: Card, home: Home, now_ms: int) -> None:
    """Raise UserError unless this shop can use the card."""
    if card.encoder.hex() != home.config.fingerprint:
        raise UserError("the card was made with another encoder and can't be compared with this shop's items")
    if card.expires_ms < now_ms:
        raise UserError("the card has expired; its owner can export a new one")
