"""A weighted mean of probabilities: the weights that make validation most likely.

The likelihood of mixture weights is concave, and expectation-maximisation climbs it (Dempster 1977).
"""

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from .averages import SMALLEST, log_probabilities, pooled, pooled_graph
from .rule import Arrays, Logits, Rule

__all__ = ["weighted"]

STEPS = 500
ENOUGH = 1e-9
"""The iteration ends when no weight changes by this much."""


def _fit(logits: Logits, labels: NDArray[np.int64]) -> Arrays:
    likely = np.exp(log_probabilities(logits)[:, np.arange(len(labels)), labels])
    weights = np.full(len(logits), 1 / len(logits))
    for _ in range(STEPS):
        joint = weights[:, None] * likely
        moved = (joint / np.maximum(joint.sum(axis=0), SMALLEST)).mean(axis=1)
        if np.abs(moved - weights).max() < ENOUGH:
            break
        weights = moved
    return {"weights": weights / weights.sum()}


def _join(fitted: Arrays, logits: Logits) -> Logits:
    return pooled(logits, fitted["weights"])


weighted = Rule(
    words="a weighted mean of the members' probabilities",
    join=_join,
    graph=pooled_graph,
    fit=_fit,
    arrays={"weights": Array("f8", "M")},
)
