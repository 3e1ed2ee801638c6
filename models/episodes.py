"""Learning to fold users in: the training loop of models whose shared weights serve users never seen.

An episode takes one user's ratings apart: from some of them (the support) the model rebuilds the user as it would
rebuild anybody, and is judged on the others (the query). What is learned is how to use a history, not who had it, so
users can stay where they are (as in Vinyals et al. 2016, Matching Networks). With few users such a model over-fits
within a hundred steps; so the number of steps is found on users held out, then all users train for that many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.interactions import History, Rows

# Users a step.
BATCH = 32
# Steps between two looks at the held-out users, and looks without a new best before giving up.
LOOK_EVERY, PATIENCE = 10, 4
# A quarter of the users judge; each in several episodes, for one cut of a history is a noisy judge.
HELD_OUT, JUDGING_DRAWS = 4, 4
# With fewer users than this nobody can be spared, and the model stays near its start: one look's steps.
USERS_MIN = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """Episodes of B users, padded to R ratings. Weights are 1 for what takes part and 0 for padding.

    `rows_N` int64: the items that occur; `place_BR` int64: each rating's place in it; `rating_BR` float32 in the
    ratings' own unit; `support_BR`, `query_BR` float32 weights; every user has at least one of both.
    """

    rows_N: Rows
    place_BR: Rows
    rating_BR: npt.NDArray[np.float32]
    support_BR: npt.NDArray[np.float32]
    query_BR: npt.NDArray[np.float32]


class Learner(Protocol):
    """Shared weights in training."""

    def step(self, batch: Batch) -> None:
        """One step down the loss."""

    def loss(self, batch: Batch) -> float:
        """Mean loss of the batch, without learning."""


def usable(histories: Sequence[History]) -> list[History]:
    """The users whose ratings can be taken apart."""
    return [one for one in histories if len(one) >= 2]


def draw_batch(histories: Sequence[History], rng: np.random.Generator) -> Batch:
    """One episode of each of these (usable) users: each rating is support or query by a coin."""
    ratings = max(map(len, histories))
    items_BR = np.full((len(histories), ratings), -1, np.int64)
    rating_BR = np.zeros(items_BR.shape, np.float32)
    support_BR, query_BR = np.zeros_like(rating_BR), np.zeros_like(rating_BR)
    for user, one in enumerate(histories):
        order = rng.permutation(len(one))
        cut = int(np.clip(rng.binomial(len(one), 0.5), 1, len(one) - 1))
        items_BR[user, : len(one)], rating_BR[user, : len(one)] = one.items, one.values
        support_BR[user, order[:cut]], query_BR[user, order[cut:]] = 1, 1
    rows_N, place = np.unique(np.maximum(items_BR, 0), return_inverse=True)
    return Batch(rows_N, place.reshape(items_BR.shape).astype(np.int64), rating_BR, support_BR, query_BR)


def train(learner: Learner, histories: Sequence[History], steps: int, rng: np.random.Generator) -> None:
    """`steps` steps on batches of these users, each user about as often as any other."""
    for _ in range(steps):
        chosen = rng.permutation(len(histories))[:BATCH]
        learner.step(draw_batch([histories[user] for user in chosen.tolist()], rng))


def learn(make: Callable[[], Learner], histories: Sequence[History], steps_max: int, seed: int) -> Learner:
    """A learner trained on all users for as many steps as serve held-out users best; untrained without users."""
    users, rng = usable(histories), np.random.default_rng(seed)
    learner = make()
    if users:
        steps = steps_for_others(make, users, steps_max, rng) if len(users) >= USERS_MIN else min(LOOK_EVERY, steps_max)
        train(learner, users, steps, rng)
    return learner


def steps_for_others(
    make: Callable[[], Learner], users: Sequence[History], steps_max: int, rng: np.random.Generator
) -> int:
    """How many steps on three quarters of the users serve the last quarter best; 0 when none helps."""
    order = rng.permutation(len(users)).tolist()
    judges = [users[user] for user in order[: len(users) // HELD_OUT]]
    rest = [users[user] for user in order[len(users) // HELD_OUT :]]
    exams = [draw_batch(judges, rng) for _ in range(JUDGING_DRAWS)]
    learner = make()
    best_loss, best_steps = _mean_loss(learner, exams), 0
    for done in range(LOOK_EVERY, steps_max + 1, LOOK_EVERY):
        train(learner, rest, LOOK_EVERY, rng)
        loss = _mean_loss(learner, exams)
        if loss < best_loss:
            best_loss, best_steps = loss, done
        elif done - best_steps >= PATIENCE * LOOK_EVERY:
            break
    return best_steps


def _mean_loss(learner: Learner, exams: Sequence[Batch]) -> float:
    return float(np.mean([learner.loss(exam) for exam in exams]))
