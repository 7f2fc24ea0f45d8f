"""The shared state of the routes: the models, the queue, the gate and the counters of one server."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..errors import DataError, MienError
from ..facts import plain
from ..shown import visible
from .batcher import Batcher, expired
from .gate import Gate
from .metrics import Metrics
from .models import Models
from .refusal import Refused
from .settings import Settings
from .work import Work

__all__ = ["State", "as_json", "json_line"]


class State:
    """One server's state; made without work, filled by `running`."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.limits = settings, settings.limits
        self.models, self.gate, self.metrics = Models(settings), Gate(settings.limits), Metrics()
        self.batcher = Batcher(settings.threads, self.metrics.count)
        self.failure: MienError | None = None
        """The reason why the models could not be loaded."""
        self.end: Callable[[], None] = lambda: None
        """Makes the process around this server stop."""
        self.metrics.watch("mien_queue_requests", "Requests that are taken on.", lambda: self.gate.taken)
        self.metrics.watch("mien_waiting", "Pieces of work that wait for a worker.", lambda: len(self.batcher))
        self.metrics.watch("mien_refused", "Requests refused because the queue was full.", lambda: self.gate.refused)
        self.metrics.watch("mien_videos", "Videos that are being looked at.", lambda: self.gate.videos)
        self.metrics.watch("mien_sockets", "Cameras that are being looked at.", lambda: self.gate.sockets)

    @asynccontextmanager
    async def running(self, _: Any) -> AsyncIterator[None]:
        """Run the server, from the start of loading to the last answer."""
        self.batcher.deliver = asyncio.get_running_loop().call_soon_threadsafe
        loading = asyncio.create_task(self._load())
        try:
            yield
        finally:
            self.gate.state = "draining"
            await loading
            await asyncio.to_thread(self.batcher.stop)
            await asyncio.to_thread(self.models.stop)

    async def _load(self) -> None:
        try:
            await asyncio.to_thread(self.models.load)
        except MienError as error:
            self.failure = error
            self.end()
            return
        if self.gate.state == "loading":
            self.gate.state = "ready"

    def drain(self) -> None:
        """Accept no more requests, finish the accepted ones, and stop."""
        self.gate.state = "draining"
        self.end()

    async def done(self, work: Work, wait_s: float, request: Request | None = None) -> Any:
        """The answer to a piece of work; raises `Refused` if it waited too long, or the client is gone.

        Args:
            work: the work.
            wait_s: longest time in the queue.
            request: whose client may leave; its body has been read.
        """
        ticket = self.batcher.submit(work, wait_s)
        answer = _wrapped(ticket.future)
        gone = asyncio.ensure_future(_left(request.receive)) if request else asyncio.get_running_loop().create_future()
        try:
            for seconds in (wait_s, self.limits.answer_s):
                await asyncio.wait((answer, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                if answer.done():
                    return _result_of(answer)
                if gone.done():
                    raise Refused(499, "The client is gone.")
                if ticket.future.cancel():
                    raise expired()
            raise Refused(504, f"The work took more than {self.limits.answer_s:g} s.")
        finally:
            if not ticket.future.done():
                ticket.drop()
            gone.cancel()


def _wrapped(future: "Future[Any]") -> "asyncio.Future[Any]":
    """The future for the event loop. It is settled at once where the loop's own thread settles the other; its error is
    not reported a second time if nobody waits for it.
    """
    loop, here = asyncio.get_running_loop(), threading.get_ident()
    wrapped = loop.create_future()

    def copy() -> None:
        if wrapped.done():
            return
        if future.cancelled():
            wrapped.cancel()
        elif error := future.exception():
            wrapped.set_exception(error)
            wrapped.exception()
        else:
            wrapped.set_result(future.result())

    def settled(_: "Future[Any]") -> None:
        if threading.get_ident() == here:
            copy()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(copy)

    future.add_done_callback(settled)
    return wrapped


def _result_of(answer: "asyncio.Future[Any]") -> Any:
    try:
        return answer.result()
    except asyncio.CancelledError:
        raise expired() from None
    except DataError as error:
        raise Refused(422, str(error)) from None


async def _left(receive: Callable[[], Awaitable[Any]]) -> None:
    """Returns when the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def json_line(facts: Any) -> bytes:
    """Facts as a line of JSON."""
    return visible(json.dumps(plain(facts), ensure_ascii=False, allow_nan=False)).encode() + b"\n"


def as_json(facts: Any, status: int = 200) -> Response:
    """Facts as an answer."""
    return Response(json_line(facts), status, media_type="application/json")


def now_s() -> float:
    """The clock by which frames of cameras are timed."""
    return time.monotonic()
