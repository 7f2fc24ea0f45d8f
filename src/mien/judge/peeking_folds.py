"""The UF1 that choosing the epoch on each held-out subject would have claimed, in two ways found in papers.

Leave-one-subject-out trains one network for each person. Published code often keeps the epoch that is best on the
held-out person itself. Then it either pools the confusions of these epochs, or averages the best figures of all
persons. The honest figure pools the confusions of epochs that were fixed or chosen without the held-out person. All
three come from the same runs and differ in nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats
from ..metrics import SHARE, class_scores, confusion_matrix, metric
from ..rows import Row
from ..runs import Run
from ..statistics.estimates import Estimate, mean, spreads

__all__ = ["PeekedFolds", "peeked_folds"]

UF1 = metric("macro_f1")
DRAWS = 1000
Counts = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PeekedFolds:
    """UF1 of one row, in three ways; shares, means over replicates, with 95 % intervals over folds and seeds."""

    row: Row
    folds: int
    honest: Estimate
    """Confusions pooled over folds, at the epochs that the protocol kept."""
    best_epochs: Estimate
    """Confusions pooled over folds, each at the epoch that is best on its own held-out subject."""
    mean_of_bests: Estimate
    """The mean over folds of the best UF1 that the held-out subject has at any epoch: not a UF1 of any set of
    predictions.
    """
    best_gain: Estimate
    """`best_epochs` less `honest`, on the same folds."""
    mean_gain: Estimate
    """`mean_of_bests` less `honest`, on the same folds."""


@dataclass(frozen=True, kw_only=True)
class _Fold:
    """One run: counts `(K, K)` at the kept epoch and at the best one, and the UF1 of the best."""

    kept: NDArray[np.int64]
    best: NDArray[np.int64]
    uf1: float


def peeked_folds(rows: Sequence[Row]) -> tuple[PeekedFolds, ...]:
    """Rows of leave-one-subject-out whose runs all kept the confusion of every epoch on the test."""
    found = (_peeked(row) for row in rows if row.runs and row.scores and row.runs[0].settings.data.protocol == "loso")
    return tuple(one for one in found if one)


def _peeked(row: Row) -> PeekedFolds | None:
    table = [[_fold(run) for run in runs] for runs in row.replicates.values()]
    whole = [[one for one in folds if one] for folds in table]
    if any(len(own) != row.folds for own in whole):
        return None
    kept, best = (np.array([[getattr(one, name) for one in own] for own in whole], float) for name in ("kept", "best"))
    highest = np.array([[one.uf1 for one in own] for own in whole])

    def figures(counts: NDArray[np.float32]) -> Floats:
        weights = counts.astype(np.float64)
        honest, chosen = _pooled(kept, weights), _pooled(best, weights)
        means = weights @ highest.T / weights.sum(axis=1, keepdims=True)
        return np.stack([honest, chosen, means, chosen - honest, means - honest], axis=2)

    found = spreads(figures, row.folds, np.random.default_rng(0), folds=True, draws=DRAWS)
    shares, gains = [mean(one, bounds=SHARE) for one in found[:3]], [mean(one) for one in found[3:]]
    names = ("honest", "best_epochs", "mean_of_bests", "best_gain", "mean_gain")
    return PeekedFolds(row=row, folds=row.folds, **dict(zip(names, [*shares, *gains], strict=True)))


def _fold(run: Run) -> _Fold | None:
    """None if no epoch was tested, or if an earlier version did so, which kept no confusions."""
    every = run.peeked_confusions
    if every is None or not len(every):
        return None
    uf1 = np.asarray(UF1.function(class_scores(every)), np.float64)
    best = int(np.argmax(uf1))
    test = run.logits("test")
    kept = confusion_matrix(test.labels, test.logits.argmax(axis=1), len(run.data.labels))
    return _Fold(kept=kept, best=every[best], uf1=float(uf1[best]))


def _pooled(each: Counts, weights: Floats) -> Floats:
    """UF1 `(B, S)` of counts `(S, J, K, K)`, summed over folds with `weights (B, J)`."""
    summed = np.einsum("bj,sjkl->bskl", weights, each)
    return np.asarray(UF1.function(class_scores(summed)), np.float64)
