"""Selects the rows that get figures, and gives a row's test logits and accuracy."""

import math
from collections.abc import Sequence

from ..compare import Row
from ..runs import Logits

__all__ = ["MOST_ROWS", "accuracy", "predictions", "select", "valid_accuracy"]

MOST_ROWS = 12
"""Most rows that get figures; the table has all."""


def select(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows with a finished run, in their order; at most `MOST_ROWS`, the most accurate ones."""
    able = [row for row in rows if row.scores]
    kept = sorted(range(len(able)), key=lambda i: -accuracy(able[i]))[:MOST_ROWS]
    return tuple(able[i] for i in sorted(kept))


def accuracy(row: Row) -> float:
    """Accuracy on test, the mean over replicates (seeds, or repetitions of a cross-validation)."""
    return math.fsum(score.accuracy for score in row.scores) / len(row.scores)


def valid_accuracy(row: Row) -> float:
    """Accuracy on validation, the mean over runs; 0 if there is none."""
    parts = [part for own in row.valids.values() for part in own if len(part.labels)]
    return math.fsum(part.accuracy for part in parts) / max(len(parts), 1)


def predictions(row: Row) -> tuple[Logits, ...]:
    """Test logits of each replicate."""
    return tuple(row.tests.values())
