"""The referee of the cross-platform experiment (design, section 9): opens nodes' stores and asks four questions.

The people asked are in no store. The referee folds them in through the functions of `p2prec recommend` and `p2prec card
export`, on the scale of the node's own users. Truth is complete: what each of them would rate every item. At home:
*Discover*, away's items from the ratings at home; *New item*, the same among those published late; *Warm*, from half of
the ratings at home the rest of home. At away: *Newcomer*, of whom away knows nothing, or a card that home made.

*isolated*: home's store before it met anybody. *p2p*: the stores as they were left; content or the common start where a
gate says that the network does not help. *pooled*: one machine with both shops' ratings joined, as many periods as
home's model has of age, over home's items. Whether nodes ran in processes or in a simulation shows nowhere here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from models.content import Content
from models.evaluation import Flags, PerUser, interval, ranking_at
from models.features import PricedItems, basis_of, features_of
from models.fusion import image_weight_of
from models.interactions import History, interactions_of
from models.metrics import rating_errors
from models.popularity import Popularity
from models.recommender import RatingPredictor, Recommender, Scores
from models.ridge import Ridge
from models.shared_model import NO_MOMENTS, Crowd
from models.shared_models import SHARED_MODELS, shared_model
from models.shared_taste import SharedTaste
from node.cards import make_card, parse_taste
from node.errors import UserError
from node.fits import everybody, fit
from node.index import Index, load_index
from node.learned import Learned, LearnedRow
from node.ranking import Recommendation, recommend, recommend_visitor
from node.store import Rating, Store
from node.taught import Taught, taught_by, taught_model, taught_scores
from protocol.card import Card
from sim.cross_platform import CEILINGS, LIKED_MEAN, POPULARITY, RANDOM, RIDGE, World, history_of, liked_mean
from sim.outcome import Row
from sim.tastes import LIKED, RATING_MAX, RATING_MIN

K, CARD_RATINGS = 10, (20, 50, 200)
NOBODY = History(np.zeros(0, np.int64), np.zeros(0, np.float32))
ISOLATED, P2P, POOLED, AT_B, MERGED = "isolated", "p2p", "pooled", "B's own", "taste_prior, merged only"
WARM = "Warm"
Line = tuple[str, str]  # What ranks, and in which setting; the latter is "" for bounds.
Lines = dict[Line, Scores]


@dataclass(slots=True)
class Judgement:
    """One world: (question, line) -> metric -> float64 [asked]; errors are of predicted ratings in Warm.

    Errors are in rating points; of binary ratings, in the unit of 0 and 1.
    """

    seed: int
    platforms: tuple[str, str]
    ratings: Literal["full", "binary"] = "full"
    figures: dict[tuple[str, Line], dict[str, PerUser]] = field(default_factory=dict)
    rmse: dict[Line, float] = field(default_factory=dict)
    mae: dict[Line, float] = field(default_factory=dict)

    def mean(self, question: str, line: Line, metric: str = "ndcg") -> float:
        return float(np.nanmean(self.figures[question, line][metric]))


@dataclass(frozen=True, slots=True)
class Place:
    """A node as its store was found. Rows of its index are the world's first columns, as far as it holds them."""

    peer: str
    encoder: str
    fingerprint: str
    index: Index
    ratings: list[Rating]
    histories: list[History]
    taught: Taught | None
    learned: dict[str, LearnedRow]

    @property
    def basis(self) -> str:
        return basis_of(self.encoder)

    def fitted(self, model: Recommender) -> Recommender:
        """On this node's own users."""
        return model.fit(interactions_of(self.histories, len(self.index.items)), self.index.items)

    def taste(self, *, by_source: bool) -> tuple[Callable[[Sequence[History]], Scores], Recommender]:
        """The taste prior as `p2prec recommend` ranks by it, and the model behind; content where it does not help."""
        if self.taught is None:
            content = self.fitted(Content())
            return content.scores, content
        taught = self.taught if by_source else replace(self.taught, by_source={})
        model = taught_model(taught, self.index, self.histories)
        return lambda asked: np.stack([taught_scores(taught, model, self.index, one) for one in asked]), model

    def block(self, name: str) -> Recommender:
        """As stored, or the common start where the node's gate says so; what its own users teach, before any."""
        model, row = shared_model(name, self.index.items, self.histories, self.basis, 0), self.learned.get(name)
        if row is None:
            return model.take(*model.alone())
        return model.take(row.state.values_V if row.report.ranks == "network" else model.start(), row.report.crowd)


