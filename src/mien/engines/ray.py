"""The engine of a Ray cluster: many runs at once, on this machine's cores or on all nodes of a cluster.

In: planned runs, in a folder that every node has at the same path. Out: nothing; the run folders hold the results, and
their bytes are those of the local engine where the recipe states `train.cpus`. A task is a thin supervisor
(`mien.engines.supervisor`); Ray says where and when it runs, and starts it again when its node dies. Updates of all
runs pass through one actor, the board, to the view in the engine's terminal. No usage statistics, no dashboard.
"""

import logging
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import groupby
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..config import NetworkSettings
from ..errors import ConfigError, RunError
from ..hooks import Progress
from ..machine import usable_cores
from ..methods import find_method
from ..rows import row_key
from ..runs import RESULTS, Run, Stage
from ..shown import first_line
from ..signals import interrupts
from ..version import __version__
from . import ALL_STAGES, Report, Update
from .local import PACKED, SMALL_OPERATIONS, fit_again, has_to_do
from .supervisor import Work, supervise

__all__ = ["RayEngine"]

RETRIES = 3
"""How often a task is started again when its worker or its node died."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_task_oom_retries": "1",  # Ray's default is without end
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_kill_child_processes_on_worker_exit": "0",  # the process of a run saves it, and ends
}
OF_THIS_MACHINE: dict[str, Any] = {
    "address": "local",  # and no cluster whose address an earlier session left here
    "include_dashboard": False,
    "object_store_memory": 80 << 20,  # what tasks send is small
}
"""Options of a cluster that this process starts."""
SHARE = 4
"""The most packs of small runs for each slot of the cluster: so many end at about the same time."""
WORTH_OPERATIONS = 4 * SMALL_OPERATIONS
"""Seconds of work in a pack: several times the start of a process."""
LOOK_SECONDS = 0.5
SAVING_SECONDS = 120.0
"""How long interrupted runs may take to save themselves."""


class RayEngine:
    """See `mien.engines.Engine`."""

    def __init__(self, address: str = "") -> None:
        """Use the cluster at `address`, such as `10.0.0.1:6379` or `auto`; without one, this machine's cores."""
        self._address = address

    def kept(self) -> AbstractContextManager[None]:
        """The cluster."""
        return _cluster(self._address)

    def finish(
        self, runs: Sequence[Run], report: Report, *, stages: Sequence[Stage] = ALL_STAGES, hooks: Sequence[str] = ()
    ) -> None:
        """Finish all `runs` on the cluster, as many at once as it has processors for."""
        results = tuple(stage for stage in stages if stage in RESULTS)
        fit_again(runs, hooks)
        with _cluster(self._address), interrupts() as stopped:
            grid = _Grid(runs, report, stopped, results, tuple(hooks))
            for joins in (False, True):
                grid.finish([run for run in runs if joins == run.settings.JOINS])
            if "costs" in stages:
                grid.measure(runs)


class _Grid:
    """The tasks of some runs, and the reports about them."""

    def __init__(
        self,
        runs: Sequence[Run],
        report: Report,
        stopped: list[float],
        results: tuple[Stage, ...],
        hooks: tuple[str, ...],
    ) -> None:
        self._runs = {run.id: run for run in runs}
        self._report, self._stopped, self._results, self._hooks = report, stopped, results, hooks
        self._cpus, self._gpus = _resources()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        board = ray.remote(_Board).options(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)
        self._board = board.remote()
        self._tasks: dict[Any, Sequence[Run]] = {}
        """By the future of each task: the runs that are reported to have ended with it."""

    def finish(self, runs: Sequence[Run]) -> None:
        """Fit and judge runs that do not depend on each other."""
        left: list[Run] = []
        for run in runs:
            if has_to_do(run, self._results):
                left.append(run)
            else:
                self._report(run, None)
        for pack in _packs(left, sum(self._cpus)):
            self._start("finish", pack)
        self._wait()

    def measure(self, runs: Sequence[Run]) -> None:
        """Measure the costs of each row that has a finished run, and no costs yet."""
        rows = {row_key(run.settings) for run in runs if run.has("costs")}
        for run in runs:
            if run.finished and (row := row_key(run.settings)) not in rows:
                rows.add(row)
                self._start("measure", [run])
        self._wait()

    def _start(self, work: Work, pack: Sequence[Run]) -> None:
        cpus = max(map(_cpus, pack))
        if pack[0].settings.JOINS:  # its members are finished
            cpus = min(cpus, max(self._cpus))
        if cpus > max(self._cpus):
            raise ConfigError(
                f"train.cpus is {cpus}, and the largest node of the cluster has {max(self._cpus)} processors. "
                f"Set it to {max(self._cpus)} at most."
            )
        trains = any(isinstance(run.settings, NetworkSettings) for run in pack)
        task = ray.remote(_task).options(
            name=pack[0].id,
            num_cpus=cpus,
            num_gpus=int(self._gpus and trains),
            max_retries=RETRIES,
            retry_exceptions=False,
            scheduling_strategy="SPREAD",
        )
        paths = [str(run.path.resolve()) for run in pack]
        future = task.remote(self._board, paths, work, self._results, self._hooks, __version__)
        self._tasks[future] = pack if work == "finish" else ()

    def _wait(self) -> None:
        """Wait for all tasks and report on them meanwhile; raises the errors of the local engine."""
        while self._tasks:
            done, _ = ray.wait(list(self._tasks), timeout=LOOK_SECONDS)
            self._pass_on()
            for task in done:
                self._settle(task, self._tasks.pop(task))
            if self._stopped:
                self._cancel()
                raise KeyboardInterrupt
        self._pass_on()

    def _pass_on(self) -> None:
        news: list[tuple[str, Update]] = []
        with suppress(ray.exceptions.RayError):  # a node without memory may end the board too: it starts again, empty
            news = ray.get(self._board.take.remote(), timeout=LOOK_SECONDS)
        for name, update in news:
            if self._report(self._runs[name], update) is False and isinstance(update, Progress):
                self._board.refuse.remote(name)

    def _settle(self, task: Any, pack: Sequence[Run]) -> None:
        """Record how a task ended if its runs could not do so themselves."""
        try:
            refusal = ray.get(task)
        except ray.exceptions.RayTaskError as error:
            refusal = f"A task on the cluster failed ({first_line(error.cause)})."
        except ray.exceptions.RayError as error:
            self._crashed(pack, _cause(error))
            refusal = ""
        if refusal and not self._stopped:
            self._cancel()
            raise RunError(refusal)
        for run in pack:
            self._report(run, None)

    def _crashed(self, pack: Sequence[Run], cause: str) -> None:
        for run in pack:
            if has_to_do(run, self._results):
                with suppress(RunError):  # its process is still there, and saves it
                    run.update(status="crashed", reason=f"{cause} The same command tries it again.")

    def _cancel(self) -> None:
        """Interrupt all tasks, and wait until their runs have saved themselves."""
        for task in self._tasks:
            ray.cancel(task)
        ends = time.monotonic() + SAVING_SECONDS
        while self._tasks and time.monotonic() < ends:
            _, left = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=LOOK_SECONDS)
            self._tasks = {task: self._tasks[task] for task in left}


