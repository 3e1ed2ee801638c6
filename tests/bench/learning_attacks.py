"""A fifth of the nodes lie about what they learned: what is left to the honest ones, with the gate and without.

    python -m tests.bench.learning_attacks [--nodes N] [--model NAME] [--attack NAME] [--worlds N] [--first SEED]
                                           [--folder DIR] [--json]

Production engines over virtual time, as in tests.bench.learning_network. A liar's engine is like any other; only its
`Learner` says what the attack wants, and of what age and for how many users. Liars see the honest nodes' states, which
no real attacker does, and each other's people. A lie is as strong as asked, or as a reader's checks let through:

    scaled    ten times the block                     inside    the honest mean less 1.5 honest deviations
    flipped   its sign turned, tenfold                boast     a true block, of a great age and for a million users
    noise     what invented people would teach        start     the common start, said in the same way
    inverted  learned from ratings upside down
    aware     from the honest mean towards `inverted`, as far as gates over the liars' own people let through; boasts
    turned    likewise: the honest mean, its sign turned and its variance given to what people agree on least (taste
              prior), or the same scores by a W turned round (projection), which no judge can tell from the true one

*clean*: the same nodes, nobody lies. *plain*: the mean of all that is heard, nothing judged. *start*: no sharing, the
floor that a node falls back to; where it lies above .95, the goal says little. *newcomers*: the same people, of each of
whom five ratings are known. Goals: .95 of clean; .05 of honest blocks refused. Worlds 100 and 101 are for tuning.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.aggregation import Values
from models.features import PricedItems
from models.gate import COLD_RATINGS, Gate, Verdict
from models.interactions import History
from models.learning_round import State, run_round
from models.shared_model import NO_MOMENTS, Crowd, DenseModel, InvalidBlockError
from models.shared_models import shared_model
from models.shared_taste import SharedTaste
from node.events import Train, Trained
from node.learned import Learned
from node.learner import Learner, LearningSet, opened
from protocol.updates import AGE_MAX, USERS_LOG2_MAX
from protocol.weights import pack_weights
from tests.bench.learning_network import PERIOD_MS, Network
from tests.bench.learning_together import LIARS_SHARE, PERIODS, Experiment, Node, experiment, heard, share
from tests.bench.row import Row

WORLDS = 3
# Ratings are -1 to 10.
BEST_AND_WORST = 9
# Halvings of a step that is too long, and then of what lies between.
HALVINGS, REFINEMENTS = 8, 3


@dataclass(frozen=True, slots=True)
class View:
    """What a liar has at hand: its model and state; the honest mean and deviations; that mean, improved for people who
    like what they hate."""

    model: DenseModel
    own_V: Values
    mean_V: Values
    deviation_V: Values
    inverted_V: Values
    rng: np.random.Generator


@dataclass(frozen=True, slots=True)
class Attack:
    """A lie by its step, and the step to begin with. `aware`: it must pass the liars' own gates. `boasts`: of age and
    users. `inverted`: it is learned from ratings upside down."""

    lie: Callable[[View, float], Values]
    most: float = 1.0
    aware: bool = False
    boasts: bool = False
    inverted: bool = False


def scaled(view: View, step: float) -> Values:
    """Of a taste block, mean and deviations: tenfold averages of squares would be no averages."""
    if not isinstance(view.model, SharedTaste):
        return step * view.own_V
    mean_K, deviation_K, above, noise = view.model.send(view.own_V)
    return view.model.receive([step * mean_K, step * deviation_K, above, noise])


def flipped(view: View, step: float) -> Values:
    """Of a taste block, the mean: a variance has no sign."""
    if not isinstance(view.model, SharedTaste):
        return -step * view.own_V
    mean_K, *others = view.model.send(view.own_V)
    return view.model.receive([-step * mean_K, *others])


def noise(view: View, step: float) -> Values:
    """Values by chance, `step` times the honest size: of a taste block, the averages over people drawn by chance."""
    if not isinstance(view.model, SharedTaste):
        size = np.abs(view.own_V).mean()
        return np.asarray(view.own_V + step * view.rng.normal(0, size, len(view.own_V)))
    mean_K, deviation_K, _, spare = view.model.send(view.own_V)
    size = np.sqrt((deviation_K**2).mean())
    taste_UK = view.rng.normal(0, step * size, (2 * len(mean_K), len(mean_K)))
    above = np.asarray(np.corrcoef(taste_UK, rowvar=False))[np.triu_indices(len(mean_K), 1)]
    return view.model.receive([taste_UK.mean(axis=0), taste_UK.std(axis=0), above, spare])


def turned(view: View, step: float) -> Values:
    if not isinstance(view.model, SharedTaste):
        # A score is z'W'v, and v costs exp(last value) |v - m|^2: both stay, whatever the step.
        return np.concatenate([-step * view.mean_V[:-1], view.mean_V[-1:] + 2 * np.log(step)])
    mean_K, deviation_K, above, spare = view.model.send(view.mean_V)
    correlation_KK, pairs = np.eye(len(mean_K)), np.triu_indices(len(mean_K), 1)
    correlation_KK[pairs] = correlation_KK.T[pairs] = above
    values_K, vectors_KK = np.linalg.eigh(correlation_KK * np.outer(deviation_K, deviation_K))
    worst_KK = (vectors_KK * values_K[::-1]) @ vectors_KK.T
    deviation_K = np.sqrt(np.diag(worst_KK))
    above = (worst_KK / np.outer(deviation_K, deviation_K))[pairs]
    worst_V = view.model.receive([-mean_K, deviation_K, above, spare])
    return np.asarray(view.mean_V + step * (worst_V - view.mean_V))


ATTACKS = {
    "scaled": Attack(scaled, 10),
    "flipped": Attack(flipped, 10),
    "noise": Attack(noise, 3),
    "inverted": Attack(lambda view, _: view.own_V, inverted=True),
    "inside": Attack(lambda view, step: view.mean_V - step * view.deviation_V, 1.5),
    "boast": Attack(lambda view, _: view.own_V, boasts=True),
    "start": Attack(lambda view, _: view.model.start(), boasts=True),
    "aware": Attack(
        lambda view, step: view.mean_V + step * (view.inverted_V - view.mean_V), 64, aware=True, boasts=True
    ),
    "turned": Attack(turned, 64, aware=True, boasts=True),
}


def farthest(lie: Callable[[float], Values], passes: Callable[[Values], bool], most: float) -> Values | None:
    """The lie of the longest step that passes, from `most` down; None where none does."""

    def tried(step: float) -> Values | None:
        try:
            values_V = lie(step)
            return values_V if passes(values_V) else None
        except (InvalidBlockError, ValueError):
            return None

    for halving in range(HALVINGS + 1):
        step = most / 2**halving
        best_V = tried(step)
        if best_V is not None:
            break
    # The next longer step did not pass: look between, where there was one.
    for refinement in range(1, REFINEMENTS + 1 if best_V is not None and halving else 1):
        longer = step * (1 + 0.5**refinement)
        values_V = tried(longer)
        if values_V is not None:
            step, best_V = longer, values_V
    return best_V


class PlainLearner(Learner):
    """Takes the mean of all that is heard, judges nothing, and ranks by it."""

    def run(self, job: Train) -> Trained:
        known = self._read()
        model = dense_model(job, known, self._basis)
        state = job.state or State(model.start(), NO_MOMENTS, 0)
        blocks, _ = opened(model, job.heard)
        users = len(known.histories)
        crowd, chance = Crowd(users + job.others.users, job.others.nodes + 1), np.random.default_rng(job.chance)
        # Nobody is given to be a judge, which would take time; the model has its people all the same.
        outcome = run_round(model, (), state, blocks, crowd, chance, rule="mean", gated=False)
        values, taken = pack_weights(model.send(outcome.state.values_V)), (Verdict(True, 0, 0),) * len(job.heard)
        return Trained(replace(outcome, ranks="network"), taken, users, crowd, values)


class Liar(Learner):
    """Learns as others do, and says something else."""

    def __init__(self, network: Attacked, attack: Attack, number: int) -> None:
        self._network, self._attack, self._known = network, attack, network.known(number)
        # The best is the worst.
        inverted = [History(one.items, BEST_AND_WORST - one.values) for one in self._known.histories]
        self._inverted = LearningSet(self._known.items, inverted)
        super().__init__(lambda: self._inverted if attack.inverted else self._known, network.one.basis)
        self._state: State | None = None

    def run(self, job: Train) -> Trained:
        found = super().run(replace(job, state=self._state))
        self._state = found.outcome.state
        said_V = self._network.agreed(lambda: self._lie(job, found)) if self._attack.aware else self._lie(job, found)
        # Who finds no lie that passes bides its time with a true block.
        said_V = self._state.values_V if said_V is None else said_V
        values = pack_weights(self._model(job, self._known).send(said_V))
        if not self._attack.boasts:
            return replace(found, values=values)
        outcome = replace(found.outcome, state=replace(self._state, age=AGE_MAX))
        return replace(found, values=values, outcome=outcome, users=1 << USERS_LOG2_MAX)

    def _lie(self, job: Train, found: Trained) -> Values | None:
        network, model, own_V = self._network, self._model(job, self._known), found.outcome.state.values_V
        rng = np.random.default_rng([job.chance, 1])
        honest_BV = network.honest_values(own_V)
        mean_V, deviation_V = honest_BV.mean(axis=0), honest_BV.std(axis=0)
        inverted_V, _ = self._model(job, self._inverted).improve(mean_V, NO_MOMENTS, 0, found.crowd)
        view = View(model, own_V, mean_V, deviation_V, inverted_V, rng)
        friends = [network.known(number) for number in sorted(network.liars)] if self._attack.aware else []
        gates = [Gate(self._model(job, known), known.histories, rng) for known in friends]

        def passes(values_V: Values) -> bool:
            values_V = heard(model, values_V, 0)
            return all(gate.judge(values_V, found.crowd).accepted for gate in gates)

        with np.errstate(invalid="ignore"):
            return farthest(lambda step: self._attack.lie(view, step), passes, self._attack.most)

    def _model(self, job: Train, known: LearningSet) -> DenseModel:
        return dense_model(job, known, self._basis)


def dense_model(job: Train, known: LearningSet, basis: str) -> DenseModel:
    """What is attacked: models whose blocks have always the same numbers."""
    model = shared_model(job.model, known.items, known.histories, basis, job.chance, job.merged)
    assert isinstance(model, DenseModel)
    return model


class Attacked(Network):
    """A network some of whose nodes lie, or would if there were an attack."""

    def __init__(
        self, one: Experiment, model: str, n_nodes: int, seed: int, attack: Attack | None, plain: bool, lying: float
    ) -> None:
        self.one, self._attack, self._plain = one, attack, plain
        self._agreed: dict[int, Values | None] = {}
        order = np.random.default_rng([seed, 1]).permutation(n_nodes).tolist()
        self.liars = set(order[: round(lying * n_nodes)])
        self.honest = sorted(set(order) - self.liars)
        super().__init__(one, model, n_nodes, seed)
        self.run(1 + PERIODS[model])

    def start(self, number: int) -> None:
        """What is learned beside a model is merged by nobody and takes half of the time, so it is left out."""
        node, known = self.nodes[number], self.known(number)
        node.learning = replace(self._plan, models=(self._model,))
        if self._attack is not None and number in self.liars:
            learner: Learner = Liar(self, self._attack, number)
        else:
            learner = (PlainLearner if self._plain else Learner)(lambda: known, self.one.basis)
        self.heap.add(node.peer, node.engine(), learner=learner)

    def known(self, number: int) -> LearningSet:
        items = self.one.items
        assert isinstance(items, PricedItems)
        return LearningSet(items, self.parts[number])

    def agreed(self, lie: Callable[[], Values | None]) -> Values | None:
        """One lie a period for all of them: asking gates takes time."""
        period = self.heap.now_ms // PERIOD_MS
        if period not in self._agreed:
            self._agreed[period] = lie()
        return self._agreed[period]

    def honest_values(self, own_V: Values) -> Values:
        """The honest nodes' states, one's own before there are any: float64 [blocks, values]."""
        rows = [Learned(self.nodes[number].database).find(self._model, self._plan.features) for number in self.honest]
        return np.array([row.state.values_V for row in rows if row is not None] or [own_V])

    def verdicts(self, lies: bool) -> tuple[int, int]:
        """Of the lies, or of the honest blocks, that honest nodes judged: refused of how many."""
        refused = judged = 0
        lying = {self.nodes[number].peer for number in self.liars}
        for number in self.honest:
            for source, entry in Learned(self.nodes[number].database).ledger(self._model).items():
                if (source in lying) == lies:
                    refused += entry.refused + entry.invalid
                    judged += entry.refused + entry.invalid + entry.accepted
        return refused, judged


class Newcomers(Experiment):
    """Another experiment's people, of each of whom no more than a handful of ratings is known."""

    def __init__(self, one: Experiment) -> None:
        self.__dict__.update(vars(one))
        rng = np.random.default_rng(COLD_RATINGS)
        places = [rng.permutation(len(one))[:COLD_RATINGS] for one in self._asked]
        self._asked = [History(one.items[at], one.values[at]) for one, at in zip(self._asked, places, strict=True)]


