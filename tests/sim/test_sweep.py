"""Sweeps: what is asked for is run once, in its order, alike on either engine, whoever dies."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import UserError
from node.report import Report
from sim.sweep import DIED, run_sweep
from sim.sweep_log import ROWS, SweepLog, read_runs
from sim.sweep_run import Run, RunError, Task, run_one
from tests.sim.sweep_runs import PLAY

ROOT = Path(__file__).resolve().parents[2]
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
ENGINES = ("local", pytest.param("ray", marks=needs_ray))
STUDY = """
scenarios = ["churn"]
seeds = [4, 5]
[study]
trials = 14
maximise = "ndcg"
where = { setting = "p2p", slice = "Discover" }
parallel = 2
[study.space]
own_share = { low = 0.0, high = 1.0 }
kind = ["mean", "prior"]
"""


def config(folder: Path, text: str) -> Path:
    path = folder / "a.toml"
    path.write_text(text, "utf-8")
    return path


def sweep(folder: Path, text: str, engine: str = "local", out: str = "out") -> Report:
    options = Namespace(config=str(config(folder, text)), out=str(folder / out), engine=engine)
    return run_sweep(options, PLAY)


def played(folder: Path) -> list[str]:
    """Every start of a run, told by the runs themselves."""
    return (folder / "played").read_text().splitlines()


def started(folder: Path, engine: str = "local") -> subprocess.Popen[bytes]:
    """A sweep in a process group of its own."""
    words = [sys.executable, "-m", "tests.sim.sweep_runs", str(folder / "a.toml"), str(folder / "out"), engine]
    return subprocess.Popen(
        words,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Tests that a shell runs in its background are deaf to Ctrl-C, and so would their children be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def until(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_sixteen_runs_and_killed_workers_give_the_same_rows_on_both_engines(tmp_path: Path) -> None:
    text = f"""
    scenarios = ["dies-once", "bare"]
    seeds = "0..3"
    nodes = [9]
    [parameters]
    loss = [0.0, 0.01]
    folder = [{json.dumps(str(tmp_path))}]
    """
    local = sweep(tmp_path, text)
    assert local.exit_code == 0
    assert local.document["runs"] == 16
    assert local.document["failed"] == local.document["broken"] == []
    rows = local.document["rows"]
    assert [(row["scenario"], row["parameters"]["loss"], row["seed"]) for row in rows] == [
        (scenario, loss, seed)
        for scenario, rows_each in (("dies-once", 2), ("bare", 1))
        for loss in (0.0, 0.01)
        for seed in range(4)
        for _ in range(rows_each)
    ]
    # Two seeds killed their workers with SIGKILL, once each.
    assert len(played(tmp_path)) == 16 + 2
    first = rows[0]
    assert first["rmse"] is None
    assert first["held"] is True
    assert first["nodes"] == 9
    assert not [name for name in first if "wall" in name]
    assert json.loads(json.dumps(local.document, allow_nan=False)) == local.document
    if importlib.util.find_spec("ray"):
        for marker in tmp_path.glob("died-*"):
            marker.unlink()
        other = sweep(tmp_path, text, "ray", "ray")
        assert other.document["rows"] == rows
        assert other.document["failed"] == []
        assert len(list(tmp_path.glob("died-*"))) == 2


def test_a_study_finds_a_hill_alike_in_every_run_and_on_both_engines(tmp_path: Path) -> None:
    local = sweep(tmp_path, STUDY).document
    assert abs(local["best"]["parameters"]["own_share"] - 0.5) < 0.15
    assert local["best"]["value"] == max(one["value"] for one in local["trials"])
    assert local["trials"][local["best"]["trial"]]["parameters"] == local["best"]["parameters"]
    assert len(local["trials"]) == 14
    chosen = [row["ndcg"] for row in local["rows"][:4] if row["setting"] == "p2p"]
    assert local["trials"][0]["value"] == pytest.approx(sum(chosen) / 2)
    again = sweep(tmp_path, STUDY, out="again").document
    assert (again["rows"], again["trials"]) == (local["rows"], local["trials"])
    lowest = sweep(tmp_path, STUDY.replace("maximise", "minimise"), out="lowest").document
    assert lowest["best"]["value"] == min(one["value"] for one in lowest["trials"]) < 0.75
    if importlib.util.find_spec("ray"):
        other = sweep(tmp_path, STUDY, "ray", "ray").document
        assert (other["rows"], other["trials"], other["best"]) == (local["rows"], local["trials"], local["best"])


def test_a_study_goes_on_with_the_trials_it_had(tmp_path: Path) -> None:
    text = STUDY + f"folder = [{json.dumps(str(tmp_path))}]\n"
    whole = sweep(tmp_path, text).document
    log = tmp_path / "out" / ROWS
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:9]))
    before = len(played(tmp_path))
    again = sweep(tmp_path, text).document
    assert {**again, "wall_seconds": 0} == {**whole, "wall_seconds": 0}
    assert len(played(tmp_path)) - before == len(lines) - 9


def test_a_study_of_no_such_figure_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no row has the figure 'ndgc' where setting = 'p2p'.*: n, ndcg"):
        sweep(tmp_path, STUDY.replace('"ndcg"', '"ndgc"'))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_fails_is_told_in_a_sentence_and_the_others_are_kept(tmp_path: Path, engine: str) -> None:
    text = f"""
    scenarios = ["always-dies", "raises", "refuses", "exits", "broken"]
    seeds = [0, 1]
    parameters.folder = [{json.dumps(str(tmp_path))}]
    """
    report = sweep(tmp_path, text, engine)
    document = report.document
    assert report.exit_code == 1
    failed = [(one["scenario"], one["seed"]) for one in document["failed"]]
    assert failed == [("always-dies", 1), ("raises", 1), ("refuses", 0), ("refuses", 1), ("exits", 0), ("exits", 1)]
    why = [one["why"] for one in document["failed"]]
    assert why[0] == DIED
    assert why[1].startswith("ValueError: no such figure (sweep_runs.py, line ")
    assert why[2] == "there is no scenario 'refuses'"
    assert why[4].startswith("SystemExit: 3")
    assert [(one["scenario"], one["claims"]) for one in document["broken"]] == [
        ("broken", ["all catalogs are alike"])
    ] * 2
    assert {(row["scenario"], row["seed"]) for row in document["rows"]} == {
        ("always-dies", 0),
        ("raises", 0),
        ("broken", 0),
        ("broken", 1),
    }
    starts = played(tmp_path)
    assert starts.count("always-dies 1") == 4
    assert starts.count("raises 1") == 1
    assert any(line.startswith("failed: raises seed=1") for line in report.lines)
    # Again: what is done is not repeated, what failed is.
    sweep(tmp_path, text)
    again = played(tmp_path)[len(starts) :]
    assert sorted(set(again)) == ["always-dies 1", "exits 0", "exits 1", "raises 1", "refuses 0", "refuses 1"]


def test_a_sweep_killed_in_the_middle_goes_on_and_leaves_no_worker(tmp_path: Path) -> None:
    text = f'scenarios = ["slow"]\nseeds = "4..19"\nparameters.folder = [{json.dumps(str(tmp_path))}]\n'
    config(tmp_path, text)
    log = tmp_path / "out" / ROWS
    process = started(tmp_path)
    until(lambda: log.exists() and log.read_bytes().count(b"\n") >= 4)
    with pytest.raises(UserError, match="another sweep is at work"):
        sweep(tmp_path, text)
    workers = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.kill()
    process.communicate()
    until(lambda: not any(alive(pid) for pid in workers), 20)
    done = log.read_bytes().count(b"\n")
    assert 4 <= done < 16
    log.write_bytes(log.read_bytes() + b'{"task": {"scenario": "slow", "se')
    before = len(played(tmp_path))
    report = sweep(tmp_path, text)
    assert [row["seed"] for row in report.document["rows"][::2]] == list(range(4, 20))
    assert len(played(tmp_path)) - before == 16 - done
    assert len(log.read_bytes().splitlines()) == 16
    assert sweep(tmp_path, text).document["rows"] == report.document["rows"]
    with pytest.raises(UserError, match="holds another sweep"):
        sweep(tmp_path, text.replace("19", "20"))


def test_ctrl_c_stops_the_workers(tmp_path: Path) -> None:
    config(tmp_path, f'scenarios = ["hangs"]\nseeds = "4..9"\nparameters.folder = [{json.dumps(str(tmp_path))}]\n')
    process = started(tmp_path)
    until(lambda: list(tmp_path.glob("hangs-*")))
    # As the terminal does: to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=30)[1].decode()
    assert said.count("KeyboardInterrupt") == 1, said
    workers = [int(path.name.removeprefix("hangs-")) for path in tmp_path.glob("hangs-*")]
    assert workers
    until(lambda: not any(alive(pid) for pid in workers), 20)


def lines_of(runs: list[tuple[Task, Run]], folder: Path) -> bytes:
    with SweepLog(folder, {}) as log:
        for task, run in runs:
            log.add(task, run)
    return (folder / ROWS).read_bytes()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[Task, Run]], bytes]:
    runs = [
        (Task("churn", seed, None, {"loss": 0.1, "kind": "\u00e9\n\u2028"}), Run([{"ndcg": 0.1 * seed}], [], 0.5))
        for seed in range(5)
    ]
    return runs, lines_of(runs, tmp_path_factory.mktemp("log"))


@given(data=st.data())
def test_a_log_cut_at_any_byte_keeps_what_is_whole(
    written: tuple[list[tuple[Task, Run]], bytes], data: st.DataObject
) -> None:
    runs, content = written
    cut = data.draw(st.integers(0, len(content)))
    whole = content[:cut].count(b"\n")
    kept, end = read_runs(content[:cut])
    assert kept == {task.key: run for task, run in runs[:whole]}
    assert end == sum(map(len, content.splitlines(keepends=True)[:whole])) <= cut


@given(data=st.data())
def test_a_damaged_line_takes_no_other_along(
    written: tuple[list[tuple[Task, Run]], bytes], data: st.DataObject
) -> None:
    runs, content = written
    lines = content.split(b"\n")[:-1]
    place = data.draw(st.integers(0, len(lines) - 1))
    junk = data.draw(st.binary(max_size=60).filter(lambda one: b"\n" not in one) | st.just(b"[" * 100_000))
    lines[place] = junk
    kept, end = read_runs(b"\n".join(lines) + b"\n")
    assert kept == {task.key: run for row, (task, run) in enumerate(runs) if row != place}
    assert end == sum(len(line) + 1 for line in lines)


@pytest.mark.parametrize("cut", [0, 1, 40, -1, -2])
def test_a_cut_log_is_mended_when_it_is_opened(
    tmp_path: Path, written: tuple[list[tuple[Task, Run]], bytes], cut: int
) -> None:
    runs, content = written
    lines_of([], tmp_path)
    (tmp_path / ROWS).write_bytes(content[:cut])
    with SweepLog(tmp_path, {}) as log:
        missing = [(task, run) for task, run in runs if task.key not in log.runs]
        assert missing
        for task, run in missing:
            log.add(task, run)
    assert (tmp_path / ROWS).read_bytes() == content


def test_a_run_by_itself_says_what_went_wrong() -> None:
    done = run_one(Task("churn", 5, None, {}), PLAY)
    assert [row["seed"] for row in done["rows"]] == [5, 5]
    assert done["wall_seconds"] >= 0
    with pytest.raises(RunError, match="ModuleNotFoundError"):
        run_one(Task("churn", 5, None, {}), "sim.nowhere:play")


def test_an_engine_that_is_none_and_a_folder_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'scenarios = ["churn"]\nseeds = [4]'
    with pytest.raises(UserError, match="no engine 'spark'; there are: local, ray"):
        sweep(tmp_path, text, "spark")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'p2prec\[ray\]'"):
        sweep(tmp_path, text, "ray")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="can't hold the rows"):
        sweep(tmp_path, text, out="file")
    # Refused before a folder was made.
    assert not (tmp_path / "out").exists()
