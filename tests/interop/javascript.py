"""The JavaScript peer as a process that is asked and answers: JSON lines, each answer to its question."""

from __future__ import annotations

import hashlib
import itertools
import json
import queue
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent
# What was installed, so that a changed package-lock.json is installed anew.
STAMP = FOLDER / "node_modules" / ".p2prec"
INSTALL_SECONDS_MAX = 120.0
ANSWER_SECONDS_MAX = 20.0


def install() -> None:
    """See that the packages are there. Skips the test, with the reason, where they can't be."""
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed")
    lock = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    if STAMP.is_file() and STAMP.read_text() == lock:
        return
    if shutil.which("npm") is None:
        pytest.skip("the JavaScript packages are missing, and npm to install them is too")
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"]
    try:
        done = subprocess.run(
            command, cwd=FOLDER, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm ci took longer than {INSTALL_SECONDS_MAX:.0f} s")
    if done.returncode:
        pytest.skip(f"npm ci failed: {done.stderr.strip()[-300:]}")
    STAMP.write_text(lock)


class RefusedByJsError(Exception):
    """A command failed there. `reason` is a reason of the protocol, if it is one's failing."""

    def __init__(self, message: str, reason: str | None) -> None:
        super().__init__(message)
        self.reason = reason


class JsPeer:
    """One running peer.mjs. Use as a context; leaving it kills what still runs."""

    def __init__(self, seed: int, errors: Path, **settings: Any) -> None:
        self.settings = {"seed": bytes([seed] * 32).hex(), **settings}
        self._errors = errors.open("ab")
        started = time.monotonic()
        self.process = subprocess.Popen(
            ["node", "peer.mjs", json.dumps(self.settings)],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {0: queue.SimpleQueue()}
        self._numbers = itertools.count(1)
        threading.Thread(target=self._read, daemon=True).start()
        ready = self._take(0)["ready"]
        self.started_seconds = time.monotonic() - started
        self.peer: str = ready["peer"]
        self.address: str = ready["address"]
        assert ready["library"] == self.peer, "the document's peer id is not the library's"

    def ask(self, command: str, **fields: Any) -> Any:
        """The answer to a command. Raises: RefusedByJsError."""
        return self.take(self.begin(command, **fields))

    def begin(self, command: str, **fields: Any) -> int:
        """Ask, and take the answer later."""
        number = next(self._numbers)
        self._answers[number] = queue.SimpleQueue()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": number, "do": command, **fields}) + "\n")
        self.process.stdin.flush()
        return number

    def take(self, number: int, seconds: float = ANSWER_SECONDS_MAX) -> Any:
        answer = self._take(number, seconds)
        if "error" in answer:
            raise RefusedByJsError(answer["error"], answer["reason"])
        return answer["ok"]

    def wait(self, after: int = 0, **fields: Any) -> dict[str, Any]:
        """The first event with these fields, past or to come; `after` leaves out the first ones (see `now`)."""
        event: dict[str, Any] = self.ask("wait", fields=fields, after=after)
        return event

    def now(self) -> int:
        """How many events there were."""
        count: int = self.ask("now")["events"]
        return count

    def publish(self, data: bytes) -> None:
        self.begin("publish", data=data.hex())

    def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> JsPeer:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self._errors.close()

    def _take(self, number: int, seconds: float = ANSWER_SECONDS_MAX) -> dict[str, Any]:
        try:
            answer = self._answers[number].get(timeout=seconds)
        except queue.Empty:
            pytest.fail(f"no answer from JavaScript in {seconds:.0f} s; {Path(self._errors.name).read_text()}")
        del self._answers[number]
        assert answer, Path(self._errors.name).read_text()
        return answer

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                answer = json.loads(line)
                self._answers[answer.get("id", 0)].put(answer)
        # It ended: whoever waits is told so.
        for waiting in list(self._answers.values()):
            waiting.put({})
