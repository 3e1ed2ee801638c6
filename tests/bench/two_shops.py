"""Two shops in two real processes: what the network gives, beside one machine with everybody's ratings.

    python -m tests.bench.two_shops [--worlds N] [--first SEED] [--personas 30|300] [--periods P] [--period SECONDS]
                                    [--folder DIR] [--json]

The cross-platform experiment (design, section 9) on demo worlds. Homes are made by `init`, `catalog import` and `rate
--file`; learners rate at both shops under names that nobody joins; a fifth of B's items are in no catalog or rating.
`node start --learn` runs at both over libp2p until every model is --periods of age; then B imports what is new, and
both are stopped. ASKED others are in no store: of them `sim.referee` asks its questions, with A as home and B as away;
the settings are there. Baselines and ceilings are those of tests.bench.discover, popularity at B is B's own. Intervals
are paired bootstraps over a world's people, who share one network.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.evaluation import Flags, paired_difference
from models.shared_models import SHARED_MODELS
from node.commands_node import model_line
from node.config import Home, load_home
from node.session import open_store
from sim.cross_platform import RIDGE, World, given, hold_back, load_world
from sim.demo import call
from sim.processes import NodeProcess, wait_until
from sim.referee import ISOLATED, MERGED, P2P, POOLED, WARM, Judgement, Line, Place, Referee, open_place
from sim.shops import TRADES

ENCODER, ASKED = "tiny", 200
METRICS, TASKS = ("ndcg", "precision", "recall"), ("Discover", WARM, "New item")
#: Question, ours, theirs: what is compared in each world.
PAIRS: list[tuple[str, Line, Line]] = [
    *((task, (one, P2P), other) for task in TASKS for one in SHARED_MODELS for other in ((one, POOLED), (RIDGE, P2P))),
    *(("Warm", (one, P2P), (one, ISOLATED)) for one in SHARED_MODELS),
    ("Discover", ("taste_prior", P2P), (MERGED, P2P)),
]
GOALS = {("Discover", POOLED): "   goal: ratio >= 0.98", ("Warm", ISOLATED): "   goal: no interval below zero"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One world: what the referee found, and what was seen of the network."""

    judged: Judgement
    network: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shop:
    """What a shop exports: the folder of its catalog and pictures, the catalog's lines, and its items' ids in order."""

    platform: str
    columns: slice
    folder: Path
    lines: list[str]
    ids: list[str]

    def open(self, home: Path, sold_I: Flags, world: World, learners: int) -> Home:
        """A home by the shop's own commands: what is sold, and the learners' ratings under names of this shop's own."""
        call("init", "--home", str(home), "--platform", self.platform, "--encoder", ENCODER)
        catalog, ratings = home / "catalog.csv", home / "ratings.csv"
        catalog.write_text("".join(np.array(self.lines)[[True, *sold_I]].tolist()), "utf-8")
        self.publish(home, catalog)
        rated, first = given(world, slice(0, learners), self.columns), self.columns.start
        rows = [f"{self.platform} {user},{self.ids[column - first]},{value}" for user, column, value in rated]
        ratings.write_text("\n".join(["user,item,rating", *rows]), "utf-8")
        call("rate", "--file", str(ratings), "--home", str(home))
        return load_home(home)

    def publish(self, home: Path, catalog: Path) -> Any:
        """An import, and the report of it."""
        words = ("catalog", "import", str(catalog), "--images", f"{self.folder}/images")
        return call(*words, "--home", str(home)).document


def open_shop(number: int, world: World, folder: Path) -> Shop:
    """As load_world left it below a world's `folder`."""
    platform, columns = TRADES[number].platform, (world.home, world.away)[number]
    lines = (folder / platform.lower() / "catalog.csv").read_text("utf-8").splitlines(keepends=True)
    return Shop(platform, columns, folder / platform.lower(), lines, [line.partition(",")[0] for line in lines[1:]])


def learn(a: Home, b: Home, shop_b: Shop, periods: int, period_seconds: float) -> dict[str, Any]:
    """Both nodes run until all models are of age, then B publishes what is new. Returns what was seen of it."""
    start = ("--learn", ",".join(SHARED_MODELS), "--epsilon", "none", "--period", str(period_seconds))
    with NodeProcess(a, *start) as one:
        one.ready()
        with NodeProcess(b, *start, "--peer", one.address) as other:
            other.ready()
            while min(model["age"] for node in (one, other) for model in node.status()["models"]) < periods:
                time.sleep(period_seconds)
            imported = shop_b.publish(b.folder, shop_b.folder / "catalog.csv")["seconds"]
            after = wait_until(lambda: len(shop_b.ids) in [here["items_known"] for here in one.status()["catalogs"]])
            lines = [[model_line(model).strip() for model in node.status()["models"]] for node in (one, other)]
            seen = {"A": lines[0], "B": lines[1], "seconds of import": imported, "seconds till A": round(after, 2)}
            return seen | {"exit codes": [node.stop() for node in (one, other)]}


