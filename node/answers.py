"""What a home says to its own people: the documents of search, similar, recommend, rate and the cards.

One place for the command line and the web page, so that the two can't differ. Knows nothing of commands, HTTP or
printing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from models.content import Content
from models.interactions import History
from models.popularity import Popularity
from node.cards import CARD_DAYS_MAX, card_document, card_user, make_card, visitor_taste
from node.config import Home
from node.errors import UserError
from node.fits import Fits, Fitted, histories_of
from node.index import Index
from node.ranking import RESULTS_MAX, Result, recommend, recommend_visitor, search, similar
from node.ratings import RATING_MAX, RATING_MIN, USER_BYTES_MAX, find_user, find_value
from node.report import item_document
from node.session import home_encoder, home_index, home_taught, known_platform, open_store, the_item
from node.store import Catalog, Rating, Store, StoredItem
from protocol.card import open_card, seal_card
from protocol.identity import parse_peer_id
from protocol.limits import RemoteError
from protocol.query import pack_item_subject

if TYPE_CHECKING:
    from models.clip import Encoder


class Answers:
    """Answers from one store. Used by one thread at a time.

    `index` gives the items as they are now; `open_encoder` is called whenever a text is asked for.
    """

    def __init__(
        self, home: Home, store: Store, index: Callable[[], Index], open_encoder: Callable[[], Encoder]
    ) -> None:
        self._home = home
        self._store = store
        self._read_index = index
        self._open_encoder = open_encoder
        self._fits = Fits(store)

    def _index(self) -> Index:
        index = self._read_index()
        self._fits.stand_on(index)
        return index

    # -- lists -------------------------------------------------------------------------------------------------------

    def search(self, text: str, k: int, platform: str | None = None) -> dict[str, Any]:
        """Items nearest to a text. Raises: UserError."""
        if not text.strip():
            raise UserError("search needs a text, as in: p2prec search 'red floral dress'")
        index = self._index()
        vector_D = self._open_encoder().encode_texts([text]).vectors[0]
        results = search(index, vector_D, results_wanted(k), known_platform(index, platform))
        return {"query": text, "items": result_documents(results)}

    def similar(self, reference: str, k: int, platform: str | None = None) -> dict[str, Any]:
        """Items nearest to an item. Raises: UserError."""
        index = self._index()
        stored = the_item(self._store, reference)
        catalog = self._catalog_of(stored)
        row = index.rows.get((catalog.publisher, stored.item.item))
        if row is None and catalog.fingerprint == self._home.config.fingerprint:
            raise UserError(f"{reference} has only just come and can't be compared yet; try again in a moment")
        if row is None:
            raise UserError(f"{reference} was encoded with another encoder and can't be compared here")
        results = similar(index, row, results_wanted(k), known_platform(index, platform))
        return {"item": stored.item.item, "items": result_documents(results)}

    def recommend(self, user: str, k: int, model: str | None, platform: str | None, now_ms: int) -> dict[str, Any]:
        """A user's list, each place with its reason; `model` None: what serves this user best. Raises: UserError."""
        user, k = checked_user(user), results_wanted(k)
        index = self._index()
        platform = known_platform(index, platform)
        (history,) = histories_of(index, self._store.ratings(user), [user])
        sealed = None if model or not index.stored else self._store.find_card(user)
        note = None
        try:
            taste = None if sealed is None else visitor_taste(sealed, self._home, index.items.image_ID.shape[1], now_ms)
        except UserError as error:
            taste, note = None, str(error)
        if taste is not None:
            content = self._fits.named(index, Content.name)
            answer = recommend_visitor(index, taste, content, history, user, k, platform)
        else:
            answer = recommend(index, self._chosen(index, model, history), history, user, k, platform)
        items = result_documents(answer.results)
        document = {"user": user, "model": answer.model, "ratings": answer.ratings, "items": items}
        return document if note is None else {**document, "note": note}

    def _chosen(self, index: Index, model: str | None, history: History) -> Fitted:
        """The model asked for; else for a newcomer what is popular, and for whoever has rated what nodes learned
        together, or where that does not help what looks alike."""
        if not index.stored or (model is None and not len(history)):
            return self._fits.named(index, Popularity.name)
        if model is not None:
            return self._fits.named(index, model)
        taught = self._fits.taught(index, lambda: home_taught(self._home, self._store))
        return taught or self._fits.named(index, Content.name)

    # -- items -------------------------------------------------------------------------------------------------------

    def item(self, reference: str) -> dict[str, Any]:
        """Everything known of one item. Raises: UserError."""
        stored = the_item(self._store, reference)
        catalog = self._catalog_of(stored)
        vector = self._store.find_vector(stored.slot) or b""
        item = stored.item
        return {
            **item_document(catalog.publisher, catalog.platform, item),
            "description": item.description,
            "brand": item.brand,
            "category": item.category,
            "colour": item.colour,
            "gender": item.gender,
            "image_url": item.image_url,
            "page_url": item.page_url,
            "has_image": any(vector[: len(vector) // 2]),
            "fingerprint": catalog.fingerprint,
        }

    def items(self, platform: str | None, offset: int, k: int) -> dict[str, Any]:
        """A page of everything that can be compared here, in the order in which it came. Raises: UserError."""
        index = self._index()
        rows = np.flatnonzero(index.on_platform(known_platform(index, platform)))
        shown = rows[offset : offset + results_wanted(k)].tolist()
        return {
            "total": len(rows),
            "items": [item_document(index.publisher(r), index.platform(r), index.stored[r].item) for r in shown],
        }

    def item_subject(self, reference: str) -> tuple[str, bytes]:
        """A question to peers about an item, as the wire has it. Raises: UserError."""
        stored = the_item(self._store, reference)
        return "item", pack_item_subject(parse_peer_id(self._catalog_of(stored).publisher), stored.item.item)

    # -- people ------------------------------------------------------------------------------------------------------

    def rate(self, user: str, reference: str, value: object, now_ms: int) -> tuple[Rating, StoredItem]:
        """One opinion, stored. Raises: UserError."""
        user, rating = checked_user(user), checked_value(value)
        stored = the_item(self._store, reference)
        publisher, item = self._catalog_of(stored).publisher, stored.item.item
        done = Rating(user, publisher, item, rating, now_ms)
        with self._store.database.transaction():
            # The latest opinion is that of now, also where an import was dated later.
            self._store.remove_rating(user, publisher, item)
            self._store.write_ratings([done])
        return done, stored

    def unrate(self, user: str, reference: str) -> dict[str, Any]:
        """An opinion taken back, also of PUBLISHER/ITEM that is gone. Raises: UserError."""
        user, (publisher, _, item) = checked_user(user), reference.partition("/")
        removed = self._store.remove_rating(user, publisher, item)
        if not removed:
            stored = the_item(self._store, reference)
            publisher, item = self._catalog_of(stored).publisher, stored.item.item
            removed = self._store.remove_rating(user, publisher, item)
        return {"user": user, "item": item, "rating": None, "removed": int(removed)}

    def users(self, prefix: str, k: int) -> dict[str, Any]:
        """Those who rated something here or brought a card, by name. Raises: UserError."""
        found = self._store.users(prefix, results_wanted(k))
        return {"users": [{"user": user, "ratings": ratings} for user, ratings in found]}

    def history(self, user: str) -> dict[str, Any]:
        """A user's opinions, the latest first; of items that are gone, their ids. Raises: UserError."""
        user, index = checked_user(user), self._index()
        ratings = sorted(self._store.ratings(user), key=lambda one: -one.at_ms)
        sealed = self._store.find_card(user)
        return {
            "user": user,
            "card": None if sealed is None else card_document(sealed),
            "ratings": [
                {**self._rated(index, one), "rating": one.value, "at_ms": one.at_ms} for one in ratings[:RESULTS_MAX]
            ],
        }

    def _rated(self, index: Index, rating: Rating) -> dict[str, Any]:
        """The item of a rating; of one that is gone, only what the rating says."""
        row = index.rows.get((rating.publisher, rating.item))
        if row is not None:
            return item_document(rating.publisher, index.platform(row), index.stored[row].item)
        # Of another encoder, or newer than the index.
        for stored in self._store.find_items(rating.item):
            catalog = self._catalog_of(stored)
            if catalog.publisher == rating.publisher:
                return item_document(catalog.publisher, catalog.platform, stored.item)
        gone = {"platform": None, "name": None, "price": None, "currency": None}
        return {"item": rating.item, "publisher": rating.publisher, **gone}

    def card(self, user: str, days: int, now_ms: int) -> bytes:
        """A user's taste, sealed, to take along. Raises: UserError."""
        if not 1 <= days <= CARD_DAYS_MAX:
            raise UserError(f"--days must be 1 to {CARD_DAYS_MAX}")
        config = self._home.config
        card = make_card(
            self._index(),
            self._store.ratings(),
            checked_user(user),
            home_taught(self._home, self._store),
            encoder=config.encoder,
            fingerprint=config.fingerprint,
            now_ms=now_ms,
            days=days,
        )
        return seal_card(self._home.identity, card)

    def bring_card(self, sealed: bytes, user: str | None, now_ms: int) -> dict[str, Any]:
        """A visitor's card into this shop: a name to recommend for. Raises: UserError."""
        try:
            _, card = open_card(sealed)
        except RemoteError as error:
            raise UserError(f"this is no valid taste card ({error})") from error
        visitor_taste(sealed, self._home, self._home.config.dim or len(card.vector) // 2, now_ms)
        name = checked_user(user) if user else card_user(sealed)
        self._store.write_card(name, sealed)
        return {**card_document(sealed), "user": name}

    def _catalog_of(self, stored: StoredItem) -> Catalog:
        return next(one for one in self._store.catalogs() if one.catalog == stored.catalog)


@contextmanager
def open_answers(home: Home) -> Iterator[Answers]:
    """Answers from a home that is opened for one command, and closed afterwards."""
    with one_blas_thread(), open_store(home) as store:
        yield Answers(home, store, lambda: home_index(home, store), lambda: home_encoder(home))


def one_blas_thread() -> AbstractContextManager[object]:
    """Within, numpy's linear algebra keeps to its caller's thread, in this whole process.

    Folding a user in takes milliseconds. Shared out over threads it gains nothing, and waits for the slowest of them
    where other processes want the cores (`p2prec bench api_speed`).
    """
    limits: AbstractContextManager[object] = threadpool_limits(1, user_api="blas")
    return limits


def result_documents(results: list[Result]) -> list[dict[str, Any]]:
    """The places of a list, best first; a reason where there is one."""
    return [
        {**item_document(one.publisher, one.platform, one.item), "score": one.score}
        | ({"reason": one.reason} if one.reason else {})
        for one in results
    ]


def results_wanted(k: int) -> int:
    if not 1 <= k <= RESULTS_MAX:
        raise UserError(f"-k must be 1 to {RESULTS_MAX}")
    return k


def checked_user(text: str) -> str:
    user = find_user(text)
    if user is None:
        raise UserError(f"{text!r} can't be a user: give 1 to {USER_BYTES_MAX} printable bytes")
    return user


def checked_value(said: object) -> float:
    value = find_value(str(said))
    if value is None:
        raise UserError(f"rating {said!r} is not a number from {RATING_MIN:g} to {RATING_MAX:g}")
    return value
