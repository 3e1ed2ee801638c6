"""Models as they rank here: fitted to what everybody rated, and kept for as long as that is worth more than new ones.

What is general (what is popular, how people use the scale, what nodes learned together) may be a moment old. A user's
own ratings never are: whoever asks is folded in with what the store says now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.interactions import History, Interactions, interactions_of
from models.recommender import Recommender, Scores
from models.registry import model_class
from node.errors import UserError
from node.index import Index
from node.store import Rating, Store
from node.taught import Taught, taught_model, taught_scores

# A fit that took a second is good for twenty: at most a twentieth of the time goes there, and few wait for it.
REST = 20.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model by name, and the ratings that it was fitted to; `taught` where it is what nodes learned together."""

    name: str
    model: Recommender
    everyone: Interactions
    taught: Taught | None = None

    def scores(self, index: Index, history: History) -> Scores:
        """What it makes of a user: float32 [items]."""
        if self.taught is not None:
            return taught_scores(self.taught, self.model, index, history)
        scores_I: Scores = self.model.scores([history])[0]
        return scores_I


def fit(index: Index, ratings: Sequence[Rating], name: str) -> Fitted:
    """The model of that name. Raises: UserError for one that does not exist, or can't learn from so much or little."""
    everyone = interactions_of(everybody(index, ratings), len(index.stored))
    try:
        return Fitted(name, model_class(name)().fit(everyone, index.items), everyone)
    except ValueError as error:
        raise UserError(str(error)) from error


def fit_taught(index: Index, ratings: Sequence[Rating], taught: Taught) -> Fitted:
    """What nodes learned together, on the scale that people use here."""
    histories = everybody(index, ratings)
    everyone = interactions_of(histories, len(index.stored))
    return Fitted(taught.model, taught_model(taught, index, histories), everyone, taught)


def everybody(index: Index, ratings: Sequence[Rating]) -> list[History]:
    """Every user's history, by name."""
    return histories_of(index, ratings, sorted({rating.user for rating in ratings}))


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


@dataclass(frozen=True, slots=True)
class Kept:
    """A fit, what the store's version was, when it was made and how many seconds it took."""

    fitted: Fitted | None
    version: object
    at: float
    took: float


class Fits:
    """Fits by name over one store. `clock` counts seconds."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._index: Index | None = None
        self._kept: dict[str, Kept] = {}

    def stand_on(self, index: Index) -> None:
        """From now on these items. Models hold on to those that they were fitted over, so theirs go with them."""
        if index is not self._index:
            self._index, self._kept = index, {}

    def named(self, index: Index, name: str) -> Fitted:
        """The model of that name. Raises: UserError as `fit`."""
        fitted = self._find(index, name, lambda: fit(index, self._store.ratings(), name))
        assert fitted is not None
        return fitted

    def taught(self, index: Index, find: Callable[[], Taught | None]) -> Fitted | None:
        """What nodes learned together, if `find` finds that it helps here."""

        def make() -> Fitted | None:
            taught = find()
            return None if taught is None else fit_taught(index, self._store.ratings(), taught)

        return self._find(index, "", make)

    def _find(self, index: Index, name: str, make: Callable[[], Fitted | None]) -> Fitted | None:
        self.stand_on(index)
        version, now = self._store.database.version, self._clock()
        kept = self._kept.get(name)
        if kept is None or (version != kept.version and now - kept.at > REST * kept.took):
            fitted = make()
            ended = self._clock()
            self._kept[name] = kept = Kept(fitted, version, ended, ended - now)
        return kept.fitted
