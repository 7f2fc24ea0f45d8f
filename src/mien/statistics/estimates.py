r"""Many figures of the same faces at once, each with an interval (Wilson 1927; Korn & Graubard 1998; Agresti 2000).

`spreads` computes a `Spread` for each figure of any statistic of redrawn faces. The bootstrap gives an interval without
width to a group in which every face is right. Two corrections repair that for small groups:

- A share gets Wilson's interval with an effective number of faces, the number that would give a plain share the
  variance seen, so that subjects and seeds count: \(n_e = \hat p(1-\hat p)/V \cdot (z/t_{df})^2\), at most n.
- To a difference of shares is added the variance that one more right and one more wrong face in each group would show.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..calibration import Floats, wilson
from .intervals import ANYTHING, Bounds, Interval, Spread, spread
from .resampling import FAST_DRAWS, Units, face_counts, units

__all__ = ["Estimate", "Statistic", "hidden_variance", "mean", "share", "spreads"]

Statistic = Callable[[NDArray[np.float32]], Floats]
"""From counts `(B, N)`, how often each face came, to figures `(B, S, Q)`: draws, seeds, quantities."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure that never goes without its interval; both nan where undefined."""

    value: float
    interval: Interval


def spreads(
    statistic: Statistic,
    n: int,
    rng: np.random.Generator,
    *,
    subjects: ArrayLike | None = None,
    folds: bool = False,
    draws: int = FAST_DRAWS,
) -> list[Spread]:
    """The variance components of each of the Q figures of `statistic`, over draws of `n` faces, subjects or folds.

    Whole subjects are drawn if `subjects (N,)` are given. With `folds`, the `n` units are folds and not faces.

    All figures see the same draws, so differences between them that `statistic` takes are paired. A figure that
    is undefined on the faces as they are, or on nearly all draws, has nan throughout.
    """
    values = statistic(np.ones((1, n), np.float32))[0]
    table = np.concatenate([statistic(block) for block in face_counts(rng, n, draws, subjects)])
    total = Units(n, "folds") if folds else units(n, subjects)
    return [one_spread(values[:, q], table[:, :, q], total) for q in range(values.shape[1])]


def one_spread(values: Floats, draws: Floats, total: Units) -> Spread:
    """The `Spread` of one figure, or one of nan where it is undefined."""
    if np.isfinite(values).all() and np.isfinite(draws).all(axis=1).sum() > 1:
        return spread(values, draws, total)
    nan = float("nan")
    return Spread(mean=nan, faces=nan, seeds=nan, interplay=nan, n_seeds=len(values), units=total)


def mean(figure: Spread, level: float = 0.95, bounds: Bounds = ANYTHING) -> Estimate:
    """The mean ± t · standard error, cut to `bounds`, the range of the figure."""
    return Estimate(value=figure.mean, interval=figure.interval(level, bounds))


def share(figure: Spread, n: int, level: float = 0.95) -> Estimate:
    """A share of `n` faces (mean over seeds) with Wilson's interval at its effective number of faces.

    Where all faces are right or all wrong, the effective number is that of the figure's units (subjects).
    """
    p = figure.mean
    effective = float(min(n, figure.units.count))
    if 0 < p < 1 and figure.variance > 0:
        z, t = NormalDist().inv_cdf((1 + level) / 2), float(stats.t.ppf((1 + level) / 2, figure.df))
        effective = min(n, p * (1 - p) / figure.variance * (z / t) ** 2)
    low, high = wilson(p * effective, effective, level)
    method = f"Wilson, {effective:.0f} effective of {n} faces"
    return Estimate(value=p, interval=Interval(low=float(low), high=float(high), level=level, method=method))


def hidden_variance(shares: ArrayLike, trials: ArrayLike) -> Floats:
    r"""The variance that a resampled share near 0 or 1 hides, elementwise, 0 for shares in the middle.

    \[\max\left(0,\ \frac{\tilde p(1-\tilde p)}{m+2} - \frac{\hat p(1-\hat p)}{m}\right),\quad
    \tilde p = \frac{m\hat p + 1}{m + 2}\]

    >>> float(hidden_variance(1.0, 10).round(4)), float(hidden_variance(0.6, 100))
    (0.0064, 0.0)
    """
    p, m = np.asarray(shares, np.float64), np.asarray(trials, np.float64)
    nudged = (p * m + 1) / (m + 2)
    return np.maximum(0.0, nudged * (1 - nudged) / (m + 2) - p * (1 - p) / m)


def with_hidden(figure: Spread, variance: float, total: Units) -> Spread:
    """The spread with `variance` added to that of the faces, and with `total` as its units."""
    return replace(figure, faces=figure.faces + variance, units=total)
