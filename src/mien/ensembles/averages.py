"""The mean of probabilities (linear pool) and of log probabilities (geometric pool): nothing is fitted."""

from typing import TYPE_CHECKING

import numpy as np

from ..calibration import log_softmax
from .rule import Arrays, Logits, Rule, Tensors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SMALLEST", "log_probabilities", "mean_logits", "mean_probabilities", "pooled", "pooled_graph"]

SMALLEST = 1e-12
"""Probabilities below it are raised to it before their logarithm is taken."""


def log_probabilities(logits: Logits) -> Logits:
    """Log probabilities of each member, `(M, N, K)`."""
    return np.stack([log_softmax(one) for one in logits])


def pooled(logits: Logits, weights: Logits) -> Logits:
    """The log of the weighted mean of the members' probabilities; `weights` `(M,)` sum to 1."""
    mean = np.einsum("m,mnk->nk", weights, np.exp(log_probabilities(logits)))
    return np.asarray(np.log(np.maximum(mean, SMALLEST)))


def pooled_graph(fitted: Tensors, logs: "Tensor") -> "Tensor":
    """`pooled` as a graph, with the fitted `weights`."""
    return (logs.exp() * fitted["weights"][:, None, None]).sum(0).clamp(min=SMALLEST).log()


def _mean(_fitted: Arrays, logits: Logits) -> Logits:
    return pooled(logits, np.full(len(logits), 1 / len(logits)))


def _geometric(_fitted: Arrays, logits: Logits) -> Logits:
    return np.asarray(log_probabilities(logits).mean(axis=0))


def _mean_graph(_fitted: Tensors, logs: "Tensor") -> "Tensor":
    return logs.exp().mean(0).clamp(min=SMALLEST).log()


def _geometric_graph(_fitted: Tensors, logs: "Tensor") -> "Tensor":
    return logs.mean(0)


mean_probabilities = Rule(words="the mean of the members' probabilities", join=_mean, graph=_mean_graph)
mean_logits = Rule(words="the mean of the members' log probabilities", join=_geometric, graph=_geometric_graph)
