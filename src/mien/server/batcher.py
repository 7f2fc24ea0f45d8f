"""The queue, and workers that take several waiting requests together.

Batching is opportunistic: a free worker takes its share of what waits at that moment, finds the faces, and classifies
all of them in one pass; nobody waits for a batch to fill. A batch is full by faces and decoded pixels, not by requests.
A request that nobody waits for any more, or that waited too long, is dropped before a pixel of it is decoded.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..bundle import BATCH, Bundle
from ..predict import Found
from .refusal import Refused
from .work import Logits, Work

__all__ = ["Batcher", "Ticket"]

BATCH_PIXELS = 4_000_000
"""Decoded pixels of one batch after which no further work joins it."""
log = logging.getLogger("mien.server")


@dataclass(kw_only=True)
class Ticket:
    """A request's work, waiting or done."""

    work: Work
    expires_s: float
    """On the monotonic clock."""
    future: "Future[Any]" = field(default_factory=Future)
    gone: threading.Event = field(default_factory=threading.Event)

    def drop(self) -> bool:
        """Nobody waits for the answer; returns whether the work had not begun."""
        self.gone.set()
        return self.future.cancel()


class Batcher:
    """Workers and their queue; any thread may submit work."""

    def __init__(self, workers: int, on_event: Callable[[str, float], None] = lambda event, value: None) -> None:
        """Start the workers.

        Args:
            workers: threads; each classifies on its own.
            on_event: called with "batch" and the faces of each pass, "dropped" or "expired" and 1, from any thread.
        """
        self._waiting: deque[Ticket] = deque()
        self._ready = threading.Condition()
        self._stopped = False
        self._on_event = on_event
        self.deliver: Callable[[Callable[[], None]], object] = lambda settle: settle()
        """Takes what settles the futures of a batch, and calls it in the thread that waits for them. An event loop is
        woken once a batch; woken for every answer, it would take the interpreter from the worker each time.
        """
        self._threads = [
            threading.Thread(target=self._serve, name=f"mien-worker-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """Pieces of work that wait."""
        return len(self._waiting)

    def submit(self, work: Work, wait_s: float) -> Ticket:
        """Queue work that expires if it waits longer than `wait_s`."""
        ticket = Ticket(work=work, expires_s=time.monotonic() + wait_s)
        with self._ready:
            if self._stopped:
                raise Refused(503, "The server is stopping.", headers={"Retry-After": "5"})
            self._waiting.append(ticket)
            self._ready.notify()
        return ticket

    def stop(self) -> None:
        """Finish the waiting work, and end the workers."""
        with self._ready:
            self._stopped = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while (ticket := self._next(wait=True)) is not None:
            try:
                self._batch(ticket)
            except Exception as error:  # of this batch alone; each ticket has its own answer by then
                log.error("a worker stumbled: %s", type(error).__name__)

    def _next(self, *, wait: bool) -> Ticket | None:
        """The next piece of work that somebody waits for; None where there is none, or the server stops."""
        with self._ready:
            while True:
                while self._waiting:
                    if self._begun(ticket := self._waiting.popleft()):
                        return ticket
                if not wait or self._stopped:
                    return None
                self._ready.wait()

    def _begun(self, ticket: Ticket) -> bool:
        if not ticket.future.set_running_or_notify_cancel():
            self._on_event("dropped" if ticket.gone.is_set() else "expired", 1)
            return False
        if time.monotonic() > ticket.expires_s:
            self._on_event("expired", 1)
            ticket.future.set_exception(expired())
            return False
        return True

    def _batch(self, first: Ticket) -> None:
        share = math.ceil((1 + len(self._waiting)) / len(self._threads))
        found: list[tuple[Ticket, list[Found]]] = []
        taken = faces = pixels = 0
        ticket: Ticket | None = first
        while ticket is not None:
            taken += 1
            if (each := self._find(ticket)) is not None:
                found.append((ticket, each))
                faces += sum(len(one.faces) for one in each)
                pixels += ticket.work.pixels
            full = taken >= share or faces >= BATCH or pixels >= BATCH_PIXELS
            ticket = None if full else self._next(wait=False)
        self._classify(found)

    def _find(self, ticket: Ticket) -> list[Found] | None:
        try:
            found = ticket.work.find(ticket.gone.is_set)
        except Exception as error:
            ticket.future.set_exception(error)
            return None
        return None if self._gone(ticket) else found

    def _gone(self, ticket: Ticket) -> bool:
        """Whether nobody waits for the answer any more; the work then ends here."""
        if gone := ticket.gone.is_set():
            self._on_event("dropped", 1)
            ticket.future.set_exception(Refused(499, "The client is gone."))
        return gone

    def _classify(self, found: list[tuple[Ticket, list[Found]]]) -> None:
        """One pass for each model that was asked for."""
        by_model: dict[int, list[tuple[Ticket, list[Found]]]] = {}
        for each in found:
            by_model.setdefault(id(each[0].work.predictor.bundle), []).append(each)
        for group in by_model.values():
            bundle = group[0][0].work.predictor.bundle
            try:
                logits = self._pass(bundle, group)
            except Exception as error:
                for ticket, _ in group:
                    ticket.future.set_exception(error)
                continue
            own = [(ticket, [logits.pop(0) for _ in pictures]) for ticket, pictures in group]
            quick = [one for one in own if not one[0].work.slow]
            slow = [[one] for one in own if one[0].work.slow]
            for together in ([quick] if quick else []) + slow:
                self._tell(together)

    def _pass(self, bundle: Bundle, group: list[tuple[Ticket, list[Found]]]) -> list[Logits]:
        together = [one for _, found in group for one in found]
        self._on_event("batch", sum(len(one.faces) for one in together))
        return group[0][0].work.predictor.classify(together)

    def _tell(self, own: list[tuple[Ticket, list[Logits]]]) -> None:
        """Make the answers from the logits of each, and deliver them together."""
        settle = partial(_settle, [(ticket, self._answer(ticket, logits)) for ticket, logits in own])
        try:
            self.deliver(settle)
        except RuntimeError:  # the loop is closed
            settle()

    def _answer(self, ticket: Ticket, logits: list[Logits]) -> Any:
        """The answer, or the error in its place."""
        if self._gone(ticket):  # an explanation is hundreds of passes from here
            return None
        try:
            return ticket.work.answer(logits)
        except Exception as error:
            return error


def _settle(answered: list[tuple[Ticket, Any]]) -> None:
    for ticket, answer in answered:
        if ticket.future.done():  # nobody waits any more
            continue
        if isinstance(answer, Exception):
            ticket.future.set_exception(answer)
        else:
            ticket.future.set_result(answer)


def expired() -> Refused:
    """The answer to a request that waited too long."""
    return Refused(504, "The request waited too long in the queue, and was not looked at.")
