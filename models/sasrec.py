"""SASRec: what somebody likes next, from what they liked, in order, by self-attention (Kang and McAuley 2018).

A sequence is a user's likes by time (in the history's order where times are not known), the last LENGTH of them. Each
is its item's vector plus its place's; blocks of causal attention and a two-layer network, each with normalisation and
a residual, make of it one vector a position, and score(i) = that of the last position . the vector of item i. Learned
by binary cross-entropy: at each position the next like against one item drawn evenly. One head, as published; places
are counted from the end, so that the newest like always has the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from models.descent import Descent
from models.fusion import Items
from models.interactions import History, Interactions, Rows, Values
from models.likes import LIKING, LikesRecommender
from models.recommender import Arrays, Scores, check_sizes

if TYPE_CHECKING:
    import torch

LENGTH = 50
INIT = 0.1
# Users a step.
BATCH = 64
BLOCK = ("query", "key", "value", "first", "second")
BIASES = ("first_bias", "second_bias", "norm_1_bias", "norm_2_bias")
NORMS = ("norm_1", "norm_2")
Weights = dict[str, "torch.Tensor"]


class SasRec(LikesRecommender):
    """`dropout` of the embeddings and of each network's answer, in training only."""

    name: ClassVar[str] = "sasrec"
    uses_order: ClassVar[bool] = True
    learned: ClassVar[tuple[str, ...]] = LIKING

    def __init__(
        self,
        *,
        factors: int = 64,
        blocks: int = 2,
        dropout: float = 0.2,
        learning_rate: float = 2e-3,
        epochs: int = 100,
        warmup: int = 0,
        clip: float | None = None,
        relevant: float | None = None,
        seed: int = 0,
    ) -> None:
        self.factors = factors
        self.blocks = blocks
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.relevant = relevant
        self.warmup = warmup
        self.clip = clip
        self.seed = seed
        self._weights: Weights = {}

    def fit(self, ratings: Interactions, items: Items) -> Self:
        check_sizes(ratings, items)
        self.learn_likes(ratings)
        sequences = [self.sequence(one) for one in ratings.histories()]
        self._weights = self._start(len(items))
        self._train([one for one in sequences if len(one) >= 2], len(items))
        return self

    def scores(self, histories: Sequence[History]) -> Scores:
        scores_HI = np.empty((len(histories), len(self.popular_I)), np.float32)
        # One at a time, so that nobody's scores depend on the padding that others need.
        for row, one in enumerate(histories):
            liked = self.sequence(one)[-LENGTH:]
            scores_HI[row] = self._next(liked[None])[0] if len(liked) else self.popular_I
        return scores_HI

    def contributions(self, history: History, item: int) -> Values:
        """What the score loses when a like is forgotten; 0 for likes before the last LENGTH."""
        order = self._order(history)[-LENGTH:]
        parts = np.zeros(len(history), np.float32)
        if len(order) == 1:
            parts[order] = self._next(history.items[order][None])[0, item]
        elif len(order):
            without_LR = np.stack([np.delete(history.items[order], place) for place in range(len(order))])
            whole = self._next(history.items[order][None])[0, item]
            parts[order] = whole - self._next(without_LR)[:, item]
        return parts

    def sequence(self, history: History) -> Rows:
        """The items liked, first to last: int64 [likes]."""
        return history.items[self._order(history)]

    def arrays(self) -> Arrays:
        return {**super().arrays(), **{name: weight.numpy() for name, weight in self._weights.items()}}

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        import torch

        super().with_arrays({name: array for name, array in arrays.items() if name in LIKING or "." not in name})
        weights = {name: np.asarray(array, np.float32) for name, array in arrays.items() if "." in name}
        if {name: weight.shape for name, weight in weights.items()} != self._shapes(len(weights)):
            raise ValueError(f"a saved {self.name} model has other weights than its parameters ask for")
        self._weights = {name: torch.from_numpy(weight.copy()) for name, weight in weights.items()}
        return self

    def _order(self, history: History) -> Rows:
        """Places of the likes in the history, oldest first."""
        liked = np.flatnonzero(self.is_like(history))
        return liked if history.at is None else liked[np.argsort(history.at[liked], kind="stable")]

    def _start(self, n_items: int) -> Weights:
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        size = self.factors

        def noise(*shape: int, scale: float) -> torch.Tensor:
            return scale * torch.empty(shape).normal_(generator=generator)

        weights = {"embed.item": noise(n_items, size, scale=INIT), "embed.place": noise(LENGTH, size, scale=INIT)}
        for block in range(self.blocks):
            for part in BLOCK:
                weights[f"{block}.{part}"] = noise(size, size, scale=size**-0.5)
            for part in BIASES:
                weights[f"{block}.{part}"] = torch.zeros(size)
            for part in NORMS:
                weights[f"{block}.{part}"] = torch.ones(size)
        return weights | {"end.norm": torch.ones(size), "end.norm_bias": torch.zeros(size)}

    def _shapes(self, most: int) -> dict[str, tuple[int, ...]]:
        """Those of the weights, of at most `most` blocks: the parameters may claim any number of them."""
        size = self.factors
        shapes: dict[str, tuple[int, ...]] = {"embed.item": (len(self.popular_I), size), "embed.place": (LENGTH, size)}
        for block in range(min(self.blocks, most)):
            shapes |= {f"{block}.{part}": (size, size) for part in BLOCK}
            shapes |= {f"{block}.{part}": (size,) for part in (*BIASES, *NORMS)}
        return shapes | {"end.norm": (size,), "end.norm_bias": (size,)}

    def _train(self, sequences: list[Rows], n_items: int) -> None:
        import torch

        if not sequences:
            return
        rng, generator = np.random.default_rng(self.seed), torch.Generator().manual_seed(self.seed + 1)
        for weight in self._weights.values():
            weight.requires_grad_()
        adam = torch.optim.Adam(self._weights.values(), lr=self.learning_rate, betas=(0.9, 0.98))
        descent = Descent(adam, warmup=self.warmup, clip=self.clip)
        for _ in range(self.epochs):
            order = rng.permutation(len(sequences)).tolist()
            for start in range(0, len(order), BATCH):
                windows = windows_of([sequences[user] for user in order[start : start + BATCH]], rng)
                given, wanted = windows[:, :-1], torch.from_numpy(windows[:, 1:])
                drawn = torch.from_numpy(rng.integers(0, n_items, wanted.shape))
                answer = encoded(self._weights, given, self.blocks, self.dropout, generator)
                told = torch.from_numpy(given >= 0) & (drawn != wanted)
                item = self._weights["embed.item"]
                ahead = torch.stack([(answer * item[wanted]).sum(2), -(answer * item[drawn]).sum(2)])
                descent.step(-torch.nn.functional.logsigmoid(ahead[:, told]).sum() / max(int(told.sum()), 1))
        self._weights = {name: weight.detach() for name, weight in self._weights.items()}

    def _next(self, liked_BL: Rows) -> Scores:
        """Scores of what comes next after each of these sequences of one length: float32 [B, items]."""
        import torch

        with torch.no_grad():
            last_BF = encoded(self._weights, liked_BL, self.blocks)[:, -1]
            return np.asarray((last_BF @ self._weights["embed.item"].T).numpy(), np.float32)


