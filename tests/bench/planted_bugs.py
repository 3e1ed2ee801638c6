"""Thirteen bugs, planted one at a time in a copy of the program: does the simulator find each, and in which seed?

    python -m tests.bench.planted_bugs [--seeds 50] [--bug NAME] [--json]

Each is a mistake that somebody could make in the engine, in sync or in merging: a few lines of text replaced. Its
scenarios are run with seeds 0, 1, 2 ... until a law is broken, an assertion of the program's own fails, or what the
scenario claims does not hold. The same seeds are then run with the program as it is: a complaint there is a false
alarm. It takes some minutes and is run by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("node", "models", "protocol", "sim")
#: A scenario, how many nodes (None: its own number), and parameters.
Play: TypeAlias = tuple[str, int | None, dict[str, float]]
SWARM: Play = ("swarm", None, {})
# What the child does: the plays by turns, seed after seed, until something is found. One line a run.
CHILD = """
import json, sys, time
from sim.scenarios import play
plays, seeds, stops = json.load(sys.stdin)
for seed in seeds:
    for name, nodes, parameters in plays:
        began, found = time.perf_counter(), None
        try:
            outcome = play(name, seed, nodes, parameters)
            wrong = [one for one in outcome.asserted if not one.held]
            found = f"does not hold: {wrong[0].claim} ({wrong[0].figures})" if wrong else None
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        print(json.dumps([name, nodes, parameters, seed, found, time.perf_counter() - began]), flush=True)
        if found and stops:
            sys.exit()
"""


@dataclass(frozen=True, slots=True)
class Edit:
    """A text that stands in a file once, and what takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bug:
    """`about`: the mistake in a sentence. `plays`: where it could show."""

    name: str
    about: str
    plays: tuple[Play, ...]
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario with one seed. `found` None: nothing was complained of."""

    scenario: str
    nodes: int | None
    parameters: dict[str, float]
    seed: int
    found: str | None
    seconds: float

    @property
    def replay(self) -> str:
        nodes = "" if self.nodes is None else f" --nodes {self.nodes}"
        values = "".join(f" --set {name}={value}" for name, value in self.parameters.items())
        return f"p2prec sim run {self.scenario} --seed {self.seed}{nodes}{values}"


BUGS = (
    Bug(
        "same-version-twice",
        "off by one: a clock that was set back signs a second catalog with the version of the last one",
        (SWARM,),
        (Edit("node/publisher.py", "version_of(self._identity.public) + 1)", "version_of(self._identity.public))"),),
    ),
    Bug(
        "older-head-wins",
        "wrong comparison: a head that arrives late is taken for news, and the version goes back",
        (SWARM,),
        (Edit("protocol/announce.py", "        if head.version < newest:\n", "        if head.version == newest:\n"),),
    ),
    Bug(
        "edits-while-stopped",
        "stale state after a restart: what was edited while the node did not run is never signed",
        (SWARM,),
        (Edit("node/publisher.py", "if head is None or self._shelf.tree().root != head.root:", "if head is None:"),),
    ),
    Bug(
        "moments-not-stored",
        "missing persistence: what Adam remembers of past gradients is not written down",
        (SWARM,),
        (
            Edit(
                "node/learned.py",
                "row.state.moments.astype(np.float32).tobytes(),",
                "row.state.moments[:0].tobytes(),",
            ),
        ),
    ),
    Bug(
        "resurrected",
        "deletions are forgotten: what a bucket no longer holds stays in the store",
        (SWARM,),
        (Edit("node/replicas.py", "                if one.gone:\n", "                if one.gone and not held:\n"),),
    ),
    Bug(
        "unproven-bucket",
        "skipped proof: a bucket is believed though it does not hash to its leaf",
        (SWARM,),
        (Edit("protocol/checks.py", "if leaf_hash(depth, bucket, entries_after) != known:", "if not known:"),),
    ),
    Bug(
        "speaks-first",
        "effect before commit: a learned update is told at once and written with the next tick",
        (SWARM,),
        (
            Edit(
                "node/learning_service.py",
                "        self._learned.write(model, self._plan.features, LearnedRow(",
                "        self._late = partial(self._learned.write, model, self._plan.features, LearnedRow(",
            ),
            Edit(
                "node/learning_service.py",
                '        """What is due is begun. A clock that was set back does not stop learning."""\n',
                '        getattr(self, "_late", lambda: None)()\n',
            ),
        ),
    ),
    Bug(
        "quarantine-ignored",
        "a publisher that signed two catalogs of one version is heard all the same",
        (SWARM,),
        (
            Edit(
                "protocol/announce.py",
                "        if publisher in self._forks:\n            return Heard",
                "        if publisher == self._me and publisher in self._forks:\n            return Heard",
            ),
        ),
    ),
    Bug(
        "epsilon-overspent",
        "the budget of privacy forgets what was spent: each release counts as the first",
        (SWARM,),
        (
            Edit(
                "node/learning_service.py",
                "tuple(one.noise_multiplier for one in releases))",
                "())",
            ),
        ),
    ),
    Bug(
        "user-told",
        "a leak: an update names whose ratings it was learned from",
        (SWARM,),
        (
            Edit(
                "node/learning_service.py",
                "            epsilon_milli,\n            values,\n",
                "            epsilon_milli,\n            values\n"
                '            + repr(self._learned._database.rows("SELECT DISTINCT user FROM rating")).encode(),\n',
            ),
        ),
    ),
    Bug(
        "no-retry",
        "a question that nobody answered is never asked again",
        (SWARM,),
        (Edit("node/catalog_service.py", "            sync.failed(peer, question)\n", ""),),
    ),
    Bug(
        "gate-open",
        "the gate lets everything in, and what liars tell counts like the truth",
        (("byzantine", 10, {"lying": 0.4, "periods": 6}),),
        (Edit("models/gate.py", "bool(min(warm, cold) >= -SLACK)", "True"),),
    ),
    Bug(
        "merge-weights",
        "wrong weights in the merge: one's own is added and not counted, so that the mean is none",
        (("many-shops", 10, {}),),
        (
            Edit(
                "models/aggregation.py",
                "return np.asarray(weights_B @ blocks_BV / weights_B.sum())",
                "return np.asarray(weights_B @ blocks_BV / weights_B[1:].sum())",
            ),
        ),
    ),
)


class PatchError(Exception):
    """A bug can't be planted: the program has changed. One sentence."""


