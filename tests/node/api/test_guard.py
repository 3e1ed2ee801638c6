"""Who may ask: names, origins and the token, as an ASGI layer over an application that says what it was asked."""

from __future__ import annotations

import base64
import json
from collections.abc import MutableMapping
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from node.api_guard import Guard

TOKEN = "a-token-of-many-letters-that-nobody-guesses"


async def answering(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def ask(
    token: str | None, method: str = "GET", path: str = "/api/rate", **headers: str
) -> tuple[int, dict[bytes, bytes], Any]:
    """Status, headers, body. Names of headers with hyphens for underscores."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    named = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": named}
    trio.run(Guard(answering, token), scope, None, send)
    start, body = sent
    return start["status"], dict(start["headers"]), json.loads(body["body"])


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:8080", "127.8.9.1", "[::1]:8080", "LOCALHOST:1"]
)
def test_names_of_this_machine_may_ask(host: str) -> None:
    assert ask(None, host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.5",
        "[",
        "[::1",
        "[x]:1",
    ],
)
def test_a_name_that_was_pointed_here_may_not(host: str) -> None:
    status, _, document = ask(None, host=host)
    assert status == 403 and "answers to localhost" in document["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:8080"}, 200),
        ({"origin": "http://localhost:8080", "sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"origin": "http://localhost:9090"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[", "sec_fetch_site": "same-origin"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
    ],
)
def test_only_its_own_page_writes(headers: dict[str, str], status: int) -> None:
    assert ask(None, "POST", host="localhost:8080", **headers)[0] == status


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_page_may_link_here_and_not_ask(site: str) -> None:
    assert ask(None, host="localhost:8080", path="/", sec_fetch_site=site)[0] == 200
    assert ask(None, host="localhost:8080", path="/api/users", sec_fetch_site=site)[0] == 403
    assert ask(None, host="localhost:8080", path="/api/users", sec_fetch_site="none")[0] == 200


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"owner:{password}".encode()).decode()


def test_with_a_token_only_who_knows_it_may_ask_by_any_name() -> None:
    for right in (f"Bearer {TOKEN}", f"bearer {TOKEN}", basic(TOKEN)):
        assert ask(TOKEN, host="shop.example", authorization=right)[0] == 200
    for wrong in (
        "",
        "Bearer",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
        basic(""),
        "Basic ///",
        f"X {TOKEN}",
    ):
        status, headers, _ = ask(TOKEN, host="localhost", authorization=wrong)
        assert status == 401 and headers[b"www-authenticate"].startswith(b"Basic")
    assert ask(TOKEN, "POST", host="a.example", authorization=basic(TOKEN), origin="https://b.example")[0] == 403
    assert ask(TOKEN, "POST", host="a.example", authorization=basic(TOKEN), origin="https://a.example")[0] == 200


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_no_header_of_chance_lets_anybody_in(said: str) -> None:
    assert ask(TOKEN, host="localhost", authorization=said)[0] == 401
    assert ask(TOKEN, host="localhost", authorization=f"Basic {said}")[0] == 401
    assert ask(None, "POST", host="localhost", origin=said)[0] in (200, 403)
    ask(None, host=said)


def test_every_answer_says_what_a_browser_may_do() -> None:
    for answer in (ask(None, host="localhost"), ask(None, host="evil.example")):
        assert {b"content-security-policy", b"x-content-type-options", b"referrer-policy"} <= answer[1].keys()
