"""Taste cards: what a user takes along to another shop, and how a shop reads what a visitor brought.

The card holds the user's taste as one coarse vector over the encoder's space, and four numbers that say how much its
halves and prices count: what the taste prior makes of the user's ratings, by the block that nodes learned together, or
by the common start where nothing was learned yet. By it another shop ranks its items with an NDCG@10 of .69 from 20
ratings and .91 from 200, where popularity has .53 (`p2prec sim run two-shops`, seed 0). No name, no item and no rating
is on it; what the numbers themselves tell of a taste is what its owner consents to share.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.features import PortableTaste, basis_of, portable
from models.interactions import History, interactions_of
from models.taste_prior import TastePrior
from node.config import Home
from node.errors import UserError
from node.fits import histories_of
from node.index import Index
from node.store import Rating
from node.taught import Taught, taught_model
from protocol.card import NONCE_BYTES, Card, open_card
from protocol.identity import peer_id
from protocol.limits import RemoteError
from protocol.vectors import pack_vectors, parse_vectors

CARD_DAYS_MAX = 365
DAY_MS = 24 * 3_600_000
CONSENT = (
    "Made by a shop at its customer's wish. It tells the customer's taste, in looks and in prices, as coarse numbers, "
    "with no name, purchase or rating. It may be used to recommend to whoever brings it, until it expires, and for "
    "nothing else."
)
# The numbers of a card's mix as they are written.
MIX, MIX_MAX = np.dtype(">i2"), 32_767
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
    vector, mix = pack_taste(portable(model.taste(history), index.items, model.basis))
    return Card(
        encoder=bytes.fromhex(fingerprint),
        vector=vector,
        mix=mix,
        nonce=os.urandom(NONCE_BYTES),
        issued_ms=now_ms,
        expires_ms=now_ms + days * DAY_MS,
        consent=CONSENT,
        noise=0.0,
    )


def pack_taste(taste: PortableTaste) -> tuple[bytes, bytes]:
    """The vector and the mix of a card."""
    (vector,) = pack_vectors(taste.image_D[None], taste.text_D[None])
    lengths = [float(np.linalg.norm(half_D)) for half_D in (taste.image_D, taste.text_D)]
    parts_4 = np.array([*lengths, *taste.price_2])
    mix_4 = np.rint(parts_4 * (MIX_MAX / np.abs(parts_4).max())).astype(MIX)
    # A half that counted for nothing would be one that is missing, which is another thing.
    mix_4[:2] = np.maximum(mix_4[:2], np.array(lengths) > 0)
    return vector, mix_4.tobytes()


def parse_taste(card: Card, dim: int) -> PortableTaste:
    """The taste on a card, as it was centred where it was made; no part counts more than 1.

    Raises: RemoteError("bad_vector") for a vector of another size.
    """
    (image_D,), (text_D,) = parse_vectors([card.vector], dim)
    mix_4 = np.frombuffer(card.mix, MIX).astype(np.float32)
    mix_4 /= np.abs(mix_4).max()
    return PortableTaste(mix_4[0] * image_D, mix_4[1] * text_D, mix_4[2:])


def visitor_taste(sealed: bytes, home: Home, dim: int, now_ms: int) -> PortableTaste:
    """What a visitor's card tells this shop. Raises: UserError for one that it can't use, or can't any more."""
    try:
        _, card = open_card(sealed)
        check_comparable(card, home, now_ms)
        return parse_taste(card, dim)
    except RemoteError as error:
        raise UserError(f"the visitor's card can't be used ({error}); its owner can export a new one") from error


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


def card_document(sealed: bytes) -> dict[str, Any]:
    """A valid card, as the commands tell it."""
    made_by, card = open_card(sealed)
    return {
        "made_by": peer_id(made_by),
        "fingerprint": card.encoder.hex(),
        "bytes": len(sealed),
        "consent": card.consent,
        "expires": datetime.fromtimestamp(card.expires_ms / 1000, UTC).isoformat(timespec="seconds"),
    }


def check_comparable(card: Card, home: Home, now_ms: int) -> None:
    """Raise UserError unless this shop can use the card."""
    if card.encoder.hex() != home.config.fingerprint:
        raise UserError("the card was made with another encoder and can't be compared with this shop's items")
    if card.expires_ms < now_ms:
        raise UserError("the card has expired; its owner can export a new one")
