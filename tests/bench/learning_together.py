"""Users split over nodes: how near learning together comes to one machine with everybody's ratings.

    python -m tests.bench.learning_together [--nodes N] [--model NAME] [--attack NAME] [--seed S] [--folder DIR]

Discover as in tests.bench.discover, on one demo world with 300 people to learn from and 200 others who are asked: from
their ratings at A, all of B is ranked against the complete truth. *alone*: each node learns by itself. *together*:
each period every node exchanges blocks with three others, drawn anew, both ways; blocks are rounded as they would be
sent. *pooled*: one machine with all 300, as many periods. Periods are those of models.learning_round; there are no
sockets, no signatures and no store here. With --attack a fifth of the nodes lie, and what plain averaging would make of
it stands beside. The people asked are shared out over the nodes, each answered by one node's block.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.aggregation import Rule, Values
from models.evaluation import ndcg_at
from models.factor_table import Keys
from models.features import PricedItems, basis_of
from models.interactions import History
from models.learning_round import Block, State, run_round
from models.recommender import RatingPredictor, Recommender, Scores
from models.shared_factors import SharedFactors
from models.shared_model import NO_MOMENTS, Crowd, DenseModel, InvalidBlockError, SharedModel
from models.shared_models import shared_model
from models.shared_taste import SharedTaste
from node.blocks import pack_block, parse_block
from protocol.factor_rows import row_key
from sim.cross_platform import history_of, load_world
from sim.tastes import LIKED
from tests.bench.row import Row

LEARNERS, ASKED = 300, 200
FAN_OUT = 3
LIARS_SHARE = 0.2
#: Periods to compare at: about where pooled training has settled.
PERIODS = {"taste_prior": 16, "projection": 30, "two_tower": 40, "item_factors": 30}
#: Whose all items are.
WORLD = "world"
ATTACKS = ("flipped", "turned", "noise", "just inside")


@dataclass(slots=True)
class Node:
    """One node between two periods."""

    model: SharedModel
    histories: list[History]
    state: State
    inbox: list[tuple[bool, Block]] = field(default_factory=list)
    """Whether it is a lie, and the block."""


@dataclass(frozen=True, slots=True)
class Result:
    """NDCG@10, and of the blocks judged how many were refused of how many: honest ones and lies."""

    ndcg: float
    honest: tuple[int, int]
    lies: tuple[int, int]


@dataclass(frozen=True, slots=True)
class People:
    """Who teaches, and who is asked: of these what they said, and float32 [asked, items] what they would say, NaN where
    nobody asks. From `liked` on a rating is a like."""

    items: PricedItems
    basis: str
    learners: list[History]
    asked: list[History]
    truth_UI: Scores
    liked: float


class Experiment:
    """Some people and one model."""

    def __init__(self, people: People, model: str) -> None:
        self._name, self.basis, self.items = model, people.basis, people.items
        self._learners, self._asked, self._truth_UI = people.learners, people.asked, people.truth_UI
        self._candidates_UI = ~np.isnan(people.truth_UI)
        self._liked_UI = np.nan_to_num(people.truth_UI, nan=-np.inf) >= people.liked

    def node(self, histories: list[History], seed: int, model_name: str | None = None) -> Node:
        """At the common start."""
        keys_I = world_keys(len(self.items))
        model = shared_model(model_name or self._name, self.items, histories, self.basis, seed, keys_I=keys_I)
        return Node(model, histories, State(model.start(), NO_MOMENTS, 0))

    def ndcg(self, nodes: Sequence[Node], crowds: Crowd | Sequence[Crowd]) -> float:
        """Everybody asked, shared out over these nodes. Every node sees the same crowd, or each its own."""
        values_U = np.full(len(self._asked), np.nan)
        for rows, ranker in self._rankers(nodes, crowds):
            scores_UI = ranker.scores([self._asked[row] for row in rows.tolist()])
            values_U[rows] = ndcg_at(scores_UI, self._liked_UI[rows], self._candidates_UI[rows], 10)
        return float(np.nanmean(values_U))

    def rmse(self, nodes: Sequence[Node], crowds: Crowd | Sequence[Crowd]) -> float:
        """Over all that is asked; NaN for a model that predicts no ratings."""
        squares = []
        for rows, ranker in self._rankers(nodes, crowds):
            if isinstance(ranker, RatingPredictor):
                error_UI = ranker.predict([self._asked[row] for row in rows.tolist()]) - self._truth_UI[rows]
                squares.append(error_UI[self._candidates_UI[rows]].astype(np.float64) ** 2)
        return float(np.sqrt(np.concatenate(squares).mean())) if squares else float("nan")

    def _rankers(
        self, nodes: Sequence[Node], crowds: Crowd | Sequence[Crowd]
    ) -> Iterator[tuple[npt.NDArray[np.int64], Recommender]]:
        """Each node's people, and what ranks for them."""
        for place, node in enumerate(nodes):
            crowd = crowds if isinstance(crowds, Crowd) else crowds[place]
            yield np.arange(place, len(self._asked), len(nodes)), node.model.take(node.state.values_V, crowd)

    def pooled(self) -> tuple[float, float]:
        """NDCG and RMSE of one machine."""
        node, crowd = self.node(self._learners, 0), Crowd(len(self._learners), 1)
        for age in range(PERIODS[self._name]):
            if isinstance(node.model, SharedTaste | SharedFactors):
                # One machine has nobody to keep a share for: its step is a whole one.
                values_V, moments = node.model.told_by(node.state.values_V, crowd), NO_MOMENTS
            else:
                values_V, moments = node.model.improve(node.state.values_V, node.state.moments, age, crowd)
            node.state = State(values_V, moments, age + 1)
        return self.ndcg([node], crowd), self.rmse([node], crowd)

    def parts(self, n_nodes: int, seed: int) -> list[list[History]]:
        """The people of each node."""
        order = np.random.default_rng(seed).permutation(len(self._learners))
        return [[self._learners[user] for user in order[number::n_nodes].tolist()] for number in range(n_nodes)]

    def split(self, n_nodes: int, seed: int) -> list[Node]:
        return [self.node(part, number) for number, part in enumerate(self.parts(n_nodes, seed))]

    def alone(self, n_nodes: int, seed: int) -> float:
        nodes = self.split(n_nodes, seed)
        for node in nodes:
            values_V, crowd = node.model.alone()
            node.state = State(values_V, NO_MOMENTS, 0)
        return self.ndcg(nodes, crowd)

    def together(
        self, n_nodes: int, seed: int, attack: str = "", *, rule: Rule | None = None, gated: bool = True
    ) -> Result:
        nodes, crowd, rng = (
            self.split(n_nodes, seed),
            Crowd(len(self._learners), n_nodes),
            np.random.default_rng([seed, 1]),
        )
        liars = set(rng.permutation(n_nodes)[: round(LIARS_SHARE * n_nodes)].tolist()) if attack else set()
        honest = [node for number, node in enumerate(nodes) if number not in liars]
        counts = {True: [0, 0], False: [0, 0]}
        for period in range(PERIODS[self._name]):
            for number, node in enumerate(nodes):
                blocks = [block for _, block in node.inbox]
                chance = np.random.default_rng([seed, period, number])
                outcome = run_round(
                    node.model, node.histories, node.state, blocks, crowd, chance, rule=rule, gated=gated
                )
                node.state = outcome.state
                if number not in liars:
                    for (lie, _), verdict in zip(node.inbox, outcome.verdicts, strict=True):
                        counts[lie][0] += not verdict.accepted
                        counts[lie][1] += 1
                node.inbox = []
            self._exchange(nodes, honest, liars, attack, rng)
        refused = {lie: (count[0], count[1]) for lie, count in counts.items()}
        return Result(self.ndcg(honest, crowd), refused[False], refused[True])

    def _exchange(
        self, nodes: list[Node], honest: list[Node], liars: set[int], attack: str, rng: np.random.Generator
    ) -> None:
        """Every node with FAN_OUT others, both ways. A lie that nobody could read is not delivered."""
        said: list[Values | None] = []
        for number, node in enumerate(nodes):
            values_V = node.state.values_V
            if number not in liars:
                said.append(heard(node.model, values_V, int(rng.integers(2**32))))
                continue
            try:
                values_V = lie(attack, node.model, values_V, [one.state.values_V for one in honest], rng)
                said.append(heard(node.model, values_V, 0))
            except InvalidBlockError:
                said.append(None)
        for number in range(len(nodes)):
            others = [other for other in rng.permutation(len(nodes)).tolist() if other != number][:FAN_OUT]
            for sender, receiver in [(number, other) for other in others] + [(other, number) for other in others]:
                values = said[sender]
                if values is not None:
                    block = Block(str(sender), values, nodes[sender].state.age)
                    nodes[receiver].inbox.append((sender in liars, block))


