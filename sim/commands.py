"""The simulator's commands for the command line, joined through the entry-point group `p2prec.commands`.

Imports nothing but the command line itself: `p2prec --help` reads this file and must stay quick.
"""

from __future__ import annotations

from typing import Any

from node.cli import command


def add(commands: Any) -> None:
    """Register `p2prec demo`."""
    demo = command(
        commands,
        "demo",
        "sim.demo:run_demo",
        "two invented shops with thirty invented customers: build, import, rate, recommend",
    )
    demo.add_argument("--out", metavar="DIR", help="where the demo goes (default: p2prec-demo in this folder)")
    demo.add_argument("--seed", type=int, default=0, help="which shops and customers (default 0)")
