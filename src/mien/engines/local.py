"""The engine of one machine: runs one after the other, each in a fresh process.

A fresh process makes peak memory a property of the run, and a crash the end of one run, not of the grid. The two talk
over two pipes: progress comes from the process, and an order to stop goes to it. No signal is sent, so a run saves
itself on every system.
"""

import _thread
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

import psutil

from ..errors import MienError, RunError
from ..machine import keeping_pages
from ..runs import Run
from ..train import Progress
from .neighbours import Neighbours, environment, waiting_now
from .work import finish_run, measure_prediction

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection as Connection
else:
    from multiprocessing.connection import Connection

__all__ = ["Report", "Told", "finish"]

Told = Progress | str | None
"""How far a run is; a sentence about it; None when it has ended."""
Report = Callable[[Run, Told], None]
Work = Callable[[Path, Connection, Connection], None]
"""What a process does with the run in a folder: it sends progress into one pipe, and gets orders from the other."""
ATTEMPTS = 2
"""A crash may have been an accident, such as memory that another process held."""
INTERRUPTED = 130
"""The code that a process ends with which was told to stop, and has saved its run."""
KILLED = 9
"""Number of the signal that a system without memory ends processes with."""


def finish(runs: Sequence[Run], report: Report, *, teach_peeking: bool = False) -> None:
    """Finish all `runs`, reporting progress, and None when a run has ended.

    `teach_peeking` trains again what was finished without it: the same weights, and every epoch seen on the test.
    A run that fails or crashes twice is marked, and the next one starts. Asked to finish them again, the engine tries a
    crashed run again; not a failed one, for its loss would become the same. Raises `KeyboardInterrupt` after SIGINT or
    SIGTERM, when the run under way has saved itself, and `RunError` where a run folder cannot be worked in.
    """
    for run in runs:
        if teach_peeking and run.finished and not run.peeking:
            run.update(status="running")
        if not run.finished and run.record.status != "failed":
            _attempt(_train_and_peek if teach_peeking else _train, run, report)
        if run.finished and not run.record.costs.predict_batch:
            _in_fresh_process(_measure, run, report)  # should it crash, the figures stay undefined, the run finished
        report(run, None)


def _attempt(work: Work, run: Run, report: Report) -> None:
    """Train a run. Where its process crashes, go on from its checkpoint once; where others need the machine, at once.

    How threads wait for each other is read when a process starts, so another way of waiting takes another process.
    """
    crashes, waiting = 0, waiting_now()
    while crashes < ATTEMPTS:
        neighbours = Neighbours(waiting)
        code = _in_fresh_process(work, run, report, neighbours)
        if not code:
            return
        if code == INTERRUPTED:
            report(run, neighbours.why)
            waiting = neighbours.wanted
            continue
        crashes += 1
        cause = _crash(code)
        if crashes < ATTEMPTS:
            report(run, f"{cause} It is tried again.")
        run.update(status="crashed", reason=f"{cause} The same command tries it again.")


def _train(path: Path, sender: Connection, orders: Connection) -> None:
    with _obeying(orders), _sentences(sender):
        finish_run(Run.open(path), _telling(sender))


def _train_and_peek(path: Path, sender: Connection, orders: Connection) -> None:
    with _obeying(orders), _sentences(sender):
        finish_run(Run.open(path), _telling(sender), teach_peeking=True)


def _measure(path: Path, sender: Connection, orders: Connection) -> None:
    with _obeying(orders), _sentences(sender):
        measure_prediction(Run.open(path))


def _telling(sender: Connection) -> Callable[[Progress], None]:
    """Send progress, even where nobody listens any more: the training loop finds out by itself, and saves."""

    def tell(progress: Progress) -> None:
        with suppress(BrokenPipeError):
            sender.send(progress)

    return tell


@contextmanager
def _obeying(orders: Connection) -> Iterator[None]:
    """Take each order of the engine, and its death, as a Ctrl-C. Leave with `INTERRUPTED` when interrupted.

    The training loop saves the run before it lets itself be interrupted. A process group of its own, where the system
    has groups, keeps the terminal's signals away: the engine alone says when to stop.
    """
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    try:
        threading.Thread(target=_obey, args=(orders,), daemon=True).start()
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _obey(orders: Connection) -> None:
    with suppress(EOFError, OSError):
        while orders.recv():
            _thread.interrupt_main()
    _thread.interrupt_main()


@contextmanager
def _sentences(sender: Connection) -> Iterator[None]:
    """Send an error of mien's to the engine as its sentence."""
    try:
        yield
    except MienError as error:
        sender.send(str(error))


def _in_fresh_process(work: Work, run: Run, report: Report, neighbours: Neighbours | None = None) -> int:
    """Do `work` on `run` in a process of its own; returns the code that it ended with.

    `INTERRUPTED` is returned where `neighbours` asks for another process. Where the user did, `KeyboardInterrupt`.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    orders, order = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(run.path, sender, orders), name=run.id)

    def moved(run: Run, told: Told) -> None:
        report(run, told)
        with suppress(OSError, psutil.Error):  # it has ended already
            if neighbours and isinstance(told, Progress) and neighbours.see(process.pid or 0, told.done):
                order.send(True)

    with order, receiver, _passing_on(order) as stopped:
        _start(process, environment(neighbours.waiting) if neighbours else {})
        sender.close()
        orders.close()
        refusal = _listen(receiver, run, moved)
        process.join()
    asked = neighbours is not None and neighbours.wanted != neighbours.waiting
    if stopped or (process.exitcode == INTERRUPTED and not asked):
        raise KeyboardInterrupt
    if refusal:
        raise RunError(refusal)
    return process.exitcode or 0


def _start(process: BaseProcess, besides: Mapping[str, str]) -> None:
    """Start the process with an allocator that keeps its pages, with what else its environment has, and SIGINT blocked.

    While it loads its libraries it is still in the terminal's group.
    """
    added = keeping_pages() | dict(besides)
    os.environ.update(added)
    try:
        with _deaf():
            process.start()
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _deaf() -> Iterator[None]:
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


def _listen(receiver: Connection, run: Run, report: Report) -> str:
    """Pass on what the process says until it ends; returns the sentence it ended with, if any."""
    while True:
        try:
            message = receiver.recv()
        except InterruptedError:  # on Windows, by Ctrl-C
            continue
        except EOFError:
            return ""
        if isinstance(message, str):
            return message
        report(run, message)


@contextmanager
def _passing_on(order: Connection) -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on as orders to stop, so that the run saves itself before this process ends.

    An order that comes before the process listens waits in the pipe.
    """
    caught: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        caught.append(number)
        with suppress(OSError):  # it has ended already
            order.send(True)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _crash(code: int) -> str:
    if code < 0:
        cause = "; it may have run out of memory" if code == -KILLED else ""
        return f"Its process was ended by {signal.Signals(-code).name}{cause}."
    return f"Its process ended with code {code}; the reason stands above."
