"""Our side of tests.bench.gossipy_peer: one user of MovieLens a node, with production engines or the round alone.

    python -m tests.bench.gossipy_ours FOLDER

A process of its own, so that its CPU time and its memory are those of one thing. FOLDER/config.json says what to run,
films.npy and train.npz on what; left there are the files that tests/bench/gossipy_driver.py leaves. Ratings are moved
to a node's scale. Every node has the films from the start, as gossipy's has their numbers: no catalog travels.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from threadpoolctl import threadpool_limits

from models.factor_table import Keys
from models.features import FEATURE_RULE, PricedItems, priced
from models.fusion import centre_items
from models.interactions import History, Interactions, interactions_of
from models.item_factors import ItemFactors
from models.learning_round import Block, State, run_round
from models.recommender import Scores
from models.shared_factors import SharedFactors
from models.shared_model import NO_MOMENTS, Crowd, SharedModel
from models.shared_models import shared_model
from models.shared_taste import SharedTaste
from models.taste_prior import TastePrior
from node.events import Train, Trained
from node.index import Index
from node.learned import Learned
from node.learner import Learner, learning_set
from node.learning_service import LearningPlan
from node.store import Rating
from node.taught import taught_by
from protocol.factor_rows import row_key
from sim.network import Link
from sim.seat import Plan, Seat, Space
from sim.world import World, address_of, remembered_verifications
from tests.bench.film_people import FILE_LOW, LOW, STRETCH, on_node_scale

TASTE, RANK = "taste_prior", 10
BASIS = f"random-{RANK}"
SPACE = Space("films", hashlib.sha256(b"titles and genres of films").digest(), RANK, BASIS)
FEATURES = f"{FEATURE_RULE}/{BASIS}"
PERIOD_MS = 60_000
DEGREE = 20
PUBLISHER = "films"


def read(folder: Path) -> tuple[PricedItems, list[History]]:
    """The films and what each user knows, on a node's scale."""
    text_ID, train = np.load(folder / "films.npy"), np.load(folder / "train.npz")
    items = centre_items(np.zeros_like(text_ID), text_ID, 0.5)
    values = on_node_scale(train["values"])
    known = Interactions(train["users"], train["items"], values, int(train["users"].max()) + 1, len(items))
    return priced(items, np.full(len(items), np.nan, np.float32)), known.histories()


def factors_by(items: PricedItems, history: History, state: State | None, crowd: Crowd) -> tuple[Scores, Scores]:
    """As `answer_by`, by an item-factor table."""
    model = ItemFactors().prepare(interactions_of([history], len(items)), items)
    if state is not None:
        SharedFactors(model, film_keys(len(items)), [history]).take(state.values_V, crowd)
    return on_file_scale(model.expected([history])[0]), model.scores([history])[0]


def answer_by(
    model: str, items: PricedItems, history: History, state: State | None, crowd: Crowd
) -> tuple[Scores, Scores]:
    """Of every film, by a block or by the common start: its rating on the file's scale, and what ranks; float32 [items]
    each.
    """
    if model == TASTE:
        expected_I = expected_by(items, history, state, crowd)
        return expected_I, expected_I
    return factors_by(items, history, state, crowd)


def film_keys(count: int) -> Keys:
    """What the item-factor table calls the films."""
    return np.array([row_key(PUBLISHER, str(row)) for row in range(count)], np.uint64)


def expected_by(items: PricedItems, history: History, state: State | None, crowd: Crowd) -> Scores:
    """Of every film, on the file's scale, by a taste block or by the common start: float32 [items]."""
    prepared = TastePrior(basis=BASIS).prepare(interactions_of([history], len(items)), items)
    model = SharedTaste(prepared, [history])
    model.take(model.start() if state is None else state.values_V, crowd)
    return on_file_scale(prepared.expected([history])[0])


def on_file_scale(expected: Scores) -> Scores:
    """From a node's scale."""
    return np.asarray(FILE_LOW + (expected - LOW) / STRETCH, np.float32)


# -- the production engine ---------------------------------------------------------------------------------------------


class Counted(Learner):
    """Counts periods."""

    periods = 0

    def run(self, job: Train) -> Trained:
        Counted.periods += 1
        return super().run(job)


