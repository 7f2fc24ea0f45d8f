"""CSV with every digit, for the files beside the page; what the page shows is in its small tables."""

import csv
import io
import math
from collections.abc import Iterable, Sequence

from ..shown import csv_cell
from ..statistics.estimates import Estimate

__all__ = ["as_csv", "three"]


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under their heads; floats keep every digit, what is undefined is empty."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(map(csv_cell, heads))
    lines.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def three(figure: Estimate) -> tuple[float, float, float]:
    """A figure as value, low, high."""
    return figure.value, figure.interval.low, figure.interval.high


def _cell(value: object) -> str:
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else ""
    return str(csv_cell(value))
