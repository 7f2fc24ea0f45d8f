r"""Intervals of figures, from the variance over faces and over seeds (Efron 1987; Gallas 2006; Hillis 2007).

A test figure varies because other faces could have been drawn, and because another seed trains another network.
For S seeds tested on the same N faces, the mean over seeds has the variance

\[V = \sigma_f^2/N + \sigma_s^2/S + \sigma_{fs}^2/(NS),\]

faces, seeds, and their interplay. The bootstrap over faces of the mean sees the first and third term, the spread
between seeds the second and third, so the third is subtracted once. This is the crossed analysis of readers and cases.
Plain percentiles of resampled seeds lack the factor \(S/(S-1)\) and the tails of t. They are too narrow for three to
five seeds (`tests/test_statistics.py` measures both).
"""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from ..calibration import Floats, wilson
from ..errors import CompareError
from ..metrics import FROM_0, SHARE, Bounds
from .resampling import Units, face_counts, named, replicate, units, usual_draws

__all__ = ["ANYTHING", "FROM_0", "GAP", "SHARE", "Bounds", "Interval", "Method", "Over", "Spread", "bootstrap"]
__all__ += ["check_runs", "spread"]

Over = Literal["faces", "seeds", "both"]
Method = Literal["percentile", "bca", "t"]
GAP: Bounds = (-1.0, 1.0)
"""Of a difference between two shares."""
ANYTHING: Bounds = (-math.inf, math.inf)
WIDEST = 0.5
"""The widest useful interval of a share, or of a difference between two shares: half of the range of a share. Two seeds
have 1 degree of freedom and a t of 12.7, so theirs is often wider (docs/log.md has the figures).
"""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval of a metric or of a difference, in the metric's own unit."""

    low: float
    high: float
    level: float
    """The nominal coverage of the interval, 0.95 for 95 %."""
    method: str
    """How it was made, in words."""

    @property
    def useful(self) -> bool:
        """Whether it is narrower than half of the range of a share."""
        return self.high - self.low <= WIDEST

    def within(self, least: float, most: float) -> "Interval":
        """The interval cut to the range of the figure. The true value lies in that range, so the coverage stays the
        same.
        """
        low, high = (min(max(end, least), most) for end in (self.low, self.high))
        return replace(self, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A mean over seeds and the variances behind it."""

    mean: float
    faces: float
    r"""Variance of the mean over draws of faces, \(\sigma_f^2/N + \sigma_{fs}^2/(NS)\)."""
    seeds: float
    r"""Squared standard error over seeds, \(\sigma_s^2/S + \sigma_{fs}^2/(NS)\); 0 for one seed."""
    interplay: float
    r"""\(\sigma_{fs}^2/(NS)\), which both hold; 0 for one seed."""
    n_seeds: int
    units: Units
    """What was drawn: faces, subjects, or folds."""

    @property
    def variance(self) -> float:
        """V above; with one seed it holds the faces alone."""
        return self.faces + max(self.seeds - self.interplay, 0.0)

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom of V, with the seeds' part before the interaction is subtracted.

        They are never fewer than those of the seeds, or of the units if these are fewer. The subtracted interaction is
        an estimate too. Where it is large by chance, the formula alone gives a fraction of one degree, and an extremely
        wide interval (after Hillis 2007).
        """
        below = self.faces**2 / max(self.units.count - 1, 1) + self.seeds**2 / max(self.n_seeds - 1, 1)
        return max(self.variance**2 / below, min(self.n_seeds, self.units.count) - 1) if below > 0 else math.inf

    def at(self, n_seeds: int, n_units: int) -> "Spread":
        """The expected spread of the same networks with another number of seeds and of faces (units)."""
        grown = self.units.count / n_units
        interplay = self.interplay * self.n_seeds / n_seeds * grown
        return replace(
            self,
            faces=max(self.faces - self.interplay, 0.0) * grown + interplay,
            seeds=max(self.seeds - self.interplay, 0.0) * self.n_seeds / n_seeds + interplay,
            interplay=interplay,
            n_seeds=n_seeds,
            units=replace(self.units, count=n_units),
        )

    def power(self, alpha: float = 0.05) -> float:
        """The probability that `p` falls below alpha, with the observed sign, if the true mean is the observed one."""
        if self.variance == 0:
            return float(self.mean != 0)
        shift, limit = abs(self.mean) / math.sqrt(self.variance), -special.stdtrit(self.df, alpha / 2)
        # Only the tail on the seen side: scipy's noncentral t gives nan for the other one, which is near 0.
        return float(stats.nct.sf(limit, self.df, shift))

    @property
    def p(self) -> float:
        """Two-sided p of the hypothesis that the mean is 0."""
        if self.variance == 0:
            return float(self.mean == 0)
        return float(2 * stats.t.sf(abs(self.mean) / math.sqrt(self.variance), self.df))

    def interval(self, level: float = 0.95, bounds: Bounds = ANYTHING) -> Interval:
        """Mean ± t · standard error, cut to `bounds`, the range of the figure.

        The interval of a share is computed on the logit scale, so it never reaches 0 or 1. Its coverage is at least
        that of cutting: with three seeds, 200 faces and a share of 0.9 that varies much over seeds, 92 % of simulated
        cases against 84 % (docs/log.md).
        """
        if bounds == SHARE:
            return self._share_interval(level)
        half = float(stats.t.ppf((1 + level) / 2, self.df)) * math.sqrt(self.variance) if self.variance else 0.0
        return Interval(low=self.mean - half, high=self.mean + half, level=level, method=self._method).within(*bounds)

    def _share_interval(self, level: float) -> Interval:
        r"""\(\mathrm{logit}\,p \pm t\sqrt V/(p(1-p))\); Wilson's over the units where all are right or all wrong."""
        p = self.mean
        if not 0 < p < 1:
            low, high = (float(end) for end in wilson(p * self.units.count, self.units.count, level))
            method = f"Wilson, {self.units.count} {self.units.of}"
            return Interval(low=min(low, p), high=max(high, p), level=level, method=method)  # ends are off by 1e-17
        t = float(stats.t.ppf((1 + level) / 2, self.df)) if self.variance else 0.0
        ends = special.logit(p) + np.array([-1, 1]) * t * math.sqrt(self.variance) / (p * (1 - p))
        low, high = special.expit(ends).tolist()
        return Interval(low=low, high=high, level=level, method=f"{self._method}, of the logit")

    @property
    def _method(self) -> str:
        over = self.units.of + " and seeds" * (self.n_seeds > 1)
        return f"bootstrap standard error over {over}, t with {self.df:.0f} df"


def spread(values: ArrayLike, draws: ArrayLike, drawn: Units) -> Spread:
    """Estimate the variance components from `values (S,)` on the original faces and `draws (B, S)` on redrawn ones.

    Both hold one metric, or one paired difference, for each seed. Draws that are undefined (nan) are left out.
    """
    v, d = np.asarray(values, np.float64), np.asarray(draws, np.float64)
    d = d[np.isfinite(d).all(axis=1)]
    seeds, faces = len(v), float(d.mean(axis=1).var(ddof=1))
    of_one = float(d.var(axis=0, ddof=1).mean())
    return Spread(
        mean=float(v.mean()),
        faces=faces,
        seeds=float(v.var(ddof=1)) / seeds if seeds > 1 else 0.0,
        interplay=max(of_one - faces, 0.0) / (seeds - 1) if seeds > 1 else 0.0,
        n_seeds=seeds,
        units=drawn,
    )


def check_runs(logits: ArrayLike, over: Over) -> NDArray[np.generic]:
    """Logits as `(S, N, K)`; raises `CompareError` for a wrong shape or too few seeds."""
    z = np.asarray(logits)
    if z.ndim != 3 or 0 in z.shape:
        raise CompareError(f"Logits must be (S, N, K), seeds first and none of them 0; got {z.shape}.")
    if over != "faces" and len(z) < 2:
        raise CompareError("One seed gives no variance between seeds. Train two or more, or use over='faces'.")
    return z


def bootstrap(
    logits: ArrayLike,
    labels: ArrayLike,
    metric: str,
    rng: np.random.Generator,
    *,
    over: Over = "faces",
    method: Method | None = None,
    subjects: ArrayLike | None = None,
    draws: int | None = None,
    level: float = 0.95,
) -> Interval:
    """The interval of a metric's mean over seeds, from logits `(S, N, K)` and labels `(N,)`.

    `over` names the sources of variance: the test faces (drawn by subject if `subjects (N,)` are given), the seeds, or
    both. `method` is "percentile" for faces and "t" where seeds are drawn, unless given. "percentile" over both is the
    plain hierarchical bootstrap, too narrow below about ten seeds. "bca" is available for faces, and not for AUC and
    ECE. `draws` is 2000, or 400 for AUC and ECE, unless given. A metric that is undefined on these labels has an
    undefined interval, nan to nan. Raises `CompareError` for one seed where seeds are to be drawn, or an unknown
    method.
    """
    z = check_runs(logits, over)
    method = method or ("percentile" if over == "faces" else "t")
    if method == "bca" and (over != "faces" or named(metric).of == "whole"):
        raise CompareError(f"BCa is there for over='faces' and not for {metric} over {over}; take 'percentile'.")
    n, ones = z.shape[1], np.ones((1, z.shape[1]), np.float32)
    values = replicate(z, labels, metric, ones)[0]
    total, drawn = draws or usual_draws(metric), units(n, subjects)
    if not np.isfinite(values).all():
        return Interval(low=math.nan, high=math.nan, level=level, method="undefined")
    if over == "seeds":
        table = np.repeat(values[None], total, axis=0)
    else:
        table = np.concatenate([replicate(z, labels, metric, block) for block in face_counts(rng, n, total, subjects)])
    if method == "t":
        return spread(values, table, drawn).interval(level, named(metric).bounds)
    picks = np.arange(len(z)) if over == "faces" else rng.integers(len(z), size=(total, len(z)))
    means = np.take_along_axis(table, np.broadcast_to(picks, table.shape), axis=1).mean(axis=1)
    tails = ((1 - level) / 2, (1 + level) / 2)
    if method == "bca":
        left_out = leave_one_out(z, labels, metric, subjects)
        tails = bca_tails(means, float(values.mean()), left_out, tails)
    low, high = np.nanquantile(means, tails)
    sources = {"faces": drawn.of, "seeds": "seeds", "both": f"{drawn.of} and seeds"}[over]
    method_words = f"{method} bootstrap over {sources}, {total} draws"
    return Interval(low=float(low), high=float(high), level=level, method=method_words)


def leave_one_out(logits: ArrayLike, labels: ArrayLike, metric: str, subjects: ArrayLike | None) -> Floats:
    """The mean over seeds without each face, or each subject, in turn: `(units,)`."""
    index = np.arange(np.shape(logits)[1]) if subjects is None else np.unique(subjects, return_inverse=True)[1]
    blocks = np.array_split(np.arange(index.max() + 1), max(1, index.size * (index.max() + 1) // 2**24))
    kept = ((block[:, None] != index).astype(np.float32) for block in blocks)
    return np.concatenate([replicate(logits, labels, metric, counts).mean(axis=1) for counts in kept])


def bca_tails(means: Floats, estimate: float, left_out: Floats, tails: tuple[float, float]) -> tuple[float, float]:
    """Efron's (1987) tails, corrected for bias (ties count half) and for skewness by the jackknife."""
    normal, deviation = NormalDist(), left_out.mean() - left_out
    below = float(np.mean(means < estimate) + np.mean(means == estimate) / 2)
    if not 0 < below < 1 or not deviation.any():
        return tails
    bias = normal.inv_cdf(below)
    skew = float((deviation**3).sum() / (6 * (deviation**2).sum() ** 1.5))
    shifted = (bias + normal.inv_cdf(tail) for tail in tails)
    low, high = (normal.cdf(bias + s / (1 - skew * s)) for s in shifted)
    return low, high