def heard(model: SharedModel, values_V: Values, chance: int) -> Values:
    """What arrives of values sent. Raises: InvalidBlockError."""
    if isinstance(model, DenseModel):
        model.check(values_V)
    said_V = parse_block(model, pack_block(model, values_V, chance))
    if said_V is None:
        raise InvalidBlockError("what nobody could read")
    return said_V


def lie(attack: str, model: SharedModel, values_V: Values, honest: list[Values], rng: np.random.Generator) -> Values:
    """flipped: the other way round, tenfold. turned: valid, but of no use. just inside: beyond the honest spread."""
    honest_BV = np.stack(honest)
    if attack == "flipped":
        return -10 * values_V
    if attack == "turned":
        if not isinstance(model, SharedTaste):
            return -values_V
        mean_K, deviation_K, above, noise = model.send(values_V)
        return model.receive([-mean_K, 2 * deviation_K[::-1], 0 * above, noise])
    if attack == "noise":
        return np.asarray(values_V + rng.normal(0, 3 * np.abs(values_V).mean(), len(values_V)))
    return np.asarray(honest_BV.mean(axis=0) - 1.5 * honest_BV.std(axis=0))


def experiment(model: str, seed: int, folder: Path) -> Experiment:
    from models.clip import Encoder

    world = load_world(seed, LEARNERS + ASKED, Encoder.load("tiny"), "tiny", folder)
    everything = slice(0, len(world.items))
    truth_UI = np.full((ASKED, len(world.items)), np.nan, np.float32)
    truth_UI[:, world.away] = world.ratings.complete_UI[LEARNERS:, world.away]
    people = People(
        world.items,
        basis_of("tiny"),
        [history_of(world, user, everything) for user in range(LEARNERS)],
        [history_of(world, user, world.home) for user in range(LEARNERS, LEARNERS + ASKED)],
        truth_UI,
        LIKED,
    )
    return Experiment(people, model)


