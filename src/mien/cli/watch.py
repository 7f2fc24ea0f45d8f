"""The progress of a long grid: one bar for each run in progress and one for the grid, each with the time left.

If stderr is not a terminal, a plain line every half minute says the same. If the first seconds on a processor show that
the grid takes hours, one line says so and names shorter recipes.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from mien.device import pick_device
from mien.engines import Report, Update
from mien.engines.forecast import Forecast
from mien.hooks import Progress
from mien.progress import SECONDS_BETWEEN_LINES, about
from mien.runs import Run

__all__ = ["watch"]

SECONDS_SEEN = 10.0
"""Seconds of training after which the time of the whole grid is estimated."""
MOST_BARS = 24
"""In a larger grid only the runs in progress have a bar."""
LONG_SECONDS = 3600.0
"""Seconds; if a grid takes longer on a processor, a line says so."""


@contextmanager
def watch(runs: Sequence[Run], shorter: Callable[[], str] = str) -> Iterator[Report]:
    """Yield the function that an engine reports to.

    Args:
        runs: the grid.
        shorter: returns a sentence about shorter alternatives; it is called if the grid takes hours.
    """
    forecast = Forecast(runs)
    if not sys.stderr.isatty():
        yield _Lines(forecast, len(runs), shorter).report
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield _Bars(forecast, len(runs), shorter, bars=bars).report


@dataclass
class _Watch:
    """The state of a grid while it trains. The two subclasses show it."""

    forecast: Forecast
    count: int
    shorter: Callable[[], str]
    ended: int = 0
    announced: bool = False
    noted: set[str] = field(default_factory=set)
    """Runs whose note was shown."""

    def report(self, run: Run, update: Update) -> None:
        """Take a report of the engine."""
        if isinstance(update, Progress):
            if update.note and run.id not in self.noted:
                self.noted.add(run.id)
                self.say(f"{run.id}: {update.note}")
            self.forecast.see(run, update.done)
            self.moved(run, update)
            self._announce()
        elif update is None:
            self.ended += 1
            self.forecast.end(run)
            self.finished(run)
        else:
            self.say(f"{run.id}: {update}")

    def moved(self, run: Run, progress: Progress) -> None:
        raise NotImplementedError

    def finished(self, run: Run) -> None:
        raise NotImplementedError

    def say(self, line: str) -> None:
        raise NotImplementedError

    def _announce(self) -> None:
        """Say once, when the speed is known, that the grid takes hours."""
        if self.announced or self.forecast.seconds_seen < SECONDS_SEEN:
            return
        self.announced, left = True, self.forecast.all_left
        if left and left > LONG_SECONDS and pick_device().type == "cpu":
            runs = f"The {self.count} runs take" if self.count > 1 else "The run takes"
            self.say(f"{runs} {about(left)} on this processor. {self.shorter()}".strip())


@dataclass
class _Bars(_Watch):
    """Bars on a terminal."""

    bars: Bars = field(kw_only=True)

    def __post_init__(self) -> None:
        self.grid = self.bars.add_task(f"grid of {self.count}", total=self.forecast.total, figures="")
        self.under_way: dict[str, int] = {}

    def moved(self, run: Run, progress: Progress) -> None:
        if run.id not in self.under_way:
            self.under_way[run.id] = self.bars.add_task(run.id, total=1.0, figures="")
        self.bars.update(self.under_way[run.id], completed=progress.done, figures=_figures(progress))  # type: ignore[arg-type]
        self.bars.update(self.grid, completed=self.forecast.done)

    def finished(self, run: Run) -> None:
        self.bars.update(self.grid, completed=self.forecast.done)
        if run.id in self.under_way:
            bar = self.under_way[run.id]
            self.bars.update(bar, completed=1.0, visible=self.count <= MOST_BARS)  # type: ignore[arg-type]

    def say(self, line: str) -> None:
        self.bars.console.print(line, highlight=False, markup=False, soft_wrap=True)


@dataclass
class _Lines(_Watch):
    """Lines in a log."""

    last: float = field(default_factory=lambda: time.monotonic())

    def moved(self, run: Run, progress: Progress) -> None:
        if time.monotonic() - self.last > SECONDS_BETWEEN_LINES:
            self.last = time.monotonic()
            self.say(
                f"{self.ended + 1} of {self.count} runs: {run.id} {progress.done:.0%} {_figures(progress)}"
                f"{self._left(run)}"
            )

    def finished(self, run: Run) -> None:
        self.say(f"{self.ended} of {self.count} runs: {run.id} {_ending(run)}")

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def _left(self, run: Run) -> str:
        own, every = self.forecast.left(run), self.forecast.all_left
        if own is None or every is None:
            return ""
        return f", {about(own)} left" + (f", {about(every)} for all runs" if self.count > 1 else "")


def _ending(run: Run) -> str:
    """The status of a run. A run that was only to be judged on valid counts as finished."""
    return "judged on valid" if run.record.status == "running" and run.has("valid") else run.record.status


def _figures(progress: Progress) -> str:
    if not progress.epochs:
        return f"{progress.images_per_second:.0f} images/s"
    return (
        f"epoch {progress.epoch}/{progress.epochs} loss {progress.loss:.3f} "
        f"accuracy {progress.accuracy:.3f} {progress.images_per_second:.0f} images/s"
    )
