"""Rows on redrawn test faces: every row, seed and metric on the same draws, so that all differences are paired."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats
from ..metrics import METRICS, ClassScores, Metric, Predicted, class_scores
from ..rows import Row
from ..statistics import face_counts
from ..statistics.influence import AUCS, AucDraws
from ..statistics.resampling import confusions, on_draws
from .select import predictions

__all__ = ["DRAWS", "TESTED", "Redrawn", "redraw"]

TESTED = tuple(one.key for one in METRICS if one.tested)
"""The metrics with verdicts; Holm's correction is within each."""
SHOWN = tuple(one for one in METRICS if one.place in ("page", "files"))
REDRAWN = (*(one.key for one in SHOWN if one.of != "whole"), *AUCS)
"""The metrics with intervals: those of the table that need not be taken draw by draw, and areas by their influences."""
DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """One row on the faces as they are, which is the first of 1 + B draws, and on redrawn faces."""

    row: Row
    metrics: Mapping[str, Floats]
    """`(1 + B, S)` each."""
    recalls: Floats
    """`(1 + B, S, K)`."""
    f1: Floats
    """`(1 + B, S, K)`."""

    @property
    def name(self) -> str:
        """The row's name."""
        return self.row.name

    def seeds(self, metric: str, replicates: Sequence[tuple[int, int]]) -> Floats:
        """The metric `(1 + B, S)` of some of its replicates, in their order."""
        place = {key: number for number, key in enumerate(self.row.tests)}
        return self.metrics[metric][:, [place[key] for key in replicates]]


def redraw(rows: Sequence[Row], subjects: NDArray[np.str_] | None) -> list[Redrawn]:
    """All rows on the same draws, block by block, so that memory stays flat."""
    n = len(predictions(rows[0])[0].labels)
    blocks = itertools.chain([np.ones((1, n), np.float32)], face_counts(np.random.default_rng(0), n, DRAWS, subjects))
    aucs = [[AucDraws.of(test.logits, test.labels) for test in predictions(row)] for row in rows]
    parts = [[_on_draws(*one, counts) for one in zip(rows, aucs, strict=True)] for counts in blocks]
    return [
        Redrawn(
            row=row,
            metrics={metric: np.concatenate([part[i][0][metric] for part in parts]) for metric in REDRAWN},
            recalls=np.concatenate([part[i][1] for part in parts]),
            f1=np.concatenate([part[i][2] for part in parts]),
        )
        for i, row in enumerate(rows)
    ]


def _on_draws(
    row: Row, aucs: Sequence[AucDraws], counts: NDArray[np.float32]
) -> tuple[dict[str, Floats], Floats, Floats]:
    metrics: dict[str, list[Floats]] = {metric: [] for metric in REDRAWN}
    each = []
    for test, auc in zip(predictions(row), aucs, strict=True):
        run = Predicted(test.logits, test.labels)
        own = class_scores(confusions(run, counts))
        figures = {one.key: _figure(one, run, own, counts) for one in SHOWN if one.of != "whole"} | auc.on(counts)
        each.append(own)
        for metric, column in metrics.items():
            column.append(figures[metric])
    joined = {metric: np.stack(column, axis=1) for metric, column in metrics.items()}
    return joined, np.stack([one.recall for one in each], axis=1), np.stack([one.f1 for one in each], axis=1)


def _figure(metric: Metric, run: Predicted, classes: ClassScores, counts: NDArray[np.float32]) -> Floats:
    """The metric of one run on each draw, `(B,)`; matrices that all metrics share are made once."""
    if metric.of == "classes":
        return np.asarray(metric.function(classes), np.float64)
    return on_draws(run, metric, counts)
