"""What privacy costs, and what it buys: taste blocks published with and without noise, used and attacked.

    python -m tests.bench.private_learning [--worlds N] [--first SEED] [--rounds N] [--folder DIR] [--json]

Cost: Discover (tests/bench/discover.py) on demo worlds, complete truth, NDCG@10. A block is learned from 30 or 300
people who rated at both shops; 200 others are folded in with it from what they rated at A, and all of B competes.
Lines: *no sharing*, the common start, which is ridge; *no privacy*, eight EM iterations; *one step*, the first of
them; and one release at epsilon 1, 2, 4 and 8, delta 1e-5 (models.privacy), the mean of several draws of noise. All
see ratings on the same fixed scale. Intervals are paired bootstraps over the people asked, beside no sharing and
beside no privacy.

Attacks: models.audit on the same block makers, as many members as non-members; beside the AUC stands the most that any
test of one user's membership can reach at that noise. Items are rated at random in demo worlds: where people rate what
they like, a taste card says more than here.

CLIP, the threshold and all else that was chosen by looking was chosen on seeds 100 and 101. All people of one world
share one trained block and, under privacy, its noise: what counts is in how many worlds a difference holds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.audit import AuditResult, Finding, Release, audit_taste
from models.evaluation import Difference, ndcg_at, paired_difference
from models.features import basis_of
from models.interactions import History, interactions_of
from models.linear_taste import Told, posterior
from models.privacy import membership_auc_max, noise_multiplier_for, private_sums
from models.taste_prior import ITERATIONS, TasteBlock, TastePrior, improve, m_step, start_block
from sim.cross_platform import World, load_world
from sim.tastes import LIKED
from tests.bench.row import Row

K = 10
WORLDS, ROUNDS, DRAWS = 2, 10, 5
USERS = (30, 300)
ASKED = 200
#: One population for all sizes: 200 asked, 300 members; the attacks take 600 of them.
PEOPLE = 800
#: The first is what the goals speak of.
EPSILONS, DELTA = (1.0, 2.0, 4.0, 8.0), 1e-5
NOTHING, OPEN, STEP, PRIVATE = "no sharing", "no privacy", "one step", f"epsilon {EPSILONS[0]:g}"
COST_GOAL, AUC_GOAL = 0.9, 0.55


def open_block(block: TasteBlock, told: Sequence[Told], _: np.random.Generator) -> TasteBlock:
    """As a node without privacy learns it."""
    for _iteration in range(ITERATIONS):
        block = improve(block, told)
    return block


def one_step(block: TasteBlock, told: Sequence[Told], _: np.random.Generator) -> TasteBlock:
    """What the private block would be without clipping and noise."""
    return improve(block, told)


def private_release(noise_multiplier: float) -> Release:
    """One release of the first step at that noise."""
    return lambda block, told, rng: m_step(private_sums(block, told, noise_multiplier, rng))


@dataclass(frozen=True, slots=True)
class Way:
    """One way of publishing; `noises` are those of the private ones."""

    name: str
    release: Release
    noises: tuple[float, ...] = ()


def ways() -> list[Way]:
    """All that are compared."""
    noises = {epsilon: noise_multiplier_for(epsilon, DELTA, 1) for epsilon in EPSILONS}
    private = [Way(f"epsilon {epsilon:g}", private_release(noise), (noise,)) for epsilon, noise in noises.items()]
    return [Way(OPEN, open_block), Way(STEP, one_step), *private]


@dataclass(frozen=True, slots=True)
class Cost:
    """One way of publishing in one world: NDCG@10, and the differences from no sharing and from no privacy."""

    seed: int
    users: int
    name: str
    ndcg: float
    over_nothing: Difference
    over_open: Difference


@dataclass(frozen=True, slots=True)
class Leak:
    """One way of publishing in one world, attacked."""

    seed: int
    users: int
    name: str
    most: float
    """No test of one user's membership has a greater AUC."""
    found: AuditResult


@dataclass(frozen=True, slots=True)
class Crowd:
    """A world's people as the bench asks them; `model` is prepared on the fixed scale that privacy needs."""

    world: World
    model: TastePrior
    everything: list[History]
    at_home: list[History]
    order: list[int]


def crowd_of(world: World) -> Crowd:
    people = len(world.ratings.complete_UI)
    nobody = interactions_of([], len(world.items))
    model = TastePrior(basis=basis_of("tiny")).prepare(nobody, world.items)
    order = np.random.default_rng([world.seed, people, 2]).permutation(people).tolist()
    both = slice(0, len(world.items))
    everything, at_home = ([_rated(world, user, part) for user in range(people)] for part in (both, world.home))
    return Crowd(world, model, everything, at_home, order)


def _rated(world: World, user: int, columns: slice) -> History:
    rows = np.flatnonzero(world.ratings.present_UI[user, columns]).astype(np.int64) + columns.start
    return History(rows, world.ratings.complete_UI[user, rows].astype(np.float32))


