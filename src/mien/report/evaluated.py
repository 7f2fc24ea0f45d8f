"""The report of model files on a labelled store: a page, its tables as CSV, all figures as JSON.

In: an `Evaluation`. Out: the same sections, figures and statistics as the report of runs, without what only a run has
(curves, costs, the choice of the epoch):

    OUT/evaluation.html    opens offline
    OUT/evaluation.json    all figures with their intervals
    OUT/predictions.csv    every face: its label, and the answer of each model with its probability
    OUT/tables/NAME.csv    the tables of the page, and more beside them
    OUT/figures/NAME.svg  NAME.pdf
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..calibration import softmax
from ..examine.evaluation import Evaluation
from ..examine.models import ModelRow
from ..judge import judge
from ..judge.calibration import Calibrated
from ..metrics import METRICS
from ..statistics import Interval
from ..statistics.estimates import Estimate
from ..words import DASH, as_csv, in_percent
from .findings import Findings
from .machine_readable import as_dict
from .parts import SmallTable

__all__ = ["Judged", "as_facts", "figure", "find_evaluation", "main_table", "predictions"]

ABSENT = ("factors", "seeds", "equal", "own", "peeking", "explained", "data")
"""Sections of runs only, and sections with other words here."""
SHOWN = tuple(one for one in METRICS if one.place == "page" and not one.key.startswith("weighted"))
"""The scores of the first table. The weighted ones are left out: they are for comparison with the paper."""


@dataclass(frozen=True, kw_only=True)
class Judged(Findings):
    """An evaluation with its intervals, verdicts and calibration, computed once for page, JSON and terminal."""

    evaluation: Evaluation


def find_evaluation(evaluation: Evaluation) -> Judged:
    """Intervals, verdicts and calibration of an evaluation, by the functions that judge runs."""
    temperatures = {row.name: row.card.temperature for row in evaluation.rows}
    return Judged(
        evaluation=evaluation,
        judgement=judge(evaluation.comparison, store=evaluation.store, temperatures=temperatures),
        examined=evaluation.examined,
        left_out=(),
        explained=(),
    )


def as_facts(found: Judged) -> dict[str, Any]:
    """The content of `evaluation.json` as plain values; None if undefined."""
    store = found.evaluation.store.meta
    figures = {key: value for key, value in as_dict(found).items() if key not in ABSENT}
    confusions = {item.name: item.confusion.tolist() for item in found.shown}
    return {
        "store": {"corpus": store.corpus, "fingerprint": store.sha256, "licence": store.licence},
        "part": found.evaluation.part,
        "faces": len(found.evaluation.rows[0].answers.labels),
        "labels": list(found.comparison.data.labels),
        "notes": list(found.evaluation.notes),
        "models": [_model(row) for row in found.evaluation.rows],
        **figures,
        "confusion": confusions,
    }


def _model(row: ModelRow) -> dict[str, Any]:
    card = row.card
    return {
        "name": row.name,
        "file": row.path.name,
        "sha256": card.sha256,
        "network": card.network,
        "run": card.run,
        "precision": card.precision,
        "labels": list(card.labels),
        "trained_on": card.corpus,
        "fingerprint": card.fingerprint,
        "temperature": card.temperature,
        "licence": card.licence,
    }


def main_table(found: Judged) -> SmallTable:
    """One line for each model: the table in the terminal and at the beginning of the page."""
    calibration = {row.row.name: row for row in found.judgement.calibration}
    heads = ("Model", *(f"{one.title}, {one.unit}" for one in SHOWN), "ECE, %")
    return SmallTable(
        name="models",
        heads=heads,
        rows=tuple(_line(row, found, calibration.get(row.name)) for row in found.evaluation.rows),
    )


def _line(row: ModelRow, found: Findings, calibration: Calibrated | None) -> tuple[str, ...]:
    intervals = found.judgement.certainty.intervals
    figures = [figure(getattr(row.scores[0], one.key), intervals.get((row.name, one.key))) for one in SHOWN]
    ece = in_percent(calibration.after.scores["ece"]) if calibration else DASH
    return (row.name, *figures, ece)


def figure(value: float, interval: Interval | None) -> str:
    """A share in per cent with its interval, where it has one."""
    if interval is None:
        return f"{100 * value:.1f}" if np.isfinite(value) else DASH
    return in_percent(Estimate(value=value, interval=interval))


def predictions(found: Judged) -> str:
    """Every face as CSV: row, source, subject, label, and of each model its answer and the probability it gives it."""
    names = found.comparison.data.labels
    faces, samples = found.evaluation.rows[0].answers, found.evaluation.store.samples
    heads = ["row", "source", "subject", "label"]
    columns: list[Sequence[object]] = [
        faces.ids.tolist(),
        samples.source[faces.ids].tolist(),
        faces.subjects.tolist(),
        [names[k] for k in faces.labels],
    ]
    for row in found.evaluation.rows:
        probs = softmax(row.answers.logits / np.float64(row.card.temperature))
        heads += [row.name, f"{row.name} probability"]
        columns += [[names[k] for k in probs.argmax(axis=1)], probs.max(axis=1).tolist()]
    return as_csv(heads, zip(*columns, strict=True))
