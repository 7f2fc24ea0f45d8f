"""The comparison as plain values, for `--json`."""

import math
from dataclasses import asdict
from typing import Any

from ..compare import Comparison, Row
from .certainty import Certainty
from .pairs import Pair
from .tables import COLUMNS, Cell, Line, build_table

__all__ = ["as_dict"]


def as_dict(comparison: Comparison, certainty: Certainty) -> dict[str, Any]:
    """Every value is a text, a number, a boolean, None, or a list or dict of these."""
    lines = {line.name: line for line in build_table(comparison, certainty).lines if not line.paper}
    return {
        "data": asdict(comparison.data),
        "factors": list(comparison.factors),
        "seeds": list(comparison.seeds),
        "equal": dict(comparison.equal),
        "own": {key: dict(value) for key, value in comparison.own.items()},
        "rows": [_row(row, lines[row.name]) for row in comparison.rows],
        "verdicts": [_pair(pair) for pair in certainty.pairs],
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "a": pair.a,
        "b": pair.b,
        "metric": pair.metric,
        "effect": pair.effect,
        "low": pair.interval.low,
        "high": pair.interval.high,
        "p": pair.p,
        "p_corrected": pair.p_corrected,
        "better": pair.better,
        "method": pair.method,
        "to_tell": pair.to_tell,
    }


def _row(row: Row, line: Line) -> dict[str, Any]:
    return {
        "name": row.name,
        "factors": dict(row.factors),
        "runs": [run.id for run in row.runs],
        "seeds": [run.settings.train.seed for run in row.runs],
        "failures": list(row.failures),
        "pending": row.pending,
        "figures": {column.key: _figure(line.cells[column.key]) for column in COLUMNS},
    }


def _figure(cell: Cell) -> dict[str, float | None]:
    values = {"mean": cell.value, "sd": cell.spread, "low": cell.low, "high": cell.high}
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