def open_place(store: Store, peer: str, encoder: str, fingerprint: str, columns: Sequence[tuple[str, str]]) -> Place:
    """`columns` are (publisher, item) of each column (`World.columns`). Nothing of the store is needed afterwards.

    Raises: ValueError when the store lacks a column before one that it has.
    """
    index, learned = load_index(store, fingerprint, image_weight_of(encoder)), Learned(store.database)
    held = [one for one in columns if one in index.rows]
    if held != list(columns[: len(held)]):
        raise ValueError("a place holds the world's columns from the first on, without gaps")
    order = np.array([index.rows[one] for one in held], np.int64)
    stored, rows = [index.stored[row] for row in order.tolist()], {one: row for row, one in enumerate(held)}
    index = replace(index, stored=stored, items=index.items.at(order), rows=rows, catalog_I=index.catalog_I[order])
    ratings, features = store.ratings(), features_of(encoder)
    histories = everybody(index, ratings)
    known = {name: row for name in SHARED_MODELS if (row := learned.find(name, features)) is not None}
    taught = taught_by(learned, features, basis_of(encoder))
    return Place(peer, encoder, fingerprint, index, ratings, histories, taught, known)


def pooled(name: str, items: PricedItems, basis: str, learners: Sequence[History], periods: int) -> Recommender:
    """One machine with everybody's joined ratings, as in tests.bench.learning_together."""
    model, crowd = shared_model(name, items, learners, basis, 0), Crowd(len(learners), 1)
    values_V, moments = model.start(), NO_MOMENTS
    for age in range(periods):
        if isinstance(model, SharedTaste):
            values_V = model.told_by(values_V, crowd)
        else:
            values_V, moments = model.improve(values_V, moments, age, crowd)
    return model.take(values_V, crowd)


