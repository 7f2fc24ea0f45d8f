"""What rows cost, as means over their runs and as multiples of one another; nan where nothing was measured."""

import numpy as np

from ..rows import Row

__all__ = ["mean_cost", "times"]


def mean_cost(row: Row, cost: str) -> float:
    """The mean of a field of `mien.runs.Costs`, over those runs for which it was measured; 0 where it was of none."""
    values = [value for run in row.runs if (value := float(getattr(run.record.costs, cost)))]
    return float(np.mean(values)) if values else 0.0


def times(value: float, reference: float) -> float:
    """`value` as a multiple of `reference`; nan where one of them was not measured."""
    return value / reference if value and reference else float("nan")
