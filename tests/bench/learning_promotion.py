"""Promotion by updates: one node in twenty draws everybody's taste towards things of shop B. What do they gain?

    python -m tests.bench.learning_promotion [--nodes N] [--worlds N] [--first SEED] [--folder DIR]

As tests.bench.learning_attacks, with the taste prior: the honest mean block, its mean drawn towards phi of an item that
few people are shown, or towards the middle of the twentieth of all items that are nearest to it (a shop of one style),
as far as gates over the liars' own people let through; of a great age, for a million users. *Exposure* is how many
places the pushed have in top-10 lists over both shops, over how many they have where nobody lies. Goal: at most 2.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.aggregation import Values
from models.features import phi_of
from models.recommender import top_rows
from tests.bench.learning_attacks import WORLDS, Attack, Attacked, View, refused_row
from tests.bench.learning_together import Experiment, experiment
from tests.bench.row import Row

MODEL = "taste_prior"
PUSHERS_SHARE = SHOP_SHARE = 0.05
# An item of at most so many of all ASKED * K places is cold; one of none has no ratio.
FEW_PLACES = 3
K = 10


class Shown(Experiment):
    """An experiment whose people are shown lists of both shops' items."""

    def __init__(self, one: Experiment) -> None:
        self.__dict__.update(vars(one))
        self.away_I = np.flatnonzero(self._candidates_UI.any(axis=0))

    def places(self, network: Attacked) -> npt.NDArray[np.int64]:
        """How many places each item has, each person asked at one honest node: int64 [items]."""
        place_I = np.zeros(len(self.items), np.int64)
        for rows, ranker in self._rankers(*network.ranking(network.honest)):
            for history in (self._asked[row] for row in rows.tolist()):
                unrated_I = np.ones(len(place_I), bool)
                unrated_I[history.items] = False
                place_I[top_rows(ranker.scores([history])[0], K, unrated_I)] += 1
        return place_I


def pushed(view: View, step: float, towards_K: Values) -> Values:
    mean_K, *others = view.model.send(view.mean_V)
    return view.model.receive([mean_K + step * towards_K / np.linalg.norm(towards_K), *others])


def rows_of(worlds: Mapping[int, Shown], n_nodes: int) -> Iterator[Row]:
    """Places added up over worlds; in the name the worst world."""
    runs = [(what, plain) for what in ("item", "shop") for plain in (False, True)]
    found: dict[tuple[str, bool], list[tuple[int, int]]] = {one: [] for one in runs}
    refused: dict[tuple[str, bool], list[tuple[int, int]]] = {one: [] for one in runs}
    for seed, one in worlds.items():
        clean_I = one.places(Attacked(one, MODEL, n_nodes, seed, None, False, PUSHERS_SHARE))
        phi_IK = phi_of(one.items, one.basis).astype(np.float64)
        few = one.away_I[(clean_I[one.away_I] > 0) & (clean_I[one.away_I] <= FEW_PLACES)]
        item = int(np.random.default_rng([seed, 2]).choice(few))
        near = one.away_I[top_rows((phi_IK @ phi_IK[item])[one.away_I], round(SHOP_SHARE * len(phi_IK)))]
        for what, plain in runs:
            rows = near if what == "shop" else np.array([item])
            attack = Attack(partial(pushed, towards_K=phi_IK[rows].mean(axis=0)), 64, aware=True, boasts=True)
            network = Attacked(one, MODEL, n_nodes, seed, attack, plain, PUSHERS_SHARE)
            found[what, plain].append((int(one.places(network)[rows].sum()), int(clean_I[rows].sum())))
            refused[what, plain].append(network.verdicts(True))
    for what, plain in runs:
        ours, clean = (sum(column) for column in zip(*found[what, plain], strict=True))
        worst = max(now / before for now, before in found[what, plain])
        name = f"{MODEL}, {n_nodes} nodes, push {what}: {'plain' if plain else 'gate'} / clean (worst {worst:.2f})"
        yield Row(name, ours, clean, ours / clean, "places", None if plain else "<= 2")
        if not plain:
            yield refused_row(f"{MODEL}, {n_nodes} nodes, push {what}: lies refused", refused[what, plain])


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.learning_promotion", description=str(__doc__)[:100])
    parser.add_argument("--nodes", type=int, default=20, help="20 or more, so that one of them lies (default 20)")
    parser.add_argument("--worlds", type=int, default=WORLDS, help=f"how many (default {WORLDS})")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world (default 0)")
    parser.add_argument("--folder", type=Path, help="keep the demos and their vectors here, and reuse those there")
    options: Any = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder, seeds = options.folder or Path(temporary), range(options.first, options.first + options.worlds)
        for row in rows_of({seed: Shown(experiment(MODEL, seed, folder)) for seed in seeds}, options.nodes):
            goal = f"   goal {row.goal}" if row.goal else ""
            print(f"{row.name:60} {row.ours:9.4f} / {row.yardstick:9.4f} {row.unit:6} = {row.ratio:7.4f}{goal}")


if __name__ == "__main__":
    main()
