"""Majority vote: each member has one vote for its prediction; the mean of probabilities settles ties."""

import numpy as np

from .averages import SMALLEST, log_probabilities
from .rule import Arrays, Logits, Rule

__all__ = ["vote"]


def _join(_fitted: Arrays, logits: Logits) -> Logits:
    """Votes and the mean probability, which is less than a vote, as one distribution."""
    votes = np.eye(logits.shape[2])[logits.argmax(axis=2)].sum(axis=0)
    mean = np.exp(log_probabilities(logits)).mean(axis=0)
    return np.asarray(np.log(np.maximum((votes + mean) / (len(logits) + 1), SMALLEST)))


vote = Rule(words="the members' majority vote; their mean probability settles ties", join=_join)
