"""How many threads a run is computed with: its bytes depend on that number, so it belongs to the run.

A sum over a batch is added up in as many parts as there are threads, and rounds accordingly. So the checkpoint keeps
the number, and whoever goes on from it computes with as many. Where that is impossible, or where an engine asks for
another number because the machine is busy, the run keeps all numbers, and says so.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
import torch
from safetensors import SafetensorError, safe_open

from .checkpoint import CHECKPOINT
from .runs import Run

__all__ = ["SLEEPING", "chosen_waiting", "restore_threads", "usable_cores", "waiting_words", "with_current"]

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user decides how threads wait for each other; then mien changes nothing."""
SLEEPING = {"OMP_WAIT_POLICY": "passive"}
"""All implementations of OpenMP read it, when they are loaded."""


def restore_threads(run: Run, asked: int = 0) -> tuple[int, ...]:
    """Make torch compute with the threads that `run` was computed with so far; returns all its numbers, this one last.

    A new run takes the number that torch has. `asked`, where it is not 0, goes before both. Where this process may use
    fewer cores than the run's threads, torch keeps its number: threads that share a core wait for each other.
    """
    before = _so_far(run)
    wanted = asked or (before[-1] if before and before[-1] <= usable_cores() else 0)
    if wanted:
        torch.set_num_threads(wanted)
    return with_current(before)


def with_current(before: tuple[int, ...]) -> tuple[int, ...]:
    """The numbers of threads of a run, with the one that torch has now as the last."""
    now = torch.get_num_threads()
    return before if before[-1:] == (now,) else (*before, now)


def usable_cores() -> int:
    """Cores that this process may use."""
    process = psutil.Process()
    allowed: Sequence[int] = process.cpu_affinity() if hasattr(process, "cpu_affinity") else ()
    return len(allowed) or psutil.cpu_count() or 1


def chosen_waiting() -> Mapping[str, str]:
    """What this process's environment says of how threads wait for each other."""
    return {name: os.environ[name] for name in WAITING if name in os.environ}


def waiting_words() -> str:
    """How this process's threads wait for each other, by its environment."""
    chosen = chosen_waiting()
    if chosen == SLEEPING:
        return "sleep"
    return ", ".join(f"{name}={value}" for name, value in chosen.items()) or "as the library has it"


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
