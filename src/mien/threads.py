"""How many threads a run is computed with: its bytes depend on that number, so it belongs to the run.

A sum over a batch is added up in as many parts as there are threads, and rounds accordingly. A recipe may state the
number (`train.cpus`): then every engine computes with it, and gives equal bytes. Otherwise the checkpoint keeps the
number that the machine gave, and whoever goes on from it computes with as many. Where that is impossible the run keeps
all numbers, and says so.
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

    A new run takes the number that torch has. `asked`, where it is not 0, goes before both, and then `train.cpus`.
    Where neither is given and this process may use fewer cores than the run's threads, torch keeps its number: threads
    that share a core wait for each other.
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
    """Make torch compute with the threads that the run's settings state, where they state any."""
    if stated := _stated(run):
        torch.set_num_threads(stated)


def _stated(run: Run) -> int:
    return run.settings.train.cpus if isinstance(run.settings, NetworkSettings) else 0


def _so_far(run: Run) -> tuple[int, ...]:
    """The numbers of threads of the run's checkpoint; of a finished run that trains again, the one of `env.json`.

    Nothing where neither is there. That a checkpoint is damaged is said by who loads it.
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
