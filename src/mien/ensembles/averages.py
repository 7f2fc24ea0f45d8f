"""The mean of probabilities (linear pool) and of log probabilities (geometric pool): nothing is fitted."""

import numpy as np

from ..calibration import log_softmax
from .rule import Arrays, Logits, Rule

__all__ = ["SMALLEST", "log_probabilities", "mean_logits", "mean_probabilities", "pooled"]

SMALLEST = 1e-12
"""Of a probability whose log is taken."""


def log_probabilities(logits: Logits) -> Logits:
    """Of each member, `(M, N, K)`."""
    return np.stack([log_softmax(one) for one in logits])


def pooled(logits: Logits, weights: Logits) -> Logits:
    """The log of the members' probabilities, averaged with `weights` `(M,)` that sum to 1."""
    mean = np.einsum("m,mnk->nk", weights, np.exp(log_probabilities(logits)))
    return np.asarray(np.log(np.maximum(mean, SMALLEST)))


def _mean(_fitted: Arrays, logits: Logits) -> Logits:
    return pooled(logits, np.full(len(logits), 1 / len(logits)))


def _geometric(_fitted: Arrays, logits: Logits) -> Logits:
    return np.asarray(log_probabilities(logits).mean(axis=0))


mean_probabilities = Rule(words="the mean of the members' probabilities", join=_mean)
mean_logits = Rule(words="the mean of the members' log probabilities", join=_geometric)
