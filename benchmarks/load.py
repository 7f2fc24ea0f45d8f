"""Load on an HTTP server: a closed loop for its capacity, an open loop for its latency, and clients that leave.

In: a `Service` with its requests and what is part of the right answer to each. Out: what came back, and when. The
client is one thread of the same machine, so what it costs is taken from what the server has.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count as numbers

import numpy as np
import psutil
from measure import Slice

__all__ = ["Line", "Service", "Told", "closed_loop", "flood", "open_loop"]

OPEN_LINES = 256
"""Of the open loop: more than the server's queue takes, so that it is seen to refuse."""
IMPATIENT_S = 0.05


@dataclass
class Told:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    took_s: float = 0.0

    def share(self, percent: float) -> float:
        """A percentile of the answered requests, milliseconds."""
        return 1000 * float(np.percentile(self.seconds, percent)) if self.seconds else float("nan")

    @property
    def slice(self) -> Slice:
        """The answered ones as a turn of a side."""
        return Slice(count=self.statuses[200], seconds=self.took_s)


@dataclass(frozen=True, kw_only=True)
class Service:
    """A server under load."""

    name: str
    port: int
    process: psutil.Process
    messages: Sequence[bytes]
    """A request each, of the same pictures for every service."""
    expected: Sequence[bytes]
    """What is part of the right answer to each."""


class Line:
    """One connection that stays open; where the server closed it between two requests, the next one opens another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, sent: bytes) -> tuple[int, bytes]:
        if self._writer is not None:
            try:
                return await self._exchange(self._writer, sent)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.hang_up()
                if getattr(error, "partial", b""):
                    raise
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return await self._exchange(self._writer, sent)

    async def _exchange(self, writer: asyncio.StreamWriter, sent: bytes) -> tuple[int, bytes]:
        writer.write(sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        body = await self._reader.readexactly(int(length[1])) if length else b""
        return int(head[9:12]), body

    def hang_up(self) -> None:
        if self._writer:
            self._writer.close()
            self._writer = None


async def closed_loop(service: Service, lines: int, *, seconds: float = 0.0, requests: int = 0) -> Told:
    """As fast as answers come, for so many seconds or requests."""
    started = time.perf_counter()

    def due() -> Iterator[tuple[int, float]]:
        for number in numbers():
            now = time.perf_counter()
            if number >= requests if requests else now > started + seconds:
                return
            yield number, now

    return await _asked(service, lines, due())


async def open_loop(service: Service, rate: float, seconds: float) -> Told:
    """`rate` requests a second, whoever waits."""
    started = time.perf_counter()
    return await _asked(service, OPEN_LINES, ((n, started + n / rate) for n in range(max(20, round(rate * seconds)))))


async def _asked(service: Service, lines: int, due: Iterator[tuple[int, float]]) -> Told:
    told, started = Told(), time.perf_counter()

    async def work() -> None:
        line = Line(service.port)
        for number, at in due:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            place = number % len(service.messages)
            try:
                status, body = await line.ask(service.messages[place])
            except (OSError, asyncio.IncompleteReadError):
                line.hang_up()
                status, body = 0, b""
            told.statuses[status] += 1
            if status == 200:
                told.seconds.append(time.perf_counter() - at)
                told.wrong += bool(service.expected) and service.expected[place] not in body
        line.hang_up()

    await asyncio.gather(*(work() for _ in range(lines)))
    told.took_s = time.perf_counter() - started
    return told


async def flood(service: Service, count: int) -> None:
    """Clients that send a picture and leave at once."""

    async def leave() -> None:
        line = Line(service.port)
        try:
            async with asyncio.timeout(IMPATIENT_S):
                await line.ask(service.messages[0])
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        line.hang_up()

    for _ in range(count // 100):
        await asyncio.gather(*(leave() for _ in range(100)))
