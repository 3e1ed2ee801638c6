"""The API as a server: where it listens, whom it waits for, and that it never keeps its node from stopping."""

from __future__ import annotations

import http.client
import os
import socket
import stat
import threading
import time
from pathlib import Path

import anyio
import pytest
from starlette.exceptions import HTTPException

from node import cli
from node.api import WAITING_MAX, Queue
from node.api_server import CONNECTIONS_MAX, HEAD_SECONDS_MAX
from node.config import Home, load_home
from node.database import Database
from sim.processes import NodeProcess, wait_until
from tests.node.api.client import Client, RefusedError
from tests.node.api.conftest import make_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("server") / "shop", "Asolo", 8)


def start(home: Home, *arguments: str) -> NodeProcess:
    return NodeProcess(home, "--learn", "none", *arguments)


def test_without_the_option_nothing_listens(home: Home) -> None:
    with start(home) as node:
        assert node.ready()["api"] is None


@pytest.mark.parametrize(
    "address", ["nonsense", ":8080", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:²"]
)
def test_an_address_that_is_none_is_a_mistake(home: Home, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["node", "start", "--api", address, "--home", str(home.folder)]) == 2
    assert "must be HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["a..b:80", "x" * 70 + ":80", "no-such-host.invalid:80"])
def test_a_host_that_is_none_is_a_mistake(home: Home, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["node", "start", "--api", address, "--home", str(home.folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_port_that_is_taken_is_a_mistake(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert cli.run(["node", "start", "--api", address, "--home", str(home.folder)]) == 2
    assert "can't listen" in capsys.readouterr().err


def test_images_that_are_no_folder_are_a_mistake(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["node", "start", "--api", "127.0.0.1:0", "--images", "/nowhere", "--home", str(home.folder)]
    assert cli.run(words) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert cli.run(["node", "start", "--images", str(home.folder), "--home", str(home.folder)]) == 2
    assert "is for the page" in capsys.readouterr().err
    words[4:6] = ["--images-of", "Bella", "/nowhere"]
    assert cli.run(words) == 2
    assert "is no peer id" in capsys.readouterr().err


def test_beyond_this_machine_a_token_is_asked_for(home: Home) -> None:
    token_file = home.folder / "api_token"
    with start(home, "--api", "0.0.0.0:0") as node:
        port = str(node.ready()["api"]).rpartition(":")[2]
        token = token_file.read_text().strip()
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        url = f"http://127.0.0.1:{port}"
        for wrong in (Client(url), Client(url, Authorization="Bearer no")):
            with pytest.raises(RefusedError, match="api_token") as refused:
                wrong.get("status")
            assert refused.value.status == 401
        assert Client(url, Authorization=f"Bearer {token}").get("status")["platform"] == "Asolo"
    with start(home, "--api", "0.0.0.0:0") as node:
        node.ready()
        assert token_file.read_text().strip() == token, "drawn once"


def test_a_page_of_another_name_is_refused_on_this_machine(home: Home) -> None:
    with start(home, "--api", "127.0.0.1:0") as node:
        client = Client(str(node.ready()["api"]))
        status, _, body = client.ask("GET", "/api/users", Host="evil.example")
        assert status == 403 and b"answers to localhost" in body


def test_garbage_is_answered_or_closed_and_the_next_is_served(home: Home) -> None:
    before = len((home.folder / "log").read_text("utf-8")) if (home.folder / "log").exists() else 0
    with start(home, "--api", "127.0.0.1:0") as node:
        client = Client(str(node.ready()["api"]))
        for garbage in (
            b"\x00" * 64,
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200),
            b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20_000 + b"\r\n",
            b"POST /api/rate HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999999999\r\n\r\n",
            b"POST /api/rate HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
            b"POST /api/rate HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"GET /api/item?item=%ff%fe%00 HTTP/1.1\r\nhost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ):
            with client.raw() as raw:
                try:
                    raw.sendall(garbage)
                    raw.shutdown(socket.SHUT_WR)
                    while raw.recv(65536):
                        pass
                except (ConnectionResetError, BrokenPipeError):
                    pass
            assert client.get("status")["running"], garbage[:40]
        assert node.stop() == 0
        assert (home.folder / "log").read_text("utf-8")[before:].count("\n") == 1, "garbage is not worth a word"


def test_who_never_reads_or_never_speaks_does_not_keep_the_node_from_stopping(home: Home) -> None:
    with start(home, "--api", "127.0.0.1:0") as node:
        client = Client(str(node.ready()["api"]))
        silent, slow, deaf = client.raw(), client.raw(), client.raw()
        slow.sendall(b"GET / HTTP/1.1\r\nhost: loc")
        # Answers pile up until the sockets are full.
        request = b"GET /style.css HTTP/1.1\r\nhost: localhost\r\n\r\n"
        deaf.settimeout(1.0)
        try:
            for _ in range(2000):
                deaf.sendall(request * 50)
        except TimeoutError:
            pass
        assert client.get("status")["running"]
        started = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - started < 5.0
        for one in (silent, slow, deaf):
            one.close()


def test_the_node_stops_while_people_wait_for_answers(home: Home) -> None:
    with start(home, "--api", "127.0.0.1:0") as node:
        client = Client(str(node.ready()["api"]))
        # The encoder is opened for the first text, and the others wait behind it.
        waiting = [client.raw() for _ in range(20)]
        for one in waiting:
            one.sendall(b"GET /api/search?text=red HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert client.get("status")["running"]
        started = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - started < 5.0
        for one in waiting:
            one.close()


def test_a_home_that_was_never_started_answers(tmp_path: Path) -> None:
    """Several threads open its database, which has no tables yet."""
    assert cli.run(["init", "--platform", "New", "--home", str(tmp_path / "new"), "--json"]) == 0
    with start(load_home(tmp_path / "new"), "--api", "127.0.0.1:0") as node:
        client = Client(str(node.ready()["api"]))
        for model in ("", "content", "item_knn", "ridge"):
            told = client.get("recommend", user="ada", **({"model": model} if model else {}))
            assert told["items"] == []
        assert client.get("items") == {"total": 0, "items": []}
        assert client.get("search", text="red")["items"] == []


def test_while_another_process_writes_people_are_told_to_try_again(home: Home) -> None:
    with start(home, "--api", "127.0.0.1:0") as node:
        client = Client(str(node.ready()["api"]))
        database = Database(home.database)
        with database.transaction():
            with pytest.raises(RefusedError, match="another process holds it") as refused:
                client.post("rate", {"user": "ada", "item": "g0", "value": 5})
            assert refused.value.status == 503
            with pytest.raises(RefusedError, match="it took too long") as refused:
                client.get("status")
            assert refused.value.status == 503
            assert client.get("recommend", user="ada")["items"], "who only reads waits for nobody"
        database.close()
        assert client.post("rate", {"user": "ada", "item": "g0", "value": 5})["stored"] == 1


def test_bodies_that_break_off_or_trickle_leave_no_word_in_the_log(home: Home) -> None:
    log = home.folder / "log"
    with start(home, "--api", "127.0.0.1:0") as node:
        client = Client(str(node.ready()["api"]))
        before = log.stat().st_size
        head = b"POST /api/rate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        head += b"content-length: 99\r\n\r\n"
        for _ in range(5):
            with client.raw() as raw:
                raw.sendall(head + b'{"user"')
        with client.raw() as raw:
            raw.sendall(head + b"{")
            assert b" 408 " in raw.recv(65536), "the body never came"
        assert client.get("status")["running"]
        assert node.stop() == 0
    assert b"Traceback" not in log.read_bytes()[before:]


def test_no_more_wait_than_may() -> None:
    async def main() -> None:
        queue, go, refused = Queue(1), threading.Event(), []

        async def ask() -> None:
            try:
                assert await queue.run(go.wait)
            except HTTPException as error:
                refused.append(error.status_code)

        async with anyio.create_task_group() as group:
            for _ in range(WAITING_MAX + 3):
                group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert refused == [503, 503, 503]
            go.set()
        assert await queue.run(lambda: 7) == 7

    anyio.run(main)


def test_connections_have_a_limit_and_their_silence_too(home: Home) -> None:
    with start(home, "--api", "127.0.0.1:0") as node:
        client = Client(str(node.ready()["api"]))
        silent = [client.raw() for _ in range(CONNECTIONS_MAX)]
        # Some say a letter now and then, and never what they want.
        for one in silent[::2]:
            one.sendall(b"GET / HT")
        wait_until(lambda: is_refused(client))
        began = time.monotonic()
        wait_until(lambda: not is_refused(client), 2 * HEAD_SECONDS_MAX)
        assert time.monotonic() - began <= 2 * HEAD_SECONDS_MAX
        for one in silent:
            one.close()
        assert client.get("status")["running"]


def is_refused(client: Client) -> bool:
    try:
        return client.ask("GET", "/")[0] != 200
    except (ConnectionError, http.client.RemoteDisconnected):
        return True
