"""The seed project's two towers, for comparison: a user goes in as the whole row of ratings.

user = normalised relu(A row_u + a), item = normalised relu(B x_i + b), 128 numbers each; rating = MLP(cosine), layers
1-64-32-1; squared error, Adam. The row has one place per item of the catalog and 0 where nothing was rated, and in
training it holds the very rating that is asked for. So the model is bound to one catalog, takes "not rated" for a
rating of 0, and half of what it learns is to copy: models.two_tower does without all three. x_i are the centred halves
of models.fusion, where the seed had the raw ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.descent import Descent
from models.features import joined_halves
from models.fusion import Items, Vectors
from models.interactions import History, Interactions, Values
from models.matrix import matrix_of, matrix_of_histories
from models.recommender import Arrays, RatingPredictor, Scores, check_sizes, rating_range

if TYPE_CHECKING:
    import torch

WIDTH = 128
BATCH = 32
LAYERS = ("user", "item", "first", "second", "last")


class SeedTwoTower(RatingPredictor):
    """As published: 10 epochs at a rate of 0.001, batches of 32 ratings."""

    name: ClassVar[str] = "two_tower_seed"
    learned: ClassVar[tuple[str, ...]] = ("item_IO", "low", "high")
    item_IO: Vectors
    """The item tower's answers, rows of unit length."""

    def __init__(
        self,
        *,
        epochs: int = 10,
        learning_rate: float = 1e-3,
        warmup: int = 0,
        clip: float | None = None,
        seed: int = 0,
    ) -> None:
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.warmup = warmup
        self.clip = clip
        self.seed = seed
        self._weights: dict[str, Vectors] = {}

    def fit(self, ratings: Interactions, items: Items) -> Self:
        import torch

        check_sizes(ratings, items)
        self.low, self.high = rating_range(ratings)
        item_ID = joined_halves(items)
        weights = self._start(len(items), item_ID.shape[1])
        self._train(weights, ratings, torch.from_numpy(item_ID))
        self._weights = {name: weight.detach().numpy() for name, weight in weights.items()}
        self.item_IO = _tower(item_ID, self._weights["item"], self._weights["item_bias"])
        return self

    def expected(self, histories: Sequence[History]) -> Scores:
        rows_UI = matrix_of_histories(histories, len(self.item_IO))
        expected_UI = np.empty(rows_UI.shape, np.float32)
        for user in range(len(histories)):
            user_O = _tower(rows_UI[user].toarray(), self._weights["user"], self._weights["user_bias"])[0]
            expected_UI[user] = self._rating(self.item_IO @ user_O)
        return expected_UI

    def contributions(self, history: History, item: int) -> Values:
        """What the expected rating loses when the rating is taken out of the row."""
        if not len(history):
            return np.zeros(0, np.float32)
        # The first layer is linear in the row, so leaving a rating out takes one column away.
        columns_OR = self._weights["user"][:, history.items] * history.values
        whole_O = columns_OR.sum(axis=1) + self._weights["user_bias"]
        inner_RO = np.concatenate([whole_O[None], (whole_O[:, None] - columns_OR).T])
        rating_R = self._rating(_unit(np.maximum(inner_RO, 0)) @ self.item_IO[item])
        return np.asarray(rating_R[0] - rating_R[1:], np.float32)

    def arrays(self) -> Arrays:
        return {**super().arrays(), **self._weights}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        names = {f"{layer}{suffix}" for layer in LAYERS for suffix in ("", "_bias")}
        super().with_arrays({name: array for name, array in arrays.items() if name not in names})
        if not names <= set(arrays):
            raise ValueError(f"a saved {self.name} model lacks {', '.join(sorted(names - set(arrays)))}")
        weights = {name: np.asarray(arrays[name], np.float32) for name in sorted(names)}
        size = weights["item"].shape[-1] if weights["item"].ndim else 0
        expected = shapes_of(len(self.item_IO), size)
        expected |= {f"{layer}_bias": shape[:1] for layer, shape in expected.items()}
        if self.item_IO.shape[1] != WIDTH or any(weights[name].shape != shape for name, shape in expected.items()):
            raise ValueError(f"a saved {self.name} model has layers of other sizes than its items ask for")
        self._weights = weights
        return self

    def _start(self, n_items: int, size: int) -> dict[str, torch.Tensor]:
        """Weights as torch's linear layers draw them: even within 1 / sqrt(inputs)."""
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        weights = {}
        for layer, shape in shapes_of(n_items, size).items():
            for name, dims in ((layer, shape), (f"{layer}_bias", shape[:1])):
                even = torch.empty(dims).uniform_(-1, 1, generator=generator) / max(shape[1], 1) ** 0.5
                weights[name] = even.requires_grad_()
        return weights

    def _train(self, weights: dict[str, torch.Tensor], ratings: Interactions, item_ID: torch.Tensor) -> None:
        import torch

        adam = torch.optim.Adam(weights.values(), lr=self.learning_rate)
        descent = Descent(adam, warmup=self.warmup, clip=self.clip)
        rng = np.random.default_rng(self.seed)
        rows_UI = matrix_of(ratings)
        for _ in range(self.epochs):
            order = rng.permutation(len(ratings))
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                row_BI = torch.from_numpy(rows_UI[ratings.users[batch]].toarray())
                x_BD = item_ID[torch.from_numpy(ratings.items[batch])]
                user_BO = torch.relu(row_BI @ weights["user"].T + weights["user_bias"])
                item_BO = torch.relu(x_BD @ weights["item"].T + weights["item_bias"])
                inner_B1 = torch.cosine_similarity(user_BO, item_BO)[:, None]
                for layer in ("first", "second"):
                    inner_B1 = torch.relu(inner_B1 @ weights[layer].T + weights[f"{layer}_bias"])
                expected_B = (inner_B1 @ weights["last"].T + weights["last_bias"])[:, 0]
                descent.step(((expected_B - torch.from_numpy(ratings.values[batch])) ** 2).mean())

    def _rating(self, cosine_N: Vectors) -> Vectors:
        """The MLP, for each cosine: float32 [N]."""
        inner = cosine_N[:, None]
        for layer in ("first", "second"):
            inner = np.maximum(inner @ self._weights[layer].T + self._weights[f"{layer}_bias"], 0)
        return np.asarray((inner @ self._weights["last"].T + self._weights["last_bias"])[:, 0], np.float32)


def shapes_of(n_items: int, size: int) -> dict[str, tuple[int, ...]]:
    """What each of LAYERS joins: [out, in], over a catalog and items of `size` numbers."""
    shapes = ((WIDTH, n_items), (WIDTH, size), (64, 1), (32, 64), (1, 32))
    return dict(zip(LAYERS, shapes, strict=True))


def _tower(rows_ND: Vectors, weight: Vectors, bias: Vectors) -> Vectors:
    return _unit(np.maximum(rows_ND @ weight.T + bias, 0))


def _unit(rows_NO: Vectors) -> Vectors:
    # torch's cosine_similarity has the same floor.
    return np.asarray(rows_NO / np.maximum(np.linalg.norm(rows_NO, axis=1, keepdims=True), 1e-8), np.float32)
