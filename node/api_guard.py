"""Who may ask the API, and what a browser may do with its pages. An ASGI layer around the application.

On a loopback address whoever can reach it is on this machine, and no password is asked. But web pages of others run on
this machine too, in its browser: a page whose name was pointed here (DNS rebinding) sends its own name as Host, and a
page that posts a form sends its own Origin; both are refused. On any other address the owner's token is asked for, as
`Authorization: Bearer` or as the password of HTTP's basic scheme, which browsers ask people for.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}
SAFE = {"GET", "HEAD", "OPTIONS"}
HEADERS = (
    # Pictures may be at other shops' addresses; nothing else comes from elsewhere, and no script is written in a page.
    (b"content-security-policy", b"default-src 'self'; img-src 'self' https: http: data:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    # Other shops see that a picture was asked for, not who asked or where it is shown.
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """`token` None: a loopback address, where none is asked for."""

    def __init__(self, app: App, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # Nothing here speaks over WebSockets.
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        guarded = _with_headers(send)
        if refusal is None:
            await self._app(scope, receive, guarded)
        else:
            await _refuse(guarded, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence for whoever may not ask; None for whoever may."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if self._token is None and _name_of(host) not in LOOPBACK_NAMES:
            return 403, f"this node answers to localhost, not to {host[:100]!r}"
        if self._token is not None and not _knows(headers.get(b"authorization", ""), self._token):
            return 401, "give the token of HOME/api_token as Authorization: Bearer, or as a password"
        if scope["method"] not in SAFE:
            origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", "same-origin")
            if origin not in (None, f"http://{host}", f"https://{host}") or site not in ("same-origin", "none"):
                return 403, "another site's page may not write here"
        return None


def _name_of(host: str) -> str:
    """The name in a Host header, without its port; empty for one that is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _knows(authorization: str, token: str) -> bool:
    """Whether the header carries the token. Takes as long for a wrong one as for a right one."""
    scheme, _, said = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            said = base64.b64decode(said, validate=True).decode("latin-1").partition(":")[2]
        except (binascii.Error, ValueError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(said.encode("latin-1", "replace"), token.encode())


def _with_headers(send: Send) -> Send:
    async def with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *HEADERS]
        await send(message)

    return with_headers


async def _refuse(send: Send, status: int, sentence: str) -> None:
    headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    headers += _challenge(status)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": sentence}).encode()})


def _challenge(status: int) -> Iterable[tuple[bytes, bytes]]:
    return [(b"www-authenticate", b'Basic realm="p2prec", charset="UTF-8"')] * (status == 401)
