"""The world: a seed is one run in every process, ticks that are left out change nothing, laws are looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from node.cli import run
from node.errors import UserError
from node.events import Effect, Event
from node.transport import Publish
from sim.checkers import PLANTED, BrokenLawError, OnlyVerified, UsersStay, all_checkers
from sim.network import Link
from sim.plays_network import flock, reprice
from sim.scenarios import SCENARIOS, play
from sim.seat import Seat
from sim.settled import resurrected, unsettled
from sim.stage import Cast, Options, Stage
from sim.world import one_thread, remembered_verifications

#: Small forms of every scenario that needs no pictures.
SMALL: dict[str, tuple[int, dict[str, float]]] = {
    "many-shops": (3, {"people": 30, "periods": 2}),
    "one-user-a-node": (12, {"seconds": 300, "period_s": 60}),
    "cold-start": (3, {"periods": 2}),
    "churn": (4, {"periods": 4}),
    "partition": (6, {"hours": 0.05}),
    "byzantine": (5, {"periods": 2}),
    "promotion": (3, {"periods": 2}),
    "price-storm": (3, {"items": 60, "storms": 2}),
    "new-item": (6, {"launches": 2}),
    "swarm": (4, {}),
    "two-shops": (2, {"share": 0.1, "people": 10, "periods": 1}),
}
DIGESTS = """
import json, sys
from sim.scenarios import play
seeds, small = json.load(sys.stdin)
print(json.dumps([[play(name, seed, *arguments).digest for name, arguments in small.items()] for seed in seeds]))
"""


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """As `play` runs scenarios."""
    with one_thread(), remembered_verifications():
        yield


def digests(hash_seed: str, *seeds: int) -> list[list[str]]:
    """Of every small scenario and each seed, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS],
        input=json.dumps([seeds, SMALL]),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


def test_a_seed_is_one_run_in_every_process_and_another_seed_another() -> None:
    assert SMALL.keys() == SCENARIOS.keys()
    zero, one = digests("1", 0, 1)
    assert digests("2", 0) == [zero]
    assert len({*zero, *one}) == 2 * len(SMALL)


def test_ticks_that_would_find_nothing_are_left_out_and_change_nothing() -> None:
    """Their numbers differ, and nothing else: stores, what was sent, and when."""
    seen = []
    for every_tick in (False, True):
        stage = Stage(Options(5), Cast(4, 20, 20, period_s=20.0), Link(latency_ms=30, broken=0.05))
        stage.world.every_tick = every_tick
        frames: list[tuple[int, int, str]] = []

        class Log:
            def after(self, seat: Seat, event: Event, effects: Sequence[Effect], now_ms: int) -> None:
                frames.extend((now_ms, seat.number, repr(one)) for one in effects)  # noqa: B023

        stage.world.checkers = [Log()]
        for seat in stage.seats:
            # Not at one moment: of two nodes that tick in the same millisecond either may come first.
            stage.world.start(seat)
            stage.run(0.137)
        stage.run(100)
        stage.shops[0].write([reprice(stage.town.writes_of(0)[3], 777)])
        stage.world.edited(stage.shops[0])
        stage.world.stop(stage.seats[2])
        stage.run(200)
        stage.world.start(stage.seats[2])
        stage.run(300)
        seen.append((frames, [seat.whole() for seat in stage.seats], stage.world.events))
    (lazy, lazy_whole, few), (busy, busy_whole, many) = seen
    assert lazy == busy
    assert lazy_whole == busy_whole
    assert few < 0.8 * many


@pytest.mark.parametrize("seed", range(10))
def test_swarms_keep_every_law_and_settle(seed: int) -> None:
    outcome = play("swarm", seed, 5)
    assert outcome.held, [one for one in outcome.asserted if not one.held]


def small_stage() -> Stage:
    return Stage(Options(1), Cast(3, 12, 0, learning=False), Link())


def test_a_record_that_nobody_wrote_is_found() -> None:
    stage = small_stage()
    stage.start()
    stage.run(5)
    seat, other = stage.seats[0], stage.seats[1]
    catalog = next(one.catalog for one in seat.replicas.held() if one.publisher == other.peer)
    with seat.database.transaction() as connection:
        connection.execute("UPDATE entry SET record = zeroblob(32) WHERE catalog = ?", (catalog,))
        connection.execute("UPDATE catalog SET target = head WHERE catalog = ?", (catalog,))
    with pytest.raises(BrokenLawError, match="never wrote"):
        stage.run(400)


