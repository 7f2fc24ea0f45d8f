"""Majority vote: each member votes for its prediction; the mean of probabilities settles ties."""

from typing import TYPE_CHECKING

import numpy as np

from .averages import SMALLEST, log_probabilities
from .rule import Arrays, Logits, Rule, Tensors

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["one_hot", "vote"]


def _join(_fitted: Arrays, logits: Logits) -> Logits:
    """Votes plus the mean probability, as one distribution. The mean probability is below 1, so it only breaks ties."""
    votes = np.eye(logits.shape[2])[logits.argmax(axis=2)].sum(axis=0)
    mean = np.exp(log_probabilities(logits)).mean(axis=0)
    return np.asarray(np.log(np.maximum((votes + mean) / (len(logits) + 1), SMALLEST)))


def one_hot(logs: "Tensor") -> "Tensor":
    """The prediction of each member as a graph: 1 for its class and 0 elsewhere, `(M, N, K)`."""
    from torch.nn import functional

    return functional.one_hot(logs.argmax(2), logs.shape[2])


def _graph(_fitted: Tensors, logs: "Tensor") -> "Tensor":
    votes = one_hot(logs).sum(0)
    return ((votes + logs.exp().mean(0)) / (logs.shape[0] + 1)).clamp(min=SMALLEST).log()


vote = Rule(words="the members' majority vote; their mean probability settles ties", join=_join, graph=_graph)
