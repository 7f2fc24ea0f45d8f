"""The server as a process: one address, one event loop, deadlines for clients, and a stop that finishes the accepted
work.

SIGTERM and Ctrl-C stop it gracefully: the address is closed, `/readyz` reports it, accepted requests are finished
within `grace_s`, and everything else is refused. A second Ctrl-C ends it at once.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from ipaddress import ip_address
from operator import itemgetter
from pathlib import Path
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from ..errors import ConfigError
from ..reading import open_file
from ..shown import brief
from .app import create_app
from .settings import LOOPBACK, Settings
from .state import State

__all__ = ["listen"]

HEADER_BYTES = 16 << 10
KEEP_ALIVE_S = 75
"""A connection may stay open between two requests; longer than the 60 s of reverse proxies, which would otherwise send
into one that is being closed. Where there are too many connections, the one that was idle longest makes room."""
ACCEPTED, WAITING = 16, 512
"""Connections that are accepted in one turn of the loop, and those that the system keeps until their turn. A turn that
took all of a flood at once would hold a thousand that have left before it sees that the first of them has."""


def listen(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    started: Callable[[str], None] = lambda address: None,
    state: State | None = None,
) -> None:
    """Serve until told to stop.

    Args:
        settings: what is served, to whom.
        host: the address to listen on; others than the loopback's can be reached from elsewhere.
        port: 0 takes a free one.
        certificate: a PEM file, for https.
        key: its private key, if it is not in the same file.
        started: called with the address when it is open.
        state: the server's state, if the caller wants to inspect or `drain` it.

    Raises `MienError` if the address is taken, or a model, key or certificate cannot be used.
    """
    state = state or State(settings)
    app = create_app(settings, state)
    limits = settings.limits
    config = uvicorn.Config(
        app,
        http=_protocol(limits.header_s, limits.answer_s, limits.connections),
        ws=_camera(limits.answer_s),
        # It reads no `ws_max_queue`: it stops reading while a message waits, so its queue holds those of one read.
        ws_max_size=limits.frame_mb << 20,
        ws_per_message_deflate=False,
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        backlog=ACCEPTED,
        timeout_graceful_shutdown=limits.grace_s,
        h11_max_incomplete_event_size=HEADER_BYTES,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    _load(config, certificate, key)
    opened = _socket(host, port)
    server = _Server(config, state)
    try:
        started(_address(host, opened.getsockname()[1], secure=certificate is not None))
        server.run(sockets=[opened])
    finally:
        opened.close()
    if state.failure:
        raise state.failure


TURNS = 3
"""Of the loop, from a request to the news that its client hung up behind it: read, then the end, then the loss."""


class _Server(uvicorn.Server):
    """Says that it stops before it does, and ends as one that was asked to."""

    def __init__(self, config: uvicorn.Config, state: State) -> None:
        super().__init__(config)
        self._state = state
        state.end = self._end

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn's own, which shortens the system's queue to what is accepted in a turn."""
        await super().startup(sockets)
        for opened in sockets or ():
            opened.listen(WAITING)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Uvicorn's own way, which would raise the signal again at the end."""
        self._state.gate.state = "draining"
        super().handle_exit(sig, frame)
        self._captured_signals.clear()

    def _end(self) -> None:
        self.should_exit = True


def _load(config: uvicorn.Config, certificate: Path | None, key: Path | None) -> None:
    """Let uvicorn read the certificate and its key; raises `ConfigError` where they cannot be used."""
    if key and not certificate:
        raise ConfigError(f"{key} is a key without its certificate: give --tls-cert too.")
    try:
        for path in filter(None, (certificate, key)):
            open_file(path).close()  # a pipe would be waited for
        config.load()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        files = certificate if key is None else f"{certificate} and {key}"
        raise ConfigError(f"{files} cannot be used for https ({brief(str(reason))}).") from None


def _socket(host: str, port: int) -> socket.socket:
    try:
        host.encode("idna")  # a name that has no letters for it is refused before a socket is there to be closed
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host.strip("[]"), port), family=family, backlog=WAITING)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        sentence = f"Cannot listen on {brief(host)}, port {port} ({reason}); give another with --host or --port."
        raise ConfigError(sentence) from None


def _address(host: str, port: int, *, secure: bool) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{name}:{port}/"


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can call the address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host in LOOPBACK


def _camera(answer_s: float) -> type[WebSocketsSansIOProtocol]:
    """A camera's socket with a deadline for its answers, which uvicorn has not."""

    class Prompt(WebSocketsSansIOProtocol):
        """Hangs up on a camera that does not read its answers."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._served, self.app = self.app, self._while_read

        async def _while_read(self, scope: Any, receive: Any, send: Any) -> None:
            """The app, which ends where an answer is not read."""
            try:
                await self._served(scope, receive, send)
                await asyncio.wait_for(self.writable.wait(), answer_s)
            except TimeoutError:
                self.transport.abort()  # its `close` would wait for the client to read
                raise

    return Prompt


def _protocol(header_s: float, answer_s: float, most: int) -> type[H11Protocol]:
    """HTTP/1.1 with deadlines for headers and answers and a limit of connections, which uvicorn has not."""

    class Punctual(H11Protocol):
        """Hangs up on who does not finish a header, does not read an answer, or keeps sending what nobody reads."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._due: asyncio.TimerHandle | None = None
            self._lost = False
            self._served, self.app = self.app, self._unless_lost

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > most:
                self._make_room()
            self._mind(owes=True)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self.transport.is_closing():
                self._mind(owes=self._owes())

        def connection_lost(self, exc: Exception | None) -> None:
            self._lost = True
            self._mind(owes=False)
            super().connection_lost(exc)

        def _make_room(self) -> None:
            """Close the connection that has been idle longest, or this one if none is idle."""
            timers = [(getattr(other, "timeout_keep_alive_task", None), other) for other in self.connections]
            idle = [(timer.when(), other.transport) for timer, other in timers if timer]
            min(idle, key=itemgetter(0), default=(0.0, self.transport))[1].close()

        async def _unless_lost(self, scope: Any, receive: Any, send: Any) -> None:
            """The app, for a client that is still there once the loop has seen all that happened until now."""
            for _ in range(TURNS):
                await asyncio.sleep(0)
            if self._lost:
                return
            try:
                await self._served(scope, receive, send)
                await asyncio.wait_for(self.flow.drain(), answer_s)  # nobody else waits for the last part
            except TimeoutError:
                self.transport.abort()  # its `close` would wait for the client to read
                raise

        def _owes(self) -> bool:
            """Whether the server waits for the client: for the rest of a header, or of a body that was answered
            already.
            """
            theirs, ours = self.conn.their_state, self.conn.our_state
            return theirs is h11.IDLE or (theirs is h11.SEND_BODY and ours in (h11.DONE, h11.MUST_CLOSE))

        def _mind(self, *, owes: bool) -> None:
            if owes and self._due is None:
                self._due = self.loop.call_later(header_s, self.transport.close)
            elif not owes and self._due is not None:
                self._due.cancel()
                self._due = None

    return Punctual