class Referee:
    """Of one world, without ratings of new items. The first `learners` people are in the stores, the others are asked.

    `alone` is A, home's node, before it met B; isolated, those shared models are asked that A has learned since. Scores
    are float32 [asked, columns].
    """

    def __init__(self, world: World, learners: int, alone: Place, a: Place, b: Place) -> None:
        self._world, self._alone, self._a, self._b = world, alone, a, b
        people = len(world.ratings.complete_UI)
        self._rng, self._asked = np.random.default_rng([world.seed, 3]), slice(learners, people)
        self._at_a = [history_of(world, user, world.home) for user in range(learners, people)]
        joined = [history_of(world, user, slice(0, len(world.items))) for user in range(learners)]
        self._models: dict[Line, Recommender] = {(RIDGE, P2P): a.fitted(Ridge(strength=1.0, basis=a.basis))}
        for name, row in a.learned.items():
            self._models[name, POOLED] = pooled(name, a.index.items, a.basis, joined, row.state.age)
            self._models[name, P2P] = a.block(name)

    def ask(self, new_B: Flags) -> Judgement:
        """All four; `new_B`, bool [items of away], are those published late. Where there are none, only three."""
        judged = Judgement(self._world.seed, self._world.platforms, "binary" if self._world.binary else "full")
        away, all_UB = self._world.away, np.ones((len(self._at_a), len(new_B)), bool)
        lines = self._bounds(away) | {line: model.scores(self._at_a)[:, away] for line, model in self._models.items()}
        lines[LIKED_MEAN, P2P] = liked_mean(self._a.index.items, self._at_a)[:, away]
        for name, by_source in ((MERGED, False), ("taste_prior", True)):
            lines[name, P2P] = self._a.taste(by_source=by_source)[0](self._at_a)[:, away]
        if new_B.any():
            self._judge(judged, "New item", lines, all_UB & new_B, away)
        popular = {(POPULARITY, AT_B): self._b.fitted(Popularity()).scores(self._at_a)[:, away]}
        self._judge(judged, "Discover", lines | popular, all_UB, away)
        with_history = {line: scores_UI for line, scores_UI in lines.items() if line[1] in ("", POOLED)}
        self._judge(judged, "Newcomer", with_history | popular | self._cards(), all_UB, away)
        self._warm(judged)
        return judged

    def _judge(self, into: Judgement, question: str, lines: Lines, among_UI: Flags, columns: slice) -> None:
        liked_UI = self._world.ratings.complete_UI[self._asked, columns] >= LIKED
        for line, scores_UI in lines.items():
            into.figures[question, line] = ranking_at(scores_UI, liked_UI, among_UI, K)

    def _bounds(self, columns: slice) -> Lines:
        """Chance and the ceilings."""
        seen_UI = self._world.seen_UI[self._asked, columns]
        ideal_UI = self._world.ratings.ideal_UI[self._asked, columns].astype(np.float32)
        scores = (self._rng.random(seen_UI.shape, np.float32), seen_UI, ideal_UI)
        return {(name, ""): one for name, one in zip((RANDOM, *CEILINGS), scores, strict=True)}

    def _cards(self) -> Lines:
        """At B, of whom B knows nothing, or a card that A made of so many of somebody's ratings, or of all there are.

        Of whom A can make no card, B knows nothing.
        """
        b, shop = self._b, self._world.platforms[1]
        nothing = recommend(b.index, fit(b.index, b.ratings, Popularity.name), NOBODY, "newcomer", K, shop)
        lines: Lines = {("nothing, as recommend", P2P): np.stack([self._listed(nothing)] * len(self._at_a))}
        # Of A's other users a card takes only the scale: those of some ten people give it.
        beside = self._a.ratings[:3000]
        orders = [self._rng.permutation(len(one)) for one in self._at_a]
        for count in CARD_RATINGS:
            lists = []
            for history, order in zip(self._at_a, orders, strict=True):
                told = History(history.items[order[:count]], history.values[order[:count]])
                card = self._card(told, beside)
                by_card = self._visited(card, shop) if card else nothing
                lists.append(self._listed(by_card))
            lines[f"card of {count} ratings", P2P] = np.stack(lists)
        return lines

    def _visited(self, card: Card, shop: str) -> Recommendation:
        """B's list for who brings that card."""
        items = self._b.index.items
        taste = parse_taste(card, items.image_ID.shape[1])
        return recommend_visitor(self._b.index, taste, fit(self._b.index, [], Content.name), NOBODY, "asked", K, shop)

    def _card(self, told: History, beside: Sequence[Rating]) -> Card | None:
        """As A makes it of somebody's ratings beside those of others; None where they are too few, or all alike."""
        a = self._a
        own = [a.index.stored[row].item.item for row in told.items.tolist()]
        ratings = [
            Rating("asked", a.peer, item, value, 1) for item, value in zip(own, told.values.tolist(), strict=True)
        ]
        made_by = {"encoder": a.encoder, "fingerprint": a.fingerprint}
        try:
            return make_card(a.index, [*beside, *ratings], "asked", a.taught, **made_by, now_ms=1, days=1)
        except UserError:
            return None

    def _listed(self, answer: Recommendation) -> Scores:
        """B's list as scores: float32 [items of B], 0 for what is not on it."""
        scores_I = np.zeros(len(self._world.items), np.float32)
        for place, one in enumerate(answer.results):
            scores_I[self._b.index.rows[one.publisher, one.item.item]] = K - place
        return scores_I[self._world.away]

    def _warm(self, judged: Judgement) -> None:
        """From half of the ratings at A, the rest of A, where no other source has a say; errors on the other half."""
        here, alone, ratings = self._world.home, self._alone, self._world.ratings
        half_UI = ratings.present_UI & (self._rng.random(ratings.present_UI.shape) < 0.5)
        half = replace(self._world, ratings=replace(ratings, present_UI=half_UI))
        histories = [history_of(half, user, here) for user in range(self._asked.start, self._asked.stop)]
        models = self._models | {("taste_prior", P2P): self._a.taste(by_source=False)[1]}
        models |= {(name, ISOLATED): alone.block(name) for name in self._a.learned}
        models[RIDGE, ISOLATED] = alone.fitted(Ridge(strength=1.0, basis=alone.basis))
        models[POPULARITY, ISOLATED] = alone.fitted(Popularity())
        lines = self._bounds(here) | {line: model.scores(histories)[:, here] for line, model in models.items()}
        lines[LIKED_MEAN, ISOLATED] = liked_mean(alone.index.items, histories)
        self._judge(judged, WARM, lines, ~half_UI[self._asked, here], here)
        hidden_UI = (ratings.present_UI & ~half_UI)[self._asked, here]
        truth_R = ratings.complete_UI[self._asked, here][hidden_UI].astype(np.float32)
        unit = RATING_MAX - RATING_MIN if self._world.binary else 1
        for line, model in models.items():
            if isinstance(model, RatingPredictor):
                rmse, mae = rating_errors(truth_R, model.predict(histories)[:, here][hidden_UI])
                judged.rmse[line], judged.mae[line] = rmse / unit, mae / unit


def rows(judged: Judgement) -> list[Row]:
    """A row of figures for each question and line: means over the people asked, who have something to like.

    "low" and "high" are the bootstrap interval of "ndcg" over them. What B's own users made popular is B's, isolated.
    """
    found = []
    for (question, line), figures in judged.figures.items():
        (model, setting), warm = line, question == WARM
        platform = judged.platforms[0 if warm else 1]
        if setting == AT_B:
            model, setting = f"{model}, {platform}'s own", ISOLATED
        ndcg, low, high = interval(figures["ndcg"], np.random.default_rng(0))
        said = {
            "ndcg": ndcg,
            "precision": judged.mean(question, line, "precision"),
            "recall": judged.mean(question, line, "recall"),
            "rmse": judged.rmse.get(line) if warm else None,
            "mae": judged.mae.get(line) if warm else None,
            "low": low,
            "high": high,
        }
        words = {"setting": setting, "model": model, "platform": platform, "slice": question, "ratings": judged.ratings}
        found.append({**words, **said})
    return found