def windows_of(sequences: Sequence[Rows], rng: np.random.Generator) -> Rows:
    """A stretch of at most LENGTH + 1 likes of each, drawn evenly from longer ones; padded with -1 on the left."""
    cut = []
    for one in sequences:
        first = int(rng.integers(0, max(len(one) - LENGTH, 1)))
        cut.append(one[first : first + LENGTH + 1])
    windows = np.full((len(cut), max(map(len, cut))), -1, np.int64)
    for row, one in enumerate(cut):
        windows[row, -len(one) :] = one
    return windows


def encoded(
    weights: Weights, items_BL: Rows, blocks: int, dropout: float = 0.0, generator: torch.Generator | None = None
) -> torch.Tensor:
    """What the blocks make of each position: float32 [B, L, factors]. Places of -1 are padding that nobody looks at."""
    import torch

    def dropped(values: torch.Tensor) -> torch.Tensor:
        if not dropout:
            return values
        keep = torch.empty_like(values).bernoulli_(1 - dropout, generator=generator)
        return values * keep / (1 - dropout)

    def normed(values: torch.Tensor, name: str) -> torch.Tensor:
        return torch.nn.functional.layer_norm(values, values.shape[-1:], weights[name], weights[f"{name}_bias"])

    length, size = items_BL.shape[1], weights["embed.item"].shape[1]
    there = torch.from_numpy(items_BL >= 0)
    x = weights["embed.item"][torch.from_numpy(np.maximum(items_BL, 0))] * size**0.5
    x = dropped(x + weights["embed.place"][LENGTH - length :]) * there[:, :, None]
    # A position sees itself and what is before it; padding sees itself, or its softmax would be over nothing.
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    seen = (causal & there[:, None, :]) | torch.eye(length, dtype=torch.bool)
    for block in range(blocks):
        query = normed(x, f"{block}.norm_1")
        match = (query @ weights[f"{block}.query"].T) @ (x @ weights[f"{block}.key"].T).transpose(1, 2) / size**0.5
        share = match.masked_fill(~seen, -torch.inf).softmax(2)
        x = query + dropped(share @ (x @ weights[f"{block}.value"].T))
        x = normed(x, f"{block}.norm_2")
        inner = dropped(torch.relu(x @ weights[f"{block}.first"].T + weights[f"{block}.first_bias"]))
        x = x + dropped(inner @ weights[f"{block}.second"].T + weights[f"{block}.second_bias"])
    return normed(x, "end.norm")
