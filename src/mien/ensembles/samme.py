"""SAMME: boosting of several classes (Zhu, Zou, Rosset and Hastie 2009, Multi-class AdaBoost, Algorithm 2).

In: which training samples a classifier gets wrong, and the weights of the samples. Out: the weight of its vote, and the
weights of the samples for the next classifier. `tests/test_boosting.py` compares it with scikit-learn's
`AdaBoostClassifier`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .rule import Tensors
from .vote import one_hot

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Round", "boost", "even_weights", "weighted_votes"]

Floats = NDArray[np.float64]
ROUNDING = 1e-12
"""A vote of less weight is taken as that of a classifier at chance."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """The results of one round of boosting."""

    error: float
    """Weighted share of the training samples that the classifier gets wrong, 0 to 1."""
    alpha: float
    """The weight of its vote; 0 for a classifier that is no better than chance."""
    weights: Floats
    """`(n,)` weights of the training samples in the next round, positive, with sum 1."""
    last: bool
    """Whether boosting ends here: the classifier makes no error, or is no better than chance."""


def even_weights(count: int) -> Floats:
    r"""The weights of the first round, \(1/n\) each, `(count,)`."""
    return np.full(count, 1 / count)


def boost(wrong: NDArray[np.bool_], weights: Floats, classes: int) -> Round:
    r"""Weigh a classifier by its error, and the samples by whether it gets them right.

    \[\alpha = \log\frac{1-e}{e} + \log(K-1), \qquad w_i \leftarrow w_i\,e^{\alpha\,[\text{wrong}_i]}\]

    A classifier without error would have an infinite weight. Its vote has the weight 1 and ends the boosting, as in
    scikit-learn. A classifier whose error is \(1 - 1/K\), that of chance, or more has the weight 0 and ends it too.

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


def weighted_votes(fitted: Tensors, logs: "Tensor") -> "Tensor":
    """How the networks of boosting answer, as the graph of a rule: votes with the weights `alphas` `(M,)`, `(N, K)`.

    Their softmax is the class probabilities that Zhu 2009 derives from the exponential loss.
    """
    return (one_hot(logs) * fitted["alphas"][:, None, None]).sum(0)
