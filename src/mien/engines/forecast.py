"""Estimates the remaining time of a grid of runs, from the operations of its networks and the speed measured so far."""

import time
from collections.abc import Sequence

from ..methods import find_method
from ..runs import Run

__all__ = ["Forecast", "operations"]


def operations(run: Run) -> float:
    """Approximate number of floating-point operations of a run's fit."""
    return find_method(run.settings).work(run)


class Forecast:
    """Finished and remaining work of a grid, from the progress of its runs.

    Networks differ in operations per second, by about a factor of two. So a run's speed is that of its own kind of
    network if it was measured, otherwise that of all networks together.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._work = {run.id: operations(run) for run in runs}
        self._kinds = {run.id: run.settings.name for run in runs}
        self._done = {run.id: float(run.finished or run.record.status in ("failed", "pruned")) for run in runs}
        self._seen: dict[str, tuple[float, float]] = {}
        """By kind of network: operations and the seconds that they took."""
        self._last: dict[str, float] = {}
        """When each run under way was last seen; several are where an engine has several machines."""

    @property
    def total(self) -> float:
        """Operations of all runs."""
        return sum(self._work.values())

    @property
    def done(self) -> float:
        """Operations done so far, including those of runs that were already finished."""
        return sum(self._work[run] * share for run, share in self._done.items())

    @property
    def seconds_seen(self) -> float:
        """Seconds of training from which the speed was measured."""
        return sum(seconds for _, seconds in self._seen.values())

    def see(self, run: Run, done: float) -> None:
        """Record that the share `done`, 0 to 1, of a run is finished."""
        now, kind = time.monotonic(), self._kinds[run.id]
        if run.id in self._last:
            work, seconds = self._seen.get(kind, (0.0, 0.0))
            gained = max(0.0, done - self._done[run.id]) * self._work[run.id]
            self._seen[kind] = work + gained, seconds + now - self._last[run.id]
        self._done[run.id], self._last[run.id] = done, now
        if done >= 1:
            del self._last[run.id]

    def end(self, run: Run) -> None:
        """Record that a run has ended, for any reason."""
        self._done[run.id] = 1.0
        self._last.pop(run.id, None)

    def left(self, run: Run) -> float | None:
        """Seconds until the run has ended; None where no speed is known yet."""
        speed = self._speed(self._kinds[run.id])
        return self._work[run.id] * (1 - self._done[run.id]) / speed if speed else None

    @property
    def all_left(self) -> float | None:
        """Seconds until all runs have ended, as many at once as now; None where no speed is known yet."""
        if not self._speed(""):
            return None
        alone = sum(self._work[run] * (1 - share) / self._speed(self._kinds[run]) for run, share in self._done.items())
        return alone / max(1, len(self._last))

    def _speed(self, kind: str) -> float:
        """Operations a second; 0 where none were seen."""
        known = [self._seen[kind]] if self._seen.get(kind, (0.0, 0.0))[0] else list(self._seen.values())
        work, seconds = (sum(column) for column in zip(*known, strict=True)) if known else (0.0, 0.0)
        return work / seconds if seconds else 0.0
