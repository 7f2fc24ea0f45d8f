"""How differently members err: only what errs differently can gain by being joined (Kuncheva and Whitaker 2003)."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from .rule import Logits

__all__ = ["disagreement", "q_statistic"]


def disagreement(logits: Logits) -> float:
    """The share of samples on which two members predict different classes, averaged over pairs; nan for one member.

    >>> disagreement(np.array([[[1.0, 0], [1, 0]], [[1.0, 0], [0, 1]]]))
    0.5
    """
    predicted = logits.argmax(axis=2)
    pairs = [float((a != b).mean()) for a, b in combinations(predicted, 2)]
    return float(np.mean(pairs)) if pairs else float("nan")


def q_statistic(logits: Logits, labels: NDArray[np.int64]) -> float:
    """Yule's Q of who is right, averaged over pairs: 1 where members are right on the same samples, 0 where they are
    independent, below 0 where they are right on different ones. nan for one member, or where it is undefined.
    """
    right = logits.argmax(axis=2) == labels
    return float(np.mean([_yule(a, b) for a, b in combinations(right, 2)])) if len(right) > 1 else float("nan")


def _yule(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    alike, unlike = float((a & b).sum()) * float((~a & ~b).sum()), float((a & ~b).sum()) * float((~a & b).sum())
    return (alike - unlike) / (alike + unlike) if alike + unlike else float("nan")
