"""Real engines that learn together over virtual time, against one machine with everybody's ratings.

    python -m tests.bench.learning_network [--nodes N] [--model NAME] [--epsilon E] [--away SHARE] [--kill SHARE]
                                           [--seed S] [--periods P] [--data demo|movielens] [--folder DIR]

The world, the people and the question are those of tests.bench.learning_together; here the production engine, its
store, signatures, frames and accounts do it, on the tests' heap instead of sockets. Each node knows DEGREE others. One
row every few periods: quality beside one machine after as many periods, bytes a node has sent, and blocks refused.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from models.features import FEATURE_RULE
from models.shared_model import Crowd
from models.shared_models import BESIDE
from node.learned import Learned
from node.learner import Learner, LearningSet
from node.learning_service import LearningPlan
from node.taught import taught_by
from tests.bench.film_people import film_experiment
from tests.bench.learning_together import PERIODS, WORLD, Experiment, experiment, share
from tests.bench.learning_together import Node as Together
from tests.bench.row import Row
from tests.node.network.heap import Heap
from tests.node.network.homes import Node

DEGREE = 8
PERIOD_MS = 10_000
#: Of all periods, those after which nodes are away or killed.
FAULTS_AT = 0.4


class Network:
    """Engines on the heap, each with a share of the people."""

    def __init__(self, one: Experiment, model: str, n_nodes: int, seed: int, epsilon: float | None = None) -> None:
        self._one, self._model = one, model
        models = (model, *BESIDE.get(model, ()))
        self._plan = LearningPlan(models, f"{FEATURE_RULE}/{one.basis}", PERIOD_MS, epsilon)
        self.heap = Heap()
        self.heap.keep = False
        self.sent: dict[str, int] = {}
        self.heap.tamper = self._count
        self.parts = one.parts(n_nodes, seed)
        chance = random.Random(seed)
        self.nodes: list[Node] = []
        for number in range(n_nodes):
            known = [one.peer for one in chance.sample(self.nodes, min(DEGREE // 2, len(self.nodes)))]
            node = Node(number + 1, f"shop {number}", named=known, learning=self._plan)
            self.nodes.append(node)
            self.start(number)

    def start(self, number: int) -> None:
        node, histories = self.nodes[number], self.parts[number]
        names = [(WORLD, str(row)) for row in range(len(self._one.items))]
        learner = Learner(lambda: LearningSet(self._one.items, histories, names), self._one.basis)
        self.heap.add(node.peer, node.engine(), learner=learner)

    def stop(self, number: int) -> None:
        self.heap.remove(self.nodes[number].peer)

    def run(self, periods: float) -> None:
        # Also who has few users: how near many small nodes come is the question.
        with patch("node.learner.TABLE_USERS_MIN", 1):
            self.heap.run(periods * PERIOD_MS / 1000)

    def ranking(self, numbers: Sequence[int]) -> tuple[list[Together], list[Crowd]]:
        """These nodes, each with the block that it would rank by."""
        nodes, crowds = [], []
        for number in numbers:
            taught = taught_by(Learned(self.nodes[number].database), self._plan.features, self._one.basis)
            node = self._one.node(self.parts[number], number, taught.model if taught else None)
            if taught is not None:
                node.state = replace(node.state, values_V=taught.block.values_V)
            nodes.append(node)
            crowds.append(taught.block.crowd if taught else Crowd())
        return nodes, crowds

    def ndcg(self, numbers: Sequence[int]) -> float:
        """Everybody asked, shared out over these nodes."""
        return self._one.ndcg(*self.ranking(numbers))

    def refused(self) -> tuple[int, int]:
        entries = [entry for node in self.nodes for entry in Learned(node.database).ledger(self._model).values()]
        refused = sum(entry.refused + entry.invalid for entry in entries)
        return refused, refused + sum(entry.accepted for entry in entries)

    def _count(self, sender: str, receiver: str, data: bytes) -> bytes:
        self.sent[sender] = self.sent.get(sender, 0) + len(data)
        return data


def curve(
    one: Experiment, model: str, n_nodes: int, seed: int, epsilon: float | None, away: float, kill: float
) -> tuple[list[tuple[int, float, float, float]], float]:
    """At some ages: (age, NDCG, bytes a node, refused share); and the RMSE at the end."""
    network = Network(one, model, n_nodes, seed, epsilon)
    periods, found = PERIODS[model], []
    gone = random.Random(seed + 1).sample(range(n_nodes), round(max(away, kill) * n_nodes))
    # The first period begins after up to one, with nothing heard yet.
    network.run(1)
    marks = sorted({max(1, round(periods * part)) for part in (0.125, 0.25, 0.5, 0.75, 1)})
    for age in range(1, periods + 1):
        if age == round(FAULTS_AT * periods):
            for number in gone:
                network.stop(number)
                if kill:
                    network.start(number)
        if away and age == round((1 - FAULTS_AT / 2) * periods):
            for number in gone:
                network.start(number)
        network.run(1)
        if age in marks:
            bytes_a_node = sum(network.sent.values()) / n_nodes
            found.append((age, network.ndcg(range(n_nodes)), bytes_a_node, share(network.refused())))
    return found, one.rmse(*network.ranking(range(n_nodes)))


def rows_of(
    one: Experiment, model: str, n_nodes: int, seed: int, epsilon: float | None, away: float = 0, kill: float = 0
) -> list[Row]:
    found, rmse = curve(one, model, n_nodes, seed, epsilon, away, kill)
    pooled, pooled_rmse = one.pooled()
    alone = one.alone(n_nodes, seed)
    name = f"{model}, {n_nodes} engines" + (f", epsilon {epsilon:g}" if epsilon else "")
    name += f", {away:.0%} away a while" if away else f", {kill:.0%} killed" if kill else ""
    rows = [Row(f"{name}: alone / pooled", alone, pooled, alone / pooled, "NDCG")]
    for age, ndcg, bytes_a_node, _ in found:
        rows.append(
            Row(f"{name}: period {age}, {bytes_a_node / 1e6:.2f} MB a node", ndcg, pooled, ndcg / pooled, "NDCG")
        )
    goal = {
        "taste_prior": 0.99,
        "projection": 0.99 if n_nodes <= 10 else 0.98,
        "two_tower": 0.975,
        "item_factors": 0.99,
    }[model]
    rows[-1] = replace(rows[-1], goal=f">= {goal}")
    if rmse > 0:
        rows.append(Row(f"{name}: RMSE", rmse, pooled_rmse, rmse / pooled_rmse, "points", "<= 1.005"))
    rows.append(Row(f"{name}: honest blocks refused", found[-1][3], 1, found[-1][3], "share", "<= 0.05"))
    return rows


def run() -> list[Row]:
    """The short form: the default model on ten nodes."""
    with tempfile.TemporaryDirectory() as temporary:
        return rows_of(experiment("taste_prior", 0, Path(temporary)), "taste_prior", 10, 0, None)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.learning_network", description=str(__doc__)[:102])
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--model", choices=list(PERIODS), default="taste_prior")
    parser.add_argument("--epsilon", type=float)
    parser.add_argument("--away", type=float, default=0, help="this share stops, and comes back later")
    parser.add_argument("--kill", type=float, default=0, help="this share is killed and starts again from its store")
    parser.add_argument("--seed", type=int, default=0, help="of the world and of the split (default 0)")
    parser.add_argument("--periods", type=int, help="of both sides (default: about where one machine has settled)")
    parser.add_argument("--data", choices=("demo", "movielens"), default="demo")
    parser.add_argument("--folder", type=Path, help="keep the demo and its vectors here, and reuse those there")
    options: Any = parser.parse_args(arguments)
    PERIODS[options.model] = options.periods or PERIODS[options.model]
    with tempfile.TemporaryDirectory() as temporary:
        if options.data == "demo":
            one = experiment(options.model, options.seed, options.folder or Path(temporary))
        else:
            one = film_experiment(options.model, options.seed)
        began = time.perf_counter()
        rows = rows_of(one, options.model, options.nodes, options.seed, options.epsilon, options.away, options.kill)
        for row in rows:
            goal = f"   goal {row.goal}" if row.goal else ""
            print(f"{row.name:60} {row.ours:8.4f} / {row.yardstick:8.4f} {row.unit:6} = {row.ratio:7.4f}{goal}")
        print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
