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
import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
SAFE = {"GET", "HEAD", "OPTIONS"}
HEADERS = (
    # Pictures may be at other shops' addresses; nothing else comes from elsewhere, and no script is written in a page.
    (b"content-security-policy", b"default-src 'self'; img-src 'self' https: http: data:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    # Other shops see that a picture was asked for, not who asked or where it is shown.
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """`token` None: a loopback address, where none is asked for. Hears HTTP alone: the server speaks nothing else."""

    def __init__(self, app: App, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        guarded = _with_headers(send, b"no-store" if scope["path"].startswith("/api") else b"no-cache")
        if refusal is None:
            await self._app(scope, receive, guarded)
        else:
            await _refuse(guarded, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence for whoever may not ask; None for whoever may."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if self._token is None and not _is_this_machine(_name_of(host)):
            return 403, f"this node answers to localhost, not to {host[:100]!r}"
        if self._token is not None and not _knows(headers.get(b"authorization", ""), self._token):
            return 401, "give the token of HOME/api_token as Authorization: Bearer, or as a password"
        site = headers.get(b"sec-fetch-site", "same-origin")
        if scope["path"].startswith("/api") and site not in ("same-origin", "none"):
            # What it could not read it could still count, time, and keep others waiting with.
            return 403, "another site's page may not ask here"
        if scope["method"] not in SAFE and headers.get(b"origin") not in (None, f"http://{host}", f"https://{host}"):
            return 403, "another site's page may not write here"
        return None


def _is_this_machine(name: str) -> bool:
    """localhost, or an address of the loopback."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


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


def _with_headers(send: Send, cache: bytes) -> Send:
    """`cache`: what to say of answers that do not say it themselves. People's lists are kept nowhere; the page is asked
    for again, so that its parts are always of one version."""

    async def with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *HEADERS]
            if not any(name.lower() == b"cache-control" for name, _ in message["headers"]):
                message["headers"].append((b"cache-control", cache))
        await send(message)

    return with_headers


async def _refuse(send: Send, status: int, sentence: str) -> None:
    headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
    headers += _challenge(status)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": sentence}).encode()})


def _challenge(status: int) -> Iterable[tuple[bytes, bytes]]:
    return [(b"www-authenticate", b'Basic realm="p2prec", charset="UTF-8"')] * (status == 401)
