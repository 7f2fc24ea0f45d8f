"""Greedy selection (Caruana 2004, "Ensemble selection from libraries of models"), with replacement.

It begins with the member that makes validation most likely, and adds the member that helps most, for up to 50 rounds.
A member may be added again, which gives it more weight. It ends when nothing helps.
"""

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from .averages import SMALLEST, log_probabilities, pooled, pooled_graph
from .rule import Arrays, Logits, Rule

__all__ = ["greedy"]

ROUNDS = 50


def _fit(logits: Logits, labels: NDArray[np.int64]) -> Arrays:
    likely = np.exp(log_probabilities(logits)[:, np.arange(len(labels)), labels])
    counts, total, best = np.zeros(len(logits)), np.zeros(len(labels)), -np.inf
    for chosen in range(1, ROUNDS + 1):
        scores = np.log(np.maximum((total + likely) / chosen, SMALLEST)).mean(axis=1)
        member = int(scores.argmax())
        if scores[member] <= best:
            break
        best, total = float(scores[member]), total + likely[member]
        counts[member] += 1
    return {"weights": counts / counts.sum()}


def _join(fitted: Arrays, logits: Logits) -> Logits:
    return pooled(logits, fitted["weights"])


greedy = Rule(
    words="a mean of members that were selected greedily (Caruana et al. 2004)",
    join=_join,
    graph=pooled_graph,
    fit=_fit,
    arrays={"weights": Array("f8", "M")},
)
