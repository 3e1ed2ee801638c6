"""Where the API listens: HOST:PORT to a socket, and Uvicorn on it, in a thread beside the node."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
from functools import partial

import trio
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from node.answers import Answers
from node.api import Api, api_app
from node.api_guard import Guard
from node.config import Home, write_whole
from node.errors import UserError
from node.pictures import ShownPictures

TOKEN_BYTES = 24
BACKLOG = 64
# A browser holds six. Whoever comes when there are so many is let go, and so is who says nothing in time.
CONNECTIONS_MAX = 128
HEAD_SECONDS_MAX = 15.0
# Whoever is in the middle of an answer when the node stops.
STOP_SECONDS_MAX = 1
# People's requests are short: head and address together.
HEAD_BYTES_MAX = 32_768


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
        config = Config(
            self._app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_SECONDS_MAX,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
        )
        server = Server(config)
        serve = partial(server.run, sockets=[self._listener])
        try:
            await trio.to_thread.run_sync(serve, abandon_on_cancel=True)  # type: ignore[call-arg]
        finally:
            server.should_exit = True
        raise UserError("the page's server ended by itself; start the node again")


class BoundedProtocol(H11Protocol):
    """One connection of a browser; with a limit to how many there are, and to how long a request may take to be said.

    Uvicorn has neither, and descriptors are the whole node's.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= CONNECTIONS_MAX:
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._expect_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_request()

    def send_400_response(self, msg: str) -> None:
        """Also for a body that is none: whoever is answering it must not answer too."""
        super().send_400_response(msg)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _expect_request(self) -> None:
        self.loop.call_later(HEAD_SECONDS_MAX, self._give_up, self.cycle)

    def _give_up(self, before: object) -> None:
        """Let go of whoever has asked nothing since `before`."""
        if self.cycle is before and not self.transport.is_closing():
            self.transport.abort()


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
