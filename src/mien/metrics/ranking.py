r"""Scores that follow from the order of faces: ROC curves and the area under them (eq. 6; Hand & Till 2001).

A class that no label has, or that all have, has no area: it is nan, and no average counts it.
"""

import numpy as np
from numpy.typing import ArrayLike

from ..calibration import Floats, check_logits
from .confusion import Ints, ratio, weighted

__all__ = ["against_rest", "auc_averages", "auc_one_vs_rest", "auc_pairs", "roc_curve"]


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
