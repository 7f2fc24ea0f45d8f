"""The way in which threads of a training wait for each other: by sleeping, by spinning, or as the user decided.

OpenMP reads it from the environment when it is loaded, so an engine decides it for a process that it starts. It changes
only the speed, not the results. Engines can read it without torch.
"""

import os
from collections.abc import Mapping

__all__ = ["SLEEPING", "WAITING", "chosen_waiting", "waiting_words"]

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user decides how threads wait for each other; then mien changes nothing."""
SLEEPING = {"OMP_WAIT_POLICY": "passive"}
"""All implementations of OpenMP read it, when they are loaded."""


def chosen_waiting() -> Mapping[str, str]:
    """What this process's environment says of how threads wait for each other."""
    return {name: os.environ[name] for name in WAITING if name in os.environ}


def waiting_words() -> str:
    """How this process's threads wait for each other, by its environment."""
    chosen = chosen_waiting()
    if chosen == SLEEPING:
        return "sleep"
    return ", ".join(f"{name}={value}" for name, value in chosen.items()) or "as the library has it"
