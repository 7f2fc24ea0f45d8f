r"""Every figure of merit, from saved logits (the paper's eq. 1-6; Hand & Till 2001, Mach. Learn. 45:171).

In: logits `(N, K)` and labels `(N,)`. Out: the confusion matrix, scores a class, and `Scores`, the numbers a
table shows. Pure functions of numpy arrays; nothing here knows a network, a run or a file.

What is undefined is nan (None in JSON, a dash in a table), never a silent 0:

- a class that no label has: recall and AUC are undefined, and no macro or weighted value counts the class.
  (scikit-learn's macro averages also count classes that are only predicted, as 0.)
- a class that has labels and is never predicted: its precision is undefined. Its F1, 2TP/(2TP+FP+FN), is 0
  and defined. Leaving the class out would raise macro precision for ignoring it, so the averages count it
  as 0, as scikit-learn does, and `Scores.undefined` names it so that a report can say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .calibration import Floats, brier, check_logits, ece, nll, softmax
from .words import listed

__all__ = [
    "ClassScores",
    "Scores",
    "absent_words",
    "auc_averages",
    "auc_one_vs_rest",
    "auc_pairs",
    "class_scores",
    "confusion_averages",
    "confusion_matrix",
    "roc_curve",
    "scores",
]

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

    precision: Floats
    r"""\(TP/(TP+FP)\) (eq. 1); undefined for a class never predicted."""
    recall: Floats
    r"""\(TP/(TP+FN)\) (eq. 2); undefined for a class without labels."""
    f1: Floats
    r"""\(2TP/(2TP+FP+FN)\) (eq. 3); undefined for a class neither predicted nor in the labels."""
    support: Ints
    """Labels of the class."""


def class_scores(confusion: ArrayLike) -> ClassScores:
    """Precision, recall and F1 of each class from a confusion matrix `(K, K)`, rows are labels.

    A stack of matrices `(..., K, K)` gives arrays `(..., K)`; the bootstrap uses that.

    >>> class_scores([[3, 1], [0, 0]]).recall.tolist()
    [0.75, nan]
    """
    matrix = np.asarray(confusion)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    support, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    return ClassScores(
        precision=ratio(hits, predicted),
        recall=ratio(hits, support),
        f1=ratio(2 * hits, support + predicted),
        support=support.astype(np.int64),
    )


def confusion_averages(confusion: ArrayLike) -> dict[str, Floats]:
    """The fields of `Scores` that follow from confusion matrices `(..., K, K)` alone, each `(...)`; see `Scores`.

    >>> {name: float(value) for name, value in confusion_averages([[3, 1], [0, 4]]).items()}["accuracy"]
    0.875
    """
    each = class_scores(confusion)
    support, present = each.support, (each.support > 0).astype(np.int64)
    precision = np.nan_to_num(each.precision)
    accuracy = ratio(np.trace(np.asarray(confusion), axis1=-2, axis2=-1), support.sum(axis=-1))
    return {
        "accuracy": accuracy,
        "uar": weighted(each.recall, present),
        "macro_precision": weighted(precision, present),
        "macro_f1": weighted(each.f1, present),
        "weighted_precision": weighted(precision, support),
        "weighted_recall": accuracy,
        "weighted_f1": weighted(each.f1, support),
    }


def weighted(values: Floats, weights: Ints) -> Floats:
    """Mean over the last axis by weights; values of weight 0 may be nan; no weight at all gives nan."""
    return ratio(np.where(weights > 0, values * weights, 0).sum(axis=-1), weights.sum(axis=-1))


def ratio(part: ArrayLike, whole: ArrayLike) -> Floats:
    """`part / whole` element by element, nan where the whole is 0."""
    n = np.asarray(whole, np.float64)
    return np.asarray(part, np.float64) / np.where(n != 0, n, np.nan)


def auc_pairs(probs: ArrayLike, labels: ArrayLike) -> Floats:
    r"""Hand & Till's \(\hat A(i|j)\), `(K, K)`: how often a face of class i outranks one of j as an i.

    \[\hat A(i|j) = \Pr(p_i(x_i) > p_i(x_j)) + \tfrac12\Pr(p_i(x_i) = p_i(x_j))\]

    Ties count half: the mid-rank of eq. 6. nan where class i or j has no labels; the diagonal is 1/2.
    """
    p, y = check_logits(probs, labels)
    classes = p.shape[1]
    support = np.bincount(y, minlength=classes)
    wins = np.zeros((classes, classes))
    for i in np.flatnonzero(support):
        own = np.sort(p[y == i, i])
        below = np.searchsorted(own, p[:, i], "left") + np.searchsorted(own, p[:, i], "right")
        wins[i] = np.bincount(y, support[i] - below / 2, minlength=classes)
    return ratio(wins, np.outer(support, support))


def auc_one_vs_rest(probs: ArrayLike, labels: ArrayLike) -> Floats:
    r"""Area under the ROC curve of each class against all others (eq. 6), `(K,)`.

    \[\mathrm{AUC}_i = \frac{\sum_{n: y_n=i} r_n - n_i(n_i+1)/2}{n_i (N-n_i)}\]

    with mid-ranks \(r_n\) of the probability of class i. nan for a class without labels, or with all of them.

    >>> auc_one_vs_rest([[0.9, 0.1], [0.5, 0.5], [0.5, 0.5]], [0, 0, 1]).tolist()
    [0.75, 0.75]
    """
    _, y = check_logits(probs, labels)
    return against_rest(auc_pairs(probs, y), np.bincount(y, minlength=np.shape(probs)[1]))


def against_rest(pairs: Floats, support: Ints) -> Floats:
    """One-vs-rest AUC `(K,)`: the pairs' AUC averaged over the other classes by their number of labels."""
    others = np.tile(support, (len(support), 1)) * (1 - np.eye(len(support), dtype=np.int64))
    wins = np.where(others > 0, np.nan_to_num(pairs) * others, 0).sum(axis=1)
    return np.where(support > 0, ratio(wins, others.sum(axis=1)), np.nan)