def plant(root: Path, bug: Bug) -> None:
    """Into a copy of the program. Raises: PatchError."""
    for edit in bug.edits:
        path = root / edit.file
        text = path.read_text("utf-8")
        if text.count(edit.old) != 1:
            raise PatchError(
                f"{bug.name}: {edit.file} has {text.count(edit.old)} times, not once: {edit.old.strip()!r}"
            )
        path.write_text(text.replace(edit.old, edit.new), "utf-8")


def copied(root: Path) -> Path:
    """The program, to be changed."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def runs(root: Path, plays: Sequence[Play], seeds: Sequence[int], *, stops: bool) -> list[Run]:
    """The program at `root`, in one process. `stops`: at the first complaint."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps([plays, list(seeds), stops]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    )
    return [Run(*json.loads(line)) for line in done.stdout.splitlines()]


def hunt(bug: Bug, seeds: int) -> list[Run]:
    """All runs up to the one that found it, which is the last."""
    with tempfile.TemporaryDirectory() as folder:
        root = copied(Path(folder))
        plant(root, bug)
        return runs(root, bug.plays, range(seeds), stops=True)


def false_alarms(needed: dict[str, tuple[Play, int]]) -> tuple[int, list[Run]]:
    """How many runs of the program as it is, and those that complain; for each play so many seeds."""
    with tempfile.TemporaryDirectory() as folder:
        root = copied(Path(folder))
        done = [run for play, seeds in needed.values() for run in runs(root, [play], range(seeds), stops=False)]
    return len(done), [run for run in done if run.found]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.planted_bugs")
    parser.add_argument("--seeds", type=int, default=50, help="tried before a bug counts as not found (default: 50)")
    parser.add_argument("--bug", choices=[bug.name for bug in BUGS], help="this one only")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chosen = [bug for bug in BUGS if options.bug in (None, bug.name)]
    rows: list[dict[str, Any]] = []
    needed: dict[str, tuple[Play, int]] = {}
    began = time.perf_counter()
    for bug in chosen:
        try:
            tried = hunt(bug, options.seeds)
        except PatchError as error:
            sys.exit(str(error))
        last = tried[-1]
        for play in bug.plays:
            before = needed.get(json.dumps(play), (play, 0))[1]
            needed[json.dumps(play)] = play, max(before, last.seed + 1)
        rows.append({"bug": bug.name, "about": bug.about, "found": last.found, "replay": last.replay, **asdict(last)})
        if not options.json:
            print(f"{bug.name:20} {last.replay if last.found else 'NOT FOUND':45} {last.found or ''}", flush=True)
    count, alarms = false_alarms(needed)
    if options.json:
        print(json.dumps({"bugs": rows, "runs_without_bugs": count, "false_alarms": [asdict(one) for one in alarms]}))
        return
    for one in alarms:
        print(f"FALSE ALARM          {one.replay:45} {one.found}")
    found = sum(row["found"] is not None for row in rows)
    took = time.perf_counter() - began
    print(
        f"{found} of {len(rows)} found; {len(alarms)} false alarms in the {count} same runs without bugs; {took:.0f} s"
    )


if __name__ == "__main__":
    main()
