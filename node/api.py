"""The HTTP API of a running node, and its web page: what the command line does, for programs and for people.

    GET  /api/search?text=red+dress     as p2prec search --json
    POST /api/rate {"user": ...}        as p2prec rate

Every answer is JSON, mistakes too: {"error": "one sentence that says what to change"}. Answers about this shop's people
come from one worker thread, and what they say is stored by another; what concerns other nodes goes through the engine,
like a command. docs/api.md is the manual. Who may ask at all is decided before (`node/api_guard.py`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from node.answers import Answers
from node.config import Home
from node.control import need_node
from node.errors import BusyError, NotFoundError, UserError
from node.metrics import CONTENT_TYPE, metrics_text
from node.pictures import ShownPictures, is_public
from node.questions import refusal_sentence, text_subject
from node.receipts import receipt_document
from node.session import now_ms
from protocol.card import CARD_BYTES_MAX
from protocol.limits import RemoteError
from protocol.query import RECEIPT_BYTES_MAX
from protocol.query import RESULTS_MAX as ASKED_MAX

WEB = Path(__file__).parent / "web"
K = 10
# Fitted while somebody waits, so those that are quick to fit. p2prec recommend knows all of them.
MODELS = ("content", "item_knn", "popularity", "ridge")
# Whoever comes when so many wait already would wait for longer than people do.
WAITING_MAX = 64
# At one time: questions to peers, who may be slow; to the engine, which is not, but may wait for the disk; and files.
QUERIES_MAX, COMMANDS_MAX, FILES_MAX = 8, 8, 8
# The engine says how the node is in milliseconds, or somebody else is writing.
COMMAND_SECONDS_MAX = 3.0
# A body is a few kilobytes.
BODY_SECONDS_MAX = 10.0
JSON_BYTES_MAX = 16_384
# A picture of a URL may change; within an hour nobody minds.
PICTURE_CACHE = "private, max-age=3600"
Answer = TypeVar("Answer")


class Queue:
    """Work in threads: `at_once` of it, and a limit to how much waits."""

    def __init__(self, at_once: int) -> None:
        self._limiter = anyio.CapacityLimiter(at_once)
        self._waiting = 0

    async def run(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """The function's answer, when it is its turn. Whoever goes leaves what is being worked out alone.

        Raises: HTTPException where too many wait.
        """
        if self._waiting >= WAITING_MAX:
            raise HTTPException(503, "too many ask at once; try again in a moment", {"Retry-After": "1"})
        self._waiting += 1
        try:
            call = partial(function, *arguments)
            return await anyio.to_thread.run_sync(call, limiter=self._limiter, abandon_on_cancel=True)
        finally:
            self._waiting -= 1


class Api:
    """The handlers of one home's node."""

    def __init__(self, home: Home, answers: Answers, writer: Answers, pictures: ShownPictures) -> None:
        """`writer` stores what people say, so that who only reads need not wait while another process is writing."""
        self._home = home
        self._answers = answers
        self._writer = writer
        self._pictures = pictures
        self._people, self._writes, self._files = Queue(1), Queue(1), Queue(FILES_MAX)
        self._queries, self._commands = Queue(QUERIES_MAX), Queue(COMMANDS_MAX)

    async def _ask(self, function: Callable[..., Answer], *arguments: Any) -> Answer:
        """An answer about this shop's people. Raises: UserError, HTTPException."""
        return await self._people.run(function, *arguments)

    async def _command(self, name: str) -> dict[str, Any]:
        return await self._commands.run(need_node, self._home, name, None, COMMAND_SECONDS_MAX)

    async def _status(self) -> dict[str, Any]:
        about = {"peer_id": self._home.identity.peer_id, "platform": self._home.config.platform}
        return {**about, **await self._command("status")}

    # -- the node ----------------------------------------------------------------------------------------------------

    async def status(self, request: Request) -> Response:
        return JSONResponse(await self._status())

    async def metrics(self, request: Request) -> Response:
        return Response(metrics_text(await self._status()), media_type=CONTENT_TYPE)

    async def peers(self, request: Request) -> Response:
        return JSONResponse(await self._command("peers"))

    async def query(self, request: Request) -> Response:
        body = await json_body(request)
        peer, k = text_in(body, "peer"), whole_in(body, "k", K)
        if not 1 <= k <= ASKED_MAX:
            raise UserError(f"k must be 1 to {ASKED_MAX}")
        if ("text" in body) == ("item" in body):
            raise UserError("ask by text or by item, one of them")
        kind, subject = (
            text_subject(text_in(body, "text"))
            if "text" in body
            else await self._ask(self._answers.item_subject, text_in(body, "item"))
        )
        arguments = {"peer": peer, "kind": kind, "subject": subject.hex(), "k": k}
        document = await self._queries.run(need_node, self._home, "query", arguments)
        if "refused" in document:
            return JSONResponse({"error": refusal_sentence(peer, document["refused"])}, 502)
        receipt = base64.b64encode(bytes.fromhex(document.pop("receipt"))).decode()
        return JSONResponse({**document, "receipt": receipt})

    async def verify(self, request: Request) -> Response:
        content = await body_of(request, RECEIPT_BYTES_MAX)
        try:
            return JSONResponse(await self._files.run(receipt_document, content))
        except RemoteError as error:
            return JSONResponse({"valid": False, "reason": str(error)})

    # -- items -------------------------------------------------------------------------------------------------------

    async def search(self, request: Request) -> Response:
        text, platform = asked(request, "text"), request.query_params.get("platform")
        return JSONResponse(await self._ask(self._answers.search, text, number(request, "k", K), platform))

    async def similar(self, request: Request) -> Response:
        item, platform = asked(request, "item"), request.query_params.get("platform")
        return JSONResponse(await self._ask(self._answers.similar, item, number(request, "k", K), platform))

    async def items(self, request: Request) -> Response:
        platform, offset = request.query_params.get("platform"), number(request, "offset", 0)
        return JSONResponse(await self._ask(self._answers.items, platform, offset, number(request, "k", K)))

    async def item(self, request: Request) -> Response:
        return JSONResponse(await self._ask(self._answers.item, asked(request, "item")))

    async def picture(self, request: Request) -> Response:
        item = await self._ask(self._answers.item, asked(request, "item"))
        file = await self._files.run(self._pictures.find, item["publisher"], item["item"], item["image_url"])
        if file is not None:
            return FileResponse(file.path, media_type=file.kind, headers={"Cache-Control": PICTURE_CACHE})
        if is_public(item["image_url"]):
            return RedirectResponse(item["image_url"], 302, {"Cache-Control": PICTURE_CACHE})
        raise NotFoundError(f"there is no picture of {item['item']} here")

    # -- people ------------------------------------------------------------------------------------------------------

    async def users(self, request: Request) -> Response:
        prefix = request.query_params.get("prefix", "")
        return JSONResponse(await self._ask(self._answers.users, prefix, number(request, "k", 100)))

    async def ratings(self, request: Request) -> Response:
        return JSONResponse(await self._ask(self._answers.history, asked(request, "user")))

    async def models(self, request: Request) -> Response:
        return JSONResponse({"models": MODELS})

    async def recommend(self, request: Request) -> Response:
        user, k = asked(request, "user"), number(request, "k", K)
        model, platform = request.query_params.get("model"), request.query_params.get("platform")
        if model is not None and model not in MODELS:
            raise UserError(f"model must be one of {', '.join(MODELS)}, or left out")
        return JSONResponse(await self._ask(self._answers.recommend, user, k, model, platform, now_ms()))

    async def rate(self, request: Request) -> Response:
        body = await json_body(request)
        user, item = text_in(body, "user"), text_in(body, "item")
        if "value" not in body:
            raise UserError("rate needs a value from -1 to 10, or null to take the rating back")
        if body["value"] is None:
            return JSONResponse(await self._writes.run(self._writer.unrate, user, item))
        rating, _ = await self._writes.run(self._writer.rate, user, item, body["value"], now_ms())
        return JSONResponse({"user": rating.user, "item": rating.item, "rating": rating.value, "stored": 1})

    async def card(self, request: Request) -> Response:
        user, days = asked(request, "user"), number(request, "days", 90)
        sealed = await self._ask(self._answers.card, user, days, now_ms())
        headers = {"Content-Disposition": 'attachment; filename="taste.card"'}
        return Response(sealed, media_type="application/octet-stream", headers=headers)

    async def bring_card(self, request: Request) -> Response:
        sealed = await body_of(request, CARD_BYTES_MAX)
        user = request.query_params.get("user")
        return JSONResponse(await self._writes.run(self._writer.bring_card, sealed, user, now_ms()))


