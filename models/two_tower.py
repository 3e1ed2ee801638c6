"""Two towers: a user and an item are each a vector out of a small network, and meet in a product.

Ours (after Covington et al. 2016, YouTube) knows no catalog and no user number. A user goes in as one vector over phi
pooled from the history, an item as its phi, so both towers serve anybody and anything and can be shared between nodes:

    score(u, i) = f(P_u) . g(phi_i) + c P_u . phi_i,   f, g: K -> 64 -> ReLU -> 32,   P_u = (x'x + r I)^-1 x'y,

y = the ratings less the user's reference, in spreads. P is the ridge solution rather than the weighted mean, and f
starts at zero: before any training the towers rank as ridge does, and learn only what ridge misses.

The loss is the squared error of all *differences* of two items' scores (RankRLS; Pahikkala et al. 2007), which is the
variance of the residuals: it is about order alone, has a value for any three ratings, and does not saturate, where
logistic losses let a client of few users run off (they did in a prototype). Items drawn from the public catalog join
with a small weight, as if rated at the reference, so that purchases without dislikes have something to stand against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.descent import Descent
from models.episodes import Batch, learn
from models.features import BASIS, FEATURE_RULE, fixed_noise, phi_of
from models.fusion import Items, Vectors
from models.interactions import History, Interactions, Values
from models.recommender import Arrays, Recommender, Scores, check_sizes
from models.reference import MIDDLE, REFERENCE_MAX, USER_SHRINK, on_scale, overall_mean, reference_of, user_references

if TYPE_CHECKING:
    import torch

HIDDEN, OUT = 64, 32
STEPS_MAX = 300
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 1e-2
GRADIENT_MAX = 1.0
# Of the pooling, in squared spreads; what ridge finds best on the tuning worlds.
RIDGE = 0.5
# Catalog items that stand against a batch, and what all of them count beside all of a user's ratings.
NEGATIVES, NEGATIVE_WEIGHT = 64, 0.1
# Of the ratings' spread where there are few: a quarter of the scale, as often as this.
SPREAD_SHRINK = 20.0


@dataclass(frozen=True, slots=True)
class TowerBlock:
    """What nodes exchange. Matrices are [out, in]; `skip` is c, one number."""

    user_in: Vectors
    user_in_bias: Vectors
    user_out: Vectors
    user_out_bias: Vectors
    item_in: Vectors
    item_in_bias: Vectors
    item_out: Vectors
    item_out_bias: Vectors
    skip: Vectors


NAMES = tuple(field.name for field in fields(TowerBlock))


def start_towers(size: int) -> TowerBlock:
    """The start that all nodes have in common: He's (2015) width, the user's head at zero."""

    def noise(label: str, rows: int, columns: int) -> Vectors:
        bound = (6 / columns) ** 0.5
        return np.asarray(bound * fixed_noise(f"{FEATURE_RULE} towers {label}", rows, columns), np.float32)

    hidden, out = np.zeros(HIDDEN, np.float32), np.zeros(OUT, np.float32)
    nothing = np.zeros((OUT, HIDDEN), np.float32)
    user, item = noise("user in", HIDDEN, size), noise("item in", HIDDEN, size)
    return TowerBlock(
        user, hidden, nothing, out, item, hidden, noise("item out", OUT, HIDDEN), out, np.ones(1, np.float32)
    )


class TwoTower(Recommender):
    """At most `steps` steps of Adam, as many of them as held-out users profit from."""

    name: ClassVar[str] = "two_tower"
    learned: ClassVar[tuple[str, ...]] = ("phi_IK", "item_IO", "mean", "spread", "scale_low", "scale_high")
    phi_IK: Vectors
    item_IO: Vectors
    """What the item tower makes of each item."""
    block: TowerBlock
    """What the model has learned that others can use."""
    mean: float
    spread: float
    scale_low: float
    scale_high: float

    def __init__(
        self,
        *,
        steps: int = STEPS_MAX,
        learning_rate: float = LEARNING_RATE,
        ridge: float = RIDGE,
        basis: str = BASIS,
        warmup: int = 0,
        clip: float | None = None,
        seed: int = 0,
    ) -> None:
        self.steps = steps
        self.learning_rate = learning_rate
        self.ridge = ridge
        self.basis = basis
        self.warmup = warmup
        self.clip = clip
        self.seed = seed

    def fit(self, ratings: Interactions, items: Items) -> Self:
        self.prepare(ratings, items)
        start = self.block
        learner = learn(lambda: TowerLearner(start, self), ratings.histories(), self.steps, self.seed)
        assert isinstance(learner, TowerLearner)
        self.take(learner.block())
        return self

    def prepare(self, ratings: Interactions, items: Items) -> Self:
        """The scale and the features of these ratings and items, and the common start: all of `fit` but learning."""
        check_sizes(ratings, items)
        self.mean, (self.scale_low, self.scale_high) = overall_mean(ratings), ratings.scale
        rest = ratings.values - user_references(ratings)[ratings.users]
        squares = float((rest**2).sum()) + SPREAD_SHRINK * ((self.scale_high - self.scale_low) / 4) ** 2
        self.spread = float(np.sqrt(squares / (len(ratings) + SPREAD_SHRINK)))
        self.phi_IK = phi_of(items, self.basis)
        self.take(start_towers(self.phi_IK.shape[1]))
        return self

    def take(self, block: TowerBlock) -> None:
        """Rank by these towers from now on. Raises: ValueError when they are for features of another size."""
        if block.item_in.shape[1] != self.phi_IK.shape[1]:
            raise ValueError(f"towers over {block.item_in.shape[1]} features do not fit {self.phi_IK.shape[1]}")
        self.block = block
        hidden_IH = np.maximum(self.phi_IK @ block.item_in.T + block.item_in_bias, 0)
        self.item_IO = (hidden_IH @ block.item_out.T + block.item_out_bias).astype(np.float32)

    def scores(self, histories: Sequence[History]) -> Scores:
        scores_UI = np.empty((len(histories), len(self.phi_IK)), np.float32)
        for row, one in enumerate(histories):
            pooled_K = self.pooled(one)
            scores_UI[row] = self.item_IO @ self.user_tower(pooled_K[None])[0] + self.phi_IK @ (
                self.block.skip * pooled_K
            )
        return scores_UI

    def contributions(self, history: History, item: int) -> Values:
        """What the score loses when the rating is forgotten, by Sherman and Morrison's formula (1950): no new solve."""
        if not len(history):
            return np.zeros(0, np.float32)
        x_RK, y_R = self.told(history)
        gain_KR = np.linalg.solve(x_RK.T @ x_RK + self.ridge * np.eye(x_RK.shape[1]), x_RK.T)
        pooled_K = gain_KR @ y_R
        rest_R = (y_R - x_RK @ pooled_K) / np.maximum(1 - np.einsum("rk,kr->r", x_RK, gain_KR), 1e-9)
        without_RK = (pooled_K - (gain_KR * rest_R).T).astype(np.float32)
        both = np.concatenate([pooled_K[None].astype(np.float32), without_RK])
        scores = self.user_tower(both) @ self.item_IO[item] + both @ (self.block.skip * self.phi_IK[item])
        return np.asarray(scores[0] - scores[1:], np.float32)

    def told(self, history: History) -> tuple[Any, Any]:
        """The history's rows of phi, float64 [ratings, K], and its ratings less the reference, in spreads."""
        reference = reference_of(history.values, self.mean, (self.scale_low, self.scale_high))
        return self.phi_IK[history.items].astype(np.float64), (history.values - reference) / self.spread

    def pooled(self, history: History) -> Vectors:
        """P: float32 [K]."""
        x_RK, y_R = self.told(history)
        if len(y_R) < x_RK.shape[1]:
            return np.asarray(x_RK.T @ np.linalg.solve(x_RK @ x_RK.T + self.ridge * np.eye(len(y_R)), y_R), np.float32)
        return np.asarray(np.linalg.solve(x_RK.T @ x_RK + self.ridge * np.eye(x_RK.shape[1]), x_RK.T @ y_R), np.float32)

    def user_tower(self, pooled_UK: Vectors) -> Vectors:
        """f of each row: float32 [users, 32]."""
        hidden_UH = np.maximum(pooled_UK @ self.block.user_in.T + self.block.user_in_bias, 0)
        return np.asarray(hidden_UH @ self.block.user_out.T + self.block.user_out_bias, np.float32)

    def arrays(self) -> Arrays:
        return {**super().arrays(), **{name: getattr(self.block, name) for name in NAMES}}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        super().with_arrays({name: array for name, array in arrays.items() if name not in NAMES})
        missing = [name for name in NAMES if name not in arrays]
        if missing:
            raise ValueError(f"a saved two-tower model lacks {', '.join(missing)}")
        block, start = TowerBlock(**{name: arrays[name] for name in NAMES}), start_towers(self.phi_IK.shape[1])
        if any(getattr(block, name).shape != getattr(start, name).shape for name in NAMES):
            raise ValueError("a saved two-tower model has towers of other sizes than its features ask for")
        self.block = block
        return self


