"""The local control socket: how the command line talks to a running node with the same home.

One JSON line asks, one JSON line answers: {"command", "arguments"} and {"document"} or {"mistake"}. A Unix socket that
only the owner may open, so no password is needed and no other user of the machine can ask.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.config import Home
from node.errors import BusyError, UserError

if TYPE_CHECKING:
    import trio

LINE_BYTES_MAX = 1 << 20
# Longer than any command takes: a query waits for its peer's answer.
ANSWER_SECONDS = 60.0
# A socket's path may have 108 bytes on Linux, 104 on macOS, its end included.
PATH_BYTES_MAX = 100

Command = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


def control_path(home: Home) -> Path:
    """HOME/control.sock; a home with a long path has it in the temporary folder, named after the home."""
    path = home.folder.resolve() / "control.sock"
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"p2prec-{os.getuid()}-{name}.sock"


def is_running(home: Home) -> bool:
    """Whether a node answers on this home's socket."""
    return _connect(home) is not None


def ask_node(
    home: Home, command: str, arguments: dict[str, Any] | None = None, seconds: float = ANSWER_SECONDS
) -> dict[str, Any] | None:
    """The running node's document; None when no node runs with this home.

    Raises: UserError as the node says; BusyError when it has not answered after so many seconds.
    """
    connection = _connect(home)
    if connection is None:
        return None
    connection.settimeout(seconds)
    request = json.dumps({"command": command, "arguments": arguments or {}}).encode() + b"\n"
    try:
        with connection, connection.makefile("rb") as stream:
            connection.sendall(request)
            line = stream.readline(LINE_BYTES_MAX)
    except TimeoutError as error:
        raise BusyError(f"the node in {home.folder} did not answer: it took too long") from error
    except OSError as error:
        raise UserError(f"the node in {home.folder} did not answer: {error.strerror}") from error
    if not line.endswith(b"\n"):
        raise UserError(f"the node in {home.folder} stopped before it answered; start it again")
    answer: dict[str, Any] = json.loads(line)
    if answer.get("mistake"):
        raise UserError(str(answer["mistake"]))
    document: dict[str, Any] = answer["document"]
    return document


def need_node(
    home: Home, command: str, arguments: dict[str, Any] | None = None, seconds: float = ANSWER_SECONDS
) -> dict[str, Any]:
    """As `ask_node`, where there must be a node. Raises: UserError."""
    document = ask_node(home, command, arguments, seconds)
    if document is None:
        raise UserError(f"no node runs in {home.folder}; start it with: p2prec node start --home {home.folder}")
    return document


def _connect(home: Home) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_SECONDS)
    try:
        connection.connect(str(control_path(home)))
    except OSError:
        connection.close()
        return None
    return connection


async def serve_control(home: Home, command: Command, *, task_status: Any) -> None:
    """Answer command lines until cancelled. The caller holds the home's lock: a socket that is there is a dead one."""
    import trio

    path = control_path(home)
    path.unlink(missing_ok=True)
    listener = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        await listener.bind(str(path))
    except OSError as error:
        raise UserError(f"can't make {path}: {error.strerror}") from error
    finally:
        os.umask(before)
    listener.listen(16)
    try:
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                connection, _ = await listener.accept()
                nursery.start_soon(_answer, trio.SocketStream(connection), command)
    finally:
        listener.close()
        path.unlink(missing_ok=True)


async def _answer(stream: trio.SocketStream, command: Command) -> None:
    """One command line."""
    import trio

    try:
        async with stream:
            request = await _read_line(stream)
            if request is None:
                return
            try:
                answer: dict[str, Any] = {
                    "document": await command(str(request["command"]), dict(request["arguments"]))
                }
            except UserError as error:
                answer = {"mistake": str(error)}
            await stream.send_all(json.dumps(answer).encode() + b"\n")
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        # The command line was interrupted; nobody waits.
        return


async def _read_line(stream: trio.SocketStream) -> dict[str, Any] | None:
    """One JSON object; None for anything else."""
    line = b""
    while not line.endswith(b"\n"):
        chunk = await stream.receive_some(65536)
        line += chunk
        if not chunk or len(line) > LINE_BYTES_MAX:
            return None
    try:
        request = json.loads(line)
        well = isinstance(request, dict) and isinstance(request.get("arguments"), dict) and "command" in request
        return request if well else None
    except (ValueError, RecursionError):
        return None