#: Method, name below /api, method of Api. docs/api.md says what each takes and answers.
ROUTES = (
    ("GET", "status", "status"),
    ("GET", "metrics", "metrics"),
    ("GET", "peers", "peers"),
    ("GET", "search", "search"),
    ("GET", "similar", "similar"),
    ("GET", "items", "items"),
    ("GET", "item", "item"),
    ("GET", "picture", "picture"),
    ("GET", "users", "users"),
    ("GET", "ratings", "ratings"),
    ("GET", "models", "models"),
    ("GET", "recommend", "recommend"),
    ("POST", "rate", "rate"),
    ("POST", "query", "query"),
    ("POST", "verify", "verify"),
    ("GET", "card", "card"),
    ("POST", "card", "bring_card"),
)


def api_app(api: Api) -> Starlette:
    """The application: API under /api, page beside it."""
    routes = [Route(f"/{name}", getattr(api, handler), methods=[method]) for method, name, handler in ROUTES]
    mistakes = {UserError: _mistake, HTTPException: _refusal, Exception: _fault}
    page = Mount("/", StaticFiles(directory=WEB, html=True))
    return Starlette(routes=[Mount("/api", routes=routes), page], exception_handlers=mistakes)  # type: ignore[arg-type]


async def _mistake(request: Request, error: UserError) -> Response:
    if isinstance(error, BusyError):
        return JSONResponse({"error": str(error)}, 503, {"Retry-After": "2"})
    return JSONResponse({"error": str(error)}, 404 if isinstance(error, NotFoundError) else 400)