class TowerLearner:
    """The towers in training (models.episodes.Learner), over the features and the scale of a prepared model."""

    def __init__(self, start: TowerBlock, model: TwoTower) -> None:
        import torch

        self._model = model
        self.weights = {name: torch.tensor(getattr(start, name), requires_grad=True) for name in NAMES}
        self._draw = np.random.default_rng(model.seed)
        adam = torch.optim.AdamW(self.weights.values(), lr=model.learning_rate, weight_decay=WEIGHT_DECAY)
        self._descent = Descent(adam, warmup=model.warmup, clip=model.clip, longest=GRADIENT_MAX)

    def block(self) -> TowerBlock:
        """A copy of the weights as they stand."""
        return TowerBlock(**{name: weight.detach().numpy().copy() for name, weight in self.weights.items()})

    def step(self, batch: Batch) -> None:
        """One step of Adam."""
        self._descent.step(self.objective(batch, self._draw))

    def moments(self) -> Vectors:
        """What Adam remembers."""
        return self._descent.moments()

    def resume(self, moments: Vectors, rate: float) -> None:
        """Go on with what Adam remembered, at `rate` times the model's own learning rate."""
        self._descent.resume(moments, rate)

    def loss(self, batch: Batch) -> float:
        """Mean variance of the residuals, in squared spreads, always against the same catalog items."""
        import torch

        with torch.no_grad():
            return float(self.objective(batch, np.random.default_rng(0)))

    def objective(self, batch: Batch, draw: np.random.Generator) -> torch.Tensor:
        """`loss`, with its way back to the weights; the catalog items are drawn here."""
        import torch

        rated = len(batch.rows_N)
        drawn_J = draw.integers(0, len(self._model.phi_IK), NEGATIVES)
        phi_NK = torch.from_numpy(self._model.phi_IK[np.concatenate([batch.rows_N, drawn_J])])
        y_BR = self._centred(batch)
        pooled_BK = self._pooled(phi_NK[:rated], y_BR, batch)
        tower = self.weights
        hidden_BH = torch.relu(pooled_BK @ tower["user_in"].T + tower["user_in_bias"])
        user_BO = hidden_BH @ tower["user_out"].T + tower["user_out_bias"]
        hidden_NH = torch.relu(phi_NK @ tower["item_in"].T + tower["item_in_bias"])
        item_NO = hidden_NH @ tower["item_out"].T + tower["item_out_bias"]
        score_BN = user_BO @ item_NO.T + tower["skip"] * (pooled_BK @ phi_NK.T)
        place_BR = torch.from_numpy(batch.place_BR)
        rest_BR = torch.cat([score_BN.gather(1, place_BR) - y_BR, score_BN[:, rated:]], dim=1)
        return _variance(rest_BR, torch.from_numpy(self._weights(batch, drawn_J)))

    def _centred(self, batch: Batch) -> torch.Tensor:
        """Ratings less the reference that the support alone gives, in spreads: float32 [B, R]."""
        import torch

        model, scale = self._model, (self._model.scale_low, self._model.scale_high)
        total_B = (batch.rating_BR * batch.support_BR).sum(axis=1) + USER_SHRINK * model.mean
        reference_B = total_B / (batch.support_BR.sum(axis=1) + USER_SHRINK)
        reference_B = np.clip(reference_B, on_scale(MIDDLE, scale), on_scale(REFERENCE_MAX, scale))
        return torch.from_numpy(((batch.rating_BR - reference_B[:, None]) / model.spread).astype(np.float32))

    def _pooled(self, phi_NK: torch.Tensor, y_BR: torch.Tensor, batch: Batch) -> torch.Tensor:
        """P of each user, from the support: float32 [B, K]."""
        import torch

        known_BRK = phi_NK[torch.from_numpy(batch.place_BR)] * torch.from_numpy(batch.support_BR)[:, :, None]
        ratings, size = known_BRK.shape[1:]
        if ratings < size:
            # The same solution, x' (x x' + r I)^-1 y, by the smaller of the two systems; padding solves to 0.
            kernel_BRR = known_BRK @ known_BRK.transpose(1, 2) + self._model.ridge * torch.eye(ratings)
            told_BR1 = (y_BR * torch.from_numpy(batch.support_BR))[:, :, None]
            share_BR1 = torch.cholesky_solve(told_BR1, torch.linalg.cholesky(kernel_BRR))
            return torch.Tensor((known_BRK.transpose(1, 2) @ share_BR1)[:, :, 0])
        gram_BKK = known_BRK.transpose(1, 2) @ known_BRK + self._model.ridge * torch.eye(phi_NK.shape[1])
        right_BK1 = (known_BRK * y_BR[:, :, None]).sum(1)[:, :, None]
        solved: torch.Tensor = torch.cholesky_solve(right_BK1, torch.linalg.cholesky(gram_BKK))[:, :, 0]
        return solved

    @staticmethod
    def _weights(batch: Batch, drawn_J: Any) -> Vectors:
        """What each query and each drawn item counts, 1 + NEGATIVE_WEIGHT a user: float32 [B, R + J].

        A drawn item that the user has rated counts nothing.
        """
        items_BR = np.where(batch.support_BR + batch.query_BR > 0, batch.rows_N[batch.place_BR], -1)
        fair_BJ = np.stack([~np.isin(drawn_J, items_R) for items_R in items_BR])
        query_BR = batch.query_BR / batch.query_BR.sum(axis=1, keepdims=True)
        drawn_BJ = NEGATIVE_WEIGHT * fair_BJ / np.maximum(fair_BJ.sum(axis=1, keepdims=True), 1)
        return np.concatenate([query_BR, drawn_BJ], axis=1).astype(np.float32)


def _variance(rest_BR: torch.Tensor, weight_BR: torch.Tensor) -> torch.Tensor:
    """Weighted variance of each row, averaged over rows."""
    total_B = weight_BR.sum(1)
    mean_B = (weight_BR * rest_BR).sum(1) / total_B
    variance: torch.Tensor = ((weight_BR * rest_BR**2).sum(1) / total_B - mean_B**2).mean()
    return variance
