"""The engine of this machine: runs one after the other, a large one in a fresh process, small ones packed into one.

In a fresh process, peak memory belongs to one run, and a crash ends one run only, not the grid. Starting a process
takes seconds, so runs that take no longer share one process; the costs stage then measures their memory. Process and
engine talk over two pipes: progress comes from the process, and orders to stop go to it. No signal is sent, so runs
save themselves on every operating system.
"""

import _thread
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from itertools import groupby
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

import psutil

from ..errors import MienError, RunError
from ..hooks import Hooks, Progress, find_hook
from ..machine import keeping_pages
from ..methods import find_method
from ..rows import row_key
from ..runs import RESULTS, Run, Stage
from ..signals import handling
from ..stages import finish_run, measure_costs
from . import ALL_STAGES, Report
from .neighbours import Neighbours, environment, waiting_now

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Connection
else:
    from multiprocessing.connection import Connection

__all__ = ["PACKED", "SMALL_OPERATIONS", "LocalEngine", "attempt", "fit_again", "has_to_do", "measure"]

Work = Callable[[Sequence[Path], Connection, Connection], None]
"""The work of a process on the runs in these folders. It sends updates into one pipe and receives orders from the
other.
"""
STOP = -1
"""The order to save the current run and to end. Any other number is the position of a run that shall stop early."""
ATTEMPTS = 2
"""A crash may have had a passing cause, such as memory that another process held."""
INTERRUPTED = 130
"""Exit code of a process that was asked to stop and has saved its run."""
KILLED = 9
"""Number of the signal with which a system that is out of memory kills processes."""
LOOKS_UP_SECONDS = 0.5
SMALL_OPERATIONS = 1e12
"""A fit of less than this takes seconds on two cores, as the start of a process does."""
PACKED = 64
"""The largest number of runs in one process, so that memory kept by libraries is freed now and then."""


class LocalEngine:
    """See `mien.engines.Engine`."""

    def kept(self) -> AbstractContextManager[None]:
        """Nothing is shared."""
        return nullcontext()

    def finish(
        self, runs: Sequence[Run], report: Report, *, stages: Sequence[Stage] = ALL_STAGES, hooks: Sequence[str] = ()
    ) -> None:
        """Finish all `runs` in processes of this machine, one process at a time."""
        results = tuple(stage for stage in stages if stage in RESULTS)
        fit_again(runs, hooks)
        measured = {row_key(run.settings) for run in runs if run.has("costs")}
        for pack in _packs(runs):
            if own := [run for run in pack if has_to_do(run, results)]:
                attempt(results, tuple(hooks), own, report)
            if "costs" in stages:
                _measure_rows(pack, measured, report)
            for run in pack:
                report(run, None)


def fit_again(runs: Sequence[Run], hooks: Sequence[str]) -> None:
    """Mark finished runs for another fit if they lack the result of one of these hooks."""
    for run in runs:
        if run.finished and any(find_hook(name).lacks(run) for name in hooks):
            kept = tuple(stage for stage in run.record.stages if stage not in RESULTS)
            run.update(status="running", stages=kept)


def has_to_do(run: Run, results: Sequence[Stage]) -> bool:
    record = run.record
    return record.status not in ("failed", "pruned") and not set(results) <= set(record.stages)