def auc_averages(probs: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """The three AUC fields of `Scores` from probabilities `(N, K)` and labels `(N,)`."""
    _, y = check_logits(probs, labels)
    pairs, support = auc_pairs(probs, y), np.bincount(y, minlength=np.shape(probs)[1])
    each, present = against_rest(pairs, support), (support > 0).astype(np.int64)
    ordered = np.outer(present, present) - np.diag(present)
    return {
        "macro_auc": float(weighted(each, present)),
        "weighted_auc": float(weighted(each, support)),
        "hand_till_auc": float(weighted(pairs.ravel(), ordered.ravel())),
    }


def roc_curve(score: ArrayLike, positive: ArrayLike) -> tuple[Floats, Floats]:
    """False and true positive rates from (0, 0) to (1, 1), corner points alone, to draw with straight lines.

    `score (N,)`, higher means positive; `positive (N,)` bool. Equal scores make one slanted step. A rate
    without samples (no positive, or no negative) is nan.

    >>> fpr, tpr = roc_curve([0.9, 0.8, 0.3, 0.1], [True, True, False, False])
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 1.0], [0.0, 1.0, 1.0])
    """
    s, hit = np.asarray(score, np.float64), np.asarray(positive, bool)
    order = np.argsort(-s, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(s[order])), len(s) - 1)[: len(s)]
    tp = np.append(0, np.cumsum(hit[order])[last_of_tie])
    fp = np.append(0, np.cumsum(~hit[order])[last_of_tie])
    up, right = np.diff(tp), np.diff(fp)
    corner = np.ones(len(tp), bool)
    corner[1:-1] = up[1:] * right[:-1] != up[:-1] * right[1:]
    return ratio(fp[corner], fp[-1]), ratio(tp[corner], tp[-1])


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


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The numbers a table shows for one set of logits; nan where undefined, 0 to 1 unless said."""

    n: int
    """Samples."""
    accuracy: float
    """Share of right predictions (eq. 4)."""
    uar: float
    """Unweighted average recall, also balanced accuracy or macro recall, over the classes with labels."""
    macro_precision: float
    """Precision averaged over the classes with labels; one that is never predicted counts 0."""
    macro_f1: float
    """F1 averaged over the classes with labels; over pooled folds, this is UF1."""
    weighted_precision: float
    """Precision averaged by support (the paper's column); one that is never predicted counts 0."""
    weighted_recall: float
    """Recall averaged by support (the paper's column), which is the accuracy by another name."""
    weighted_f1: float
    """F1 averaged by support (eq. 5, the paper's column)."""
    macro_auc: float
    """One-vs-rest AUC averaged over the classes with labels."""
    weighted_auc: float
    """One-vs-rest AUC averaged by support (eq. 6)."""
    hand_till_auc: float
    """AUC averaged over all pairs of classes with labels; does not depend on how frequent classes are."""
    nll: float
    """Negative log-likelihood in nats, 0 and up."""
    brier: float
    """Brier's score, 0 to 2."""
    ece: float
    """Expected calibration error, 15 bins of equal width."""
    undefined: tuple[int, ...]
    """Classes that have labels and are never predicted: their precision is undefined and was counted as 0."""


def scores(logits: ArrayLike, labels: ArrayLike) -> Scores:
    """All scores of logits `(N, K)` for labels `(N,)`. The prediction is the first highest logit.

    Raises `DataError` for shapes or labels that do not fit, and for logits that are not finite.

    >>> s = scores([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [3.0, 0.0, 1.0]], [0, 1, 2])
    >>> round(s.accuracy, 3), round(s.macro_precision, 3), s.undefined
    (0.667, 0.5, (2,))
    """
    z, y = check_logits(logits, labels)
    probs = softmax(z)
    confusion = confusion_matrix(y, z.argmax(axis=1), z.shape[1])
    ignored = (confusion.sum(axis=1) > 0) & (confusion.sum(axis=0) == 0)
    return Scores(
        n=len(y),
        **{name: float(value) for name, value in confusion_averages(confusion).items()},
        **auc_averages(probs, y),
        nll=nll(z, y),
        brier=brier(probs, y),
        ece=ece(probs, y),
        undefined=tuple(np.flatnonzero(ignored).tolist()),
    )
