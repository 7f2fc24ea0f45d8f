r"""How well probabilities are calibrated (Guo 2017, arXiv:1706.04599; Geifman 2017, arXiv:1705.08500.)

In: logits `(N, K)` or values derived from them, and labels `(N,)`. Out: negative log-likelihood, Brier score, expected
calibration error, the reliability curve with Wilson intervals, the temperature that repairs over-confidence, and the
risk-coverage curve behind the answer "uncertain". It needs only numpy, because the predictor of the base install uses
it too.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import DataError

__all__ = [
    "Binning",
    "Reliability",
    "RiskCoverage",
    "adjusted",
    "binned_gaps",
    "brier",
    "brier_of_each",
    "check_logits",
    "confidence_bins",
    "ece",
    "fit_temperature",
    "log_softmax",
    "nll",
    "nll_of_each",
    "reliability",
    "risk_coverage",
    "softmax",
    "upward_bias",
    "wilson",
]

Floats = NDArray[np.float64]
Binning = Literal["width", "mass"]
TEMPERATURES = (0.01, 100.0)


def check_logits(logits: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    """Logits `(N, K)` as float64 and labels `(N,)` as int64, or a `DataError` that says what is wrong."""
    z, y = np.asarray(logits, np.float64), np.asarray(labels)
    if z.ndim != 2 or y.shape != z.shape[:1]:
        raise DataError(f"Logits must be (N, K) and labels (N,); got {z.shape} and {y.shape}.")
    if y.size and (y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= z.shape[1]):
        raise DataError(
            f"Labels must be whole numbers from 0 to {z.shape[1] - 1}, one for each column of the logits; "
            f"got {y.dtype} from {y.min()} to {y.max()}. Was the run trained on another label set?"
        )
    if not np.isfinite(z).all():
        bad = int((~np.isfinite(z).all(axis=1)).sum())
        raise DataError(f"{bad} of {len(z)} rows of logits hold NaN or infinity; train that run again.")
    return z, y.astype(np.int64)


def log_softmax(logits: ArrayLike) -> Floats:
    """Log probabilities `(N, K)`, float64, without overflow for logits of any size."""
    z = np.asarray(logits, np.float64)
    z = z - z.max(axis=1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))


def softmax(logits: ArrayLike) -> Floats:
    """Probabilities `(N, K)`, float64, rows sum to 1.

    >>> softmax([[0.0, 0.0], [1000.0, 0.0]]).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    return np.exp(log_softmax(logits))


def adjusted(logits: ArrayLike, counts: ArrayLike, tau: float = 1.0) -> Floats:
    r"""Logits `(N, K)` less \(\tau \log \pi_k\), the log share of each class in training (Menon 2021, eq. 9).

    The result depends on the face and not on how often a class occurred in training. `counts` `(K,)` are the training
    samples of each class; a class without one counts as half of one.

    >>> softmax(adjusted([[0.0, 0.0]], [3, 1])).round(2).tolist()
    [[0.25, 0.75]]
    """
    seen = np.maximum(np.asarray(counts, np.float64), 0.5)
    shift: Floats = tau * np.log(seen / seen.sum())
    return np.asarray(np.asarray(logits, np.float64) - shift)