def _packs(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Runs that share a process, in their order: neighbours that are small, or a large one alone."""
    for small, pack in groupby(runs, key=lambda run: find_method(run.settings).work(run) < SMALL_OPERATIONS):
        own, size = list(pack), PACKED if small else 1
        yield from (own[start : start + size] for start in range(0, len(own), size))


def _measure_rows(runs: Sequence[Run], measured: set[object], report: Report) -> None:
    """Measure the costs of each row that has a finished run among `runs`, and is not among the `measured` yet."""
    for run in runs:
        if run.finished and (row := row_key(run.settings)) not in measured:
            measured.add(row)
            measure(run, report)


def measure(run: Run, report: Report) -> None:
    """Measure the costs of a finished run in a process of its own. Should it crash, the figures stay undefined."""
    _in_fresh_process(_measure, [run], report)


def attempt(results: Sequence[Stage], hooks: tuple[str, ...], runs: Sequence[Run], report: Report) -> None:
    """Finish runs in a process, and start it again where needed.

    After a crash they resume once from a checkpoint. How threads wait for each other is fixed when a process starts, so
    a change of it also resumes from the checkpoint in another process.
    """
    work = partial(_finish, results, hooks, len(runs) == 1)
    left, crashed, waiting = list(runs), "", waiting_now()
    while left:
        neighbours = Neighbours(waiting)
        code = _in_fresh_process(work, left, report, neighbours)
        left = [run for run in left if has_to_do(run, results)]  # the first of them was under way
        if not (code and left):
            return
        if code == INTERRUPTED:
            report(left[0], neighbours.why)
            waiting = neighbours.wanted
            continue
        cause = _crash(code)
        left[0].update(status="crashed", reason=f"{cause} The same command tries it again.")
        if left[0].id == crashed:
            left = left[1:]
        else:
            crashed = left[0].id
            report(left[0], f"{cause} It is tried again.")


def _finish(
    stages: Sequence[Stage],
    hooks: tuple[str, ...],
    alone: bool,
    paths: Sequence[Path],
    sender: Connection,
    orders: Connection,
) -> None:
    unwanted: set[int] = set()
    with _orders_obeyed(orders, unwanted), _sentences(sender):
        for place, path in enumerate(paths):
            report = _progress_sender(sender, place, unwanted)
            finish_run(Run.open(path), stages, Hooks(report=report, names=hooks, alone=alone))


def _measure(paths: Sequence[Path], sender: Connection, orders: Connection) -> None:
    with _orders_obeyed(orders, set()), _sentences(sender):
        for path in paths:
            measure_costs(Run.open(path))


def _progress_sender(sender: Connection, place: int, unwanted: Container[int]) -> Callable[[Progress], bool]:
    """Send progress, also when the engine is gone: the training loop notices that itself, and saves."""

    def tell(progress: Progress) -> bool:
        with suppress(BrokenPipeError):
            sender.send((place, progress))
        return place not in unwanted

    return tell


@contextmanager
def _orders_obeyed(orders: Connection, unwanted: set[int]) -> Iterator[None]:
    """Treat an order to stop, and the death of the engine, like Ctrl-C. When interrupted, exit with `INTERRUPTED`.

    The training loop saves the run before it lets itself be interrupted. A process group of its own, where the system
    has groups, keeps the terminal's signals away: the engine alone says when to stop.
    """
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    try:
        threading.Thread(target=_obey, args=(orders, unwanted), daemon=True).start()
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _obey(orders: Connection, unwanted: set[int]) -> None:
    with suppress(EOFError, OSError):
        while True:
            if (order := orders.recv()) == STOP:
                _thread.interrupt_main()
            else:
                unwanted.add(order)
    _thread.interrupt_main()


@contextmanager
def _sentences(sender: Connection) -> Iterator[None]:
    """Send an error of mien's to the engine as its sentence."""
    try:
        yield
    except MienError as error:
        sender.send(str(error))


def _in_fresh_process(work: Work, runs: Sequence[Run], report: Report, neighbours: Neighbours | None = None) -> int:
    """Do `work` on `runs` in a process of its own; returns its exit code.

    It is `INTERRUPTED` if `neighbours` asked for another process. If the user interrupted, `KeyboardInterrupt` is
    raised.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    orders, order = context.Pipe(duplex=False)
    paths = [run.path for run in runs]
    process = context.Process(target=work, args=(paths, sender, orders), name=runs[0].id)

    def moved(place: int, progress: Progress) -> None:
        wanted = report(runs[place], progress)
        with suppress(OSError, psutil.Error):  # it has ended already
            if wanted is False:
                order.send(place)
            elif neighbours and len(runs) == 1 and neighbours.see(process.pid or 0, progress.done):
                order.send(STOP)

    with order, receiver, _passing_on(order) as stopped:
        _start(process, environment(neighbours.waiting) if neighbours else {})
        sender.close()
        orders.close()
        refusal = _listen(receiver, moved)
        process.join()
    asked = neighbours is not None and neighbours.wanted != neighbours.waiting
    if stopped or (process.exitcode == INTERRUPTED and not asked):
        raise KeyboardInterrupt
    if refusal:
        raise RunError(refusal)
    return process.exitcode or 0


def _start(process: BaseProcess, besides: Mapping[str, str]) -> None:
    """Start the process with SIGINT blocked, an allocator that keeps its pages, and further environment variables.

    While it loads its libraries it is still in the terminal's group.
    """
    added = keeping_pages() | dict(besides)
    os.environ.update(added)
    try:
        with _interrupts_blocked():
            process.start()
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT, where the system can, for a process that is started meanwhile too."""
    if sys.platform == "win32" or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # it unblocks the signals when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _listen(receiver: Connection, moved: Callable[[int, Progress], None]) -> str:
    """Forward the updates of the process until it ends; returns its error message, if any.

    It looks up now and then: an interruption that came without a signal, from Ray, waits for that.
    """
    while True:
        try:
            if not receiver.poll(LOOKS_UP_SECONDS):
                continue
            message = receiver.recv()
        except InterruptedError:  # on Windows, by Ctrl-C
            continue
        except EOFError:
            return ""
        if isinstance(message, str):
            return message
        moved(*message)


@contextmanager
def _passing_on(order: Connection) -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on as orders to stop, so that the run saves itself before this process ends.

    An order that comes before the process listens waits in the pipe.
    """
    caught: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        with suppress(OSError):  # it has ended already
            order.send(STOP)

    with handling(forward):
        yield caught


def _crash(code: int) -> str:
    if code < 0:
        cause = "; it may have run out of memory" if code == -KILLED else ""
        return f"Its process was ended by {signal.Signals(-code).name}{cause}."
    return f"Its process ended with code {code}; the reason stands above."