def rows_of(one: Experiment, model: str, n_nodes: int, seed: int, attack: str) -> list[Row]:
    pooled, _ = one.pooled()
    name = f"{model}, {n_nodes} nodes"
    if not attack:
        alone, together = one.alone(n_nodes, seed), one.together(n_nodes, seed)
        return [
            Row(f"{name}: alone / pooled", alone, pooled, alone / pooled, "NDCG"),
            Row(f"{name}: together / pooled", together.ndcg, pooled, together.ndcg / pooled, "NDCG", ">= 0.99"),
            Row(f"{name}: honest blocks refused", *together.honest, share(together.honest), "blocks", "<= 0.05"),
        ]
    clean = one.together(n_nodes, seed).ndcg
    rows = []
    for what, rule, gated in (("gate", None, True), ("plain mean", "mean", False)):
        found = one.together(n_nodes, seed, attack, rule=rule, gated=gated)  # type: ignore[arg-type]
        goal = ">= 0.95" if gated else None
        rows.append(Row(f"{name}, {attack}: {what} / clean", found.ndcg, clean, found.ndcg / clean, "NDCG", goal))
        if gated:
            rows.append(
                Row(f"{name}, {attack}: honest refused", *found.honest, share(found.honest), "blocks", "<= 0.05")
            )
            rows.append(Row(f"{name}, {attack}: lies refused", *found.lies, share(found.lies), "blocks"))
    return rows


def world_keys(count: int) -> Keys:
    """What the item-factor table calls the rows of a world."""
    return np.array([row_key(WORLD, str(row)) for row in range(count)], np.uint64)


def share(refused: tuple[int, int]) -> float:
    return refused[0] / max(refused[1], 1)


def run() -> list[Row]:
    """The short form: the default model on ten nodes."""
    with tempfile.TemporaryDirectory() as temporary:
        return rows_of(experiment("taste_prior", 0, Path(temporary)), "taste_prior", 10, 0, "")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.learning_together", description=str(__doc__)[:97])
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--model", choices=list(PERIODS), default="taste_prior")
    parser.add_argument("--attack", choices=ATTACKS, default="")
    parser.add_argument("--seed", type=int, default=0, help="of the world and of the split (default 0)")
    parser.add_argument("--folder", type=Path, help="keep the demo and its vectors here, and reuse those there")
    options: Any = parser.parse_args(arguments)
    if options.attack and options.model == SharedFactors.called:
        parser.error("the attacks are on blocks of fixed size; an item-factor table has none")
    say: Callable[[str], None] = print
    with tempfile.TemporaryDirectory() as temporary:
        one = experiment(options.model, options.seed, options.folder or Path(temporary))
        for row in rows_of(one, options.model, options.nodes, options.seed, options.attack):
            goal = f"   goal {row.goal}" if row.goal else ""
            say(f"{row.name:52} {row.ours:10.4g} / {row.yardstick:10.4g} {row.unit:8} = {row.ratio:7.4f}{goal}")


if __name__ == "__main__":
    main()
