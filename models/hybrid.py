"""A blend of models, chosen by validation, for users of few, some and many ratings apart.

A share of the training ratings is held back and the models learn from the rest. For each bucket of users by the
number of their ratings, weights are found by ensemble selection (Caruana et al. 2004): starting from nothing, the model
whose addition gives the best mean NDCG@10 on the held-back likes is added, again and again, and a model's weight is the
share of rounds it won. A single winner is a pick. Then all models learn from everything.

    score(i) = sum over models m of weight(bucket, m) * (s_m(i) - mean s_m) / std s_m

Scores of different models have different units; each user's are brought to mean 0 and deviation 1 first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.evaluation import Flags, PerUser, ndcg_at
from models.fusion import Items
from models.interactions import History, Interactions, Values
from models.recommender import Arrays, Params, Recommender, Scores, TooLargeError, check_sizes
from models.reference import user_references
from models.registry import model_class
from models.saved_checks import check_params, check_serves
from models.splits import taken

MODELS = ("als", "ease", "item_knn", "user_knn", "content", "most_liked")
# Buckets: up to 20 ratings, up to 100, more.
EDGES = (20, 100)
# Weights come in tenths.
ROUNDS = 10
K = 10
# As many users of all kinds have a say in every bucket's weights: few users alone would be fitted to their noise.
BORROWED_USERS = 300
# Users on whom weights are judged, and numbers of scores held for them: 160 MB of float32.
USERS_MAX, CELLS_MAX = 500, 40_000_000


class Hybrid(Recommender):
    """`models` by name, `settings` their parameters by name where not the defaults.

    `held` is the share of ratings kept for choosing; `relevant` as in models.likes. A model whose limit the data
    exceed (TooLargeError) takes no part.
    """

    name: ClassVar[str] = "hybrid"
    fitted: dict[str, Recommender]
    """The models that take part, by name."""
    weights_BM: Values
    """float32 [buckets, `models`], rows of sum 1."""
    n_items: int

    def __init__(
        self,
        *,
        models: Sequence[str] = MODELS,
        settings: Mapping[str, Params] | None = None,
        edges: Sequence[int] = EDGES,
        held: float = 0.2,
        relevant: float | None = None,
        seed: int = 0,
    ) -> None:
        """Raises: ValueError for no models or an unknown one."""
        if not models:
            raise ValueError("a hybrid needs at least one model")
        self.models = list(models)
        self.settings = {name: dict(params) for name, params in (settings or {}).items()}
        self.edges = list(edges)
        self.held = held
        self.relevant = relevant
        self.seed = seed
        self._unfitted()

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        draw = np.random.default_rng(self.seed)
        held = draw.random(len(ratings)) < self.held
        kept = taken(ratings, ~held)
        wanted = ratings.values >= self.relevant if self.relevant is not None else _above_reference(ratings)
        sought = taken(ratings, held & wanted)
        users = np.unique(sought.users)
        users = np.sort(draw.permutation(users)[: min(USERS_MAX, CELLS_MAX // max(len(self.models) * len(items), 1))])
        self.weights_BM = self._uniform()
        if len(users):
            self._choose(kept, sought, users, items)
        self.fitted = self._fit_all(ratings, items)
        self.n_items = len(items)
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        weights_HM = self.weights_BM[self._bucket_of(histories)]
        total_HI = np.zeros((len(histories), self.n_items), np.float32)
        for place, name in enumerate(self.models):
            asked = np.flatnonzero(weights_HM[:, place])
            if name in self.fitted and len(asked):
                part_AI = standardised(self.fitted[name].scores([histories[row] for row in asked.tolist()]))
                total_HI[asked] += weights_HM[asked, place, None] * part_AI
        return total_HI

    def contributions(self, history: History, item: int) -> Values:
        """The models' contributions by weight, in deviations. What a rating does to mean and deviation is left out."""
        weights_M = self.weights_BM[self._bucket_of([history])[0]]
        total = np.zeros(len(history), np.float32)
        for weight, name in zip(weights_M, self.models, strict=True):
            if name in self.fitted and weight > 0:
                deviation = float(self.fitted[name].scores([history]).std())
                total += weight * self.fitted[name].contributions(history, item) / max(deviation, 1e-6)
        return total

    def arrays(self) -> Arrays:
        parts = {f"{name}/{key}": array for name, one in self.fitted.items() for key, array in one.arrays().items()}
        return {"weights_BM": self.weights_BM, "n_items": np.asarray(self.n_items), **parts}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        shape = (len(self.edges) + 1, len(self.models))
        if not {"n_items", "weights_BM"} <= set(arrays) or arrays["weights_BM"].shape != shape:
            raise ValueError(f"a saved hybrid of these models needs weights of shape {shape} and the number of items")
        self.weights_BM, self.n_items = arrays["weights_BM"], int(arrays["n_items"])
        fresh, self.fitted = self._unfitted(), {}
        for name, model in fresh.items():
            own = {key.removeprefix(f"{name}/"): a for key, a in arrays.items() if key.startswith(f"{name}/")}
            if own:
                self.fitted[name] = model.with_arrays(own)
                # Its weight may be 0 for all whom the whole is tried on.
                check_serves(model, self.n_items)
        if not self.fitted:
            raise ValueError("a saved hybrid holds none of its models")
        return self

    def _unfitted(self) -> dict[str, Recommender]:
        made: dict[str, Recommender] = {}
        for name in self.models:
            kind, params = model_class(name), dict(self.settings.get(name, {}))
            takes = kind().params()
            check_params(kind, params)
            for key in ("seed", "relevant"):
                if key in takes:
                    params.setdefault(key, getattr(self, key))
            made[name] = kind(**params)
        return made

    def _fit_all(self, ratings: Interactions, items: Items) -> dict[str, Recommender]:
        fitted = {}
        for name, model in self._unfitted().items():
            try:
                fitted[name] = model.fit(ratings, items)
            except TooLargeError:
                continue
        if not fitted:
            raise TooLargeError("the data are beyond the limits of all models of the hybrid")
        return fitted

    def _choose(self, kept: Interactions, sought: Interactions, users: npt.NDArray[np.int64], items: Items) -> None:
        """Set the weights by ensemble selection on `users`."""
        fitted = self._fit_all(kept, items)
        everyone = kept.histories()
        histories = [everyone[user] for user in users]
        parts = [standardised(fitted[name].scores(histories)) if name in fitted else None for name in self.models]
        relevant_UI, candidates_UI = (np.zeros((len(users), len(items)), bool) for _ in range(2))
        judged = np.isin(sought.users, users)
        relevant_UI[np.searchsorted(users, sought.users[judged]), sought.items[judged]] = True
        candidates_UI[:] = True
        for row, history in enumerate(histories):
            candidates_UI[row, history.items] = False
        buckets = self._bucket_of(histories)
        for bucket in range(len(self.edges) + 1):
            mine = buckets == bucket
            say_U = np.where(mine, 1.0, BORROWED_USERS / max(len(users), 1))
            self.weights_BM[bucket] = _select(parts, relevant_UI, candidates_UI, say_U)

    def _bucket_of(self, histories: Sequence[History]) -> npt.NDArray[np.int64]:
        lengths = np.array([len(history) for history in histories], np.int64)
        return np.searchsorted(np.array(self.edges, np.int64), lengths)

    def _uniform(self) -> Values:
        return np.full((len(self.edges) + 1, len(self.models)), 1 / len(self.models), np.float32)


