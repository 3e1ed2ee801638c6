"""Nodes in processes of their own on this machine, as `p2prec node start` runs them."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node.config import Home
from node.control import ask_node
from node.errors import UserError

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 10.0
POLL_SECONDS = 0.05


class NodeProcess:
    """One running node, listening on 127.0.0.1. As a context: whatever still runs at its end is killed."""

    def __init__(self, home: Home, *arguments: str, listen: str = "/ip4/127.0.0.1/tcp/0") -> None:
        self.home = home
        self.log = home.folder / "log"
        start = [sys.executable, "-c", "from node.cli import main; main()", "node", "start", "--json"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*start, "--home", str(home.folder), "--listen", listen, *arguments],
                cwd=Path(__file__).resolve().parents[1],
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def ready(self) -> dict[str, Any]:
        """What the node prints when it listens. Raises: UserError with its own last words if it does not."""
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], START_SECONDS_MAX)
        line = self.process.stdout.readline() if readable else b""
        if not line:
            said = self.log.read_text("utf-8").strip().splitlines() or ["nothing"]
            raise UserError(f"the node in {self.home.folder} did not start; it said: {said[-1]}")
        document: dict[str, Any] = json.loads(line)
        self.address: str = document["addresses"][0]
        return document

    def status(self) -> dict[str, Any]:
        """As `p2prec node status`. Raises: UserError when it is gone."""
        document = ask_node(self.home, "status")
        if document is None:
            raise UserError(f"the node in {self.home.folder} has stopped; {self.log} says why")
        return document

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As an operator would. Returns the exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS_MAX)

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> float:
    """How many seconds it took until the condition held. Raises: TimeoutError."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise TimeoutError(f"not within {seconds:g} seconds")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started
