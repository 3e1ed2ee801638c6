"""Answers for this node's own users: search, similar items, recommendations with a reason.

Decides which items compete, asks a model to rank them, and says why each one is there, in terms of the user's own
history. Knows nothing of files, commands or printing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from models.content import Content
from models.diversity import diverse_rows
from models.features import PortableTaste
from models.fusion import Flags, similarity, similarity_between, text_similarity
from models.interactions import History, Interactions, Rows, Values, interactions_of
from models.popularity import Popularity
from models.quota import FREE, quota_of, within_quota
from models.recommender import Recommender, Scores, top_rows
from models.registry import model_class
from node.errors import UserError
from node.index import Index
from node.store import Rating
from node.taught import Taught, taught_model, taught_scores
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
    index: Index,
    ratings: Sequence[Rating],
    user: str,
    k: int,
    model: str | None = None,
    platform: str | None = None,
    taught: Taught | None = None,
) -> Recommendation:
    """The k best items for `user` that the user has not rated.

    `ratings` are those of all local users. Without --model: for whoever has rated, by what nodes learned together,
    `taught`, or else content-based; for a newcomer what is popular here, chosen to be unlike each other.
    Raises: UserError for a model that does not exist.
    """
    users = sorted({rating.user for rating in ratings} | {user})
    histories = histories_of(index, ratings, users)
    history = histories[users.index(user)]
    everyone = interactions_of(histories, len(index.stored))
    if model is None and taught is not None and len(history):
        chosen = taught.model
        fitted = taught_model(taught, index, histories)
        scores_I = taught_scores(taught, fitted, index, history)
    else:
        chosen = model or (Content.name if len(history) else Popularity.name)
        fitted = _fitted(chosen, everyone, index)
        scores_I = fitted.scores([history])[0]
    allowed_I = index.on_platform(platform)
    allowed_I[history.items] = False
    pick = partial(top_rows, scores_I, k) if len(history) else partial(diverse_rows, index.items, scores_I, k)
    rows = _shared_out(index, pick, allowed_I, k, platform)
    near_RH = similarity_between(index.items, rows, history.items)
    reasons = [
        _reason(index, fitted, everyone, history, int(row), near_H) for row, near_H in zip(rows, near_RH, strict=True)
    ]
    return Recommendation(user, chosen, len(history), _results(index, rows, scores_I, reasons))


def _fitted(model: str, everyone: Interactions, index: Index) -> Recommender:
    """Raises: UserError for a model that does not exist, or that says it can't learn from so much or so little."""
    try:
        return model_class(model)().fit(everyone, index.items)
    except ValueError as error:
        raise UserError(str(error)) from error


def recommend_visitor(
    index: Index, taste: PortableTaste, ratings: Sequence[Rating], user: str, k: int, platform: str | None = None
) -> Recommendation:
    """The k best items for a visitor who brought a taste on a card, and may have rated something since.

    The card counts as CARD_RATINGS ratings beside the visitor's own.
    """
    card_I = taste.scores(index.items)
    users = sorted({rating.user for rating in ratings} | {user})
    histories = histories_of(index, ratings, users)
    history = histories[users.index(user)]
    own_I = Content().fit(interactions_of(histories, len(index.stored)), index.items).scores([history])[0]
    if own_I.std() > 0:
        # Looks and prices together spread further than likeness alone.
        card_I = card_I * (own_I.std() / max(float(card_I.std()), 1e-12))
    scores_I = (CARD_RATINGS * card_I + len(history) * own_I) / (CARD_RATINGS + len(history))
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


def histories_of(index: Index, ratings: Sequence[Rating], users: list[str]) -> list[History]:
    """Each user's ratings of items that are still known."""
    rows: dict[str, list[int]] = {user: [] for user in users}
    values: dict[str, list[float]] = {user: [] for user in users}
    for rating in ratings:
        row = index.rows.get((rating.publisher, rating.item))
        if row is not None:
            rows[rating.user].append(row)
            values[rating.user].append(rating.value)
    return [History(np.array(rows[user], np.int64), np.array(values[user], np.float32)) for user in users]


def _reason(
    index: Index, model: Recommender, everyone: Interactions, history: History, row: int, near_H: Values
) -> str:
    """Why this item: the rating that did most for it, or what others here made of it. `near_H`: how alike what the user
    rated is to it."""
    if len(history):
        parts_H = model.contributions(history, row)
        # A liked thing that it resembles says more to people than a disliked one that it differs from.
        # What it does not resemble it may share its admirers with, or not.
        loved_H = history.values >= history.values.mean()
        kinds = (("like", near_H > 0), ("liked by who likes", loved_H), ("unlike", near_H < 0))
        for word, kind_H in kinds:
            mine_H = np.where(kind_H, parts_H, 0)
            if mine_H.max() > 0:
                return f"{word} {_rated(index, history, int(mine_H.argmax()))}"
    theirs = everyone.values[everyone.items == row]
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