def quality_of(one: Experiment, nodes: Sequence[Node], crowds: Sequence[Crowd]) -> tuple[float, float]:
    """NDCG of the people asked, and as newcomers."""
    return one.ndcg(nodes, crowds), Newcomers(one).ndcg(nodes, crowds)


def rows_of(worlds: Mapping[int, Experiment], model: str, n_nodes: int, names: Sequence[str]) -> Iterator[Row]:
    """Over worlds: means, and in the name the worst ratio; blocks are added up."""
    title, nodes = f"{model}, {n_nodes} nodes", {seed: one.split(n_nodes, seed) for seed, one in worlds.items()}

    def run(attack: Attack | None, plain: bool = False) -> tuple[list[tuple[float, float]], list[Attacked]]:
        networks = [Attacked(one, model, n_nodes, seed, attack, plain, LIARS_SHARE) for seed, one in worlds.items()]
        return [quality_of(one.one, *one.ranking(one.honest)) for one in networks], networks

    best, networks = run(None)
    start = [quality_of(one, nodes[seed], [Crowd()] * n_nodes) for seed, one in worlds.items()]
    yield from quality_rows(f"{title}, start", start, best)
    yield refused_row(f"{title}, clean: honest refused", [one.verdicts(False) for one in networks], "<= 0.05")
    for name in names:
        ours, networks = run(ATTACKS[name])
        yield from quality_rows(f"{title}, {name}, gate", ours, best, ">= 0.95")
        yield refused_row(f"{title}, {name}: honest refused", [one.verdicts(False) for one in networks], "<= 0.05")
        yield refused_row(f"{title}, {name}: lies refused", [one.verdicts(True) for one in networks])
        yield from quality_rows(f"{title}, {name}, plain", run(ATTACKS[name], plain=True)[0], best)


