"""A long grid as the user sees it: one bar for the run under way, one for the grid, each with the time left.

Where stderr is no terminal, a plain line every half minute says the same.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from mien.progress import SECONDS_BETWEEN_LINES
from mien.runs import Run
from mien.train import Progress

__all__ = ["watch"]

Report = Callable[[Run, Progress | None], None]


@contextmanager
def watch(count: int) -> Iterator[Report]:
    """Yield the function that an engine reports to; `count` is the number of runs in the grid."""
    if not sys.stderr.isatty():
        yield _lines(count)
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
        yield _bars(bars, count)


def _bars(bars: Bars, count: int) -> Report:
    grid = bars.add_task(f"grid of {count}", total=float(count), figures="")
    under_way: dict[str, int] = {}
    ended = 0

    def report(run: Run, progress: Progress | None) -> None:
        nonlocal ended
        if progress is None:
            ended += 1
            bars.update(grid, completed=ended)
            if run.id in under_way:
                bars.update(under_way[run.id], completed=1.0)  # type: ignore[arg-type]
            return
        if run.id not in under_way:
            under_way[run.id] = bars.add_task(run.id, total=1.0, figures="")
            if progress.note:
                bars.console.print(f"{run.id}: {progress.note}", highlight=False, markup=False, soft_wrap=True)
        bars.update(under_way[run.id], completed=progress.done, figures=_figures(progress))  # type: ignore[arg-type]
        bars.update(grid, completed=ended + progress.done)

    return report


def _lines(count: int) -> Report:
    ended, last = 0, time.monotonic()
    noted: set[str] = set()

    def report(run: Run, progress: Progress | None) -> None:
        nonlocal ended, last
        if progress and progress.note and run.id not in noted:
            noted.add(run.id)
            _print(f"{run.id}: {progress.note}")
        if progress is None:
            ended += 1
            _print(f"{ended} of {count} runs: {run.id} {run.record.status}")
        elif time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            _print(f"{ended + 1} of {count} runs: {run.id} {progress.done:.0%} {_figures(progress)}")

    return report


def _figures(progress: Progress) -> str:
    return (
        f"epoch {progress.epoch}/{progress.epochs} loss {progress.loss:.3f} "
        f"accuracy {progress.accuracy:.3f} {progress.images_per_second:.0f} images/s"
    )


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
