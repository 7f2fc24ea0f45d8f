"""Engines finish planned runs: here, in processes of this machine (`local`). A new one is a file and a line below.

In: planned runs, the stages that are wanted, who looks on. Out: nothing; the run folders say how each ended.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Protocol, cast

from ..errors import ConfigError
from ..hooks import Progress
from ..runs import RESULTS, Run, Stage

__all__ = ["ALL_STAGES", "ENGINES", "Engine", "Report", "Told", "find_engine"]

ALL_STAGES: tuple[Stage, ...] = (*RESULTS, "costs")
Told = Progress | str | None
"""How far a run is; a sentence about it; None when it has ended."""
Report = Callable[[Run, Told], bool | None]
"""Is told of each run. False, as the answer to `Progress`, asks that run to stop early."""


class Engine(Protocol):
    """Finishes runs, somewhere."""

    def finish(
        self, runs: Sequence[Run], report: Report, *, stages: Sequence[Stage] = ALL_STAGES, hooks: Sequence[str] = ()
    ) -> None:
        """Do the `stages` of all `runs`, and report None when a run has ended.

        Costs are measured once a row: of the first run among those that differ in seed, repetition and fold alone. A
        run that fails, crashes or is pruned is marked, and the next one starts. Asked again, an engine tries a crashed
        run again; not a failed or a pruned one.

        Args:
            runs: planned, or left by another process.
            report: is told how it goes.
            stages: what is wanted.
            hooks: names of `mien.hooks.HOOKS`. What was finished without a hook that it lacks is fitted again.

        Raises:
            KeyboardInterrupt: after SIGINT or SIGTERM, when the runs under way have saved themselves.
            RunError: a run folder cannot be worked in.
        """


ENGINES = {"local": "mien.engines.local:LocalEngine"}
"""Engines by name, as `module:class`."""


def find_engine(name: str = "local") -> Engine:
    """The engine of a name; raises `ConfigError` where there is none."""
    if name not in ENGINES:
        raise ConfigError(f"There is no engine {name!r}; the engines are {', '.join(ENGINES)}.")
    module, _, word = ENGINES[name].partition(":")
    return cast(Engine, getattr(import_module(module), word)())
