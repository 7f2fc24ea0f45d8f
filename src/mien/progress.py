"""The progress of a long task: a bar of rich with an estimate of the time left, or a plain line now and then.

On a terminal the bar lives on stderr and vanishes at the end, so stdout stays clean for results. If stderr is not a
terminal (a log file, a pipe, a test), a task prints nothing in its first half minute, and then one plain line every
half minute.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .shown import visible

__all__ = ["SECONDS_BETWEEN_LINES", "about", "progress", "track"]

T = TypeVar("T")
SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a task of `total` steps (None: not known); yields a function that takes how many steps were done.

    Args:
        what: the task, as a phrase: "Preparing fer2013".
        total: number of steps.
    """
    if not sys.stderr.isatty():
        yield _plain(what, total)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(visible(what), total=total)
        yield lambda steps: bar.advance(task, steps)


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Pass `items` through and show how many of `total` are done."""
    with progress(what, total) as advance:
        for item in items:
            yield item
            advance(1)


def about(seconds: float) -> str:
    """A length of time for people: `about 40 s`, `about 12 min`, `about 3 h 20 min`, `about 61 h`."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"about {hours} h {rest} min" if hours < 10 and rest else f"about {round(minutes / 60)} h"


def _plain(what: str, total: int | None) -> Callable[[int], None]:
    started = last = time.monotonic()
    done = 0

    def advance(steps: int) -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            print(f"{visible(what)}: {_line(done, total, now - started)}", file=sys.stderr, flush=True)

    return advance


def _line(done: int, total: int | None, seconds: float) -> str:
    """'1200 of 5000, about 40 s left' where the total is known, else '1200 in 30 s'."""
    if total is None or done == 0:
        return f"{done} in {seconds:.0f} s"
    return f"{done} of {total}, {about(max(0, total - done) * seconds / done)} left"