def quality_rows(
    name: str, ours: Sequence[tuple[float, float]], best: Sequence[tuple[float, float]], goal: str | None = None
) -> Iterator[Row]:
    for who, part, clean in zip(("people", "newcomers"), zip(*ours, strict=True), zip(*best, strict=True), strict=True):
        ratios = np.divide(part, clean)
        text = f"{name}: {who} / clean (worst {ratios.min():.3f})"
        yield Row(text, float(np.mean(part)), float(np.mean(clean)), float(ratios.mean()), "NDCG", goal)


def refused_row(name: str, counts: Sequence[tuple[int, int]], goal: str | None = None) -> Row:
    refused, judged = (sum(one) for one in zip(*counts, strict=True))
    return Row(name, refused, judged, share((refused, judged)), "blocks", goal)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.learning_attacks", description=str(__doc__)[:109])
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--model", choices=("taste_prior", "projection"), default="taste_prior")
    parser.add_argument("--attack", choices=list(ATTACKS), help="one alone; without it, all")
    parser.add_argument("--worlds", type=int, default=WORLDS, help=f"how many (default {WORLDS})")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world (default 0)")
    parser.add_argument("--folder", type=Path, help="keep the demos and their vectors here, and reuse those there")
    parser.add_argument("--json", action="store_true", help="a row a line")
    options: Any = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder, seeds = options.folder or Path(temporary), range(options.first, options.first + options.worlds)
        worlds = {seed: experiment(options.model, seed, folder) for seed in seeds}
        for row in rows_of(worlds, options.model, options.nodes, [options.attack] if options.attack else list(ATTACKS)):
            goal = f"   goal {row.goal}" if row.goal else ""
            text = f"{row.name:60} {row.ours:9.4f} / {row.yardstick:9.4f} {row.unit:6} = {row.ratio:7.4f}{goal}"
            print(json.dumps(asdict(row)) if options.json else text, flush=True)


if __name__ == "__main__":
    main()