async def _refusal(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    """Ours. Starlette raises it on once this is said, so the log has it whole."""
    return JSONResponse({"error": "the node failed to answer; its log says why"}, 500)


# -- what a request says -----------------------------------------------------------------------------------------------


def asked(request: Request, name: str) -> str:
    """A parameter of the address. Raises: UserError when it is not there."""
    value = request.query_params.get(name)
    if not value:
        raise UserError(f"{request.url.path} needs ?{name}=")
    return value


def number(request: Request, name: str, default: int) -> int:
    """A whole number in the address. Raises: UserError."""
    said = request.query_params.get(name, str(default))
    if not (said.isascii() and said.isdigit() and len(said) < 10):
        raise UserError(f"{name} must be a whole number of at most nine digits, not {said!r}")
    return int(said)


def text_in(body: dict[str, Any], name: str) -> str:
    """A text of the body. Raises: UserError."""
    value = body.get(name)
    if not isinstance(value, str):
        raise UserError(f"the body needs {name!r}, a text")
    # JSON can spell halves of letters, which nothing further on can use.
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UserError(f"{name!r} is not UTF-8 text")
    return value


def whole_in(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name, default)
    if type(value) is not int:
        raise UserError(f"{name!r} must be a whole number")
    return value


async def json_body(request: Request) -> dict[str, Any]:
    """A JSON object. Raises: UserError, HTTPException."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send the body as application/json")
    try:
        body = json.loads(await body_of(request, JSON_BYTES_MAX))
    except (ValueError, RecursionError) as error:
        raise UserError("the body is no JSON") from error
    if not isinstance(body, dict):
        raise UserError("the body must be a JSON object")
    return body


async def body_of(request: Request, bytes_max: int) -> bytes:
    """The body, no more than may come, and no slower. Raises: HTTPException."""
    body = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise HTTPException(413, f"the body may have {bytes_max} bytes")
    except TimeoutError as error:
        raise HTTPException(408, f"the body took over {BODY_SECONDS_MAX:g} s") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the body broke off") from error
    return bytes(body)
