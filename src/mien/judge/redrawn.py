"""Rows on redrawn test faces: every row, seed and metric on the same draws, so that all differences are paired."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats
from ..metrics import METRICS, ClassScores, Metric, Predicted
from ..rows import Row
from ..statistics import face_counts
from ..statistics.influence import AUCS, AucDraws
from ..statistics.resampling import drawn_classes, on_draws
from .folds import RowFolds, resampled
from .replicates import Block, standing_for
from .select import predictions

__all__ = ["DRAWS", "TESTED", "Redrawn", "redraw"]

TESTED = tuple(one.key for one in METRICS if one.tested)
"""The metrics with verdicts; Holm's correction is within each."""
SHOWN = tuple(one for one in METRICS if one.place in ("page", "files"))
REDRAWN = (*(one.key for one in SHOWN if one.of != "whole"), *AUCS)
"""The metrics with intervals: those that need no computation draw by draw, and areas, by their influences."""
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

    @cached_property
    def folds(self) -> RowFolds | None:
        """Its scores fold by fold, if the corrected resampled t-test applies."""
        return RowFolds.of(self.row) if resampled(self.row) else None

    def at(self, metric: str, blocks: Sequence[Block]) -> Floats:
        """The metric `(1 + B, S)` at each of these blocks of seeds: the mean of its own replicates there."""
        place = {key: number for number, key in enumerate(self.row.tests)}
        own = [[place[key] for key in standing_for(self.row, block)] for block in blocks]
        return np.stack([self.metrics[metric][:, places].mean(axis=1) for places in own], axis=1)


def redraw(rows: Sequence[Row], subjects: NDArray[np.str_] | None, metrics: Sequence[str] = REDRAWN) -> list[Redrawn]:
    """All rows on the same draws, block by block, so that memory stays flat; every call makes the same draws."""
    n = len(predictions(rows[0])[0].labels)
    blocks = itertools.chain([np.ones((1, n), np.float32)], face_counts(np.random.default_rng(0), n, DRAWS, subjects))
    ready = [_Ready.of(row, metrics) for row in rows]
    parts = [[one.on(counts) for one in ready] for counts in blocks]
    return [
        Redrawn(
            row=row,
            metrics={key: np.concatenate([part[i][0][key] for part in parts]) for key in metrics},
            recalls=np.concatenate([part[i][1] for part in parts]),
            f1=np.concatenate([part[i][2] for part in parts]),
        )
        for i, row in enumerate(rows)
    ]


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """One row, ready for any draw of its faces."""

    metrics: tuple[Metric, ...]
    runs: tuple[Predicted, ...]
    aucs: tuple[AucDraws | None, ...]
    """Of each run; None where no area is wanted."""

    @classmethod
    def of(cls, row: Row, keys: Sequence[str]) -> "_Ready":
        tests = predictions(row)
        areas = any(key in AUCS for key in keys)
        return cls(
            metrics=tuple(one for one in METRICS if one.key in keys and one.of != "whole"),
            runs=tuple(Predicted(test.logits, test.labels) for test in tests),
            aucs=tuple(AucDraws.of(test.logits, test.labels) if areas else None for test in tests),
        )

    def on(self, counts: NDArray[np.float32]) -> tuple[dict[str, Floats], Floats, Floats]:
        """Metrics `(B, S)` each, recalls and F1 `(B, S, K)` on draws `counts (B, N)`."""
        classes = [drawn_classes(run, counts) for run in self.runs]
        each = [self._figures(*one, counts) for one in zip(self.runs, classes, self.aucs, strict=True)]
        joined = {key: np.stack([one[key] for one in each], axis=1) for key in each[0]}
        return joined, np.stack([one.recall for one in classes], axis=1), np.stack([one.f1 for one in classes], axis=1)

    def _figures(
        self, run: Predicted, classes: ClassScores, auc: AucDraws | None, counts: NDArray[np.float32]
    ) -> dict[str, Floats]:
        """The metrics of one run, `(B,)` each; matrices that they share are made once."""
        found = {
            one.key: np.asarray(one.function(classes), np.float64)
            if one.of == "classes"
            else on_draws(run, one, counts)
            for one in self.metrics
        }
        return found | (auc.on(counts) if auc else {})
