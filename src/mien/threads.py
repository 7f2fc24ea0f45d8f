"""The number of threads of a run. Its bytes depend on that number, so it belongs to the run.

A sum over a batch is computed in as many parts as there are threads, and rounded accordingly. A recipe may state the
number (`train.cpus`): then every engine uses it, and the results have equal bytes. Otherwise the checkpoint keeps the
number of the machine, and a resumed run uses it too. If that is impossible, the run records all numbers.
"""

import json
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from .checkpoint import CHECKPOINT
from .config import NetworkSettings
from .machine import usable_cores
from .runs import Run

__all__ = ["restore_threads", "use_threads", "with_current"]


def restore_threads(run: Run, asked: int = 0) -> tuple[int, ...]:
    """Make torch compute with the threads that `run` was computed with so far; returns all its numbers, this one last.

    A new run takes the number that torch has. `asked` has priority if it is not 0, then `train.cpus`. If neither is
    given and this process has fewer cores than the run has threads, torch keeps its number, because threads that share
    a core wait for each other.
    """
    before = _so_far(run)
    wanted = asked or _stated(run) or (before[-1] if before and before[-1] <= usable_cores() else 0)
    if wanted:
        torch.set_num_threads(wanted)
    return with_current(before)


def with_current(before: tuple[int, ...]) -> tuple[int, ...]:
    """The numbers of threads of a run, with the one that torch has now as the last."""
    now = torch.get_num_threads()
    return before if before[-1:] == (now,) else (*before, now)


def use_threads(run: Run) -> None:
    """Make torch use the number of threads in the run's settings, if they state one."""
    if stated := _stated(run):
        torch.set_num_threads(stated)


def _stated(run: Run) -> int:
    return run.settings.train.cpus if isinstance(run.settings, NetworkSettings) else 0


def _so_far(run: Run) -> tuple[int, ...]:
    """The numbers of threads of the run's checkpoint; of a finished run that trains again, the one of `env.json`.

    Empty if neither exists. A damaged checkpoint is reported when it is loaded.
    """
    try:
        with safe_open(run.path / CHECKPOINT, "pt") as file:
            saved: dict[str, Any] = json.loads(file.metadata()["state"])
            return tuple(map(int, saved["threads"]))
    except FileNotFoundError:
        opened = run.record.test_opened_at
        return (int((run.environment or {}).get("threads", 1)),) if opened else ()
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return ()