class _Board:
    """An actor: the newest progress of each run, the messages, and which runs shall stop."""

    def __init__(self) -> None:
        self._progress: dict[str, Progress] = {}
        self._messages: list[tuple[str, Update]] = []
        self._unwanted: set[str] = set()

    def tell(self, name: str, update: Update) -> set[str]:
        """Take an update of a run; returns the runs that must stop."""
        if isinstance(update, Progress):
            self._progress[name] = update
        else:
            self._messages.append((name, update))
        return self._unwanted

    def take(self) -> list[tuple[str, Update]]:
        """The updates since the last call."""
        news = [*self._messages, *self._progress.items()]
        self._messages, self._progress = [], {}
        return news

    def refuse(self, name: str) -> None:
        """Mark a run that must stop."""
        self._unwanted.add(name)


class _Line:
    """A supervisor's end of the board; nobody waits for an answer."""

    def __init__(self, board: Any) -> None:
        self._board, self._answer = board, None
        self._unwanted: set[str] = set()

    def __call__(self, name: str, update: Update) -> bool:
        """See `mien.engines.supervisor.Tell`."""
        with suppress(ray.exceptions.RayError):  # the engine is gone, and so will this worker be
            if self._answer is not None and ray.wait([self._answer], timeout=0)[0]:
                self._unwanted, self._answer = ray.get(self._answer), None
            told = self._board.tell.remote(name, update)
            self._answer = self._answer or told
        return name not in self._unwanted


def _task(
    board: Any, paths: Sequence[str], work: Work, results: Sequence[Stage], hooks: tuple[str, ...], version: str
) -> str:
    return supervise(paths, work, results, hooks, version, _Line(board))


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine's cores; leave it at the end. A running one is used."""
    if ray.is_initialized():
        yield
        return
    os.environ.update({name: value for name, value in SETTINGS.items() if name not in os.environ})
    own = OF_THIS_MACHINE | {"num_cpus": usable_cores()} if not address else {"address": address}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # an error of the network, a token, or another version
        where = f"No Ray cluster can be used at {address}" if address else "Ray cannot be started"
        raise ConfigError(f"{where} ({first_line(error)}). docs/scale.md says how to start one.") from None
    try:
        yield
    finally:
        ray.shutdown()


def _resources() -> tuple[list[int], bool]:
    """Processors of each living node, and whether the cluster has GPUs."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [int(node.get("CPU", 0)) for node in nodes], any(node.get("GPU", 0) for node in nodes)


def _cpus(run: Run) -> int:
    """Processors of a run: those that its recipe states, or the first of the runs that it joins, else one."""
    if run.settings.JOINS:
        from ..methods.ensemble import stated_cpus  # as methods are imported: when a run of their kind is there

        return max(1, stated_cpus(run))
    return max(1, run.settings.train.cpus) if isinstance(run.settings, NetworkSettings) else 1


def _packs(runs: Sequence[Run], processors: int) -> Iterator[Sequence[Run]]:
    """Runs that share a process: a large one alone, small ones that want equally many processors together."""

    def kind(run: Run) -> tuple[bool, int]:
        return find_method(run.settings).work(run) < SMALL_OPERATIONS, _cpus(run)

    for (small, cpus), group in groupby(sorted(runs, key=kind), key=kind):
        own = list(group)
        size = _size(own, max(1, processors // cpus)) if small else 1
        yield from (own[start : start + size] for start in range(0, len(own), size))


def _size(runs: Sequence[Run], slots: int) -> int:
    """Small runs in a pack: so many that their work is worth the start of a process, and no slot waits long."""
    work = sum(find_method(run.settings).work(run) for run in runs)
    packs = max(slots, min(SHARE * slots, round(work / WORTH_OPERATIONS)))
    return min(PACKED, math.ceil(len(runs) / packs))


def _cause(error: Exception) -> str:
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "Its node ran out of memory, and again when it was tried once more."
    return f"Its worker died {RETRIES + 1} times ({type(error).__name__})."
