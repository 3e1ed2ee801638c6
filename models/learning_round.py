"""One period of learning together, as one node lives it: judge what came, merge it, learn from one's own users.

    received ─► gate ─► merge with one's own ─► improve ─► what is sent next, and what ranks here

Pure: the same state, blocks and seed give the same outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from models.aggregation import Rule, Values
from models.gate import Gate, Verdict
from models.interactions import History
from models.shared_model import Crowd, Moments, SharedModel

# A block that has been through so many periods weighs as much as one can: ages are what their senders say.
AGE_MAX = 20
# And no age is beyond this: it has no meaning, and must fit wherever ages are written.
AGE_LIMIT = 10_000
# Which block ranks here: the merged one, or the common start where the judges lose by the merged one.
Ranks: TypeAlias = Literal["network", "start"]


@dataclass(frozen=True, slots=True)
class Block:
    """What a peer sent: who, what, and how many periods are behind it."""

    source: str
    values_V: Values
    age: int


@dataclass(frozen=True, slots=True)
class State:
    """What a node goes on from."""

    values_V: Values
    moments: Moments
    age: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The next state; a verdict on each block in their order; mean losses of the judges; which block ranks best; how
    many judged. Where nobody can judge, the common start ranks: it is nobody's word.
    """

    state: State
    verdicts: list[Verdict]
    losses: dict[Ranks, float]
    ranks: Ranks
    judges: int


def run_round(
    model: SharedModel,
    histories: Sequence[History],
    state: State,
    received: Sequence[Block],
    crowd: Crowd,
    rng: np.random.Generator,
    *,
    rule: Rule | None = None,
    gated: bool = True,
) -> Outcome:
    """See the file's head. `rule` None: the model's own; `gated` False lets everything in, for comparison."""
    model.stand_on(state.values_V)
    gate = Gate(model, histories, rng)
    verdicts = [gate.judge(one.values_V, crowd) for one in received]
    taken = [one for one, verdict in zip(received, verdicts, strict=True) if verdict.accepted or not gated]
    others = [one.values_V for one in taken]
    weights_B = np.array([weight_of(one.age) for one in taken])
    if gated:
        weights_B = weights_B * worth([verdict for verdict in verdicts if verdict.accepted])
    merged_V = model.merge(rule or model.rule, state.values_V, others, weights_B, weight_of(state.age))
    # The lower median, by steps: a few liars make nobody old, and a late joiner takes over what it finds.
    ages = sorted([state.age, *(min(one.age, state.age + AGE_MAX) for one in taken)])
    age = min(ages[(len(ages) - 1) // 2], AGE_LIMIT)
    values_V, moments = model.improve(merged_V, state.moments, age, crowd)
    losses: dict[Ranks, float] = {
        "network": gate.loss(values_V, crowd),
        "start": gate.start_loss,
    }
    judges = len(gate.warm)
    ranks: Ranks = "network" if judges and losses["network"] < losses["start"] else "start"
    return Outcome(State(values_V, moments, age + 1), verdicts, losses, ranks, judges)


def worth(verdicts: Sequence[Verdict]) -> Values:
    """What each block counts by what it gains one's own users beside the usual gain, warm and cold: 0 to 1.

    Who lies as far as the gate lets through gains them nothing. Where nothing is usually gained, all count alike.
    """
    gain_BG = np.array([(one.warm, one.cold) for one in verdicts]).reshape(-1, 2)
    usual_G = np.sort(gain_BG, axis=0)[(len(gain_BG) - 1) // 2] if len(gain_BG) else np.zeros(2)
    if usual_G.min() <= 0:
        return np.ones(len(gain_BG))
    return np.asarray(np.clip(gain_BG / usual_G, 0, 1).min(axis=1))


def weight_of(age: int) -> float:
    """What a block counts in a mean."""
    return float(min(age, AGE_MAX) + 1)
