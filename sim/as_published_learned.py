"""The seed's models that learn by gradient, with its settings; the mistakes are those of sim.as_published.

Each returns predictions, float64 [items, users], and its loss after every epoch. torch is imported when one is asked
for. A seed gives the same numbers on the same machine; other versions of torch may draw others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.as_published import Cut, Matrix

Losses = list[float]
EPOCHS, BATCH, RATE = 30, 512, 0.01
PAIRS_A_USER = 5
PROJECTION_STEPS, PENALTY = 500, 0.05
TOWER, TOWER_EPOCHS, TOWER_BATCH, TOWER_RATE = 128, 10, 32, 0.001
RANKS = range(2, 31)


def classic(cut: Cut, shape: tuple[int, int], rank: int, seed: int) -> tuple[Matrix, Losses]:
    """Two embeddings, no biases, mean squared error. The training mean is 4: factors near 0 must first climb there."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    items_IR, users_UR = _factors(shape, rank, generator)
    optimiser = torch.optim.Adam([items_IR, users_UR], lr=RATE)
    rows, columns = torch.as_tensor(cut.train.items), torch.as_tensor(cut.train.users)
    values = torch.as_tensor(cut.train.values, dtype=torch.float32)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for batch in _batches(torch.randperm(len(values), generator=generator), BATCH):
            predicted = (items_IR[rows[batch]] * users_UR[columns[batch]]).sum(1)
            loss = ((predicted - values[batch]) ** 2).mean()
            _step(optimiser, loss)
            total += float(loss.detach()) * len(batch)
        losses.append(total / len(values))
    return _table(items_IR, users_UR), losses


def bpr(cut: Cut, shape: tuple[int, int], rank: int, seed: int) -> tuple[Matrix, Losses]:
    """Pairs (liked, not liked) of each user's own ratings. MISTAKE tiny-training, MISTAKE score-as-rating."""
    import torch

    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    items_IR, users_UR = _factors(shape, rank, generator)
    optimiser = torch.optim.Adam([items_IR, users_UR], lr=RATE)
    liked, other = ([cut.train.items[(cut.train.users == user) & which] for user in range(shape[1])] for which in (
        cut.train.values >= cut.liked, cut.train.values < cut.liked,
    ))  # fmt: skip
    able = [user for user in range(shape[1]) if len(liked[user]) and len(other[user])]
    losses = []
    for _ in range(EPOCHS):
        users = torch.as_tensor(np.repeat(able, PAIRS_A_USER))
        better = torch.as_tensor(np.concatenate([rng.choice(liked[user], PAIRS_A_USER) for user in able]))
        worse = torch.as_tensor(np.concatenate([rng.choice(other[user], PAIRS_A_USER) for user in able]))
        margin = (users_UR[users] * (items_IR[better] - items_IR[worse])).sum(1)
        loss = -torch.nn.functional.logsigmoid(margin).mean()
        _step(optimiser, loss)
        losses.append(float(loss.detach()))
    return _table(items_IR, users_UR), losses


def projection(cut: Cut, vectors_ID: Matrix, n_users: int, rank: int, seed: int) -> tuple[Matrix, Losses]:
    """A fixed random (Xavier) map of the items' vectors; only the users' factors are learned."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    width = (6 / (vectors_ID.shape[1] + rank)) ** 0.5
    map_DR = (torch.rand(vectors_ID.shape[1], rank, generator=generator) * 2 - 1) * width
    items_IR = torch.as_tensor(vectors_ID, dtype=torch.float32) @ map_DR
    users_UR = (torch.randn(n_users, rank, generator=generator) * 0.1).requires_grad_()
    optimiser = torch.optim.Adam([users_UR], lr=RATE)
    rows, columns = torch.as_tensor(cut.train.items), torch.as_tensor(cut.train.users)
    values = torch.as_tensor(cut.train.values, dtype=torch.float32)
    losses = []
    for _ in range(PROJECTION_STEPS):
        loss = ((items_IR[rows] * users_UR[columns]).sum(1) - values).pow(2).mean() + PENALTY * users_UR.norm()
        _step(optimiser, loss)
        losses.append(float(loss.detach()))
    return _table(items_IR, users_UR), losses


def two_tower(cut: Cut, vectors_ID: Matrix, n_users: int, seed: int) -> tuple[Matrix, Losses]:
    """The user's whole rating row in, one layer a tower, and a small network from their cosine to a rating.

    MISTAKE unmasked-top is made by its caller, which gives no mask.
    """
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(seed)
    items_ID = torch.as_tensor(vectors_ID, dtype=torch.float32)
    rows_UI = torch.as_tensor(cut.train.matrix((len(vectors_ID), n_users)).T, dtype=torch.float32)
    user_tower, item_tower = nn.Linear(rows_UI.shape[1], TOWER), nn.Linear(items_ID.shape[1], TOWER)
    head = nn.Sequential(nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    network = nn.ModuleList([user_tower, item_tower, head])
    for part in network.modules():
        if isinstance(part, nn.Linear):
            # torch's own start, drawn from this seed's generator and no global one.
            bound = part.in_features**-0.5
            nn.init.uniform_(part.weight, -bound, bound, generator=generator)
            nn.init.uniform_(part.bias, -bound, bound, generator=generator)

    def predict(users: Any, items: Any) -> Any:
        user_BT = nn.functional.normalize(user_tower(rows_UI[users]).relu(), dim=1)
        item_BT = nn.functional.normalize(item_tower(items_ID[items]).relu(), dim=1)
        return head((user_BT * item_BT).sum(1, keepdim=True)).squeeze(1)

    optimiser = torch.optim.Adam(network.parameters(), lr=TOWER_RATE)
    rows, columns = torch.as_tensor(cut.train.items), torch.as_tensor(cut.train.users)
    values = torch.as_tensor(cut.train.values, dtype=torch.float32)
    losses = []
    for _ in range(TOWER_EPOCHS):
        total = 0.0
        for batch in _batches(torch.randperm(len(values), generator=generator), TOWER_BATCH):
            loss = ((predict(columns[batch], rows[batch]) - values[batch]) ** 2).mean()
            _step(optimiser, loss)
            total += float(loss.detach()) * len(batch)
        losses.append(total / len(values))
    every = torch.arange(len(vectors_ID))
    with torch.no_grad():
        predicted_UI = [predict(torch.full_like(every, user), every).numpy() for user in range(n_users)]
    return np.array(predicted_UI, np.float64).T.copy(), losses


def _factors(shape: tuple[int, int], rank: int, generator: Any) -> tuple[Any, Any]:
    import torch

    items_IR, users_UR = ((torch.randn(size, rank, generator=generator) * 0.1).requires_grad_() for size in shape)
    return items_IR, users_UR


def _batches(order: Any, size: int) -> Iterator[Any]:
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _step(optimiser: Any, loss: Any) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def _table(items_IR: Any, users_UR: Any) -> Matrix:
    found: npt.NDArray[np.float64] = (items_IR @ users_UR.T).detach().numpy().astype(np.float64)
    return found