def test_content_that_is_not_that_of_its_hash_is_found() -> None:
    stage = small_stage()
    stage.world.checkers = []
    stage.start()
    stage.run(30)
    seat, other = stage.seats[0], stage.seats[1]
    stage.world.checkers = [checker := OnlyVerified()]
    for one in stage.seats:
        checker._written[one.peer] = set(
            one.database.rows("SELECT key, record FROM entry WHERE catalog = ?", one.catalog)
        )  # type: ignore[arg-type]
    catalog = next(one.catalog for one in seat.replicas.held() if one.publisher == other.peer)
    with seat.database.transaction() as connection:
        connection.execute(
            "UPDATE vector SET packed = zeroblob(32) WHERE slot IN (SELECT slot FROM entry WHERE catalog = ?)",
            (catalog,),
        )
    with pytest.raises(BrokenLawError, match="not that of its hash"):
        stage.run(400)


def test_a_user_in_a_frame_is_found() -> None:
    stage = small_stage()
    frame = Publish(f"hello {PLANTED}3".encode())
    with pytest.raises(BrokenLawError, match="users stay"):
        UsersStay().after(stage.seats[0], None, [frame], 0)  # type: ignore[arg-type]


def test_what_has_not_settled_is_said_and_what_came_back_too() -> None:
    stage = small_stage()
    stage.start()
    assert unsettled(stage.seats)
    stage.run(60)
    assert unsettled(stage.seats) == []
    shop, item = stage.shops[0], stage.town.writes_of(0)[0].item
    shop.store.remove_items(shop.catalog, [item])
    assert len(resurrected(stage.seats, shop, [item])) == 2, "the others have not heard"
    stage.world.edited(shop)
    stage.run(60)
    assert resurrected(stage.seats, shop, [item]) == []


def test_a_killed_node_goes_on_from_its_store() -> None:
    stage = Stage(Options(2), Cast(4, 30, 40, period_s=10.0), Link())
    stage.start()
    stage.run(60)
    before = stage.seats[1].whole()
    flock(stage, stage.chance, 1.0)
    assert all(seat.engine is None for seat in stage.seats)
    flock(stage, stage.chance, 0.0)
    assert stage.seats[1].whole() == before
    stage.run(60)
    assert unsettled(stage.seats) == []


def test_clocks_that_differ_and_frames_told_twice_do_no_harm() -> None:
    stage = Stage(Options(3), Cast(4, 30, 40, period_s=10.0, clocks_ms=60_000), Link(doubled=0.3))
    stage.start()
    stage.run(120)
    assert unsettled(stage.seats) == []


def test_the_command_lists_runs_and_teaches(capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    assert run(["sim", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["scenarios"]
    assert {one["scenario"] for one in listed} == set(SCENARIOS)
    words = ["sim", "run", "partition", "--nodes", "4", "--seed", "7", "--set", "hours=0.02"]
    assert run([*words, "--json", "--out", str(tmp_path)]) == 0
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert told.err.startswith("seed 7; replay: p2prec sim run partition --seed 7 --nodes 4 --set hours=0.02\n")
    assert document["digest"] == play("partition", 7, 4, {"hours": 0.02}).digest
    assert document["rows"][0]["edits"] > 0
    for wrong, teaches in (
        (["sim", "run", "nothing"], "no scenario 'nothing'; there are: two-shops"),
        (["sim", "run", "partition", "--nodes", "1"], "--nodes must be 2 to"),
        (["sim", "run", "partition", "--seed", "-1"], "--seed must be"),
        (["sim", "run", "partition", "--set", "hours"], "NAME=VALUE"),
        (["sim", "run", "partition", "--set", "hours=never"], "hours must be a number"),
        (["sim", "run", "swarm", "--nodes", "3", "--set", "colour=red"], "no parameter 'colour'"),
    ):
        assert run(wrong) == 2
        assert teaches in capsys.readouterr().err


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(UserError, match="no parameter"):
        play("price-storm", 0, 2, {"items": 20, "storms": 1, "hour": 3})


def test_all_laws_are_looked_at() -> None:
    assert {type(one).__name__ for one in all_checkers()} == {
        "OnlyVerified",
        "UsersStay",
        "PromisesKept",
        "BudgetsKept",
    }
    assert replace(Link(), loss=0.5).loss == 0.5
