"""Stops a trial if its best accuracy so far is below the median of earlier trials at the same epoch.

The rule is Optuna's median pruner. It is a function of histories alone: of this trial, and of those that were complete
before its batch began. So when a process was told to stop, and how far it had gone on by then, changes nothing.
"""

from collections.abc import Sequence
from statistics import median

__all__ = ["stopping_epoch"]

FEWEST = 4
"""Fewest earlier trials for a median."""
WAIT = 0.3
"""Share of the epochs that every trial gets."""


def stopping_epoch(history: Sequence[float], earlier: Sequence[Sequence[float]], epochs: int) -> int:
    """The epoch, from 1, after which a trial is stopped; 0 if it continues.

    Args:
        history: accuracy on valid, an epoch each, as far as it is known.
        earlier: the same of complete trials with the same schedule.
        epochs: how many the schedule has. A trial is not stopped after the last.
    """
    if len(earlier) < FEWEST:
        return 0
    first = max(1, round(WAIT * epochs))
    for epoch in range(first, min(len(history), epochs - 1) + 1):
        if max(history[:epoch]) < median(other[epoch - 1] for other in earlier):
            return epoch
    return 0
