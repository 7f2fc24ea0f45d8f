"""The work of a cluster's node on some runs: it starts the same fresh process as the local engine, and listens.

In: run folders, the task, and a function that reports to the engine. Out: a refusal, or nothing; the run folders hold
the rest. This process computes nothing and imports no torch, so memory, crashes, locks and bytes are those of the local
engine. It does not import Ray either, which calls it.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from ..errors import MienError
from ..hooks import Progress
from ..locks import hold
from ..runs import LOCK, Run, Stage, busy
from ..version import __version__
from ..waiting import SLEEPING, chosen_waiting
from . import Update
from .local import attempt, has_to_do, measure

__all__ = ["Tell", "Work", "supervise"]

Tell = Callable[[str, Update], bool]
"""Takes the id of a run and an update of it; False if this run must stop early."""
Work = Literal["finish", "measure"]
LEFT_SECONDS = 60.0
"""How long a process that lost its supervisor may take to save its run and to leave it."""
SECONDS_BETWEEN_NEWS = 0.5


def supervise(
    paths: Sequence[str], work: Work, results: Sequence[Stage], hooks: tuple[str, ...], version: str, tell: Tell
) -> str:
    """Finish or measure the runs in these folders, in processes of this node.

    Returns the reason if that is impossible, else "". Raises `KeyboardInterrupt` if this process was interrupted, after
    the current run has saved itself.
    """
    if version != __version__:
        return f"A node of the cluster has mien {__version__}, and this machine {version}. Install one version on all."
    _stand_alone()
    if not chosen_waiting():
        os.environ.update(SLEEPING)  # other runs use the node's other cores
    try:
        runs = [Run.open(path) for path in paths]
        for run in runs:
            _wait_until_left(run)
        news = _News(tell)
        if work == "measure":
            for run in runs:
                measure(run, news.report)
        elif own := [run for run in runs if has_to_do(run, results)]:
            attempt(results, hooks, own, news.report)
    except MienError as error:
        return str(error)
    return ""


class _News:
    """Passes updates on; progress of a run at most a few times a second."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._last: dict[str, float] = {}
        self._wanted: dict[str, bool] = {}

    def report(self, run: Run, update: Update) -> bool | None:
        """See `mien.engines.Report`."""
        now = time.monotonic()
        if (
            isinstance(update, Progress)
            and update.done < 1
            and now - self._last.get(run.id, 0.0) < SECONDS_BETWEEN_NEWS
        ):
            return self._wanted.get(run.id)
        self._last[run.id] = now
        self._wanted[run.id] = self._tell(run.id, update)
        return self._wanted[run.id]


def _wait_until_left(run: Run) -> None:
    """Wait for the process of a supervisor that was killed: it saves the run, and ends.

    Raises `RunBusy` where somebody works in the run for longer. The process that works there refuses a disk without
    locks.
    """
    try:
        with hold(run.path / LOCK, wait=LEFT_SECONDS):
            pass
    except TimeoutError:
        raise busy(run.path) from None
    except OSError:
        return


def _stand_alone() -> None:
    """Keep processes that are started from here from importing the main program of this one, which is Ray's."""
    program = sys.modules.get("__main__")
    if program is not None and Path(getattr(program, "__file__", None) or "").name == "default_worker.py":
        del program.__file__