def place_of(home: Home, columns: Sequence[tuple[str, str]]) -> Place:
    """The home as the referee finds it."""
    with open_store(home) as store:
        return open_place(store, home.identity.peer_id, home.config.encoder, home.config.fingerprint, columns)


def play(world: World, learners: int, folder: Path, periods: int, period_seconds: float) -> Outcome:
    """Two shops from nothing to the answers."""
    shop_a, shop_b = (open_shop(number, world, folder) for number in (0, 1))
    world, new_B = hold_back(world)
    with tempfile.TemporaryDirectory() as temporary:
        a = shop_a.open(Path(temporary, "a"), np.ones(len(shop_a.ids), bool), world, learners)
        b = shop_b.open(Path(temporary, "b"), ~new_B, world, learners)
        columns = world.columns((a.identity.peer_id, b.identity.peer_id))
        alone = place_of(a, columns)
        network = learn(a, b, shop_b, periods, period_seconds)
        referee = Referee(world, learners, alone, place_of(a, columns), place_of(b, columns))
        return Outcome(referee.ask(new_B), network)


def report(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Means over worlds, differences in each world, and the goals."""
    heads = "".join(f"{head:>8}" for head in ("NDCG@10", "P@10", "R@10", "RMSE", "MAE"))
    yield f"{'isolated: Warm only, A knows none of B':46}{heads}   worlds' NDCG"
    worlds_judged = [one.judged for one in outcomes]
    for question, line in worlds_judged[0].figures:
        means = [np.mean([one.mean(question, line, metric) for one in worlds_judged]) for metric in METRICS]
        worlds = [one.mean(question, line) for one in worlds_judged]
        for errors in ([one.rmse for one in worlds_judged], [one.mae for one in worlds_judged]):
            means.append(np.mean([one[line] if question == WARM and line in one else np.nan for one in errors]))
        figures = "".join(f"{mean:8.3f}" for mean in means).replace("nan", "  -")
        yield f"{question:9}{line[0]:27}{line[1]:10}{figures}   {min(worlds):.3f}..{max(worlds):.3f}"
    for question, ours, theirs in PAIRS:
        pairs = [[one.figures[question, line]["ndcg"] for line in (ours, theirs)] for one in worlds_judged]
        found = [paired_difference(mine, their, np.random.default_rng(0)) for mine, their in pairs]
        ratio = np.mean([one.mean(question, ours) / one.mean(question, theirs) for one in worlds_judged])
        above, below = sum(one.low > 0 for one in found), sum(one.high < 0 for one in found)
        signs = f"ratio {ratio:.3f}, above zero in {above}, below in {below}{GOALS.get((question, theirs[1]), '')}"
        yield f"{question}: {' '.join(ours)} - {' '.join(theirs)}: {signs}"
        yield "".join(f"   {one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" for one in found)
    yield from (f"seed {one.judged.seed}, {key}: {seen}" for one in outcomes for key, seen in one.network.items())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    from models.clip import Encoder

    parser = argparse.ArgumentParser(prog="python -m tests.bench.two_shops", description=str(__doc__).split("\n")[0])
    parser.add_argument("--worlds", type=int, default=5, help="how many (default 5)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world (default 0)")
    parser.add_argument("--personas", type=int, default=30, help="learners a world (default 30)")
    parser.add_argument("--periods", type=int, default=40, help="age to reach; two_tower settles at 40 (default 40)")
    parser.add_argument("--period", type=float, default=1.0, help="seconds between two periods (default 1)")
    parser.add_argument("--folder", type=Path, help="keep the demos and their vectors here, and reuse those there")
    parser.add_argument("--json", action="store_true")
    options, outcomes, encoder = parser.parse_args(arguments), [], Encoder.load(ENCODER)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for seed in range(options.first, options.first + options.worlds):
            world = load_world(seed, options.personas + ASKED, encoder, ENCODER, folder)
            outcomes.append(play(world, options.personas, folder / f"seed-{seed}", options.periods, options.period))
    if options.json:
        judged = [one.judged for one in outcomes]
        ndcg = [{" | ".join((task, *line)): one.mean(task, line) for task, line in one.figures} for one in judged]
        print(json.dumps({"seeds": {one.judged.seed: one.network for one in outcomes}, "ndcg": ndcg}))
    else:
        print(*report(outcomes), sep="\n")


if __name__ == "__main__":
    main()
