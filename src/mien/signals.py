"""Signals that ask a training to stop: it writes a checkpoint and ends, and the same command resumes it."""

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["stop_signal"]

ONE_SIGNAL_SECONDS = 1.0
"""Signals closer together count as one: a service manager and the parent process may both send it."""


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether to stop: SIGINT or SIGTERM came, or the parent process (the engine) died.

    A second signal, more than a second after the first, raises `KeyboardInterrupt` at once. Outside the main thread
    Python delivers no signals, and the function always returns False.
    """
    parent = multiprocessing.parent_process()
    caught: list[float] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def catch(_number: int, _frame: object) -> None:
        if caught and time.monotonic() - caught[0] > ONE_SIGNAL_SECONDS:
            raise KeyboardInterrupt
        caught.append(time.monotonic())

    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught) or (parent is not None and not parent.is_alive())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
