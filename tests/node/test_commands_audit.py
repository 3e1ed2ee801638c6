"""`p2prec audit` on a real home: what it prints, and when it fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from node import cli
from node.config import Home
from node.database import Database
from node.store import Rating, Store
from tests.node.network.homes import write_home

ITEMS, DIM = 40, 512


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Twelve people who each like items of their own choice."""
    made = write_home(tmp_path / "shop", 1, "Asolo", [f"a{i}" for i in range(ITEMS)], DIM)
    rng = np.random.default_rng(0)
    database = Database(made.database)
    for user in range(12):
        rows = rng.permutation(ITEMS)[:20].tolist()
        Store(database).write_ratings(
            Rating(f"user{user}", made.identity.peer_id, f"a{row}", float(rng.integers(0, 11)), 1) for row in rows
        )
    database.close()
    return made


def test_without_noise_members_are_found_and_noise_hides_them(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(["audit", "--epsilon", "0.5", "--rounds", "4", "--home", str(home.folder), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert code == (0 if document["passed"] else 1)
    assert document["users"] == 12
    rows = {row["attack"]: row for row in document["rows"]}
    assert list(rows) == ["membership", "interaction", "community", "card"]
    membership = rows["membership"]
    assert membership["unprotected"]["auc"] > 0.8 > membership["protected"]["auc"]
    # One category for all: nothing to infer.
    assert rows["community"]["protected"] is None
    assert document["membership_auc_max"] < 0.6


def test_over_the_bar_is_exit_code_one_and_says_so(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["audit", "--epsilon", "20", "--rounds", "4", "--home", str(home.folder)]) == 1
    assert "over the bar" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("--epsilon", "0"), "--epsilon"), (("--rounds", "1"), "--rounds"), (("--seed", "-1"), "--seed")],
)
def test_what_can_not_be_is_refused_in_one_line(
    home: Home, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert cli.run(["audit", *arguments, "--home", str(home.folder)]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_a_shop_without_ratings_has_nothing_to_attack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = write_home(tmp_path / "empty", 2, "Bella", ["b1"], DIM)
    assert cli.run(["audit", "--home", str(empty.folder)]) == 2
    assert "two users" in capsys.readouterr().err
