"""Adapts how the threads of a training wait for each other when other processes use the machine.

The threads of OpenMP share each layer of a network and meet at its end. The first to arrive can spin, which is the
fastest on a quiet machine, or sleep, which frees its core. Beside another process, a thread that spins keeps the core
that the thread it waits for needs: the training falls to a few percent of its speed. With sleeping threads it keeps a
third and more (docs/benchmarks.md). The result has the same bytes either way.

So a training starts with sleeping threads where others use the machine. Where they come later and the speed collapses,
or where they have gone, the engine lets it go on from its checkpoint in a process that waits the other way.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import psutil

from ..waiting import SLEEPING, chosen_waiting

__all__ = ["Neighbours", "Waiting", "Window", "advise", "environment", "waiting_now"]

Waiting = Literal["spinning", "sleeping"]
CROWDED_CORES = 0.4
"""Other processes that use more than this share of a core count as a disturbance."""
COLLAPSED = 0.6
"""Share of a run's best speed. A lower speed is caused by the way of waiting, not by the missing core alone."""
SAMPLE_SECONDS = 0.2
WINDOW_SECONDS = 10.0
WINDOWS_TO_SLEEP, WINDOWS_TO_SPIN = 2, 6
"""Number of consecutive windows that have to agree, because a change costs some seconds."""
WORTH_SECONDS = 120.0
"""A training that has ended before then keeps its way of waiting."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """What was seen of a training in some seconds."""

    others: float
    """Cores that other processes used."""
    speed: float
    """Share of the whole training that was done, a second."""

    @property
    def crowded(self) -> bool:
        """Whether others were in the way."""
        return self.others > CROWDED_CORES


def environment(waiting: Waiting) -> dict[str, str]:
    """Additional environment variables for this way of waiting; empty if the user set them."""
    return {} if waiting == "spinning" or chosen_waiting() else dict(SLEEPING)


def waiting_now() -> Waiting:
    """How a training that starts now should wait, from the machine's load over a fifth of a second."""
    started = _busy_seconds()
    time.sleep(SAMPLE_SECONDS)
    return "sleeping" if (_busy_seconds() - started) / SAMPLE_SECONDS > CROWDED_CORES else "spinning"


def advise(waiting: Waiting, windows: Sequence[Window]) -> Waiting:
    """How a training that waits in this way should continue, from the measurements of its process."""
    if waiting == "spinning":
        last, best = windows[-WINDOWS_TO_SLEEP:], max((window.speed for window in windows), default=0.0)
        seen_quiet = any(not window.crowded for window in windows)
        slow = all(window.crowded and (window.speed < COLLAPSED * best or not seen_quiet) for window in last)
        return "sleeping" if slow and len(last) == WINDOWS_TO_SLEEP else waiting
    last = windows[-WINDOWS_TO_SPIN:]
    quiet = len(last) == WINDOWS_TO_SPIN and not any(window.crowded for window in last)
    return "spinning" if quiet else waiting


@dataclass
class Neighbours:
    """Watches one process that trains, and the machine around it; all figures are taken when `see` is called."""

    waiting: Waiting
    wanted: Waiting = field(init=False)
    """How the training should go on: another value than `waiting` asks for a new process."""

    def __post_init__(self) -> None:
        self.wanted = self.waiting
        self._windows: list[Window] = []
        self._start: tuple[float, float, float] | None = None

    def see(self, process: int, done: float) -> bool:
        """Record that the share `done` is finished; returns whether the training should continue in another process."""
        if self.wanted != self.waiting or chosen_waiting():
            return False
        now = time.monotonic()
        if self._start is not None and now - self._start[0] < WINDOW_SECONDS:
            return False
        others = _busy_seconds() - _seconds_of(process)
        if self._start is not None:
            since, before, behind = self._start
            self._windows.append(
                Window(others=(others - before) / (now - since), speed=(done - behind) / (now - since))
            )
        self._start = now, others, done
        if self._windows and (1 - done) > WORTH_SECONDS * self._windows[-1].speed:
            self.wanted = advise(self.waiting, self._windows)
        return self.wanted != self.waiting

    @property
    def why(self) -> str:
        """What was measured and what follows from it, in a sentence."""
        if self.wanted == "spinning":
            return "The machine is quiet again. It goes on from its checkpoint, with threads that spin while they wait."
        return (
            f"Other processes use {self._windows[-1].others:.1f} cores and slow it down. It goes on from its "
            "checkpoint, with threads that sleep while they wait."
        )


def _busy_seconds() -> float:
    """Seconds that the cores of this machine, all together, have worked since it was started."""
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))


def _seconds_of(process: int) -> float:
    """Seconds that a process has worked."""
    times = psutil.Process(process).cpu_times()
    return float(times.user + times.system)
