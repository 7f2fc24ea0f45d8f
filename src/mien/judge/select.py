"""Which rows get figures, and what every figure of a row begins with: its test logits and its accuracy."""

import math
from collections.abc import Sequence

from ..compare import Row
from ..runs import Logits

__all__ = ["MOST_ROWS", "accuracy", "predictions", "select"]

MOST_ROWS = 12
"""Rows that get figures; the table has all."""


def select(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Those with a finished run, in their order; of more than `MOST_ROWS` the most accurate."""
    able = [row for row in rows if row.scores]
    kept = sorted(range(len(able)), key=lambda i: -accuracy(able[i]))[:MOST_ROWS]
    return tuple(able[i] for i in sorted(kept))


def accuracy(row: Row) -> float:
    """On test, the mean over replicates (seeds, or repetitions of a cross-validation)."""
    return math.fsum(score.accuracy for score in row.scores) / len(row.scores)


def predictions(row: Row) -> tuple[Logits, ...]:
    """Test logits, one a replicate."""
    return tuple(row.tests.values())
