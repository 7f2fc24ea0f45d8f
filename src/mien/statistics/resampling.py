"""Redraw the test faces and take any metric on every draw (Efron 1979; by subjects, Field & Welsh 2007).

A draw is a row of counts: how often each face came. Metrics that follow from the confusion matrix, or that are
means over faces, are one matrix product for all draws; the others (AUC, ECE) are computed draw by draw.
Networks and seeds that share their counts are paired.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..calibration import Floats, brier_of_each, check_logits, ece, nll_of_each, softmax
from ..errors import CompareError
from ..metrics import auc_averages, confusion_averages

__all__ = ["LOWER_IS_BETTER", "METRICS", "confusions", "face_counts", "known", "replicate", "units"]

Counts = NDArray[np.float32]
Each = Callable[[Floats, NDArray[np.int64]], Floats]
Whole = Callable[[Floats, NDArray[np.int64]], float]

FROM_CONFUSION = tuple(confusion_averages(np.eye(2)))
MEANS: dict[str, Each] = {
    "nll": nll_of_each,
    "brier": lambda logits, labels: brier_of_each(softmax(logits), labels),
}
WHOLE: dict[str, Whole] = {
    "macro_auc": lambda logits, labels: auc_averages(softmax(logits), labels)["macro_auc"],
    "weighted_auc": lambda logits, labels: auc_averages(softmax(logits), labels)["weighted_auc"],
    "hand_till_auc": lambda logits, labels: auc_averages(softmax(logits), labels)["hand_till_auc"],
    "ece": lambda logits, labels: ece(softmax(logits), labels),
}
METRICS = (*FROM_CONFUSION, *MEANS, *WHOLE)
"""The names that every function of this package takes; they are the fields of `metrics.Scores`."""
LOWER_IS_BETTER = frozenset({"nll", "brier", "ece"})
FAST_DRAWS, SLOW_DRAWS = 2000, 400


def units(n: int, subjects: ArrayLike | None) -> int:
    """What is drawn independently: the subjects, or `n` faces where no subjects `(N,)` are known."""
    return n if subjects is None else len(np.unique(np.asarray(subjects)))


def known(subjects: NDArray[np.str_]) -> NDArray[np.str_] | None:
    """The subjects `(N,)` to draw whole, or None where one face has none and faces are drawn instead."""
    return subjects if (subjects != "").all() else None


def usual_draws(metric: str) -> int:
    """2000 where a draw costs microseconds, 400 where it costs milliseconds."""
    return SLOW_DRAWS if metric in WHOLE else FAST_DRAWS


def face_counts(rng: np.random.Generator, n: int, draws: int, subjects: ArrayLike | None = None) -> Iterator[Counts]:
    """How often each of `n` faces came, in blocks `(b, N)` that add up to `draws` rows.

    Where subjects `(N,)` are given, whole subjects are drawn, as faces of one subject are not independent.
    Blocks keep memory flat: at most 64 MB each.
    """
    index = np.arange(n)
    if subjects is not None:
        index = np.unique(np.asarray(subjects), return_inverse=True)[1]
    total = units(n, subjects)
    block = max(1, 2**24 // max(n, 1))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        picks = rng.integers(total, size=(rows, total)) + total * np.arange(rows)[:, None]
        counts = np.bincount(picks.ravel(), minlength=rows * total).reshape(rows, total)
        yield counts.astype(np.float32)[:, index]


def replicate(logits: ArrayLike, labels: ArrayLike, metric: str, counts: Counts) -> Floats:
    """The metric of each of R runs, logits `(R, N, K)`, under each draw of `counts (B, N)`: `(B, R)`.

    Raises `CompareError` for a metric that is not in `METRICS`.
    """
    runs = [check_logits(one, labels) for one in np.asarray(logits)]
    if metric in FROM_CONFUSION:
        columns = [from_confusion(z, y, metric, counts) for z, y in runs]
    elif metric in MEANS:
        size = counts.sum(axis=1, dtype=np.float64)
        columns = [counts.astype(np.float64) @ MEANS[metric](z, y) / size for z, y in runs]
    elif metric in WHOLE:
        columns = [draw_by_draw(z, y, WHOLE[metric], counts) for z, y in runs]
    else:
        raise CompareError(f"There is no metric {metric!r} to compare by; take one of {', '.join(METRICS)}.")
    return np.stack(columns, axis=1)


def from_confusion(logits: Floats, labels: NDArray[np.int64], metric: str, counts: Counts) -> Floats:
    """One run `(N, K)`, all draws, by a confusion matrix each."""
    return confusion_averages(confusions(logits, labels, counts))[metric]


def confusions(logits: Floats, labels: NDArray[np.int64], counts: Counts) -> Floats:
    """Confusion matrices `(B, K, K)` of one run `(N, K)` under each draw. Counts in float32 are exact to 2^24."""
    classes = logits.shape[1]
    cells = np.zeros((len(labels), classes * classes), np.float32)
    cells[np.arange(len(labels)), labels * classes + logits.argmax(axis=1)] = 1
    return (counts @ cells).reshape(-1, classes, classes).astype(np.float64)


def draw_by_draw(logits: Floats, labels: NDArray[np.int64], metric: Whole, counts: Counts) -> Floats:
    """One run `(N, K)`, one draw after the other."""
    picked = (np.repeat(np.arange(len(labels)), row) for row in counts.astype(np.int64))
    return np.array([metric(logits[index], labels[index]) for index in picked])
