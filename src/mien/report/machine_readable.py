"""All findings of a report as plain values, for `report.json` and the output of `--json`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..compare import Row
from ..facts import plain
from ..judge.calibration import Calibrated, Probabilities
from ..judge.contrasts import Contrast
from ..judge.pairs import Pair
from ..judge.parts import PooledRow
from ..judge.peeking import Peeked
from ..judge.peeking_folds import PeekedFolds
from ..judge.table import COLUMNS, Cell, Line
from ..statistics import gap_interval
from ..statistics.estimates import Estimate
from .findings import Findings

__all__ = ["as_dict"]


def as_dict(found: Findings) -> dict[str, Any]:
    """Every value is a text, a number, a boolean, None, or a list or dict of these; names are those of the classes.

    An estimate is its value with its interval; shares are from 0 to 1. The path of the store is left out, because it
    depends on the machine.
    """
    comparison, certainty = found.comparison, found.judgement.certainty
    lines = {line.name: line for line in found.judgement.table.lines if not line.paper}
    return {
        "data": {key: value for key, value in asdict(comparison.data).items() if key != "store"},
        "factors": list(comparison.factors),
        "seeds": list(comparison.seeds),
        "equal": dict(comparison.equal),
        "own": {key: dict(value) for key, value in comparison.own.items()},
        "rows": [_row(row, lines[row.name]) for row in comparison.rows],
        "left_out": list(found.left_out),
        "asked": certainty.asked,
        "verdicts": [_pair(pair) for pair in certainty.pairs],
        "untested": [{"rows": list(one.rows), "reason": one.reason} for one in certainty.untested],
        "answers": list(found.judgement.answers),
        "contrasts": [_contrast(one) for one in certainty.contrasts],
        "recalls": _by_class(comparison.data.labels, certainty.recalls),
        "f1": _by_class(comparison.data.labels, certainty.f1),
        "calibration": [_calibrated(row) for row in found.judgement.calibration],
        "pooled": [_pooled(row) for row in found.judgement.pooled],
        "peeking": [_peeked(row) for row in found.judgement.peeking],
        "peeked_folds": [_peeked_folds(row) for row in found.judgement.peeked_folds],
        "examined": plain(found.examined),
        "explained": plain(found.explained),
    }


def _by_class(labels: Sequence[str], figures: Mapping[str, Sequence[Estimate]]) -> dict[str, Any]:
    return {name: dict(zip(labels, plain(each), strict=True)) for name, each in figures.items()}


def _calibrated(row: Calibrated) -> dict[str, Any]:
    facts = {
        "name": row.row.name,
        "temperatures": row.temperatures,
        "before": _probabilities(row.before),
        "after": _probabilities(row.after),
        "threshold": row.threshold,
        "coverage": row.coverage,
        "risk": row.risk,
    }
    return {key: plain(value) for key, value in facts.items()}


def _probabilities(form: Probabilities) -> dict[str, Any]:
    return {**form.scores, "reliability": form.curve}


def _pooled(row: PooledRow) -> dict[str, Any]:
    facts = {"name": row.row.name, "mean_of_subjects": row.mean_of_subjects, "parts": row.parts}
    return {key: plain(value) for key, value in facts.items()}


def _peeked_folds(row: PeekedFolds) -> dict[str, Any]:
    facts = {"honest": row.honest, "best_epochs": row.best_epochs, "mean_of_bests": row.mean_of_bests}
    gains = {"best_gain": row.best_gain, "mean_gain": row.mean_gain}
    return {"name": row.row.name, "folds": row.folds, **plain(facts | gains)}


def _peeked(row: Peeked) -> dict[str, Any]:
    gaps = {metric: gap_interval(row.gap(metric)) for metric in row.honest}
    facts = {"name": row.row.name, "runs": row.runs, "honest": row.honest, "claimed": row.claimed, "gap": gaps}
    return {key: plain(value) for key, value in facts.items()}


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


def _contrast(contrast: Contrast) -> dict[str, Any]:
    """The effect of a setting over all networks; `each` has it for every network alone, not corrected."""
    facts = {"setting": contrast.key, "level": contrast.level, "reference": contrast.reference}
    return facts | {"mean": _pair(contrast.pair), "each": [_pair(pair) for pair in contrast.each]}


def _row(row: Row, line: Line) -> dict[str, Any]:
    return {
        "name": row.name,
        "factors": dict(row.factors),
        "runs": [run.id for run in row.runs],
        "seeds": [run.settings.seed for run in row.runs],
        "failures": list(row.failures),
        "pending": row.pending,
        "incomplete": list(row.gaps),
        "figures": {column.key: _figure(line.cells[column.key]) for column in COLUMNS},
    }


def _figure(cell: Cell) -> dict[str, float | None]:
    values = {"mean": cell.value, "sd": cell.spread, "low": cell.low, "high": cell.high}
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
