"""Two real processes over real sockets that learn together: what they exchange, and what kill -9 does not undo."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from node import cli
from node.config import Home
from node.database import Database
from node.store import Rating, Store
from sim.processes import NodeProcess, wait_until
from tests.node.network.homes import write_home
from tests.node.network.processes import roots

# Of the tiny encoder's vectors, over which its basis is.
DIM = 512
USERS, ITEMS = 6, 60
LEARN = ("--epsilon", "none", "--period", "1")


def write_ratings(home: Home, platform: str, seed: int) -> None:
    """Each user likes one half of the shop."""
    rng = np.random.default_rng(seed)
    database = Database(home.database)
    for user in range(USERS):
        rows = rng.permutation(ITEMS)[:20]
        Store(database).write_ratings(
            Rating(f"user{user}", home.identity.peer_id, f"{platform}{row}", 9.0 if row % 2 else 2.0, 1) for row in rows
        )
    database.close()


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Home, Home]:
    made = []
    for number, platform in ((1, "Asolo"), (2, "Bella")):
        items = [f"{platform}{i}" for i in range(ITEMS)]
        made.append(write_home(tmp_path / platform, number, platform, items, DIM))
        write_ratings(made[-1], platform, number)
    return made[0], made[1]


def learned(process: NodeProcess, source: Home) -> tuple[int, int]:
    """The model's age, and how many updates of that source were judged good."""
    model = process.status()["models"][0]
    return model["age"], model["ledger"].get(source.identity.peer_id, {"accepted": 0})["accepted"]


def several(process: NodeProcess, source: Home, times: int) -> Callable[[], bool]:
    return lambda: learned(process, source)[1] >= times


def test_two_processes_learn_from_each_other_and_a_killed_one_goes_on(homes: tuple[Home, Home]) -> None:
    with NodeProcess(homes[0], *LEARN) as a:
        a.ready()
        with NodeProcess(homes[1], *LEARN, "--peer", a.address) as b:
            b.ready()
            wait_until(lambda: len(roots(homes[0])) == len(roots(homes[1])) == 2)
            wait_until(several(a, homes[1], 3))
            wait_until(several(b, homes[0], 3))
            traffic = a.status()
            assert 0 < traffic["bytes_out"]["AskUpdate"] <= 65_600 * traffic["frames_out"]["AskUpdate"]
            b.kill()
            age, accepted = stopped_model(homes[1])
            assert age >= 3
        with NodeProcess(homes[1], *LEARN, "--peer", a.address) as again:
            again.ready()
            assert learned(again, homes[0])[0] >= age
            wait_until(several(again, homes[0], accepted + 2))
            assert again.stop() == 0


def stopped_model(home: Home) -> tuple[int, int]:
    """Age and accepted updates as `p2prec node status` reads them from the store."""
    from node.commands_node import node_status

    document = node_status(home)
    assert document["running"] is False
    model = document["models"][0]
    return model["age"], sum(entry["accepted"] for entry in model["ledger"].values())


@pytest.mark.parametrize("learned_model", ["taste_prior", "item_factors"])
def test_what_was_learned_ranks_where_it_helps(
    homes: tuple[Home, Home], capsys: pytest.CaptureFixture[str], learned_model: str
) -> None:
    with NodeProcess(homes[0], *LEARN, "--learn", learned_model) as a:
        a.ready()
        wait_until(lambda: a.status()["models"][0]["age"] >= 3)
        if learned_model == "item_factors":
            # Everybody here likes one half of the shop: what all like serves each of them.
            wait_until(lambda: a.status()["models"][0]["ranks"] == "network")
        ranks = a.status()["models"][0]["ranks"]
    assert cli.run(["recommend", "user0", "--home", str(homes[0].folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["model"] == (learned_model if ranks == "network" else "content")
    assert all(item["reason"] for item in document["items"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--learn", "everything"), "--learn takes"),
        (("--learn", "taste_prior,taste_prior"), "--learn takes"),
        (("--epsilon", "much"), "--epsilon must be"),
        (("--epsilon", "0"), "--epsilon must be"),
        (("--learn", "two_tower"), "only taste_prior can be shared with noise"),
        (("--learn", "item_factors"), "only taste_prior can be shared with noise"),
        (("--period", "0"), "--period must be"),
        (("--period", "nan"), "--period must be"),
    ],
)
def test_options_that_can_not_be_are_refused_in_one_line(
    homes: tuple[Home, Home], capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert cli.run(["node", "start", *arguments, "--home", str(homes[0].folder)]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