class Engines:
    """Production engines over virtual time: stores, signatures, frames, the gate and the ledger."""

    def __init__(self, model: str, items: PricedItems, histories: Sequence[History], fan_out: int) -> None:
        self._model, self._items, self._histories, self._fan_out = model, items, histories, fan_out
        rows = {(PUBLISHER, str(row)): row for row in range(len(items))}
        self._index = Index([], items, {}, rows, np.zeros(len(items), np.int64))
        self._world = World(0, SPACE, Link())
        plan, chance = LearningPlan((model,), FEATURES, PERIOD_MS, None), random.Random(0)
        for number, history in enumerate(histories):
            known = chance.sample(self._world.seats, min(DEGREE // 2, number))
            named = tuple(address_of(one.peer) for one in known)
            seat = self._world.add(Plan(f"person {number}", named, plan))
            told = zip(history.items.tolist(), history.values.tolist(), strict=True)
            seat.store.write_ratings([Rating("me", PUBLISHER, str(row), value, 0) for row, value in told])
            seat.learner = Counted(partial(self._read, seat), BASIS)
        for seat in self._world.seats:
            self._world.start(seat)

    def _read(self, seat: Seat) -> Any:
        return learning_set(self._index, seat.store.ratings())

    def run(self, periods: int) -> None:
        # One user a node, as there: no shop of so few tells its table.
        with patch("node.learning_service.FAN_OUT", self._fan_out), patch("node.learner.TABLE_USERS_MIN", 1):
            self._world.run(periods * PERIOD_MS / 1000)

    @property
    def updates(self) -> int:
        return Counted.periods

    @property
    def sent(self) -> float:
        """Bytes of all kinds of frames."""
        return sum(sum(one.engine.traffic.bytes_out.values()) for one in self._world.seats if one.engine)

    def answers(self, users: int) -> tuple[Scores, Scores]:
        rows = []
        for seat, history in list(zip(self._world.seats, self._histories, strict=True))[:users]:
            taught = taught_by(Learned(seat.database), FEATURES, BASIS)
            state = State(taught.block.values_V, NO_MOMENTS, 0) if taught else None
            crowd = taught.block.crowd if taught else Crowd()
            rows.append(answer_by(self._model, self._items, history, state, crowd))
        return both(rows)


def both(rows: Sequence[tuple[Scores, Scores]]) -> tuple[Scores, Scores]:
    """Ratings and ranks of one user each as those of all: float32 [users, items]."""
    return np.stack([expected_I for expected_I, _ in rows]), np.stack([score_I for _, score_I in rows])


# -- the round alone ---------------------------------------------------------------------------------------------------


class Rounds:
    """models.learning_round and nothing else: each node pushes its block to others that it knows, unrounded."""

    def __init__(self, model: str, items: PricedItems, histories: Sequence[History], fan_out: int) -> None:
        self._model, self._items, self._fan_out = model, items, fan_out
        keys_I = film_keys(len(items))
        self._rng = np.random.default_rng(0)
        self._histories = histories
        self._crowd = Crowd(len(histories), len(histories))
        self._models: list[SharedModel] = []
        self._rated, self._known = [], []
        for number, history in enumerate(histories):
            rated = np.unique(history.items)
            moved = History(np.searchsorted(rated, history.items), history.values)
            self._models.append(shared_model(model, items.at(rated), [moved], BASIS, number, keys_I=keys_I[rated]))
            self._rated.append(moved)
            others = np.delete(np.arange(len(histories)), number)
            self._known.append(self._rng.choice(others, min(DEGREE, len(others)), replace=False))
        self._states = [State(one.start(), NO_MOMENTS, 0) for one in self._models]
        self._inboxes: list[list[Block]] = [[] for _ in histories]
        self.updates, self.sent = 0, 0.0

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            for number, model in enumerate(self._models):
                inbox, self._inboxes[number] = self._inboxes[number], []
                told = [self._rated[number]]
                outcome = run_round(model, told, self._states[number], inbox, self._crowd, self._rng)
                self._states[number] = outcome.state
                self.updates += 1
            for number, state in enumerate(self._states):
                for other in self._rng.choice(self._known[number], self._fan_out, replace=False).tolist():
                    self._inboxes[other].append(Block(str(number), state.values_V, state.age))

    def answers(self, users: int) -> tuple[Scores, Scores]:
        made = zip(self._histories[:users], self._states[:users], strict=True)
        return both([answer_by(self._model, self._items, history, state, self._crowd) for history, state in made])


def measured(one: Engines | Rounds, folder: Path, config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """After each round of `marks`: CPU seconds of learning alone, and bytes sent."""
    done = 0
    for mark in config["marks"]:
        began = time.process_time()
        one.run(mark - done)
        cpu_s, done = time.process_time() - began, mark
        yield {"round": mark, "cpu_s": cpu_s, "updates": one.updates, "bytes_a_node": one.sent / config["nodes"]}
        if config["judged"]:
            expected_UI, score_UI = one.answers(config["n_users"])
            np.save(folder / f"expected_{mark}.npy", expected_UI)
            np.save(folder / f"score_{mark}.npy", score_UI)


PARTS: dict[str, type[Engines] | type[Rounds]] = {"engines": Engines, "rounds": Rounds}


def peak_mib() -> float:
    """Peak memory of this process; ru_maxrss would have that of the parent before exec in it."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def main(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    with threadpool_limits(1), remembered_verifications() if config["remembered"] else nullcontext():
        items, known = read(folder)
        histories = [known[number % len(known)] for number in range(config["nodes"])]
        one: Engines | Rounds = PARTS[config["part"]](config["model"], items, histories, config["fan_out"])
        curve = list(measured(one, folder, config))
    result = {"peak_mib": peak_mib(), "curve": curve}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
