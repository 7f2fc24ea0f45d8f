r"""Bootstrap draws of an AUC from the influence of each face, without ranking every draw (DeLong 1988; Efron 1982).

An AUC is the mean over pairs of a face of the class and one of the rest. With \(V_i\) the share of the other side
that face i is on the right side of, its influence is \((V_i - AUC)\,n/n_\mathrm{side}\), and on redrawn faces the AUC
is, to first order, itself plus the mean of the influences: one matrix product, where ranking all draws takes seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..calibration import Floats, check_logits, softmax
from ..metrics import auc_averages

__all__ = ["AUCS", "AucDraws", "auc_influences"]

AUCS = ("macro_auc", "weighted_auc")


def auc_influences(probs: ArrayLike, labels: ArrayLike) -> dict[str, Floats]:
    """The influences `(N,)` of each face on both averages of one class against the rest; see `metrics.auc_averages`.

    Args:
        probs: `(N, K)`.
        labels: `(N,)` class indices; classes without a face count in neither average.
    """
    p, y = check_logits(probs, labels)
    support = np.bincount(y, minlength=p.shape[1])
    present = np.flatnonzero((support > 0) & (support < len(y)))
    aucs, each = np.zeros(p.shape[1]), np.zeros((len(y), p.shape[1]))
    for k in present:
        aucs[k], each[:, k] = _one_against_rest(p[:, k], y == k)
    macro = each[:, present].mean(axis=1) if len(present) else np.full(len(y), np.nan)
    shares = support / max(len(y), 1)
    return {"macro_auc": macro, "weighted_auc": each @ shares + aucs[y] - aucs @ shares}


@dataclass(frozen=True, kw_only=True)
class AucDraws:
    """Both averages of one network on one test part, ready for any draw of its faces."""

    values: Mapping[str, float]
    """On the faces as they are."""
    influences: Mapping[str, Floats]
    """`(N,)` each."""

    @classmethod
    def of(cls, logits: ArrayLike, labels: ArrayLike) -> "AucDraws":
        """From logits `(N, K)` and labels `(N,)`."""
        probs = softmax(logits)
        values = auc_averages(probs, labels)
        return cls(values={name: values[name] for name in AUCS}, influences=auc_influences(probs, labels))

    def on(self, counts: NDArray[np.float32]) -> dict[str, Floats]:
        """`(B,)` each on draws `counts (B, N)`: the plain value, moved by the influences."""
        drawn = counts.astype(np.float64)
        size = drawn.sum(axis=1)
        return {name: self.values[name] + drawn @ self.influences[name] / size for name in AUCS}


def _one_against_rest(scores: Floats, inside: NDArray[np.bool_]) -> tuple[float, Floats]:
    """The AUC of a class and the influences `(N,)`; ties count half."""
    rank, sides = stats.rankdata(scores), np.empty(len(scores))
    many, few = int(inside.sum()), int((~inside).sum())
    above = (rank[inside] - stats.rankdata(scores[inside])) / few
    below = (rank[~inside] - stats.rankdata(scores[~inside])) / many
    auc = float(above.mean())
    sides[inside] = (above - auc) * len(scores) / many
    sides[~inside] = (1 - below - auc) * len(scores) / few
    return auc, sides
