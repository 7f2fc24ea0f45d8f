"""Rows on redrawn test faces: every row, seed and metric on the same draws, so that all differences are paired."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats, check_logits
from ..metrics import class_scores, confusion_averages
from ..rows import Row
from ..statistics import face_counts
from ..statistics.influence import AUCS, AucDraws
from ..statistics.resampling import confusions
from .select import predictions

__all__ = ["DRAWS", "METRIC_NAMES", "TESTED", "Redrawn", "redraw"]

METRIC_NAMES = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro F1"}
TESTED = tuple(METRIC_NAMES)
"""The metrics with verdicts; Holm's correction is within each."""
CONFUSED = (*TESTED, "weighted_precision", "weighted_recall", "weighted_f1")
"""Those of the table that follow from the confusion matrix; they have intervals, and so have the AUCs."""
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
            metrics={metric: np.concatenate([part[i][0][metric] for part in parts]) for metric in (*CONFUSED, *AUCS)},
            recalls=np.concatenate([part[i][1] for part in parts]),
            f1=np.concatenate([part[i][2] for part in parts]),
        )
        for i, row in enumerate(rows)
    ]


def _on_draws(
    row: Row, aucs: Sequence[AucDraws], counts: NDArray[np.float32]
) -> tuple[dict[str, Floats], Floats, Floats]:
    metrics: dict[str, list[Floats]] = {metric: [] for metric in (*CONFUSED, *AUCS)}
    each = []
    for test, auc in zip(predictions(row), aucs, strict=True):
        matrices = confusions(*check_logits(test.logits, test.labels), counts)
        averages = confusion_averages(matrices) | auc.on(counts)
        each.append(class_scores(matrices))
        for metric, column in metrics.items():
            column.append(averages[metric])
    joined = {metric: np.stack(column, axis=1) for metric, column in metrics.items()}
    return joined, np.stack([one.recall for one in each], axis=1), np.stack([one.f1 for one in each], axis=1)
