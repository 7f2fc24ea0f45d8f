"""The interval of a mean gain that is never negative and often 0, such as the gain from peeking at the test."""

import math

import numpy as np
from scipy import optimize, stats

from ..calibration import Floats
from .intervals import Interval

__all__ = ["gap_interval"]

QUANTILES = 512
"""Number of slices of the share of runs that gain, over which the interval averages."""
REACH = 12.0
"""How far from the sum of the gaps, in powers of e, an end of the interval is sought."""


def gap_interval(gaps: Floats, level: float = 0.95) -> Interval:
    r"""The interval of a mean gap over runs `(R,)`; nan above where no run gained, nan throughout for one run.

    A gap is never negative, often 0 and skewed. Student's t covered its mean in only half of the simulated sets of
    three runs (`tests/test_report_peeking.py`). So: a run gains with probability q, and then an exponential amount of
    mean \(\theta\). With r of R runs that gained, s in all, \(q \sim Beta(r+½, R-r+½)\) (Jeffreys; Brown, Cai, DasGupta
    2001) and \(\theta \sim s/\Gamma(r)\), and the interval holds the middle of \(q\theta\), a generalized confidence
    interval (Weerahandi 1993). Gains that vary less than exponential ones make it wider than need be; gains with longer
    tails, or runs of networks whose gains differ more than tenfold, make it too narrow.
    """
    gained = int((gaps > 0).sum())
    if len(gaps) < 2:
        return Interval(low=math.nan, high=math.nan, level=level, method="one run")
    if not gained:
        return Interval(low=0.0, high=math.nan, level=level, method=f"none of {len(gaps)} runs gained")
    tails = ((1 - level) / 2, (1 + level) / 2)
    low, high = (_gap_quantile(tail, float(gaps[gaps > 0].sum()), gained, len(gaps)) for tail in tails)
    method = f"generalized, 0 or exponential, {gained} of {len(gaps)} runs gained"
    return Interval(low=low, high=high, level=level, method=method)


def _gap_quantile(tail: float, total: float, gained: int, runs: int) -> float:
    r"""The `tail` quantile of \(q\theta\) above: sought in its logarithm, over the middles of equal slices of q."""
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    share = stats.beta.ppf(middles, gained + 0.5, runs - gained + 0.5)

    def too_low(log_x: float) -> float:
        return float(stats.gamma.cdf(share * total / math.exp(log_x), gained).mean()) - (1 - tail)

    return math.exp(optimize.brentq(too_low, math.log(total) - REACH, math.log(total) + REACH))