def standardised(scores_HI: Scores) -> Scores:
    """Each row with mean 0 and deviation 1, or all 0 where it says nothing."""
    centred = scores_HI - scores_HI.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True, dtype=np.float64)
    # Rows of equal scores differ by rounding only, and that is not to be blown up.
    floor = 1e-6 * np.maximum(np.abs(scores_HI).max(axis=1, keepdims=True, initial=0), 1e-12)
    return np.where(deviation > floor, centred / np.maximum(deviation, 1e-30), 0).astype(np.float32)


def _select(parts: Sequence[Scores | None], relevant_UI: Flags, candidates_UI: Flags, say_U: PerUser) -> Values:
    """Ensemble selection with replacement: weights float32 [models], in steps of 1 / ROUNDS. Ties to the earlier.

    `say_U` is what each user's NDCG counts. A model that says nothing to anybody is not chosen.
    """
    open_to = {place: part for place, part in enumerate(parts) if part is not None and part.any()}
    if not open_to:
        return np.full(len(parts), 1 / len(parts), np.float32)
    wins = np.zeros(len(parts))
    blend: Scores = np.zeros(relevant_UI.shape, np.float32)
    for _ in range(ROUNDS):
        worth = {}
        for place, part in open_to.items():
            ndcg_U = ndcg_at(blend + part, relevant_UI, candidates_UI, K)
            judged = ~np.isnan(ndcg_U)
            worth[place] = float(say_U[judged] @ ndcg_U[judged])
        best = max(worth, key=lambda place: worth[place])
        blend = blend + open_to[best]
        wins[best] += 1
    return np.asarray(wins / ROUNDS, np.float32)


def _above_reference(ratings: Interactions) -> Flags:
    return np.asarray(ratings.values > user_references(ratings)[ratings.users])
