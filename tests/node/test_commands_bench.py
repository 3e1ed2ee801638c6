"""`p2prec bench`: what it runs, and what it says where there is nothing to run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from node import cli, commands_bench
from tests.bench.__main__ import BENCHES


def test_a_benchmark_gives_rows_beside_yardsticks(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "record_speed", "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)["rows"]
    assert rows
    for row in rows:
        assert row["ratio"] > 0
        assert {"name", "ours", "yardstick", "ratio", "unit"} <= row.keys()


def test_an_unknown_benchmark_is_a_mistake_that_lists_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "nothing"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(name in said for name in BENCHES)


@pytest.mark.parametrize("name", BENCHES)
def test_every_benchmark_of_the_whole_run_can_be_run(name: str) -> None:
    """Nobody waits an hour to hear that the last one is not there."""
    assert callable(importlib.import_module(f"tests.bench.{name}").run)


def test_without_the_source_there_is_nothing_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands_bench, "BENCHES", tmp_path)
    assert cli.run(["bench"]) == 2
    assert "checkout of the source" in capsys.readouterr().err
