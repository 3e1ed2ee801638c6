"""How long a user who was not there in training waits for scores, and how long an epoch of training takes.

    python -m tests.bench.learning_speed [--json]

Fold-in: one new user of 20 ratings, scored over 5,000 items, with every model fitted on the same invented ratings (two
hundred users with tastes; vectors of 128 numbers); the median of many users. The sequence model has no goal. Epoch: all
likes once, beside `implicit`'s BPR on the same 50,000 likes with as many factors, one thread each, by turns. The
two-tower model has no epochs: its steps are counted that show every user once.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

import numpy as np
from scipy import sparse

from models.fusion import Items, centre_items
from models.interactions import History, Interactions, interactions_of
from models.registry import MODELS
from sim.validation import make_model
from tests.bench.row import Row, alternate, seconds_of

ITEMS, USERS, RATED, DIM, ASKED = 5000, 200, 20, 128, 40
GOAL_MS = 2.0
# What trains for long does so in fewer rounds here: how long it took says nothing about folding in.
SHORTER = {"sasrec": {"epochs": 1}, "lightgcn": {"epochs": 2}, "bpr": {"epochs": 2}, "two_tower_seed": {"epochs": 1}}
LIKES_USERS, LIKES_ITEMS, LIKES_EACH, FACTORS, EPOCHS, TURNS = 1000, 2000, 50, 64, 50, 5


def invented(seed: int, n_users: int, n_items: int, each: int) -> tuple[Items, list[History]]:
    """Users who rate what lies along their taste higher, popular items more often."""
    rng = np.random.default_rng(seed)
    halves = rng.normal(size=(2, n_items, DIM))
    halves /= np.linalg.norm(halves, axis=2, keepdims=True)
    items = centre_items(halves[0].astype(np.float32), halves[1].astype(np.float32), 0.5)
    fame_I = 1 / np.arange(1, n_items + 1) ** 0.7
    histories = []
    for _ in range(n_users):
        rows = np.sort(rng.choice(n_items, each, replace=False, p=fame_I / fame_I.sum()))
        values = np.clip(np.rint(5 + 12 * halves[1][rows] @ rng.normal(size=DIM) / DIM**0.5), -1, 10)
        histories.append(History(rows.astype(np.int64), values.astype(np.float32)))
    return items, histories


def fold_in_rows() -> list[Row]:
    items, histories = invented(0, USERS + ASKED, ITEMS, RATED)
    known, asked = histories[:USERS], histories[USERS:]
    ratings = interactions_of(known, ITEMS)
    rows = []
    for name in MODELS:
        model = make_model(name, 0, **SHORTER.get(name, {})).fit(ratings, items)
        model.scores(asked[:1])
        times = [seconds_of(partial(model.scores, [one])) * 1e3 for one in asked]
        median = statistics.median(times)
        goal = None if name == "sasrec" else "<= 1.0"
        rows.append(Row(f"fold-in and scores: {name} / {GOAL_MS:g} ms", median, GOAL_MS, median / GOAL_MS, "ms", goal))
    return rows


def epoch_rows() -> list[Row]:
    """Empty, with a sentence, where implicit is not installed."""
    try:
        from implicit.cpu.bpr import BayesianPersonalizedRanking
    except ImportError as error:
        print(f"epochs are left out: {error}")
        return []
    import torch

    items, histories = invented(1, LIKES_USERS, LIKES_ITEMS, LIKES_EACH)
    likes = [History(one.items, np.full(len(one), 10, np.float32)) for one in histories]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        theirs = theirs_of(BayesianPersonalizedRanking, interactions_of(likes, LIKES_ITEMS))
        ours = {"bpr": bpr_of(items, likes), "two_tower": two_tower_of(items, histories)}
        rows = []
        for name, epoch in ours.items():
            epoch(), theirs()
            mine, their, ratio = alternate(epoch, theirs, TURNS)
            rows.append(Row(f"epoch: {name} / implicit bpr", mine * 1e3, their * 1e3, ratio, "ms", "<= 2"))
    finally:
        torch.set_num_threads(threads)
    return rows


def theirs_of(kind: type, ratings: Interactions) -> Callable[[], float]:
    liked_UI = sparse.csr_matrix(
        (np.ones(len(ratings), np.float32), (ratings.users, ratings.items)), (ratings.n_users, ratings.n_items)
    )

    def epoch() -> float:
        model = kind(factors=FACTORS, iterations=EPOCHS, num_threads=1, random_state=0)
        return seconds_of(lambda: model.fit(liked_UI, show_progress=False)) / EPOCHS

    return epoch


def bpr_of(items: Items, likes: list[History]) -> Callable[[], float]:
    ratings = interactions_of(likes, LIKES_ITEMS)

    def epoch() -> float:
        model = make_model("bpr", 0, 10.0, factors=FACTORS, epochs=EPOCHS)
        return seconds_of(lambda: model.fit(ratings, items)) / EPOCHS

    return epoch


def two_tower_of(items: Items, histories: list[History]) -> Callable[[], float]:
    from models import episodes
    from models.two_tower import TowerLearner, TwoTower

    model = TwoTower().prepare(interactions_of(histories, LIKES_ITEMS), items)
    users = episodes.usable(histories)
    steps = round(len(users) / episodes.BATCH)

    def epoch() -> float:
        learner, rng = TowerLearner(model.block, model), np.random.default_rng(0)
        return seconds_of(lambda: episodes.train(learner, users, steps, rng))

    return epoch


def run() -> list[Row]:
    return [*fold_in_rows(), *epoch_rows()]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.learning_speed")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = run()
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
    else:
        for row in rows:
            print(f"{row.name:52} {row.ours:9.3f} / {row.yardstick:9.3f} = {row.ratio:7.3f}   {row.goal or ''}")


if __name__ == "__main__":
    main()
