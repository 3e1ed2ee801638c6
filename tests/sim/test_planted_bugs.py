"""The bugs of `tests.bench.planted_bugs` can still be planted, and one of them is found; the bench hunts them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.planted_bugs import BUGS, Bug, Edit, PatchError, Play, copied, plant, runs

SEEDS = range(3)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("program"))


def test_there_are_enough_and_each_has_its_name() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 12


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_every_bug_can_be_planted(bug: Bug, tmp_path: Path) -> None:
    root = copied(tmp_path)
    plant(root, bug)
    for edit in bug.edits:
        compile((root / edit.file).read_text("utf-8"), edit.file, "exec")


def test_a_bug_that_does_not_fit_any_more_is_one_sentence(program: Path) -> None:
    with pytest.raises(PatchError, match=r"lost: node/engine\.py has 0 times, not once"):
        plant(program, Bug("lost", "", (), (Edit("node/engine.py", "what nobody wrote", ""),)))


def test_a_planted_bug_is_found_and_the_program_as_it_is_passes(program: Path, tmp_path: Path) -> None:
    bug = next(bug for bug in BUGS if bug.name == "resurrected")
    plays: list[Play] = [("swarm", 4, {})]
    assert [run.found for run in runs(program, plays, SEEDS, stops=False)] == [None] * len(SEEDS)
    root = copied(tmp_path)
    plant(root, bug)
    found = runs(root, plays, SEEDS, stops=True)[-1].found
    assert found is not None
    assert "only verified" in found
