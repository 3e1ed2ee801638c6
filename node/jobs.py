"""Heavy work for the engine, done where it keeps nobody waiting: ranking for peers' queries, with encoder and index.

The engine orders a job and hears its result as an event. A `Ranker` belongs to one worker thread; it reads the store
over a connection of its own and keeps the index until a catalog changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from models.features import price_terms
from models.fusion import Flags, Vectors, centre, vector_similarity
from models.recommender import Scores, top_rows
from node.cards import parse_taste
from node.config import Home
from node.database import Database
from node.events import Rank, Ranked, RankedHead, RankedItem
from node.index import Index, Remembered
from node.replicas import HeldCatalog, Replicas
from node.session import home_encoder, home_index
from node.store import Store
from protocol.card import open_card
from protocol.identity import parse_peer_id, peer_id
from protocol.limits import RemoteError
from protocol.query import parse_item_subject
from protocol.records import item_key
from protocol.vectors import parse_vectors

if TYPE_CHECKING:
    from models.clip import Encoder

# An index is read again at most this often, however fast catalogs change. The answer names the versions ranked over.
RELOAD_SECONDS = 2.0
NOTHING = Ranked("", (), ())


@dataclass(frozen=True, slots=True)
class Subject:
    """Centred halves, float32 [1, dim]; the row of the item that is asked about, which is no answer to itself; and what
    the two terms of a price count, float32 [2], where a taste is asked for."""

    image_1D: Vectors
    text_1D: Vectors
    itself: int | None = None
    price_2: Vectors | None = None


def rule_of(kind: str) -> str:
    """The name of what ranks, for the answer: prices count since the second rule for cards."""
    return f"{kind}/{2 if kind == 'card' else 1}"


class Ranker:
    """Answers `Rank` jobs from one store. Used by one thread at a time.

    `open_database` and `open_encoder` are called once, when first needed; `load` makes the index of a store; `clock`
    counts seconds.
    """

    def __init__(
        self,
        open_database: Callable[[], Database],
        load: Callable[[Store], Index],
        open_encoder: Callable[[], Encoder],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_database = open_database
        self._load = load
        self._open_encoder = open_encoder
        self._clock = clock
        self._held: list[HeldCatalog] = []
        self._forks: list[tuple[bytes, bytes]] = []
        self._index: Index | None = None
        self._allowed_I: Flags = np.zeros(0, bool)
        self._loaded = 0.0

    @cached_property
    def _database(self) -> Database:
        return self._open_database()

    @cached_property
    def _encoder(self) -> Encoder:
        return self._open_encoder()

    def run(self, jobs: Sequence[Rank]) -> list[Ranked]:
        """The nearest items for each job, best first; `NOTHING` for a subject that is unknown or can't be compared.

        Jobs that wait together are scored together: reading the items once is most of the work.
        """
        index = self._fresh_index()
        if not index.stored:
            return [Ranked(rule_of(job.kind), (), ()) for job in jobs]
        subjects = [self._find_subject(index, job) for job in jobs]
        known = [subject for subject in subjects if subject is not None]
        if not known:
            return [NOTHING for _ in jobs]
        image_QD = np.concatenate([subject.image_1D for subject in known])
        text_QD = np.concatenate([subject.text_1D for subject in known])
        scores = iter(vector_similarity(index.items, image_QD, text_QD))
        return [
            self._ranked(index, job, subject, next(scores)) if subject is not None else NOTHING
            for job, subject in zip(jobs, subjects, strict=True)
        ]

    def _find_subject(self, index: Index, job: Rank) -> Subject | None:
        """What a job is about, as centred halves."""
        try:
            if job.kind == "text":
                text_1D = centre(self._encoder.encode_texts([job.subject.decode()]).vectors, index.items.text_mean_D)
                return Subject(text_1D, text_1D)
            if job.kind == "item":
                publisher, item = parse_item_subject(job.subject)
                row = index.rows.get((peer_id(publisher), item))
                return None if row is None else Subject(index.items.image_ID[[row]], index.items.text_ID[[row]], row)
            if job.kind == "card":
                _, card = open_card(job.subject)
                taste = parse_taste(card, index.items.image_ID.shape[1])
                return Subject(taste.image_D[None], taste.text_D[None], price_2=taste.price_2)
            image_1D, text_1D = parse_vectors([job.subject], index.items.image_ID.shape[1])
        except RemoteError:
            return None
        return Subject(centre(image_1D, index.items.image_mean_D), centre(text_1D, index.items.text_mean_D))

    def _fresh_index(self) -> Index:
        """The index over the catalogs as they are, or were a moment ago."""
        replicas = Replicas(self._database)
        held, forks = replicas.held(), replicas.forks()
        changed = (held, forks) != (self._held, self._forks)
        if self._index is None or (changed and self._clock() - self._loaded > RELOAD_SECONDS):
            self._index = self._load(Store(self._database))
            self._held, self._forks, self._loaded = held, forks, self._clock()
            # Items of catalogs that have a signed version: an answer must say which versions it ranked over.
            signed = {one.catalog for one in held if one.head is not None}
            self._allowed_I = np.array([stored.catalog in signed for stored in self._index.stored], bool)
        return self._index

    def _ranked(self, index: Index, job: Rank, subject: Subject, scores_I: Scores) -> Ranked:
        if subject.price_2 is not None:
            scores_I = scores_I + price_terms(index.items) @ subject.price_2
        allowed_I = self._allowed_I
        if subject.itself is not None:
            allowed_I = allowed_I.copy()
            allowed_I[subject.itself] = False
        replicas = Replicas(self._database)
        heads = [held for held in self._held if held.head is not None and held.catalog in index.catalogs]
        places = {held.catalog: place for place, held in enumerate(heads)}
        items = []
        for row in top_rows(scores_I, job.k, allowed_I).tolist():
            stored = index.stored[row]
            record = replicas.record_hash(stored.catalog, item_key(stored.item.item))
            if record is not None:
                items.append(RankedItem(places[stored.catalog], stored.item.item, record, float(scores_I[row])))
        sealed = tuple(RankedHead(parse_peer_id(held.publisher), held.head or b"") for held in heads)
        return Ranked(rule_of(job.kind), sealed, tuple(items))


def home_ranker(home: Home) -> Ranker:
    """Answers peers' queries from this home."""
    load = partial(home_index, home, known=Remembered())
    return Ranker(partial(Database, home.database), load, partial(home_encoder, home))