def nll_of_each(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """Negative log-likelihood of each sample, `(N,)`, in nats."""
    z, y = check_logits(logits, labels)
    return -log_softmax(z)[np.arange(len(y)), y]


def nll(logits: ArrayLike, labels: ArrayLike) -> float:
    r"""Negative log-likelihood in nats, \(-\frac1N\sum_n \log p_{n,y_n}\); nan for no samples.

    >>> round(nll([[0.0, 0.0]], [1]), 6)
    0.693147
    """
    each = nll_of_each(logits, labels)
    return float(each.mean()) if each.size else math.nan


def brier_of_each(probs: ArrayLike, labels: ArrayLike) -> Floats:
    """Brier's score of each sample, `(N,)`, 0 to 2."""
    p, y = check_logits(probs, labels)
    return np.asarray(np.square(p).sum(axis=1) + 1 - 2 * p[np.arange(len(y)), y])


def brier(probs: ArrayLike, labels: ArrayLike) -> float:
    r"""Brier's score over all classes, \(\frac1N\sum_{n,k} (p_{nk}-[y_n=k])^2\), 0 to 2; nan for no samples.

    >>> brier([[1.0, 0.0], [1.0, 0.0]], [0, 1])
    1.0
    """
    each = brier_of_each(probs, labels)
    return float(each.mean()) if each.size else math.nan


def wilson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    r"""Wilson's (1927) score interval of a proportion: low and high, shaped as the inputs; nan for 0 trials.

    \[\frac{\hat p + z^2/2n \pm z\sqrt{\hat p(1-\hat p)/n + z^2/4n^2}}{1 + z^2/n}\]

    >>> low, high = wilson(9, 10)
    >>> round(float(low), 3), round(float(high), 3)
    (0.596, 0.982)
    """
    n = np.asarray(trials, np.float64)
    n = np.where(n > 0, n, np.nan)
    z = NormalDist().inv_cdf((1 + level) / 2)
    p = np.asarray(successes, np.float64) / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A reliability curve: one entry a bin, all arrays `(bins,)`; nan where a bin is empty."""

    confidence: Floats
    """Mean probability given to the predicted class."""
    accuracy: Floats
    """Share of right predictions."""
    count: NDArray[np.int64]
    """Samples in the bin."""
    low: Floats
    """Lower end of the 95 % Wilson interval of the accuracy."""
    high: Floats
    """Upper end of it."""

    @property
    def ece(self) -> float:
        r"""Expected calibration error, \(\sum_b \frac{n_b}{N}|\mathrm{acc}_b-\mathrm{conf}_b|\); nan if empty."""
        filled = self.count > 0
        if not filled.any():
            return math.nan
        gap = np.abs(self.accuracy - self.confidence)[filled]
        return float(np.average(gap, weights=self.count[filled]))


def reliability(confidence: ArrayLike, correct: ArrayLike, bins: int = 15, by: Binning = "width") -> Reliability:
    """Bin samples by confidence `(N,)`, in 0 to 1, and compare each bin's mean with its accuracy `(N,)` bool.

    `by="width"` takes bins (i/bins, (i+1)/bins] (Guo 2017); `by="mass"` cuts at quantiles of the confidences,
    so that bins hold equally many samples; equal confidences stay in one bin, which may leave another empty.

    >>> curve = reliability([0.55, 0.65, 0.95, 0.95], [False, True, True, True], bins=2)
    >>> curve.count.tolist(), round(curve.ece, 3)
    ([0, 4], 0.025)
    """
    conf, right = np.asarray(confidence, np.float64), np.asarray(correct, bool)
    index = confidence_bins(conf, bins, by)
    count = np.bincount(index, minlength=bins)
    hits = np.bincount(index, right, minlength=bins)
    n = np.where(count > 0, count, np.nan)
    low, high = wilson(hits, count)
    mean = np.bincount(index, conf, minlength=bins) / n
    return Reliability(confidence=mean, accuracy=hits / n, count=count, low=low, high=high)


def confidence_bins(confidence: ArrayLike, bins: int = 15, by: Binning = "width") -> NDArray[np.int64]:
    """Which bin each confidence `(N,)` falls into, 0 to bins − 1; see `reliability`."""
    conf, inner = np.asarray(confidence, np.float64), np.arange(1, bins) / bins
    edges = np.quantile(conf, inner) if by == "mass" and conf.size else inner
    return np.searchsorted(edges, conf, side="left").astype(np.int64)


def binned_gaps(confidence: ArrayLike, right: ArrayLike, bins: int = 15, by: Binning = "width") -> Floats:
    """Confidence less rightness of each sample, in the column of its bin, `(N, bins)`.

    The absolute sums of the columns, over N, add up to the calibration error.
    """
    gap = np.asarray(confidence, np.float64) - np.asarray(right)
    return np.asarray(np.eye(bins)[confidence_bins(confidence, bins, by)] * gap[:, None])


def ece(probs: ArrayLike, labels: ArrayLike, bins: int = 15, by: Binning = "width") -> float:
    """Expected calibration error of probabilities `(N, K)` for labels `(N,)`, 0 to 1; see `reliability`.

    >>> ece([[0.75, 0.25]] * 4, [0, 0, 0, 1])
    0.0
    """
    p, y = check_logits(probs, labels)
    return reliability(p.max(axis=1), p.argmax(axis=1) == y, bins, by).ece


def upward_bias(gaps: ArrayLike, subjects: ArrayLike | None = None) -> float:
    r"""How much a calibration error may be too high because its bins hold few samples.

    A calibration error adds up \(|g_b|\), gaps that are 0 in a perfect network and not quite 0 on any sample. With
    standard error s, \(E|\hat g| - |g| = s\sqrt{2/\pi}\,e^{-g^2/2s^2} - |g|\,\mathrm{erfc}(|g|/s\sqrt2)\), the less the
    larger the gap (a folded normal). Each bin counts with the smallest gap that its own 95 % interval allows.

    Args:
        gaps: `(N, bins)` of each sample, as `binned_gaps` gives them.
        subjects: `(N,)` whose samples vary together; each alone unless given.
    """
    table = np.asarray(gaps, np.float64)
    sums = table
    if subjects is not None:
        names, index = np.unique(subjects, return_inverse=True)
        sums = np.zeros((len(names), table.shape[1]))
        np.add.at(sums, index, table)
    errors = sums.std(axis=0, ddof=1) * math.sqrt(len(sums)) / len(table)
    return _folded_bias(table.mean(axis=0), errors)


def _folded_bias(gaps: Floats, errors: Floats) -> float:
    """The sum over bins `(bins,)` of the bias above, for signed gaps and their standard errors.

    >>> one, nothing = np.array([1.0]), np.array([0.0])
    >>> round(_folded_bias(nothing, one), 3), round(_folded_bias(9 * one, one), 3)
    (0.798, 0.0)
    """
    s = errors[errors > 0]
    least = np.maximum(np.abs(gaps[errors > 0]) - 1.96 * s, 0)
    z = least / s
    tail = np.array([math.erfc(one / math.sqrt(2)) for one in z])
    return float((s * math.sqrt(2 / math.pi) * np.exp(-z * z / 2) - least * tail).sum())


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    r"""The temperature \(T\), 0.01 to 100, that minimises the NLL of `softmax(logits / T)` (Guo 2017, sec. 4.2).

    Fit it on the validation part, never on the test. The NLL is convex in \(\beta = 1/T\) with slope
    \(\frac1N\sum_n(\sum_k p_{nk}z_{nk} - z_{n,y_n})\), so halving \(\log T\) by the slope's sign finds the
    one minimum. Logits that are right everywhere have none; they get the bound, 0.01. Raises `DataError`
    for no samples.

    >>> round(fit_temperature([[4.0, 0.0]] * 4, [0, 0, 0, 1]), 3)  # says 98 %, is 75 %
    3.641
    """
    z, y = check_logits(logits, labels)
    if not len(y):
        raise DataError("A temperature cannot be fitted to no samples; give the run a validation part.")
    chosen = z[np.arange(len(y)), y].mean()
    low, high = (math.log(t) for t in TEMPERATURES)
    while high - low > 1e-9:
        middle = (low + high) / 2
        slope = (softmax(z * math.exp(-middle)) * z).sum(axis=1).mean() - chosen
        low, high = (middle, high) if slope > 0 else (low, middle)
    return math.exp((low + high) / 2)


@dataclass(frozen=True, kw_only=True)
class RiskCoverage:
    """What is gained by answering only when sure; arrays `(N,)`, from the surest sample alone to all."""

    coverage: Floats
    """Share of samples answered, 1/N to 1."""
    risk: Floats
    """Share of wrong answers among those."""
    threshold: Floats
    """Answer where the confidence is at least this; falls along the curve."""

    @property
    def aurc(self) -> float:
        """Area under the curve, the mean risk over all coverages; lower is better, nan for no samples."""
        return float(self.risk.mean()) if self.risk.size else math.nan


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """Sort by confidence `(N,)` and follow the error rate of the part answered (Geifman & El-Yaniv 2017).

    Samples of equal confidence share their mean error, so that the order of the file does not matter.

    >>> curve = risk_coverage([0.9, 0.8, 0.6, 0.6], [True, True, True, False])
    >>> curve.risk.round(3).tolist()
    [0.0, 0.0, 0.167, 0.25]
    """
    conf, wrong = np.asarray(confidence, np.float64), ~np.asarray(correct, bool)
    values, group = np.unique(-conf, return_inverse=True)
    count = np.bincount(group, minlength=len(values))
    shared = np.bincount(group, wrong, minlength=len(values)) / count
    answered = np.arange(1, len(conf) + 1)
    risk = np.cumsum(np.repeat(shared, count)) / answered
    return RiskCoverage(coverage=answered / max(len(conf), 1), risk=risk, threshold=np.repeat(-values, count))
