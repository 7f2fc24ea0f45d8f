"""The engine of several devices: the processes that torchrun started share the batches of each run.

    torchrun --nproc-per-node 2 -m mien compare fast --data STORE --set train.chunks=apart

In: planned runs; every process has the same command. The first process finishes one run after the other itself, and the
others `follow` it. So a crash of one process ends all. When all are started again, each run goes on from its
checkpoint. Costs are measured as the local engine does, in a fresh process of one device.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from ..hooks import Hooks
from ..methods.network import take_part
from ..ranks import Ranks, join_ranks, leave_ranks
from ..runs import RESULTS, Run, Stage
from ..stages import finish_run
from . import ALL_STAGES, Report
from .local import LocalEngine, fit_again, has_to_do

__all__ = ["DevicesEngine", "follow"]


class DevicesEngine:
    """See `mien.engines.Engine`."""

    def kept(self) -> AbstractContextManager[None]:
        """Nothing is shared."""
        return nullcontext()

    def finish(
        self, runs: Sequence[Run], report: Report, *, stages: Sequence[Stage] = ALL_STAGES, hooks: Sequence[str] = ()
    ) -> None:
        """Finish all `runs` in this process and those that follow it, then let these go."""
        results, ranks = tuple(stage for stage in stages if stage in RESULTS), join_ranks()
        fit_again(runs, hooks)
        for run in runs:
            if has_to_do(run, results):
                progress = partial(report, run)
                finish_run(run, results, Hooks(report=progress, names=tuple(hooks), ranks=ranks, alone=False))
        ranks.send("")
        leave_ranks()
        LocalEngine().finish(runs, report, stages=tuple(stage for stage in stages if stage not in RESULTS))


def follow(ranks: Ranks) -> None:
    """Take part in all fits that the first process begins, until it has none left.

    Raises:
        KeyboardInterrupt: after SIGINT or SIGTERM in any process; the first has saved the run.
        MienError: this process cannot take part, or another has ended.
    """
    while path := ranks.receive():
        take_part(Run.open(Path(path)), ranks)
    leave_ranks()
