"""Stacking (Wolpert 1992): logistic regression on the log probabilities of all members."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from .averages import log_probabilities
from .rule import Arrays, Logits, Rule, Tensors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["stacking"]

STRENGTH = 0.01
"""Inverse of the L2 penalty. It is small, because there are few validation samples and many columns."""
FLOOR = -12.0
"""Log probabilities below it are raised to it. Else one confident member would outweigh all others."""


def _columns(logits: Logits) -> Logits:
    """Log probabilities as the columns of a regression, `(N, M, K)`."""
    logs = np.maximum(log_probabilities(logits), FLOOR)
    return np.asarray(logs.transpose(1, 0, 2))


def _fit(logits: Logits, labels: NDArray[np.int64]) -> Arrays:
    from sklearn.linear_model import LogisticRegression

    columns, classes = _columns(logits), logits.shape[2]
    seen = np.unique(labels)
    weights, shift = np.zeros((classes, len(logits), classes)), np.full(classes, FLOOR)
    if len(seen) < 2:
        shift[seen] = 0.0
        return {"weights": weights, "shift": shift}
    model = LogisticRegression(C=STRENGTH, max_iter=1000).fit(columns.reshape(len(labels), -1), labels)
    found = model.coef_.reshape(-1, len(logits), classes)
    if len(seen) == 2:  # scikit-learn keeps only the second row of two classes
        weights[seen[1]], shift[seen] = found[0], [0.0, model.intercept_[0]]
    else:
        weights[seen], shift[seen] = found, model.intercept_
    return {"weights": weights, "shift": shift}


def _join(fitted: Arrays, logits: Logits) -> Logits:
    return np.asarray(np.einsum("nmk,cmk->nc", _columns(logits), fitted["weights"]) + fitted["shift"])


def _graph(fitted: Tensors, logs: "Tensor") -> "Tensor":
    columns = logs.clamp(min=FLOOR).permute(1, 0, 2).flatten(1)
    return columns @ fitted["weights"].flatten(1).T + fitted["shift"]


stacking = Rule(
    words="logistic regression on the members' log probabilities (Wolpert 1992)",
    join=_join,
    graph=_graph,
    fit=_fit,
    arrays={"weights": Array("f8", "K M K"), "shift": Array("f8", "K")},
)
