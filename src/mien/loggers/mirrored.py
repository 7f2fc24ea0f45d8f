"""Copies run folders into a mirror while they train: a checkpoint now and then, and the whole folder when a run has
ended.

It copies in a thread of its own, so that no training waits for a network. Failed copies are reported in one sentence at
the end. The runs themselves are intact, and the same command copies them again.
"""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ..engines import Update
from ..errors import RunError
from ..hooks import Progress
from ..mirror import Mirror
from ..runs import Run

__all__ = ["Mirrored"]

SECONDS_BETWEEN_COPIES = 300.0


class Mirrored:
    """A `mien.loggers.Logger` that copies into a `mien.mirror.Mirror`."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._thread = ThreadPoolExecutor(1)
        self._last: dict[str, float] = {}
        self._copies: dict[str, Future[None]] = {}
        self._ended: dict[str, Run] = {}

    def begin(self, runs: Sequence[Run]) -> int:
        """Restore planned runs from the mirror; returns the number of runs that it had."""
        return sum(self._mirror.pull(run) for run in runs)

    def __call__(self, run: Run, update: Update) -> None:
        """Copy a run that has ended, or whose last copy is old."""
        now = time.monotonic()
        if update is None:
            self._ended[run.id] = run
            self._copy(run)
        elif isinstance(update, Progress) and sys.platform != "win32":  # Windows replaces no file that is open
            before = self._copies.get(run.id)
            old = now - self._last.setdefault(run.id, now) > SECONDS_BETWEEN_COPIES
            if old and (before is None or before.done()):
                self._last[run.id] = now
                self._copy(run)

    def end(self) -> list[str]:
        """Wait for the copies and add later measurements; returns the reasons of failed copies."""
        for run in self._ended.values():
            self._copy(run)
        self._thread.shutdown()
        failures = (copy.exception() for copy in self._copies.values())
        return list(dict.fromkeys(str(error) for error in failures if isinstance(error, RunError)))

    def _copy(self, run: Run) -> None:
        self._copies[run.id] = self._thread.submit(self._mirror.push, run)
