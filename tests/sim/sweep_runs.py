"""Scenarios that are none: fakes for the tests of sweeps, quick and deterministic, some of them deadly.

A worker imports this file, and a sweep in a process of its own starts from it: `python -m tests.sim.sweep_runs`.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from node.errors import UserError
from sim.outcome import Assertion, Outcome

PLAY = "tests.sim.sweep_runs:play"


def play(name: str, seed: int, nodes: int | None, parameters: Mapping[str, float | int | str]) -> Outcome:
    """A figure that is best where own_share is 0.5; longer for lower seeds, so that runs end in another order."""
    folder = parameters.get("folder")
    if isinstance(folder, str):
        with (Path(folder) / "played").open("a") as file:
            file.write(f"{name} {seed}\n")
    time.sleep(0.02 * max(0, 4 - seed))
    _misbehave(name, seed, str(folder))
    said = json.dumps([name, seed, nodes, {key: one for key, one in parameters.items() if key != "folder"}])
    digest = hashlib.sha256(said.encode()).hexdigest()
    share = float(parameters.get("own_share", 0.1))
    ndcg = 1 - abs(share - 0.5) + int(digest[:4], 16) / 1e7
    rows: list[dict[str, Any]] = [
        {"setting": "p2p", "slice": "Discover", "ndcg": np.float32(ndcg), "rmse": float("nan"), "n": np.int64(3)},
        {"setting": "isolated", "slice": "Discover", "ndcg": 0.1 + 0.2, "rmse": 1.5, "n": 3},
    ]
    outcome = Outcome(name, seed, digest, nodes or 4, seed * 10, 0.25 * seed, rows=[] if name == "bare" else rows)
    outcome.asserted = [Assertion("all catalogs are alike", name != "broken")]
    return outcome


def _misbehave(name: str, seed: int, folder: str) -> None:
    if name == "dies-once" and seed % 2:
        marker = Path(folder) / f"died-{seed}"
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    if name == "always-dies" and seed == 1:
        os._exit(3)
    if name == "raises" and seed == 1:
        raise ValueError("no such\nfigure")
    if name == "refuses":
        raise UserError("there is no scenario 'refuses'")
    if name == "exits":
        sys.exit(3)
    if name == "hangs":
        (Path(folder) / f"hangs-{os.getpid()}").touch()
        time.sleep(600)
    if name == "slow":
        time.sleep(0.3)


if __name__ == "__main__":
    from sim.sweep import run_sweep

    report = run_sweep(Namespace(config=sys.argv[1], out=sys.argv[2], engine=sys.argv[3]), PLAY)
    print(json.dumps(report.document))
    sys.exit(report.exit_code)
