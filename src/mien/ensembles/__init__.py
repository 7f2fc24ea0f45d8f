"""Ensemble rules: they join the logits of several classifiers. A new rule is a file here and a line in `RULES`.

In: logits `(M, N, K)` of M members on the same N samples. Out: logits `(N, K)`. A rule is fitted on the validation part
only. That part also chose the members' epochs, so the score of a fitted rule on it is optimistic. `cross_fitted`
predicts each sample by a rule that was fitted without it. The report gives the difference.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .averages import mean_logits, mean_probabilities
from .greedy import greedy
from .rule import Logits, Rule
from .stacking import stacking
from .vote import vote
from .weighted import weighted

__all__ = ["RULES", "Logits", "Rule", "cross_fitted", "crossing_parts"]

RULES: Mapping[str, Rule] = {
    "mean": mean_probabilities,
    "logits": mean_logits,
    "vote": vote,
    "weighted": weighted,
    "greedy": greedy,
    "stacking": stacking,
}
"""Rules by the values of `ensemble.rule`."""
PARTS = 5
"""The number of parts into which cross-fitting divides the validation part."""


def cross_fitted(rule: Rule, logits: Logits, labels: NDArray[np.int64], units: NDArray[Any], seed: int) -> Logits:
    """Logits `(N, K)`, each of a rule that was fitted without the sample's unit (its subject, where that is known).

    Args:
        rule: of `RULES`; one that is not fitted is used as it is.
        logits: `(M, N, K)` on the validation part.
        labels: `(N,)`.
        units: `(N,)`; samples of one unit are never on both sides.
        seed: draws which units go together.
    """
    if rule.fit is None:
        return rule.join({}, logits)
    part = crossing_parts(units, seed)
    joined = np.zeros(logits.shape[1:], np.float64)
    for number in range(int(part.max()) + 1):
        left, held = part != number, part == number
        fitted = rule.fit(logits[:, left], labels[left]) if left.any() else {}
        joined[held] = rule.join(fitted, logits[:, held])
    return joined


def crossing_parts(units: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """The part of each sample `(N,)`, from 0. The predictions for a part come from a rule fitted on the other parts."""
    names, place = np.unique(units, return_inverse=True)
    return np.asarray(np.random.default_rng(seed).permutation(len(names))[place] % min(PARTS, len(names)), np.int64)
