"""Tests of paired differences: two networks on the same faces, the same seeds, the same folds or corpora.

McNemar 1947 (exact), the paired bootstrap, sign flips over seeds (Fisher 1935), the corrected resampled t of
Nadeau & Bengio 2003 for cross-validation, Friedman with Nemenyi across corpora (Demšar 2006), Holm 1979.
The distributions are scipy's and statsmodels'.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from ..calibration import Floats
from ..errors import CompareError
from .intervals import Interval, Spread, check_runs, spread
from .resampling import face_counts, replicate, units, usual_draws

__all__ = [
    "Friedman",
    "McNemar",
    "SignFlip",
    "corrected_resampled_t",
    "friedman_nemenyi",
    "holm",
    "mcnemar",
    "paired_bootstrap",
    "paired_spread",
    "sign_flip",
]

EXACT_FLIPS = 2**12


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """The faces on which two networks differ, and the p of McNemar's test on them."""

    only_a: int
    """Faces that A alone got right."""
    only_b: int
    """Faces that B alone got right."""
    p: float
    """Two-sided, exact binomial."""


def mcnemar(correct_a: ArrayLike, correct_b: ArrayLike) -> McNemar:
    """McNemar's exact test of two networks, `(N,)` bool each, on the same N faces.

    It tests whether these two trained networks differ on faces like these. It does not test whether newly trained
    networks would differ. It needs independent faces, so not several of one subject.

    >>> mcnemar([True] * 10 + [False], [False] * 9 + [True] * 2).p
    0.021484375
    """
    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    if a.shape != b.shape or a.ndim != 1:
        raise CompareError(f"McNemar's test needs two (N,) arrays of the same faces; got {a.shape}, {b.shape}.")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return McNemar(only_a=only_a, only_b=only_b, p=split_p(only_a, only_b))


def split_p(only_a: int, only_b: int) -> float:
    """Exact two-sided p of a split of faces under even odds; 1 where the networks never differ."""
    differing = only_a + only_b
    return float(stats.binomtest(only_a, differing).pvalue) if differing else 1.0


def paired_draws(
    logits_a: ArrayLike,
    logits_b: ArrayLike,
    labels: ArrayLike,
    metric: str,
    rng: np.random.Generator,
    subjects: ArrayLike | None = None,
    draws: int | None = None,
) -> tuple[Floats, Floats]:
    """Differences a − b of each seed, `(S,)`, and the same on redrawn faces, `(B, S)`, both networks on one draw."""
    a, b = check_runs(logits_a, "faces"), check_runs(logits_b, "faces")
    if a.shape != b.shape:
        raise CompareError(
            f"Paired networks need the same seeds, faces and classes; got logits {a.shape} and {b.shape}."
        )
    both, seeds = np.concatenate([a, b]), len(a)
    counts = face_counts(rng, a.shape[1], draws or usual_draws(metric), subjects)
    ones = np.ones((1, a.shape[1]), np.float32)
    table = np.concatenate([replicate(both, labels, metric, block) for block in itertools.chain([ones], counts)])
    difference = table[:, :seeds] - table[:, seeds:]
    if not np.isfinite(difference[0]).all():
        raise CompareError(f"{metric} is undefined on these labels, so nothing can be compared by it; take another.")
    return difference[0], difference[1:]


def paired_bootstrap(
    logits_a: ArrayLike,
    logits_b: ArrayLike,
    labels: ArrayLike,
    metric: str,
    rng: np.random.Generator,
    *,
    subjects: ArrayLike | None = None,
    draws: int | None = None,
    level: float = 0.95,
) -> tuple[Interval, float]:
    """Percentile interval and two-sided p of the difference a − b over test faces; seeds are taken as they are.

    Logits `(S, N, K)`, labels `(N,)`, whole subjects drawn where `subjects (N,)` are given. The p is twice the
    smaller share of draws on one side of 0, counting one draw more (Davison & Hinkley 1997), so never 0.
    """
    _, table = paired_draws(logits_a, logits_b, labels, metric, rng, subjects, draws)
    means = table.mean(axis=1)
    means = means[np.isfinite(means)]
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    smaller = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, 2 * (smaller + 1) / (len(means) + 1))
    method = f"paired percentile bootstrap over {units(np.shape(labels)[0], subjects).of}, {len(means)} draws"
    return Interval(low=float(low), high=float(high), level=level, method=method), p


def paired_spread(
    logits_a: ArrayLike,
    logits_b: ArrayLike,
    labels: ArrayLike,
    metric: str,
    rng: np.random.Generator,
    *,
    subjects: ArrayLike | None = None,
    draws: int | None = None,
) -> tuple[Spread, Floats]:
    """The difference a − b taken apart into faces and seeds, and the differences of the seeds `(S,)`."""
    values, table = paired_draws(logits_a, logits_b, labels, metric, rng, subjects, draws)
    return spread(values, table, units(np.shape(labels)[0], subjects)), values


