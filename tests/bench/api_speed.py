"""What a person waits for at the web page: a list with reasons, items like an item, the node's state, over HTTP.

The yardstick is the same answer in this process, without HTTP; and, for a machine that is busy, the quiet one.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
from threadpoolctl import threadpool_limits

from models.linear_taste import Prior, Told, posterior
from node.answers import Answers, one_blas_thread
from node.config import Home
from node.database import Database
from node.errors import UserError
from node.session import home_index
from node.store import Rating, Store
from sim.processes import NodeProcess
from tests.bench.catalog_sync import source_home
from tests.bench.row import Row, alternate, seconds_of
from tests.node.api.client import Client

ITEMS, DIM, USERS, RATED, K = 20_000, 512, 300, 100, 24
TIMES = 21
# Of the tiny encoder: what a user's vector has.
FEATURES = 130
FOLDED = 100
BUSY = "while True: pass"


def write_ratings(home: Home) -> None:
    """Everybody rated a hundred things, as it came."""
    rng = np.random.default_rng(0)
    database = Database(home.database)
    store = Store(database)
    ids = [one.item.item for one in store.items()]
    for user in range(USERS):
        rows, values = rng.permutation(ITEMS)[:RATED], rng.integers(-1, 11, RATED)
        store.write_ratings(
            Rating(f"user{user}", home.identity.peer_id, ids[row], float(value), 1)
            for row, value in zip(rows, values, strict=True)
        )
    database.close()


@contextmanager
def busy_cores() -> Iterator[None]:
    """Within, as many processes as there are cores want all of them."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def median_ms(ask: Callable[[], object]) -> float:
    return 1e3 * statistics.median(seconds_of(ask) for _ in range(TIMES))


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        home = source_home(Path(folder) / "a", ITEMS, DIM)
        write_ratings(home)
        # Models are fitted to what everybody rated whenever somebody asks; what was learned together is there already.
        with NodeProcess(home, "--api", "127.0.0.1:0", "--learn", "none") as node, one_blas_thread():
            client = Client(str(node.ready()["api"]))
            store = Store(Database(home.database))
            index = home_index(home, store)
            answers = Answers(home, store, lambda: index, no_encoder)
            item = f"{home.identity.peer_id}/{index.stored[5].item.item}"
            asked: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
                (
                    f"{model}: {K} of {ITEMS:,} items with reasons",
                    partial(client.get, "recommend", user="user7", k=K, model=model),
                    partial(answers.recommend, "user7", K, model, None, 0),
                )
                for model in ("content", "ridge")
            ]
            asked.append(
                ("items like an item", partial(client.get, "similar", item=item), partial(answers.similar, item, 10))
            )
            rows = [compared(*one) for one in asked]
            quiet = [median_ms(over_http) for _, over_http, _ in asked]
            with busy_cores():
                busy = [median_ms(over_http) for _, over_http, _ in asked]
                folding = fold_in_row()
            rows += [
                Row(f"{name}: every core busy / quiet", ours, yardstick, ours / yardstick, "ms")
                for (name, _, _), ours, yardstick in zip(asked, busy, quiet, strict=True)
            ]
            store.close()
            return [*rows, folding]


def fold_in_row() -> Row:
    """What one thread of linear algebra is worth where others want the cores."""
    rng = np.random.default_rng(0)
    x_RK = rng.normal(size=(2 * FEATURES, FEATURES))
    told, prior = Told(x_RK, rng.normal(size=2 * FEATURES)), Prior(np.zeros(FEATURES), np.eye(FEATURES), 1.0)

    def fold_in(threads: int) -> float:
        with threadpool_limits(threads, user_api="blas"):
            # Many, for it is now and then that one waits for long.
            return seconds_of(lambda: [posterior(told, prior) for _ in range(FOLDED)]) / FOLDED

    cores = os.cpu_count() or 1
    all_cores, one, ratio = alternate(partial(fold_in, cores), partial(fold_in, 1), TIMES // 3)
    return Row("folding a user in, every core busy: all cores / one thread", 1e3 * all_cores, 1e3 * one, ratio, "ms")


def compared(name: str, over_http: Callable[[], object], in_process: Callable[[], object]) -> Row:
    over_http()
    ours, yardstick, ratio = alternate(partial(seconds_of, over_http), partial(seconds_of, in_process), TIMES)
    return Row(f"{name}: over HTTP / in process", 1e3 * ours, 1e3 * yardstick, ratio, "ms")


def no_encoder() -> NoReturn:
    raise UserError("vectors of this bench are made up, so no text can be asked for")
