"""The API as a program asks it, over a real socket, with nothing but the standard library."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlencode, urlsplit

SECONDS_MAX = 60.0


class RefusedError(Exception):
    """An answer that is a mistake: its status and its sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(f"{status}: {sentence}")
        self.status = status


class Client:
    """`url` as the node prints it; `headers` go with every request."""

    def __init__(self, url: str, **headers: str) -> None:
        place = urlsplit(url)
        assert place.hostname is not None
        self.host, self.port = place.hostname, place.port or 80
        self.headers = headers

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS_MAX)
        try:
            connection.request(method, path, body, {**self.headers, **headers})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, name: str, **parameters: object) -> Any:
        """A document. Raises: RefusedError."""
        return self.read(*self.ask("GET", f"/api/{name}?{urlencode(parameters)}"))

    def post(self, name: str, document: object) -> Any:
        """The same for a JSON body."""
        body = json.dumps(document).encode()
        return self.read(*self.ask("POST", f"/api/{name}", body, **{"Content-Type": "application/json"}))

    def read(self, status: int, headers: dict[str, str], body: bytes) -> Any:
        assert headers["content-type"] == "application/json"
        document = json.loads(body)
        if status != 200:
            raise RefusedError(status, document["error"])
        return document

    def raw(self) -> socket.socket:
        """A connection on which anything can be said."""
        return socket.create_connection((self.host, self.port), timeout=SECONDS_MAX)