@dataclass(frozen=True, kw_only=True)
class SignFlip:
    """A sign-flip test and how far it can reach."""

    p: float
    smallest: float
    """The smallest p that S seeds can give, 2/2^S: 0.0625 for five seeds, 0.031 for six."""


def sign_flip(differences: ArrayLike, rng: np.random.Generator) -> SignFlip:
    """Two-sided permutation test that per-seed differences `(S,)` are as likely negative as positive.

    Exact over all 2^S signs up to 12 seeds, else 4096 random ones and the identity.

    >>> sign_flip([0.01, 0.02, 0.015, 0.01, 0.03], np.random.default_rng(0)).p
    0.0625
    """
    d = np.asarray(differences, np.float64)
    if 2 ** len(d) <= EXACT_FLIPS:
        signs = np.array(list(itertools.product([1.0, -1.0], repeat=len(d))))
    else:
        signs = np.concatenate([np.ones((1, len(d))), rng.choice([1.0, -1.0], (EXACT_FLIPS, len(d)))])
    flipped, seen = np.abs(signs @ d), abs(d.sum())
    extreme = flipped >= seen * (1 - 1e-12)
    return SignFlip(p=float(extreme.mean()), smallest=2 / min(2 ** len(d), len(signs) * 2))


def corrected_resampled_t(differences: ArrayLike, train: int, test: int) -> tuple[float, float]:
    r"""t and two-sided p for J differences `(J,)` of folds or repeats, `train` and `test` faces in each.

    Folds share training faces, so the plain t-test makes too many false claims. Nadeau & Bengio (2003) take the
    variance as \((1/J + n_\mathrm{test}/n_\mathrm{train})\,s^2\) with J − 1 degrees of freedom.
    """
    d = np.asarray(differences, np.float64)
    if d.ndim != 1 or len(d) < 2:
        raise CompareError(f"The corrected resampled t-test needs two or more differences; got shape {d.shape}.")
    error = math.sqrt((1 / len(d) + test / train) * float(d.var(ddof=1)))
    if error == 0:
        return (0.0, 1.0) if not d.any() else (math.copysign(math.inf, d[0]), 0.0)
    t = float(d.mean()) / error
    return t, float(2 * stats.t.sf(abs(t), len(d) - 1))


@dataclass(frozen=True, kw_only=True)
class Friedman:
    """Friedman's test over D corpora and M networks, and Nemenyi's comparison of all pairs."""

    statistic: float
    p: float
    mean_ranks: Floats
    """`(M,)`, 1 is best; ties share their ranks."""
    critical_difference: float
    """Networks whose mean ranks differ by less than this do not differ significantly at 1 − level."""
    pairs: Floats
    """Nemenyi's p of each pair, `(M, M)`, already corrected for all of them; 1 on the diagonal."""


def friedman_nemenyi(table: ArrayLike, level: float = 0.95) -> Friedman:
    r"""Compare M ≥ 3 networks over D ≥ 2 corpora by rank, `table (D, M)`, higher is better (Demšar 2006).

    \(CD = q_\alpha\sqrt{M(M+1)/6D}\). Rows must be different corpora: folds or seeds of one are not independent.
    Pairs and CD come from scipy's studentized range, as those of scikit-posthocs do, which has no CD.
    """
    scores = np.asarray(table, np.float64)
    if scores.ndim != 2 or scores.shape[0] < 2 or scores.shape[1] < 3:
        raise CompareError(f"Friedman's test needs (corpora ≥ 2, networks ≥ 3); got {scores.shape}.")
    corpora, networks = scores.shape
    ranks = stats.rankdata(-scores, axis=1).mean(axis=0)
    unit = math.sqrt(networks * (networks + 1) / (6 * corpora))
    gaps = np.abs(ranks[:, None] - ranks) / unit * math.sqrt(2)
    statistic, p = stats.friedmanchisquare(*scores.T) if np.ptp(scores, axis=1).any() else (0.0, 1.0)
    return Friedman(
        statistic=float(statistic),
        p=float(p),
        mean_ranks=ranks,
        critical_difference=float(stats.studentized_range.ppf(level, networks, np.inf)) / math.sqrt(2) * unit,
        pairs=np.asarray(stats.studentized_range.sf(gaps, networks, np.inf)),
    )


def holm(p: ArrayLike) -> Floats:
    """Holm's (1979) corrected p of M tests, `(M,)`; controls the probability of any false claim among them.

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, np.float64)  # of statsmodels, each call collects garbage: most of the time of a large report
    order, corrected = np.argsort(values), np.empty_like(values)
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    return corrected
