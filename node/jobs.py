"""Heavy work for the engine, done where it keeps nobody waiting: ranking for peers' queries, with encoder and index.

The engine orders a job and hears its result as an event. A `Ranker` belongs to one worker thread and reads the store
over a connection of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from models.features import price_terms
from models.fusion import Vectors, centre, vector_similarity
from models.recommender import Scores, top_rows
from node.cards import parse_taste
from node.config import Home
from node.database import Database
from node.events import Rank, Ranked, RankedHead, RankedItem
from node.index import Index
from node.live_index import Held, LiveIndex
from node.replicas import Replicas
from protocol.card import open_card
from protocol.identity import parse_peer_id, peer_id
from protocol.limits import RemoteError
from protocol.query import parse_item_subject
from protocol.records import item_key
from protocol.vectors import parse_vectors

if TYPE_CHECKING:
    from models.clip import Encoder

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

    `open_database` and `open_encoder` are called once, when first needed.
    """

    def __init__(
        self, live: LiveIndex, open_database: Callable[[], Database], open_encoder: Callable[[], Encoder]
    ) -> None:
        self._live = live
        self._open_database = open_database
        self._open_encoder = open_encoder

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
        held = self._live.current()
        index = held.index
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
            self._ranked(held, job, subject, next(scores)) if subject is not None else NOTHING
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

    def _ranked(self, held: Held, job: Rank, subject: Subject, scores_I: Scores) -> Ranked:
        index = held.index
        if subject.price_2 is not None:
            scores_I = scores_I + price_terms(index.items) @ subject.price_2
        # An answer must say which versions it ranked over.
        allowed_I = held.signed_I
        if subject.itself is not None:
            allowed_I = allowed_I.copy()
            allowed_I[subject.itself] = False
        replicas = Replicas(self._database)
        heads = [one for one in held.catalogs if one.head is not None and one.catalog in index.catalogs]
        places = {one.catalog: place for place, one in enumerate(heads)}
        items = []
        for row in top_rows(scores_I, job.k, allowed_I).tolist():
            stored = index.stored[row]
            record = replicas.record_hash(stored.catalog, item_key(stored.item.item))
            if record is not None:
                items.append(RankedItem(places[stored.catalog], stored.item.item, record, float(scores_I[row])))
        sealed = tuple(RankedHead(parse_peer_id(one.publisher), one.head or b"") for one in heads)
        return Ranked(rule_of(job.kind), sealed, tuple(items))


def home_ranker(home: Home, live: LiveIndex, open_encoder: Callable[[], Encoder]) -> Ranker:
    """Answers peers' queries from this home."""
    return Ranker(live, partial(Database, home.database), open_encoder)
