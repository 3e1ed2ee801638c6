"""The simulator beside reality: two shops that learn, in the world and as two processes over libp2p, from one seed.

    python -m tests.bench.reality [--periods 4]

The processes run the production runtime and transport over stores that the world made, with the world's chance instead
of the system's. What comes when is reality's own, so a seed is chosen by which no two periods of learning end within
GAP_S of each other: their order is then the same, and with it everything that is learned. Compared: the roots held,
what was learned, and the bytes that the engines handed to the network. Both look at the clock every 50 ms here.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from models.shared_models import SHARED_MODELS
from node.config import Config, create_home
from node.database import Database
from node.events import JobDone, Trained
from node.learned import Learned
from node.learner import Learner, StoreReader
from node.replicas import Replicas
from protocol.heads import open_head
from sim import world as sim_world
from sim.network import Link
from sim.seat import Seat
from sim.stage import Cast, Options, Stage
from sim.town import FEATURES, SPACE
from tests.bench.row import Row

ROOT = Path(__file__).resolve().parents[2]
LOOK_MS, PERIOD_S, GAP_S, APART_S = 50, 8.0, 0.8, 2.0
# Until both processes have imported everything.
LOADING_S = 12.0
SEEDS_MAX = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """A node afterwards: publisher -> sealed head, model -> (age, values), kind -> bytes sent."""

    roots: dict[str, bytes]
    learned: dict[str, tuple[int, np.ndarray]]
    sent: dict[str, int]


def stage_of(model: str, seed: int) -> Stage:
    """Two shops with 60 items and 24 people each; links as on one machine."""
    cast = Cast(2, 60, 48, degree=1, period_s=PERIOD_S, models=(model,))
    return Stage(Options(seed), cast, Link(latency_ms=1, bytes_second=0), checked=False)


def seen_of(database: Database, sent: dict[str, int], models: Sequence[str]) -> Seen:
    rows = {model: Learned(database).find(model, FEATURES) for model in models}
    heads = {one.publisher: one.head for one in Replicas(database).held() if one.head is not None}
    return Seen(heads, {model: (row.state.age, row.state.values_V) for model, row in rows.items() if row}, sent)


def play(stage: Stage, until: Callable[[], bool]) -> tuple[list[Seen], float]:
    """The world's run, and the least time between two periods' ends, in seconds."""
    moments: list[int] = []

    def watch(world: sim_world.World, seat: Seat, event: object) -> None:
        if isinstance(event, JobDone) and isinstance(event.result, Trained):
            moments.append(world.now_ms)

    stage.world.watch = watch
    first, second = stage.seats
    stage.world.start(first)
    stage.world.run(APART_S)
    stage.world.start(second)
    stage.world.run(3600, until)
    # What was sent last arrives.
    stage.world.run(GAP_S / 2)
    models = stage.plan.models
    traffic = [seat.engine.traffic if seat.engine else None for seat in stage.seats]
    seen = [
        seen_of(seat.database, dict(one.bytes_out) if one else {}, models)
        for seat, one in zip(stage.seats, traffic, strict=True)
    ]
    return seen, min(np.diff(sorted(moments)), default=0) / 1000


def ages(stage: Stage) -> list[int]:
    """Of every model at both nodes."""
    found = []
    for seat in stage.seats:
        rows = [Learned(seat.database).find(model, FEATURES) for model in stage.plan.models]
        found += [row.state.age if row else 0 for row in rows]
    return found


def chosen_seed(model: str, periods: int) -> int:
    """The first by which nothing happens at nearly one time."""
    for seed in range(SEEDS_MAX):
        stage = stage_of(model, seed)
        _, gap_s = play(stage, lambda stage=stage: min(ages(stage)) > periods)  # type: ignore[misc]
        if gap_s >= GAP_S:
            return seed
    raise AssertionError("no seed keeps its periods apart")


def start(words: dict[str, object]) -> subprocess.Popen[str]:
    """`serve` in a process of its own."""
    told = [part for name, value in words.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "tests.bench.reality", "serve", *told]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def live(model: str, seed: int, periods: int, folder: Path) -> list[Seen]:
    """The same as two processes over libp2p on 127.0.0.1."""
    stage = stage_of(model, seed)
    homes = [folder / str(seat.number) for seat in stage.seats]
    begin = time.time() + LOADING_S
    port = random.SystemRandom().randrange(20_000, 50_000)
    address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{stage.seats[0].peer}"
    listens = (f"/ip4/127.0.0.1/tcp/{port}", "/ip4/127.0.0.1/tcp/0")

    def words(number: int) -> dict[str, object]:
        where = {"home": homes[number], "number": number, "listen": listens[number], "peer": address}
        return {"model": model, "seed": seed, "at": begin + number * APART_S, **where}

    nodes = [start(words(number)) for number in (0, 1)]
    try:
        time.sleep(LOADING_S + 2 * APART_S)
        stores = [Database(home / "node.sqlite") for home in homes]
        models = stage.plan.models
        while all(node.poll() is None for node in nodes):
            rows = [Learned(store).find(one, FEATURES) for store in stores for one in models]
            if min(row.state.age if row else 0 for row in rows) >= periods:
                break
            time.sleep(0.1)
        else:
            raise RuntimeError("a node has stopped; its own words stand above")
        time.sleep(GAP_S / 2)
        for node in nodes:
            node.terminate()
        sent = [json.loads(node.communicate(timeout=30)[0].splitlines()[-1]) for node in nodes]
        return [seen_of(store, told, models) for store, told in zip(stores, sent, strict=True)]
    finally:
        for node in nodes:
            node.kill()


def serve(options: argparse.Namespace) -> None:
    """One node in a process of its own; when told to stop it prints what it sent, by kind."""
    from node import runtime as runtime_module
    from node.libp2p_transport import Libp2pTransport
    from node.runtime import Runtime, run_node

    runtime_module.TICK_SECONDS = LOOK_MS / 1000
    stage = stage_of(options.model, options.seed)
    seat, folder = stage.seats[options.number], Path(options.home)
    folder.mkdir()
    (folder / "key").write_bytes(seat.identity.seed)
    home = create_home(folder, Config(seat.platform, SPACE.encoder, SPACE.fingerprint.hex(), SPACE.dim))
    seat.database.rows("VACUUM INTO ?", str(home.database))
    # The world's seat, over the disk.
    seat.database = Database(home.database)
    seat.settings = replace(seat.settings, named=(options.peer,) if options.number else ())
    engine = seat.make_engine(options.seed)
    reader = StoreReader(lambda: Database(home.database), stage.world.indexes.load_own)
    transport = Libp2pTransport(seat.identity.seed, [options.listen])
    runtime = Runtime(home, engine, transport, seat.ranker, Learner(reader, SPACE.basis))
    time.sleep(max(0.0, options.at - time.time()))
    with sim_world.one_thread():
        run_node(runtime, lambda addresses: None)
    print(json.dumps(dict(engine.traffic.bytes_out)), flush=True)


def compare(model: str, periods: int) -> list[Row]:
    """Rows of one model."""
    seed = chosen_seed(model, periods)
    with tempfile.TemporaryDirectory() as folder:
        real = live(model, seed, periods, Path(folder))
    stage = stage_of(model, seed)
    wanted = [one.learned[name][0] for one in real for name in stage.plan.models]
    simulated, _ = play(stage, lambda: ages(stage) == wanted)
    roots = [{publisher: open_head(head).root for publisher, head in one.roots.items()} for one in (*simulated, *real)]
    agreeing = sum(one == roots[0] for one in roots)
    off = max(
        float(np.abs(one.learned[name][1] - other.learned[name][1]).max())
        for one, other in zip(simulated, real, strict=True)
        for name in stage.plan.models
    )
    sent, really = (sum(sum(one.sent.values()) for one in seen) for seen in (simulated, real))
    about = f"{model}, seed {seed}, ages {wanted}"
    return [
        Row(f"{about}: roots that agree", agreeing, len(roots), agreeing / len(roots), "nodes", "all"),
        Row(f"{about}: furthest value learned / 1e-6", off, 1e-6, off / 1e-6, "", "<= 1"),
        Row(f"{about}: bytes sent, simulated / real", sent, really, sent / really, "bytes", "within 10 %"),
    ]


def run(periods: int = 4) -> list[Row]:
    with patch.object(sim_world, "TICK_MS", LOOK_MS):
        return [row for model in SHARED_MODELS for row in compare(model, periods)]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reality", description=str(__doc__).split("\n")[0])
    parser.add_argument("what", nargs="?", choices=["compare", "serve"], default="compare")
    parser.add_argument("--periods", type=int, default=4)
    for name in ("model", "home", "listen", "peer"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--at", type=float, default=0.0)
    options = parser.parse_args(arguments)
    if options.what == "serve":
        serve(options)
        return
    for row in run(options.periods):
        print(f"{row.name:70} {row.ours:14.6g} / {row.yardstick:12.6g} {row.unit:6} = {row.ratio:10.4g}  {row.goal}")


if __name__ == "__main__":
    main()
