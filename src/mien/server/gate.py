"""Limits the number of accepted requests and the memory of their bodies. It is used by a single event loop.

A place is taken before a byte of the body is read and given back when the answer is sent, so the limits hold exactly:
with `queue` 64 the 65th request is refused, however many arrive at once.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .refusal import Busy, Refused
from .settings import Limits

__all__ = ["Gate"]

SHARE = 0.1
"""Weight of the newest request in the running mean of the duration."""
LONGEST_WAIT_S = 60


class Gate:
    """The free and taken places."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.taken = self.videos = self.sockets = self.bytes = 0
        self.refused = 0
        self.state = "loading"
        """"loading", "ready" or "draining"."""
        self._between_s = 0.05
        self._ended_s = 0.0

    def check_open(self) -> None:
        """Raise `Refused` with 503 while the server loads or stops."""
        if self.state != "ready":
            words = "still loads its models" if self.state == "loading" else "is stopping"
            raise Refused(503, f"The server {words}.", headers={"Retry-After": "1" if self.state == "loading" else "5"})

    @contextmanager
    def request(self, size: int) -> Iterator[None]:
        """A place for a request whose body has at most `size` bytes."""
        self.check_open()
        if self.taken >= self._limits.queue or self.bytes + size > self._limits.in_flight_mb << 20:
            self.refused += 1
            raise Busy("The queue is full.", self._after_s())
        self.taken, self.bytes = self.taken + 1, self.bytes + size
        try:
            yield
        finally:
            self.taken, self.bytes = self.taken - 1, self.bytes - size
            self._note()

    @contextmanager
    def video(self) -> Iterator[None]:
        """A place for a video."""
        self.check_open()
        if self.videos >= self._limits.videos:
            self.refused += 1
            raise Busy(f"{self.videos} videos are being looked at, which is the most.", 10)
        self.videos += 1
        try:
            yield
        finally:
            self.videos -= 1

    @contextmanager
    def socket(self) -> Iterator[None]:
        """A place for a camera."""
        self.check_open()
        if self.sockets >= self._limits.sockets:
            self.refused += 1
            raise Busy(f"{self.sockets} cameras are being looked at, which is the most.", 10)
        self.sockets += 1
        try:
            yield
        finally:
            self.sockets -= 1

    def _note(self) -> None:
        """Keep the mean time between the ends of two requests while there is work."""
        now = time.monotonic()
        between = min(now - self._ended_s, 1.0)
        self._between_s += SHARE * (between - self._between_s)
        self._ended_s = now

    def _after_s(self) -> int:
        """Seconds until half of the waiting work is done, at the pace of the last requests."""
        return min(LONGEST_WAIT_S, max(1, math.ceil(self.taken * self._between_s / 2)))
