"""Loggers copy the progress of runs to other programs. A new one is a file and a line below.

In: the reports of an engine, wherever it trains. Out: files beside the run folders; the run folders remain
authoritative. A logger is a function like `mien.engines.Report`, whose answer is ignored; it is made with the folder of
the runs.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

from ..engines import Report, Update
from ..errors import ConfigError
from ..runs import Run

__all__ = ["LOGGERS", "Logger", "find_logger", "with_loggers"]

Logger = Callable[[Run, Update], None]
"""Takes each update of a run; None when it has ended."""
LOGGERS = {"tensorboard": "mien.loggers.tensorboard:TensorBoard"}
"""Loggers by name, as `module:class`."""


def find_logger(name: str, runs: Path) -> Logger:
    """The logger of this name for the folder `runs`.

    Raises `ConfigError` where there is none, and `ModuleNotFoundError` where its library is missing.
    """
    if name not in LOGGERS:
        raise ConfigError(f"There is no logger {name!r}; the loggers are {', '.join(LOGGERS)}.")
    module, _, word = LOGGERS[name].partition(":")
    return cast(Logger, getattr(import_module(module), word)(runs))


def with_loggers(report: Report, loggers: Sequence[Logger]) -> Report:
    """A report that also calls the `loggers`; it returns the answer of `report`."""

    def both(run: Run, update: Update) -> bool | None:
        for logger in loggers:
            logger(run, update)
        return report(run, update)

    return both