def costs_of(crowd: Crowd, compared: Sequence[Way]) -> Iterator[Cost]:
    """Every line of the first table."""
    world, model = crowd.world, crowd.model
    asked = crowd.order[:ASKED]
    told = [model.told(crowd.at_home[user]) for user in asked]
    z_IK = model.z_IK[world.away]
    liked_UI = world.ratings.complete_UI[asked, world.away] >= LIKED

    def ndcg(block: TasteBlock) -> Any:
        prior = block.prior
        tastes_UK = np.stack([posterior(one, prior).mean_K for one in told]).astype(np.float32)
        return ndcg_at(tastes_UK @ z_IK.T, liked_UI, np.ones_like(liked_UI), K)

    start = start_block(z_IK.shape[1])
    nothing_U = ndcg(start)
    for users in USERS:
        members = [model.told(crowd.everything[user]) for user in crowd.order[ASKED : ASKED + users]]
        rng = np.random.default_rng([world.seed, users])
        figures = {NOTHING: nothing_U}
        for way in compared:
            draws = DRAWS if way.noises else 1
            figures[way.name] = np.mean([ndcg(way.release(start, members, rng)) for _ in range(draws)], axis=0)
        for name, figure_U in figures.items():
            beside = [paired_difference(figure_U, figures[other], rng) for other in (NOTHING, OPEN)]
            yield Cost(world.seed, users, name, float(np.nanmean(figure_U)), *beside)


def leaks_of(crowd: Crowd, compared: Sequence[Way], categories_I: np.ndarray[Any, Any], rounds: int) -> Iterator[Leak]:
    """Every line of the second table."""
    for users in USERS:
        histories = [crowd.everything[user] for user in crowd.order[-2 * users :]]
        for way in compared:
            rng = np.random.default_rng([crowd.world.seed, users, 3])
            found = audit_taste(
                histories, crowd.model, way.release, rng, repeats=rounds, categories_I=categories_I.astype(np.int64)
            )
            yield Leak(crowd.world.seed, users, way.name, membership_auc_max(way.noises) if way.noises else 1.0, found)


def categories_of(seed: int, folder: Path) -> np.ndarray[Any, Any]:
    """The category's number of each item: int64 [items of both shops]."""
    from sim.datasets import write_demo

    return np.asarray(write_demo(folder / f"seed-{seed}", seed).features.values["category"].argmax(axis=1))


def cost_line(one: Cost) -> str:
    beside = "   ".join(
        f"{two.mean:+.3f} [{two.low:+.3f}, {two.high:+.3f}]" for two in (one.over_nothing, one.over_open)
    )
    return f"{one.seed:5} {one.users:5}   {one.name:12} {one.ndcg:7.3f}   {beside}"


def leak_line(one: Leak) -> str:
    def cell(finding: Finding | None) -> str:
        return "-" if finding is None else f"{finding.auc:.3f} [{finding.low:.3f}, {finding.high:.3f}]"

    found = one.found
    cells = (found.membership, found.interaction, found.community, found.card)
    return (
        f"{one.seed:5} {one.users:5}   {one.name:12} " + "  ".join(f"{cell(finding):20}" for finding in cells).rstrip()
    )


def run_bench(seeds: range, rounds: int, folder: Path, say: Callable[[str], object]) -> tuple[list[Cost], list[Leak]]:
    """All of it; `say` hears the tables line by line."""
    from models.clip import Encoder

    encoder = Encoder.load("tiny")
    compared = ways()
    crowds = [crowd_of(load_world(seed, PEOPLE, encoder, "tiny", folder)) for seed in seeds]
    for way in compared:
        if way.noises:
            say(f"{way.name}: one release of noise multiplier {way.noises[0]:.3f}, delta {DELTA:g}")
    say(f"Discover B from A, NDCG@10, {ASKED} people asked")
    say(f" seed users   {'':12} NDCG@10   over no sharing           over no privacy")
    costs, leaks = [], []
    for crowd in crowds:
        for cost in costs_of(crowd, compared):
            costs.append(cost)
            say(cost_line(cost))
    say(f"Attacks, AUC, {rounds} rounds, as many members as others")
    say(f" seed users   {'':12} most   {'membership':20}  {'interaction':20}  {'community':20}  card")
    for crowd in crowds:
        for leak in leaks_of(crowd, compared, categories_of(crowd.world.seed, folder), rounds):
            leaks.append(leak)
            say(leak_line(leak))
    return costs, leaks


def run() -> list[Row]:
    """The short form: one world."""
    with tempfile.TemporaryDirectory() as temporary:
        costs, leaks = run_bench(range(1), ROUNDS, Path(temporary), lambda line: None)
    rows = []
    for users in USERS:
        ndcg = {one.name: one.ndcg for one in costs if one.users == users}
        for other, goal in ((OPEN, f">= {COST_GOAL}"), (NOTHING, "> 1")):
            ratio, name = ndcg[PRIVATE] / ndcg[other], f"discover: {PRIVATE} / {other}, {users} users"
            rows.append(Row(name, ndcg[PRIVATE], ndcg[other], ratio, "NDCG", goal if users == max(USERS) else None))
        aucs = {one.name: one.found.membership.auc for one in leaks if one.users == users}
        name = f"membership: {PRIVATE} / {OPEN}, {users} users"
        rows.append(Row(name, aucs[PRIVATE], aucs[OPEN], aucs[PRIVATE] / aucs[OPEN], "AUC", f"ours <= {AUC_GOAL}"))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    about = str(__doc__).split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.bench.private_learning", description=about)
    parser.add_argument("--worlds", type=int, default=WORLDS, help=f"how many (default {WORLDS})")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world (default 0)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of attacks, 2 or more (default {ROUNDS})")
    parser.add_argument("--folder", type=Path, help="keep the demos and their vectors here, and reuse those there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.worlds < 1 or options.rounds < 2:
        parser.error("there is at least one world, and there are at least two rounds")
    say: Callable[[str], object] = (lambda line: None) if options.json else lambda line: print(line, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        seeds = range(options.first, options.first + options.worlds)
        costs, leaks = run_bench(seeds, options.rounds, options.folder or Path(temporary), say)
    if options.json:
        print(json.dumps({"costs": [asdict(one) for one in costs], "leaks": [asdict(one) for one in leaks]}))


if __name__ == "__main__":
    main()
