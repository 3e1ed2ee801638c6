"""What a simulated hour costs, by nodes and by items: `one-user-a-node` with catalogs and learning on.

    python -m tests.bench.simulator [--nodes 100,300,1000] [--items 20,100,400] [--seconds 3600]

Each size in a process of its own, so that its memory is its own. Exponents are slopes of log seconds over log size; the
yardstick of a row is virtual time: how many times faster than life. Shares are of the wall time: the engines' steps,
reading from SQLite within them or elsewhere, learning, and reckoning when a node has to look at its clock again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.bench.row import Row

RUN = """
import json, resource, sys, time
from node.database import Database
from node.engine import Engine
from node.learner import Learner
from sim.scenarios import play
spent = {}
def timed(owner, name, label):
    plain = getattr(owner, name)
    def call(*arguments, **named):
        began = time.perf_counter()
        try:
            return plain(*arguments, **named)
        finally:
            spent[label] = spent.get(label, 0.0) + time.perf_counter() - began
    setattr(owner, name, call)
for one in ((Engine, "step", "steps"), (Database, "rows", "reading"), (Learner, "run", "learning"),
            (Engine, "due_ms", "clocks")):
    timed(*one)
nodes, items, seconds = map(int, sys.argv[1:])
play("one-user-a-node", 0, 10, {"seconds": 10})
spent.clear()
began = time.process_time()
told = play("one-user-a-node", 0, nodes, {"items": items, "seconds": seconds})
print(json.dumps({"cpu": time.process_time() - began, "wall": told.wall_seconds, "events": told.events,
                  "virtual": told.virtual_seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                  "held": told.held, "shares": {name: s / told.wall_seconds for name, s in spent.items()}}))
"""


def measure(nodes: int, items: int, seconds: int) -> dict[str, Any]:
    """One run in a process of its own."""
    words = [sys.executable, "-c", RUN, str(nodes), str(items), str(seconds)]
    told: dict[str, Any] = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return told


def rows_of(nodes: Sequence[int], items: Sequence[int], seconds: int) -> list[Row]:
    """By nodes at the fewest items, by items at the fewest nodes, and both exponents."""
    found = []
    for what, sizes in (("nodes", nodes), ("items a shop", items)):
        costs = []
        for size in sizes:
            one = measure(size, items[0], seconds) if what == "nodes" else measure(nodes[0], size, seconds)
            costs.append(one["cpu"])
            shares = ", ".join(f"{name} {share:.0%}" for name, share in sorted(one["shares"].items()))
            name = f"{size} {what}: {one['events'] / one['wall']:.0f} events/s, {one['mb']:.0f} MB; {shares}"
            found.append(Row(name, one["virtual"], one["wall"], one["virtual"] / one["wall"], "s"))
        if len(sizes) > 1:
            slope = float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
            found.append(Row(f"exponent of CPU seconds in {what}", slope, 1.0, slope, "power"))
    return found


def run() -> list[Row]:
    """The short form."""
    return rows_of((50, 200), (20, 80), 600)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.simulator", description=str(__doc__).split("\n")[0])
    sizes = lambda text: [int(one) for one in text.split(",")]  # noqa: E731
    parser.add_argument("--nodes", type=sizes, default=[100, 300, 1000])
    parser.add_argument("--items", type=sizes, default=[20, 100, 400])
    parser.add_argument("--seconds", type=int, default=3600)
    options = parser.parse_args(arguments)
    for row in rows_of(options.nodes, options.items, options.seconds):
        print(f"{row.name:106} {row.ours:10.3f} / {row.yardstick:8.2f} {row.unit:6} = {row.ratio:8.3f}")


if __name__ == "__main__":
    main()
