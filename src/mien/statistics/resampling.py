"""The bootstrap: redraws test faces and computes any metric on every draw (Efron 1979; by subjects, Field & Welsh
2007).

A draw is a row of counts: how often each face came. Metrics that follow from the confusion matrix, or that are
means over faces, are one matrix product for all draws; the others (AUC, ECE) are computed draw by draw.
Networks and seeds that share their counts are paired.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..calibration import Floats
from ..errors import CompareError
from ..metrics import METRICS, ClassScores, Metric, Predicted

__all__ = ["Units", "drawn_classes", "face_counts", "known", "replicate", "units"]

Counts = NDArray[np.float32]
FAST_DRAWS, SLOW_DRAWS = 2000, 400


@dataclass(frozen=True)
class Units:
    """What is drawn independently in a bootstrap, and how many there are."""

    count: int
    of: Literal["faces", "subjects", "folds"] = "faces"


def units(n: int, subjects: ArrayLike | None) -> Units:
    """The independently drawn units: the subjects, or `n` faces if no subjects `(N,)` are known."""
    return Units(n) if subjects is None else Units(len(np.unique(np.asarray(subjects))), "subjects")


def known(subjects: NDArray[np.str_]) -> NDArray[np.str_] | None:
    """The subjects `(N,)` to draw whole. None if a face has no subject; faces are then drawn instead."""
    return subjects if (subjects != "").all() else None


def usual_draws(metric: str) -> int:
    """The default number of draws: 2000 if a draw takes microseconds, 400 if it takes milliseconds."""
    return SLOW_DRAWS if named(metric).of == "whole" else FAST_DRAWS


def face_counts(rng: np.random.Generator, n: int, draws: int, subjects: ArrayLike | None = None) -> Iterator[Counts]:
    """How often each of `n` faces came, in blocks `(b, N)` that add up to `draws` rows.

    Where subjects `(N,)` are given, whole subjects are drawn, as faces of one subject are not independent.
    Blocks keep memory flat: at most 64 MB each.
    """
    index = np.arange(n)
    if subjects is not None:
        index = np.unique(np.asarray(subjects), return_inverse=True)[1]
    total = units(n, subjects).count
    block = max(1, 2**24 // max(n, 1))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        picks = rng.integers(total, size=(rows, total)) + total * np.arange(rows)[:, None]
        counts = np.bincount(picks.ravel(), minlength=rows * total).reshape(rows, total)
        yield counts.astype(np.float32)[:, index]


def named(key: str) -> Metric:
    """The metric of a key; raises `CompareError` where there is none."""
    found = next((one for one in METRICS if one.key == key), None)
    if found is None:
        known = ", ".join(one.key for one in METRICS)
        raise CompareError(f"There is no metric {key!r} to compare by; take one of {known}.")
    return found


def replicate(logits: ArrayLike, labels: ArrayLike, metric: str, counts: Counts) -> Floats:
    """The metric of each of R runs, logits `(R, N, K)`, under each draw of `counts (B, N)`: `(B, R)`.

    Raises `CompareError` for a metric that is not in `metrics.METRICS`.
    """
    runs, wanted = [Predicted(one, labels) for one in np.asarray(logits)], named(metric)
    return np.stack([on_draws(run, wanted, counts) for run in runs], axis=1)


def on_draws(run: Predicted, metric: Metric, counts: Counts) -> Floats:
    """The metric of one run under each draw, `(B,)`."""
    if metric.of == "classes":
        return np.asarray(metric.function(drawn_classes(run, counts)), np.float64)
    if metric.of == "face":
        size = counts.sum(axis=1, dtype=np.float64)
        return np.asarray(counts.astype(np.float64) @ metric.function(run) / size)
    picked = (np.repeat(np.arange(len(run.labels)), row) for row in counts.astype(np.int64))
    return np.array([metric.on(Predicted(run.logits[index], run.labels[index])) for index in picked])


def drawn_classes(run: Predicted, counts: Counts) -> ClassScores:
    """Scores of each class of one run under each draw, `(B, K)` each. Counts in float32 are exact to 2^24."""
    faces, classes = np.arange(len(run.labels)), run.logits.shape[1]
    predicted = run.logits.argmax(axis=1)
    right = predicted == run.labels
    cells = np.zeros((3, classes, len(faces)), np.float32)
    cells[0, run.labels[right], faces[right]] = 1
    cells[1, run.labels, faces] = 1
    cells[2, predicted, faces] = 1
    table = (counts @ cells.reshape(3 * classes, -1).T).astype(np.float64)
    return ClassScores.of(*(table[:, part * classes : (part + 1) * classes] for part in range(3)))
