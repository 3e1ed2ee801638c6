"""How long `p2prec --help` takes beside a Python that does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench.row import Row, alternate, seconds_of

RUNS = 15


def run() -> list[Row]:
    program = str(Path(sys.executable).with_name("p2prec"))

    def timed(*command: str) -> float:
        return seconds_of(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))

    timed(program, "--help")
    ours, bare, ratio = alternate(lambda: timed(program, "--help"), lambda: timed(sys.executable, "-c", "pass"), RUNS)
    return [Row("p2prec --help / python -c pass", ours, bare, ratio, "s", f"at most {bare + 0.3:.3f} s")]
