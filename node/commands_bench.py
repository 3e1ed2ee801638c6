"""The command bench: this project's speeds, memory and quality, each beside its yardstick in one run.

Benchmarks are part of the source tree and run in a process of their own, so that they measure what they import.
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from node.errors import UserError
from node.report import Report

ROOT = Path(__file__).resolve().parents[1]
BENCHES = ROOT / "tests" / "bench"


def run_bench(options: Namespace) -> Report | None:
    """Rows as they come, or one document in the end. Raises: UserError."""
    if not (BENCHES / "__main__.py").is_file():
        raise UserError("the benchmarks are not installed; run this in a checkout of the source")
    known = sorted(path.stem for path in BENCHES.glob("[a-z]*.py") if "\ndef run(" in path.read_text("utf-8"))
    for name in options.names:
        if name not in known:
            raise UserError(f"no benchmark {name!r}; there are: {', '.join(known)}")
    command = [sys.executable, "-m", "tests.bench", *options.names, *(["--json"] if options.json else [])]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE if options.json else None, text=True, check=False)
    if done.returncode:
        raise UserError(f"a benchmark ended with {done.returncode}; what it said stands above")
    return Report(json.loads(done.stdout)) if options.json else None
