"""Signals that ask a training to stop: it writes a checkpoint and ends, and the same command resumes it."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["handling", "interrupts", "stop_signal"]

ONE_SIGNAL_SECONDS = 1.0
"""Signals closer together count as one: a service manager and the parent process may both send it."""


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether to stop: SIGINT or SIGTERM came, or the parent process (the engine) died.

    A second signal, more than a second after the first, raises `KeyboardInterrupt` at once. Outside the main thread
    Python delivers no signals, and the function always returns False.
    """
    parent = multiprocessing.parent_process()
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    with interrupts() as caught:
        yield lambda: bool(caught) or (parent is not None and not parent.is_alive())


@contextmanager
def interrupts() -> Iterator[list[float]]:
    """Yield when SIGINT or SIGTERM came. A second one, more than a second later, raises `KeyboardInterrupt` at once."""
    caught: list[float] = []

    def catch(_number: int, _frame: FrameType | None) -> None:
        if caught and time.monotonic() - caught[0] > ONE_SIGNAL_SECONDS:
            raise KeyboardInterrupt
        caught.append(time.monotonic())

    with handling(catch):
        yield caught


@contextmanager
def handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Send SIGINT and SIGTERM to `handler` within the body, then to the earlier handlers again."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
