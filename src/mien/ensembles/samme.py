"""SAMME: boosting of several classes (Zhu, Zou, Rosset and Hastie 2009, Multi-class AdaBoost, Algorithm 2).

In: which training samples a classifier gets wrong, and their weights. Out: how much its vote counts, and the weights
that the next classifier is trained with. `tests/test_boosting.py` holds it against scikit-learn's `AdaBoostClassifier`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Round", "boost", "even_weights"]

Floats = NDArray[np.float64]
ROUNDING = 1e-12
"""A vote that counts less is that of a classifier at chance."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round of boosting says."""

    error: float
    """Weighted share of the training samples that the classifier gets wrong, 0 to 1."""
    alpha: float
    """How much its vote counts; 0 for a classifier that is no better than chance."""
    weights: Floats
    """`(n,)`, positive, of sum 1: those of the next round."""
    last: bool
    """Whether boosting ends here: nothing is wrong any more, or the classifier is no better than chance."""


def even_weights(count: int) -> Floats:
    r"""The weights of the first round, \(1/n\) each, `(count,)`."""
    return np.full(count, 1 / count)


def boost(wrong: NDArray[np.bool_], weights: Floats, classes: int) -> Round:
    r"""Weigh a classifier by its error, and the samples by whether it gets them right.

    \[\alpha = \log\frac{1-e}{e} + \log(K-1), \qquad w_i \leftarrow w_i\,e^{\alpha\,[\text{wrong}_i]}\]

    A classifier without error would count infinitely; as in scikit-learn its vote counts 1 and ends the boosting. One
    whose error is that of chance, \(1 - 1/K\), or more, counts nothing, and ends it too.

    Args:
        wrong: `(n,)` whether the classifier gets a training sample wrong.
        weights: `(n,)` of the samples, of sum 1.
        classes: K, two or more.

    >>> one = boost(np.array([True, False, False, False]), even_weights(4), 3)
    >>> round(one.alpha, 3), one.weights.round(3).tolist()
    (1.792, [0.667, 0.111, 0.111, 0.111])
    """
    error = float(weights[wrong].sum() / weights.sum())
    if error <= 0:
        return Round(error=0.0, alpha=1.0, weights=weights, last=True)
    alpha = float(np.log((1 - error) / error) + np.log(classes - 1)) if error < 1 else -np.inf
    if alpha < ROUNDING:
        return Round(error=error, alpha=0.0, weights=weights, last=True)
    heavier = weights * np.exp(alpha * wrong)
    return Round(error=error, alpha=alpha, weights=heavier / heavier.sum(), last=False)
