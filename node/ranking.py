"""Answers for this node's own users: search, similar items, recommendations with a reason.

Decides which items compete, asks a model to rank them, and says why each one is there, in terms of the user's own
history. Knows nothing of files, commands or printing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from models.diversity import diverse_rows
from models.features import PortableTaste
from models.fusion import Flags, similarity, similarity_between, text_similarity
from models.interactions import History, Rows, Values
from models.quota import FREE, quota_of, within_quota
from models.recommender import Scores, top_rows
from node.fits import Fitted
from node.index import Index
from protocol.records import Item

# A card is a summary of many ratings, made elsewhere of other items.
CARD_RATINGS = 20
# A list longer than this is not read by anybody, and its reasons cost time.
RESULTS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Result:
    """One place of a list."""

    item: Item
    publisher: str
    platform: str
    score: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A user's list, and which model made it."""

    user: str
    model: str
    ratings: int
    results: list[Result]


def search(index: Index, text_D: Values, k: int, platform: str | None = None) -> list[Result]:
    """Items nearest to an encoded text (unit vector [dim])."""
    if not index.stored:
        return []
    scores_I = text_similarity(index.items, text_D[None])[0]
    rows = _shared_out(index, partial(top_rows, scores_I, k), index.on_platform(platform), k, platform)
    return _results(index, rows, scores_I)


def similar(index: Index, row: int, k: int, platform: str | None = None) -> list[Result]:
    """Items nearest to the item of that row, without itself."""
    scores_I = similarity(index.items, np.array([row]))[0]
    allowed_I = index.on_platform(platform)
    allowed_I[row] = False
    return _results(index, top_rows(scores_I, k, allowed_I), scores_I)


def recommend(
    index: Index, fitted: Fitted, history: History, user: str, k: int, platform: str | None = None
) -> Recommendation:
    """The k best items for `user` that the user has not rated; for a newcomer, a choice of things unlike each other."""
    scores_I = fitted.scores(index, history)
    allowed_I = index.on_platform(platform)
    allowed_I[history.items] = False
    pick = partial(top_rows, scores_I, k) if len(history) else partial(diverse_rows, index.items, scores_I, k)
    rows = _shared_out(index, pick, allowed_I, k, platform)
    near_RH = similarity_between(index.items, rows, history.items)
    reasons = [_reason(index, fitted, history, int(row), near_H) for row, near_H in zip(rows, near_RH, strict=True)]
    return Recommendation(user, fitted.name, len(history), _results(index, rows, scores_I, reasons))


def recommend_visitor(
    index: Index,
    taste: PortableTaste,
    content: Fitted,
    history: History,
    user: str,
    k: int,
    platform: str | None = None,
) -> Recommendation:
    """The k best items for a visitor who brought a taste on a card, and may have rated something since.

    The card counts as CARD_RATINGS ratings beside the visitor's own, of which the `content` model makes what it can.
    """
    card_I = taste.scores(index.items)
    own_I = content.scores(index, history)
    if own_I.std() > 0:
        # Looks and prices together spread further than likeness alone.
        card_I = card_I * (own_I.std() / max(float(card_I.std()), 1e-12))
    both_I = (CARD_RATINGS * card_I + len(history) * own_I) / (CARD_RATINGS + len(history))
    scores_I: Scores = both_I.astype(np.float32)
    allowed_I = index.on_platform(platform)
    allowed_I[history.items] = False
    rows = _shared_out(index, partial(top_rows, scores_I, k), allowed_I, k, platform)
    reasons = [f"near the taste on {user}'s card"] * len(rows)
    return Recommendation(user, "card", len(history), _results(index, rows, scores_I, reasons))


def _shared_out(index: Index, pick: Callable[[Flags], Rows], allowed_I: Flags, k: int, platform: str | None) -> Rows:
    """The picked rows, no foreign publisher over its quota while others have something. Own items are not limited.

    Whoever asks for one platform gets it, whole.
    """
    if platform is not None:
        return pick(allowed_I)
    own = [catalog.catalog for catalog in index.catalogs.values() if catalog.own]

    def group_of(rows: Rows) -> Rows:
        numbers_R = index.catalog_I[rows]
        return np.where(np.isin(numbers_R, own), FREE, numbers_R)

    return within_quota(pick, group_of, allowed_I, quota_of(k))


def _reason(index: Index, fitted: Fitted, history: History, row: int, near_H: Values) -> str:
    """Why this item: the rating that did most for it, or what others here made of it. `near_H`: how alike what the user
    rated is to it."""
    if len(history):
        parts_H = fitted.model.contributions(history, row)
        # A liked thing that it resembles says more to people than a disliked one that it differs from.
        # What it does not resemble it may share its admirers with, or not.
        loved_H = history.values >= history.values.mean()
        kinds = (("like", near_H > 0), ("liked by who likes", loved_H), ("unlike", near_H < 0))
        for word, kind_H in kinds:
            mine_H = np.where(kind_H, parts_H, 0)
            if mine_H.max() > 0:
                return f"{word} {_rated(index, history, int(mine_H.argmax()))}"
    theirs = fitted.everyone.values[fitted.everyone.items == row]
    opinion = f"rated {theirs.mean():.1f} on average by {len(theirs)} here" if len(theirs) else "not rated here yet"
    if not len(history):
        return f"{opinion}; you have not rated anything yet"
    return f"{opinion}; of all that you rated, nearest to {_rated(index, history, int(near_H.argmax()))}"


def _rated(index: Index, history: History, place: int) -> str:
    return f"{index.stored[int(history.items[place])].item.name} (you rated it {history.values[place]:g})"


def _results(index: Index, rows: Rows, scores_I: Scores, reasons: list[str] | None = None) -> list[Result]:
    return [
        Result(
            index.stored[row].item,
            index.publisher(row),
            index.platform(row),
            round(float(scores_I[row]), 6),
            reasons[place] if reasons else "",
        )
        for place, row in enumerate(rows.tolist())
    ]
