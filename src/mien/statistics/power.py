r"""Number of faces or seeds needed to detect a difference, and conclusions from published accuracies alone.

Planning: Connor 1987 for McNemar's test, the noncentral t for seeds and faces. Published tables: two accuracies
on one test set of n faces, without the predictions, bound the paired test from both sides, and the unpaired
comparison of proportions (Newcombe 1998) stands between.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from .intervals import Interval, Spread
from .tests import split_p

__all__ = [
    "PairedBounds",
    "TwoProportions",
    "faces_needed",
    "mcnemar_bounds",
    "mcnemar_faces_needed",
    "resolvable_difference",
    "seeds_needed",
    "two_proportions",
]

MOST_SEEDS, MOST_FACES = 1000, 10_000_000


def seeds_needed(spread: Spread, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Seeds needed to detect a true difference as large as the observed one, on as many faces; None if 1000 do not
    suffice.
    """
    return smallest(lambda seeds: spread.at(seeds, spread.units.count).power(alpha) >= power, 2, MOST_SEEDS)


def faces_needed(spread: Spread, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Faces (or subjects, if those were drawn) needed to detect it, with as many seeds; None if ten million do not
    suffice.
    """
    return smallest(lambda faces: spread.at(spread.n_seeds, faces).power(alpha) >= power, 2, MOST_FACES)


def smallest(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest number from low to high for which `enough` is true; `enough` must be monotone."""
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def mcnemar_faces_needed(only_a: float, only_b: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    r"""Faces that McNemar's test needs, from the shares of faces that only A and only B get right (Connor 1987).

    \[n = \left(z_{1-\alpha/2}\sqrt{\psi} + z_{power}\sqrt{\psi - \delta^2}\right)^2 / \delta^2,\quad
    \psi = p_a + p_b,\ \delta = p_a - p_b;\] None where the shares are equal.

    >>> mcnemar_faces_needed(0.10, 0.08)
    3530
    """
    psi, delta = only_a + only_b, only_a - only_b
    if delta == 0:
        return None
    z_alpha, z_power = stats.norm.isf(alpha / 2), stats.norm.ppf(power)
    return math.ceil(float(z_alpha * math.sqrt(psi) + z_power * math.sqrt(psi - delta**2)) ** 2 / delta**2)


@dataclass(frozen=True, kw_only=True)
class TwoProportions:
    """Two published accuracies compared as if each had its own test faces."""

    effect: float
    """First minus second, a share of 1."""
    interval: Interval
    p: float
    """Two-sided, pooled z-test."""


def two_proportions(first: float, second: float, n: int, level: float = 0.95) -> TwoProportions:
    """Compare two accuracies (0 to 1), each on n faces, when nothing but the accuracies is known.

    Unpaired: two networks on the *same* faces usually agree on most of them, so the paired test has more power.
    `mcnemar_bounds` gives the range of its p.

    >>> two_proportions(0.7130, 0.7005, 3068).p > 0.05
    True
    """
    hits = (round(first * n), round(second * n))
    low, high = confint_proportions_2indep(hits[0], n, hits[1], n, method="newcomb", alpha=1 - level)
    p = 1.0 if hits[0] == hits[1] else float(proportions_ztest(hits, (n, n))[1])
    interval = Interval(low=float(low), high=float(high), level=level, method="Newcombe, unpaired proportions")
    return TwoProportions(effect=first - second, interval=interval, p=p)


def resolvable_difference(n: int, accuracy: float, power: float = 0.8, alpha: float = 0.05) -> float:
    r"""The difference between two accuracies near `accuracy`, each on its own n faces, that a test detects with
    `power`.

    \((z_{1-\alpha/2} + z_{power})\sqrt{2p(1-p)/n}\). With power 0.5 it is the difference that is just
    significant when seen.

    >>> round(resolvable_difference(3068, 0.71), 3)
    0.032
    """
    z = float(stats.norm.isf(alpha / 2) + stats.norm.ppf(power))
    return z * math.sqrt(2 * accuracy * (1 - accuracy) / n)


@dataclass(frozen=True, kw_only=True)
class PairedBounds:
    """The possible results of McNemar's exact test for two accuracies on the same n faces."""

    smallest: float
    """p if the networks disagree as little as the accuracies allow."""
    largest: float
    """p if they disagree as much as the accuracies allow."""
    telling: float | None
    """The difference is significant only if they disagree on at most this share of faces; None if never."""


def mcnemar_bounds(first: float, second: float, n: int, alpha: float = 0.05) -> PairedBounds:
    """Bound McNemar's p from two accuracies (0 to 1) on the same n faces, without the predictions.

    >>> mcnemar_bounds(0.72, 0.70, 3000).telling  # networks of 70 % commonly disagree on 15 to 25 %
    0.302
    """
    right = (round(first * n), round(second * n))
    gap = right[0] - right[1]
    fewest, most = max(0, -gap), min(n - right[0], right[1])

    def p(only_second: int) -> float:
        return split_p(only_second + gap, only_second)

    beyond = smallest(lambda only_second: p(only_second) >= alpha, fewest, most)
    last = most if beyond is None else beyond - 1
    telling = (2 * last + gap) / n if last >= fewest else None
    return PairedBounds(smallest=p(fewest), largest=p(most), telling=telling)
