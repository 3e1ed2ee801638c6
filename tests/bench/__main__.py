"""All speeds, memory and quality, each beside its yardstick in one run: `python -m tests.bench [NAME...] [--json]`.

A bench is a module with `run() -> list[Row]`. Machines are noisy: every figure is a median of alternating runs, and
what counts is the ratio.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict

from tests.bench.row import Row

BENCHES = (
    "start",
    "imports",
    "ranking_speed",
    "record_speed",
    "stream_speed",
    "query_speed",
    "index_speed",
    "api_speed",
    "catalog_sync",
    "learning_speed",
    "quality",
    "movielens",
    "purchases",
    "discover",
    "learning_together",
    "learning_network",
    "simulator",
    "reality",
    "promotion",
    "private_learning",
)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)} (default: all)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[Row] = []
    for name in options.names or BENCHES:
        # Benches say what they are doing; with --json only the document goes to stdout.
        with redirect_stdout(sys.stderr) if options.json else nullcontext():
            found = importlib.import_module(f"tests.bench.{name}").run()
        rows += found
        if not options.json:
            for row in found:
                goal = "" if row.goal is None else f"   goal {row.goal}"
                figures = f"{row.ours:12.4g} / {row.yardstick:12.4g} {row.unit:10} = {row.ratio:7.3f}"
                print(f"{row.name:52} {figures}{goal}", flush=True)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
