"""Where the API listens: HOST:PORT to a socket, and Hypercorn on it, in a thread beside the node."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from node.answers import Answers
from node.api import Api, api_app, in_thread
from node.api_guard import Guard
from node.config import Home, write_whole
from node.database import Database
from node.errors import UserError
from node.live_index import LiveIndex
from node.pictures import PictureFolder, ShownPictures
from node.store import Store

if TYPE_CHECKING:
    from models.clip import Encoder

TOKEN_BYTES = 24
BACKLOG = 64
# Whoever connects and says nothing, or says it letter by letter, is let go.
SILENCE_SECONDS = 15
# Whoever is in the middle of an answer when the node stops.
STOP_SECONDS_MAX = 1.0
# People's requests are short: head and address together.
HEAD_BYTES_MAX = 32_768


@dataclass(frozen=True, slots=True)
class ApiPlace:
    """A listening socket; `token` where others than this machine's own people can reach it."""

    listener: socket.socket
    url: str
    token: str | None


def bind_api(address: str, home: Home) -> ApiPlace:
    """Listen at HOST:PORT, port 0 being a free one. Raises: UserError."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise UserError(f"--api {address} must be HOST:PORT, as in --api 127.0.0.1:8080")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(place[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(f"can't listen at --api {address}: {error.strerror or error}") from error
    bound = listener.getsockname()
    named = f"[{bound[0]}]" if family == socket.AF_INET6 else bound[0]
    token = None if ipaddress.ip_address(bound[0]).is_loopback else api_token(home)
    return ApiPlace(listener, f"http://{named}:{bound[1]}", token)


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


@contextmanager
def serving(
    place: ApiPlace, home: Home, live: LiveIndex, open_encoder: Callable[[], Encoder], folders: tuple[Path, ...]
) -> Iterator[None]:
    """Within, the API answers, in a thread with an event loop of its own: a browser that reads slowly, or not at all,
    concerns no peer, and can't keep the node from stopping."""
    pictures = ShownPictures([PictureFolder(folder) for folder in folders], home.pictures)
    stop = threading.Event()
    arguments = (place, home, live, open_encoder, pictures, stop)
    thread = threading.Thread(target=partial(trio.run, _serve, *arguments), name="api", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(STOP_SECONDS_MAX)


async def _serve(
    place: ApiPlace,
    home: Home,
    live: LiveIndex,
    open_encoder: Callable[[], Encoder],
    pictures: ShownPictures,
    stop: threading.Event,
) -> None:
    """Answer until `stop` is set."""
    store = Store(Database(home.database))
    answers = Answers(home, store, lambda: live.current().index, open_encoder)
    app = Guard(api_app(Api(home, answers, pictures)), place.token)
    config = Config()
    config.bind = [f"fd://{place.listener.detach()}"]
    config.loglevel = "WARNING"
    config.read_timeout = SILENCE_SECONDS
    config.graceful_timeout = STOP_SECONDS_MAX / 2
    config.h11_max_incomplete_size = HEAD_BYTES_MAX
    config.include_server_header = False
    wait = partial(in_thread, stop.wait)
    try:
        await serve(app, config, shutdown_trigger=wait, mode="asgi")  # type: ignore[arg-type]
    finally:
        store.close()
