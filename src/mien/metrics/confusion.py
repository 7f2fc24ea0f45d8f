r"""Scores that follow from the confusion matrix (the paper's eq. 1-5).

What is undefined is nan (None in JSON, a dash in a table), never a silent 0:

- a class that no label has: its recall is undefined, and no macro or weighted value counts the class.
  (scikit-learn's macro averages also count classes that are only predicted, as 0.)
- a class that has labels and is never predicted: its precision is undefined. Its F1, 2TP/(2TP+FP+FN), is 0
  and defined. Leaving the class out would raise macro precision for ignoring it, so the averages count it
  as 0, as scikit-learn does, and `Scores.undefined` names it so that a report can say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..calibration import Floats
from ..words import listed

__all__ = ["ClassScores", "Ints", "absent_words", "class_scores", "confusion_matrix", "ratio", "weighted"]

Ints = NDArray[np.int64]


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, classes: int) -> Ints:
    """Counts `(K, K)` int64: row is the label, column the prediction; both inputs `(N,)` in 0 to K-1.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    pair = np.asarray(labels, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(pair, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """One entry a class, arrays `(K,)`; nan where undefined."""

    hits: Floats
    """Right predictions of the class."""
    precision: Floats
    r"""\(TP/(TP+FP)\) (eq. 1); undefined for a class never predicted."""
    recall: Floats
    r"""\(TP/(TP+FN)\) (eq. 2); undefined for a class without labels."""
    f1: Floats
    r"""\(2TP/(2TP+FP+FN)\) (eq. 3); undefined for a class neither predicted nor in the labels."""
    support: Ints
    """Labels of the class."""

    @classmethod
    def of(cls, hits: ArrayLike, support: ArrayLike, predicted: ArrayLike) -> "ClassScores":
        """From three counts a class, `(..., K)` each: right predictions, labels, predictions."""
        right, labels, answers = (np.asarray(counts) for counts in (hits, support, predicted))
        return cls(
            hits=right.astype(np.float64),
            precision=ratio(right, answers),
            recall=ratio(right, labels),
            f1=ratio(2 * right, labels + answers),
            support=labels.astype(np.int64),
        )

    @property
    def present(self) -> Ints:
        """1 for a class that has labels, 0 for one without."""
        return (self.support > 0).astype(np.int64)


def class_scores(confusion: ArrayLike) -> ClassScores:
    """Precision, recall and F1 of each class from a confusion matrix `(K, K)`, rows are labels.

    A stack of matrices `(..., K, K)` gives arrays `(..., K)`.

    >>> class_scores([[3, 1], [0, 0]]).recall.tolist()
    [0.75, nan]
    """
    matrix = np.asarray(confusion)
    return ClassScores.of(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(axis=-1), matrix.sum(axis=-2))


def weighted(values: Floats, weights: Ints) -> Floats:
    """Mean over the last axis by weights; values of weight 0 may be nan; no weight at all gives nan."""
    return ratio(np.where(weights > 0, values * weights, 0).sum(axis=-1), weights.sum(axis=-1))


def ratio(part: ArrayLike, whole: ArrayLike) -> Floats:
    """`part / whole` element by element, nan where the whole is 0."""
    n = np.asarray(whole, np.float64)
    return np.asarray(part, np.float64) / np.where(n != 0, n, np.nan)


def absent_words(labels: Sequence[str], support: ArrayLike) -> str:
    """Over which classes the averages are taken, where `support (K,)` has a class without test faces; else empty.

    >>> absent_words(["happy", "sad", "disgust"], [4, 2, 0])
    'No test face is labelled disgust, so UAR, macro F1 and AUC are averages over the other 2 classes: happy, sad.'
    """
    counts = np.asarray(support)
    absent, present = (
        [name for name, n in zip(labels, counts, strict=True) if (n > 0) == there] for there in (False, True)
    )
    if not absent:
        return ""
    rest = f"the other {len(present)} classes: {', '.join(present)}" if len(present) > 1 else f"{present[0]} alone"
    return f"No test face is labelled {listed(absent, 'or')}, so UAR, macro F1 and AUC are averages over {rest}."
