"""What a sweep has done so far, on disk: `sweep.json` says which sweep, `rows.jsonl` has a line for every finished run.

A line is written and fsync'd before the run counts as done, and stands for itself: whatever is damaged (the last line,
where the machine was switched off while it was written) is dropped, and that run repeated.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from node.errors import UserError
from sim.sweep_run import Run, Task

CONFIG, ROWS = "sweep.json", "rows.jsonl"


class SweepLog:
    """The folder of one sweep, held by one process at a time. As a context: released at its end."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        """Raises: UserError for a folder that can't be written, is in use, or holds another sweep."""
        self.folder = folder
        self.runs: dict[str, Run] = {}
        """By the key of the task."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / ROWS).open("ab+", buffering=0)
        except OSError as error:
            raise UserError(f"{folder} can't hold the rows: {error.strerror}; name another folder with --out") from None
        try:
            self._open(config)
        except OSError as error:
            self._file.close()
            raise UserError(f"{folder} can't hold the rows: {error.strerror}; name another folder with --out") from None
        except UserError:
            self._file.close()
            raise

    def __enter__(self) -> SweepLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, task: Task, run: Run) -> None:
        """Keep a run for good. Raises: UserError when the disk doesn't."""
        line = json.dumps({"task": asdict(task), **asdict(run)}, ensure_ascii=False, allow_nan=False)
        rest = line.encode() + b"\n"
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(f"{self.folder / ROWS} can't be written: {error.strerror}; run it again to go on") from None
        self.runs[task.key] = run

    def _open(self, config: dict[str, Any]) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another sweep is at work in {self.folder}; wait for it, or name another --out") from None
        self._file.seek(0)
        content = self._file.readall()
        kept = self.folder / CONFIG
        if kept.exists() or content:
            if _config(kept) != json.dumps(config):
                raise UserError(f"{self.folder} holds another sweep; name another folder with --out, or remove it")
        else:
            part = kept.with_suffix(".part")
            with part.open("w", encoding="utf-8") as file:
                json.dump(config, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(kept)
        self.runs, whole = read_runs(content)
        self._file.truncate(whole)
        os.fsync(self._file.fileno())
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def read_runs(content: bytes) -> tuple[dict[str, Run], int]:
    """The runs of all whole lines, by the keys of their tasks; and the bytes up to the end of the last line."""
    whole = content.rfind(b"\n") + 1
    runs: dict[str, Run] = {}
    for line in io.BytesIO(content[:whole]):
        read = _run(line)
        if read:
            runs.setdefault(*read)
    return runs, whole


def _run(line: bytes) -> tuple[str, Run] | None:
    """A line's task and run; None for a damaged line."""
    try:
        found = json.loads(line)
        task = Task(**found.pop("task"))
        run = Run(**found)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    parts: tuple[tuple[Any, Any], ...] = (
        (run.rows, list),
        (run.broken, list),
        (run.wall_seconds, float),
        (task.parameters, dict),
    )
    plain = all(isinstance(one, kind) for one, kind in parts) and all(isinstance(row, dict) for row in run.rows)
    return (task.key, run) if plain else None


def _config(path: Path) -> str:
    """As text, for 0 and 0.0 are not the same seed's run; empty for a file that is no config."""
    try:
        return json.dumps(json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, ValueError, RecursionError):
        return ""
