"""The checks before every route, on HTTP and on sockets.

A browser on somebody's machine will send requests for any page that it shows. Two checks keep foreign pages out, and
switching CORS off does neither: `Host` must be a name that this server was told (DNS rebinding gives a foreign name
this machine's address), and `Origin`, where a browser sends one, must be this server's own or one that it was told
(sockets and simple forms are sent across sites without asking).

Then come the keys, where the server has some, and a number for every request. Every answer carries the headers that
let a page do nothing but talk to this server.
"""

import asyncio
import logging
import re
import time
import traceback
import uuid
from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .keys import right
from .metrics import Metrics
from .refusal import Refused
from .settings import LOOPBACK, Settings

__all__ = ["CSP", "Guard", "problem"]

CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), browsing-topics=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PRIVATE = ("/v1/", "/metrics")
"""The paths that need a key."""
KNOWN = ("/v1/predict", "/v1/explain", "/v1/video", "/v1/stream", "/v1/models", "/healthz", "/readyz", "/metrics")
SUBPROTOCOL, KEY_PROTOCOL = "mien.v1", "mien.key."
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
log = logging.getLogger("mien.server")


class Guard:
    """The ASGI app around the routes."""

    def __init__(self, app: ASGIApp, settings: Settings, hashes: tuple[str, ...], metrics: Metrics) -> None:
        self._app, self._settings, self._hashes, self._metrics = app, settings, hashes, metrics
        self._hosts = {host.lower() for host in (*LOOPBACK, *settings.hosts)}
        self._origins = {origin.lower() for origin in settings.origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        await _Passage(self, scope, send).go(receive)

    async def inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an allowed request to the routes; raises `Refused` for any other."""
        headers = _headers(scope)
        self._check_host(headers.get("host", ""))
        self._check_origin(scope, headers)
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await _allowed(headers)(scope, receive, send)
            return
        if scope["path"].startswith(PRIVATE):
            self._check_key(scope, headers)
        await self._app(scope, receive, send)

    def finished(self, scope: Scope, status: int, seconds: float, number: str) -> None:
        """Count an answer, and log it if wanted, without the content of the request or its sender."""
        route = scope["path"] if scope["path"] in KNOWN else "page" if status < 400 else "other"
        self._metrics.answered(route, status, seconds)
        if self._settings.access_log:
            log.info("%s %s %s %.0f ms %s", scope.get("method", "WS"), route, status, seconds * 1000, number)

    def foreign(self, headers: dict[str, str]) -> str:
        """The allowed foreign origin that sends this request; "" for this server's own."""
        origin = headers.get("origin", "").lower()
        return origin if origin in self._origins else ""

    def _check_host(self, host: str) -> None:
        seen = HOST.fullmatch(host)
        if not seen or seen[1].lower() not in self._hosts:
            raise Refused(421, "This server is not called by that name; `mien serve --allow-host NAME` allows one.")

    def _check_origin(self, scope: Scope, headers: dict[str, str]) -> None:
        origin = headers.get("origin")
        if origin is None:
            if scope["path"].startswith(PRIVATE) and headers.get("sec-fetch-site") == "cross-site":
                raise Refused(403, "Requests from other sites are not served.")
            return
        own = origin.lower() in [f"{scheme}://{headers.get('host', '').lower()}" for scheme in ("http", "https")]
        if not own and origin.lower() not in self._origins:
            raise Refused(403, "Requests from other sites are not served; `mien serve --allow-origin` allows one.")

    def _check_key(self, scope: Scope, headers: dict[str, str]) -> None:
        if not self._hashes:
            return
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = bearer.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if scope["type"] == "websocket" and not given:
            offered = [name for name in scope.get("subprotocols", ()) if name.startswith(KEY_PROTOCOL)]
            given = offered[0].removeprefix(KEY_PROTOCOL) if offered else ""
        if not right(given, self._hashes):
            sentence = "This server asks for a key: Authorization: Bearer KEY. A key is never part of the address."
            raise Refused(401, sentence, headers={"WWW-Authenticate": "Bearer"})


class _Passage:
    """One request in progress: its number, its status, and the sent bytes."""

    def __init__(self, guard: Guard, scope: Scope, send: Send) -> None:
        self._guard, self._scope, self._send = guard, scope, send
        self._number = uuid.uuid4().hex[:16]
        self._started = False
        self._status = 101 if scope["type"] == "websocket" else 500
        self._foreign = guard.foreign(_headers(scope))
        scope.setdefault("state", {})["request_id"] = self._number

    async def go(self, receive: Receive) -> None:
        started = time.monotonic()
        try:
            await self._guard.inner(self._scope, receive, self._forward)
        except Refused as refused:
            await self._refuse(refused, receive)
        except (TimeoutError, ConnectionError):  # the client does not take its answer: the server hangs up
            self._status = 499
            raise
        except Exception as error:
            log.error("request %s failed: %s\n%s", self._number, type(error).__name__, _places(error))
            await self._refuse(Refused(500, "Something went wrong inside the server; its log has more."), receive)
        finally:
            self._guard.finished(self._scope, self._status, time.monotonic() - started, self._number)

    async def _refuse(self, refused: Refused, receive: Receive) -> None:
        if self._started:
            return
        await problem(refused, self._number)(self._scope, receive, self._forward)

    async def _forward(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self._started, self._status = True, message["status"]
            kept = _kept(message.get("headers", ()))
            message = {**message, "headers": [*kept, *self._headers({name.lower() for name, _ in kept})]}
        elif message["type"] in ("websocket.accept", "websocket.close"):
            self._started = True
        async with asyncio.timeout(self._guard._settings.limits.answer_s):
            await self._send(message)

    def _headers(self, there: set[bytes]) -> list[tuple[bytes, bytes]]:
        headers = {**HEADERS, "X-Request-Id": self._number}
        if b"cache-control" not in there:
            headers["Cache-Control"] = "no-store"
        if self._foreign:
            headers |= {"Access-Control-Allow-Origin": self._foreign, "Vary": "Origin"}
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def problem(refused: Refused, number: str) -> Response:
    """The answer to a refused request: the sentence, and the request's number in the log."""
    content: dict[str, Any] = {"error": refused.sentence, "id": number}
    if refused.failures:
        content["failures"] = refused.failures
    return JSONResponse(content, refused.status, refused.headers)


def _headers(scope: Scope) -> dict[str, str]:
    """The headers by name; a header that occurs twice gets a value that no check accepts."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        found[key] = f"{found[key]}, {value.decode('latin-1')}" if key in found else value.decode("latin-1")
    return found


def _kept(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name.lower() not in (b"server", b"x-request-id")]


def _allowed(headers: dict[str, str]) -> Response:
    """The answer to a browser that asks whether another page may send; the guard has checked its origin."""
    allowed = {"Allow": "GET, HEAD, POST, OPTIONS"}
    if "origin" in headers:
        allowed |= {
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, X-API-Key",
            "Access-Control-Max-Age": "600",
        }
    return Response(status_code=204, headers=allowed)


def _places(error: BaseException) -> str:
    """The places of an error in the code, without its message, which may repeat data of a client."""
    frames = traceback.extract_tb(error.__traceback__)
    return "\n".join(f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:])
