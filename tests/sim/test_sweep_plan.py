"""Configs of sweeps: what they mean, and one sentence for each that means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.errors import UserError
from sim.sweep_plan import RUNS_MAX, read_plan


def config(folder: Path, text: str) -> Path:
    path = folder / "a.toml"
    path.write_text(text, "utf-8")
    return path


GOOD = 'scenarios = ["churn"]\nseeds = [0]\n'
HOSTILE = {
    "": "scenarios must be a list; there is none",
    "scenarios = [": "is not TOML",
    "\xff": "is not TOML",
    f"scenarios = {'[' * 5000}": "is not TOML",
    f"seeds = [{'9' * 5000}]": "",
    'scenarios = "churn"\nseeds = [0]': "scenarios must be a list, not 'churn'",
    'scenarios = ["../x"]\nseeds = [0]': "'../x' is no name",
    'scenarios = ["a", "a"]\nseeds = [0]': "scenarios has 'a' twice",
    'scenarios = ["a"]': "seeds must be a list; there is none",
    'scenarios = ["a"]\nseeds = []': "seeds is empty",
    'scenarios = ["a"]\nseeds = [0.5]': "seeds must be whole numbers",
    'scenarios = ["a"]\nseeds = [true]': "seeds must be whole numbers",
    'scenarios = ["a"]\nseeds = [-1]': "seeds must be whole numbers",
    'scenarios = ["a"]\nseeds = "5..1"': "seeds must be a list of whole numbers or a text like",
    'scenarios = ["a"]\nseeds = "0..9999999"': f"10000000 runs, and a sweep has at most {RUNS_MAX}",
    'scenarios = ["a"]\nseeds = "0..999999999999999999"': "runs, and a sweep has at most",
    GOOD + "nodes = [0]": "nodes must be whole numbers",
    GOOD + "nodes = 20": "nodes must be a list, not 20",
    GOOD + "loss = [0.1]": "the config has no 'loss'; there are: scenarios",
    GOOD + "parameters = 3": "parameters must be a table",
    GOOD + "[parameters]\nloss = [nan]": "loss must be finite numbers",
    GOOD + "[parameters]\nloss = [inf]": "loss must be finite numbers",
    GOOD + "[parameters]\nloss = [true]": "loss must be finite numbers",
    GOOD + "[parameters]\nloss = [[1]]": "loss must be finite numbers",
    GOOD + "[parameters]\nloss = [2020-01-01]": "loss must be finite numbers",
    GOOD + "[parameters]\nloss = [1, 1.0]": "loss has 1.0 twice",
    GOOD + f"[parameters]\nloss = [{2**70}]": "beyond 64 bits",
    GOOD + '[parameters]\n"a b" = [1]': "'a b' is no name",
    GOOD + "[parameters]\na = [1]\n[study]\ntrials = 1": "not both",
    GOOD + "[study]\ntrials = 1": "needs one of maximise and minimise",
    GOOD + '[study]\nmaximise = "n"': "needs trials",
    GOOD + '[study]\nmaximise = "n"\ntrials = 0': "trials must be whole numbers",
    GOOD + '[study]\nmaximise = "n"\ntrials = 2\nparallel = 3\nspace.a = [1]': "numbers from 1 to 2",
    GOOD + '[study]\nmaximise = "n"\ntrials = 2': "names no parameter",
    GOOD + '[study]\nmaximise = "n"\ntrials = 2\nspace.a = {low = 2, high = 1}': "low must be below high",
    GOOD + '[study]\nmaximise = "n"\ntrials = 2\nspace.a = {low = 2}': "a.high must be",
    GOOD + '[study]\nmaximise = "n"\ntrials = 2\nspace.a = {low = 0, high = nan}': "a.high must be finite",
    GOOD + '[study]\nmaximise = "n"\ntrials = 2\nspace.a = {low = 0, high = 1e300}': "a.high must be a number up to",
    GOOD + '[study]\nmaximise = "n"\ntrials = 2\nspace.a = {low = 0, high = 1, log = true}': "low must be above 0",
    GOOD + '[study]\nmaximise = "n"\ntrials = 2\nspace.a = 3': "a must be a list, not 3",
    GOOD + '[study]\nmaximise = "n"\ntrials = 2\nwhere.setting = ["p2p"]': "where.setting must be",
}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[-40:])
def test_a_config_that_is_wrong_is_told_so_in_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as error:
        read_plan(path)
    said = str(error.value)
    assert HOSTILE[text] in said
    assert str(path) in said
    assert "\n" not in said
    assert len(said) < len(str(path)) + 250


def test_a_config_that_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UserError, match="can't be read"):
            read_plan(path)
    with pytest.raises(UserError, match="more than 1048576 bytes"):
        read_plan(config(tmp_path, "#" * (1 << 20) + "\n"))


def test_seeds_in_either_spelling_are_one_sweep(tmp_path: Path) -> None:
    assert (
        read_plan(config(tmp_path, 'scenarios = ["a"]\nseeds = "2..4"')).document()
        == read_plan(config(tmp_path, 'seeds = [2, 3, 4]\nscenarios = ["a"]')).document()
    )


def test_the_order_of_the_tasks_is_that_of_the_config(tmp_path: Path) -> None:
    text = 'scenarios = ["b", "a"]\nseeds = [2, 1]\nnodes = [9, 3]\n[parameters]\nloss = [1, 0]\nkind = ["x"]'
    plan = read_plan(config(tmp_path, text))
    tasks = list(plan.tasks(plan.settings()))
    assert len(tasks) == plan.count == 16
    assert [str(task) for task in tasks[:5]] == [
        "b seed=2 nodes=9 loss=1 kind=x",
        "b seed=1 nodes=9 loss=1 kind=x",
        "b seed=2 nodes=9 loss=0 kind=x",
        "b seed=1 nodes=9 loss=0 kind=x",
        "b seed=2 nodes=3 loss=1 kind=x",
    ]
