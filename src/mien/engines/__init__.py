"""Engines finish planned runs: in processes of this machine (`local`), on a Ray cluster (`ray`), or in the processes
that share a run (`devices`).

A new one is a file and a line below.

In: planned runs, the requested stages, and hooks. Out: nothing; each run folder records how its run ended.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Protocol, cast

from ..errors import ConfigError
from ..hooks import Progress
from ..runs import RESULTS, Run, Stage

__all__ = ["ALL_STAGES", "ENGINES", "Engine", "Report", "Update", "find_engine"]

ALL_STAGES: tuple[Stage, ...] = (*RESULTS, "costs")
Update = Progress | str | None
"""News of a run: its progress, a message about it, or None when it has ended."""
Report = Callable[[Run, Update], bool | None]
"""Called with each update of a run. If it returns False for a `Progress`, that run stops early."""


class Engine(Protocol):
    """Finishes runs, somewhere."""

    def kept(self) -> AbstractContextManager[None]:
        """Around several calls of `finish`: what they share, such as a cluster, is started once."""

    def finish(
        self, runs: Sequence[Run], report: Report, *, stages: Sequence[Stage] = ALL_STAGES, hooks: Sequence[str] = ()
    ) -> None:
        """Carry out the `stages` of all `runs`, and report None when a run has ended.

        Costs are measured once for each row: of the first among the runs that differ only in seed, repetition and fold.
        A run that fails, crashes or is pruned is marked, and the next one starts. In a later call an engine retries a
        crashed run, but not a failed or a pruned one.

        Args:
            runs: planned, or left by another process.
            report: called with each update.
            stages: the stages to carry out.
            hooks: names of `mien.hooks.HOOKS`. A finished run that lacks the result of one of these hooks is fitted
            again.

        Raises:
            KeyboardInterrupt: after SIGINT or SIGTERM, when the runs under way have saved themselves.
            RunError: a run folder cannot be worked in.
        """


ENGINES = {
    "local": "mien.engines.local:LocalEngine",
    "ray": "mien.engines.ray:RayEngine",
    "devices": "mien.engines.devices:DevicesEngine",
}
"""Engines by name, as `module:class`."""


def find_engine(name: str = "local", address: str = "") -> Engine:
    """The engine with this name, of the cluster at `address` where it has one.

    Raises `ConfigError` if there is none, or if it has no address, and `ModuleNotFoundError` if its library is missing.
    """
    if name not in ENGINES:
        raise ConfigError(f"There is no engine {name!r}; the engines are {', '.join(ENGINES)}.")
    if address and name != "ray":
        raise ConfigError(f"--address is that of a cluster, and the engine {name} has none. Pass --engine ray.")
    module, _, word = ENGINES[name].partition(":")
    engine = getattr(import_module(module), word)
    return cast(Engine, engine(address) if address else engine())
