"""The effect of peeking: the figure of the epoch chosen on valid, beside that of the best epoch on the test.

Many published figures are of the best epoch *on the test set*. `mien compare --show-peeking` keeps every epoch's test
figures in a separate file, which no other figure of the report uses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..calibration import Floats
from ..metrics import scores
from ..rows import Row
from .redrawn import TESTED

__all__ = ["Peeked", "peeked", "peeked_rows"]


@dataclass(frozen=True, kw_only=True)
class Peeked:
    """One row's runs that were also tested at every epoch; arrays `(R,)` by metric."""

    row: Row
    runs: tuple[str, ...]
    """Their ids."""
    honest: Mapping[str, Floats]
    """On test, at the epoch that the run had chosen."""
    claimed: Mapping[str, Floats]
    """On test, at the epoch that is best there by this metric."""

    def gap(self, metric: str) -> Floats:
        """What peeking adds, run by run."""
        return self.claimed[metric] - self.honest[metric]


def peeked(row: Row) -> Peeked | None:
    """The row's runs with `peeking.csv`; None if there is none."""
    runs = [(run, table) for run in row.runs if (table := run.peeking)]
    if not runs:
        return None
    tests = [run.logits("test") for run, _ in runs]
    kept = [metric for metric in TESTED if metric in runs[0][1]]
    own = [scores(test.logits, test.labels) for test in tests]
    return Peeked(
        row=row,
        runs=tuple(run.id for run, _ in runs),
        honest={metric: np.array([getattr(one, metric) for one in own]) for metric in kept},
        claimed={metric: np.array([table[metric].max() for _, table in runs]) for metric in kept},
    )


def peeked_rows(rows: Sequence[Row]) -> tuple[Peeked, ...]:
    """All rows with runs that were tested at every epoch."""
    return tuple(found for found in map(peeked, rows) if found)
