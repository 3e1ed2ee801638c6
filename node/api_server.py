"""Where the API listens: HOST:PORT to a socket, and Hypercorn on it, in a thread beside the node."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from node.answers import Answers
from node.api import Api, api_app
from node.api_guard import Guard
from node.config import Home, write_whole
from node.errors import UserError
from node.pictures import ShownPictures

TOKEN_BYTES = 24
BACKLOG = 64
# Whoever connects and says nothing for so long is let go. Whoever says it letter by letter is not: beyond a network
# that its owner trusts, a node needs a proxy before it, which has limits for that too.
SILENCE_SECONDS = 15
# Whoever is in the middle of an answer when the node stops.
STOP_SECONDS_MAX = 1.0
# People's requests are short: head and address together.
HEAD_BYTES_MAX = 32_768
# In a thread that nobody waits for when the node stops.
left_alone = partial(trio.to_thread.run_sync, abandon_on_cancel=True)  # type: ignore[call-arg]


class ApiServer:
    """Listens from the beginning, and answers while `run`. `url` is where; a `token` is asked for where others than
    this machine's own people can reach it.

    `answers` and `writer`, each over a connection of its own, belong to it from now on.
    """

    def __init__(self, home: Home, address: str, answers: Answers, writer: Answers, pictures: ShownPictures) -> None:
        """Raises: UserError where it can't listen there."""
        self._listener = listen(address)
        host, port = self._listener.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self.token = None if ipaddress.ip_address(host.partition("%")[0]).is_loopback else api_token(home)
        self._app = Guard(api_app(Api(home, answers, writer, pictures)), self.token)

    async def run(self) -> None:
        """Answer until cancelled. Raises: whatever ends it.

        In a thread with an event loop of its own: a browser that reads slowly, or not at all, concerns no peer, and
        can't keep the node from stopping.
        """
        stop = threading.Event()
        try:
            await left_alone(partial(trio.run, self._serve, stop))
        finally:
            stop.set()
        raise UserError("the page's server ended by itself; start the node again")

    async def _serve(self, stop: threading.Event) -> None:
        """Answer until `stop` is set."""
        config = Config()
        config.bind = [f"fd://{self._listener.detach()}"]
        config.loglevel = "WARNING"
        config.read_timeout = SILENCE_SECONDS
        config.graceful_timeout = STOP_SECONDS_MAX
        config.h11_max_incomplete_size = HEAD_BYTES_MAX
        config.include_server_header = False
        stopped = partial(left_alone, stop.wait)
        await serve(self._app, config, shutdown_trigger=stopped, mode="asgi")  # type: ignore[arg-type]


def listen(address: str) -> socket.socket:
    """A socket at HOST:PORT, port 0 being a free one. Raises: UserError."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise UserError(f"--api {address} must be HOST:PORT, as in --api 127.0.0.1:8080")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        return socket.create_server(place, family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(f"can't listen at --api {address}: {error.strerror or error}") from error
    except UnicodeError as error:
        raise UserError(f"--api {address}: that can be no host's name") from error


def api_token(home: Home) -> str:
    """The owner's token, drawn on first use; only the owner can read the file. Raises: UserError."""
    path = home.folder / "api_token"
    try:
        if not path.exists():
            write_whole(path, (secrets.token_urlsafe(TOKEN_BYTES) + "\n").encode(), 0o600)
        token = path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise UserError(f"can't use {path}: {error}") from error
    if not token.isascii() or len(token) < TOKEN_BYTES:
        raise UserError(f"{path} holds no token; delete it, and a new one is drawn")
    return token
