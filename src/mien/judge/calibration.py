r"""Calibration of a row, as trained and after temperature scaling; risk and coverage with the answer "uncertain".

The temperature (Guo 2017) of every run is fitted on its validation part and applied to its test part, fold by fold
in a cross-validation. Calibration error on redrawn faces keeps the bins of the original faces. Few faces in a bin make
the error too high, so the lower end of its interval is moved down by the estimated bias (`upward_bias`). The threshold
of "uncertain" is chosen on valid as well, so coverage and risk on test are those of a user.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..calibration import (
    Floats,
    Reliability,
    binned_gaps,
    fit_temperature,
    reliability,
    risk_coverage,
    softmax,
    upward_bias,
    wilson,
)
from ..metrics import METRICS, Predicted, metric
from ..rows import Replicate, Row
from ..runs import Logits
from ..statistics import Interval
from ..statistics.estimates import Estimate, mean, share, spreads
from .certainty import known_subjects
from .select import predictions

__all__ = ["BINS", "RISK", "SCORES", "Calibrated", "Probabilities", "calibrate", "calibrate_by"]

BINS = 15
RISK = 0.1
"""The risk that the threshold of "uncertain" is chosen for: one wrong answer in ten."""
BINNED, AREA = ("ece", "ece_mass"), "aurc"
"""Metrics that are redrawn by methods of their own; the others are means over faces."""
SCORES = tuple(one for one in METRICS if one.place == "probabilities")
"""The scores of probabilities."""
LOSSES = tuple(one for one in SCORES if one.of == "face")
DRAWN = (*BINNED, *(one.key for one in LOSSES), AREA)
"""Metrics with intervals, in the order in which they are redrawn."""
DRAWS, SLOW_DRAWS = 400, 200
MOST_SLOW = 2000
"""Draws of the area under the curve, over all seeds of a row; a row of many seeds takes fewer of each."""
COVERAGES = np.arange(2, 101) / 100
UNKNOWN = Estimate(
    value=math.nan, interval=Interval(low=math.nan, high=math.nan, level=0.95, method="no threshold was chosen")
)


@dataclass(frozen=True, kw_only=True)
class Probabilities:
    """The quality of a row's probabilities, before or after temperature scaling; estimates are means over seeds."""

    scores: dict[str, Estimate]
    """By the keys of `SCORES`."""
    curve: Reliability
    """All seeds pooled; its intervals count every face once."""
    risk: Floats
    """Share of wrong answers at each of `COVERAGES`, mean over seeds."""


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """One row."""

    row: Row
    temperatures: tuple[float, ...]
    """The temperature of each run."""
    before: Probabilities
    after: Probabilities
    threshold: float
    """Mean over runs of the confidence below which the answer is "uncertain"; nan if no threshold keeps the risk."""
    coverage: Estimate
    """Share of test faces answered at that threshold."""
    risk: Estimate
    """Share of wrong answers among those; nan where none is answered."""
    risk_of_all: Estimate
    """Share of wrong answers where every face is answered."""


@dataclass(frozen=True, kw_only=True)
class _Replicate:
    """One seed: test logits `(n, K)` as trained and scaled, labels, and each face's threshold."""

    raw: Floats
    scaled: Floats
    labels: NDArray[np.int64]
    threshold: Floats


def calibrate(row: Row) -> Calibrated | None:
    """The calibration of a row; None if a run has no validation logits, which the temperature is fitted to."""
    temperatures: list[float] = []
    thresholds: list[float] = []
    replicates = list(_replicates(row, temperatures, thresholds))
    if not replicates:
        return None
    finite = [t for t in thresholds if math.isfinite(t)]
    found = _calibrated(row, replicates, temperatures)
    return replace(found, threshold=float(np.mean(finite)) if finite else math.nan)


def calibrate_by(row: Row, temperature: float) -> Calibrated:
    """The calibration of a row of one replicate at a temperature that was fitted elsewhere.

    No threshold of "uncertain" is chosen, so it, its coverage and its risk are nan.
    """
    test = predictions(row)[0]
    raw = test.logits.astype(np.float64)
    every = np.zeros(len(test.labels))
    one = _Replicate(raw=raw, scaled=raw / temperature, labels=test.labels, threshold=every)
    found = _calibrated(row, [one], [temperature])
    return replace(found, coverage=UNKNOWN, risk=UNKNOWN)


def _calibrated(row: Row, replicates: Sequence[_Replicate], temperatures: Sequence[float]) -> Calibrated:
    """All but the threshold, which is nan."""
    subjects = known_subjects(predictions(row)[0])
    coverage, risk, risk_of_all = _answered(replicates, subjects)
    return Calibrated(
        row=row,
        temperatures=tuple(temperatures),
        before=_probabilities([one.raw for one in replicates], replicates[0].labels, subjects),
        after=_probabilities([one.scaled for one in replicates], replicates[0].labels, subjects),
        threshold=math.nan,
        coverage=coverage,
        risk=risk,
        risk_of_all=risk_of_all,
    )


def _replicates(row: Row, temperatures: list[float], thresholds: list[float]) -> Iterator[_Replicate]:
    """Each seed with its temperatures and thresholds, which are also noted in the two lists."""
    for key, test in row.tests.items():
        valids = row.valids[key]
        if any(not len(valid.labels) for valid in valids):
            return
        scale, threshold = np.empty(len(test.labels)), np.empty(len(test.labels))
        for valid, faces in zip(valids, _faces_of_folds(row, key, test), strict=True):
            t = fit_temperature(valid.logits, valid.labels)
            limit = _threshold(valid.logits.astype(np.float64) / t, valid.labels)
            scale[faces], threshold[faces] = t, limit
            temperatures.append(t)
            thresholds.append(limit)
        raw = test.logits.astype(np.float64)
        yield _Replicate(raw=raw, scaled=raw / scale[:, None], labels=test.labels, threshold=threshold)


def _faces_of_folds(row: Row, key: Replicate, test: Logits) -> Iterator[NDArray[np.int64] | slice]:
    """Which of the pooled test faces each fold of a replicate judged, in the order of `Row.valids`."""
    if row.folds == 1:
        yield slice(None)
        return
    for run in row.replicates[key]:
        yield np.searchsorted(test.ids, run.logits("test").ids)


def _threshold(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The lowest confidence at which at most `RISK` of valid's answers are wrong; inf if there is none."""
    probs = softmax(logits)
    curve = risk_coverage(probs.max(axis=1), probs.argmax(axis=1) == labels)
    fine = np.flatnonzero(curve.risk <= RISK)
    return float(curve.threshold[fine[-1]]) if len(fine) else math.inf


def _probabilities(
    logits: Sequence[Floats], labels: NDArray[np.int64], subjects: NDArray[np.str_] | None
) -> Probabilities:
    each = [_PerFace(z, labels) for z in logits]
    n = len(labels)

    def means(counts: NDArray[np.float32]) -> Floats:
        return np.stack([one.means(counts) for one in each], axis=1)

    def areas(counts: NDArray[np.float32]) -> Floats:
        return np.stack([one.area(counts) for one in each], axis=1)[:, :, None]

    found = [*spreads(means, n, np.random.default_rng(0), subjects=subjects, draws=DRAWS)]
    few = min(SLOW_DRAWS, max(MOST_SLOW // len(each), 80))
    found += spreads(areas, n, np.random.default_rng(0), subjects=subjects, draws=few)
    conf = np.concatenate([one.confidence for one in each])
    right = np.concatenate([one.right for one in each])
    scores = {name: mean(figure, bounds=metric(name).bounds) for name, figure in zip(DRAWN, found, strict=True)}
    biases = np.mean([one.upward_biases(subjects) for one in each], axis=0).tolist()
    for name, bias in zip(BINNED, biases, strict=True):
        scores[name] = _lowered(scores[name], bias)
    return Probabilities(
        scores=scores,
        curve=_each_face_once(reliability(conf, right, BINS), len(each)),
        risk=np.mean([one.risk for one in each], axis=0),
    )


def _lowered(figure: Estimate, bias: float) -> Estimate:
    """The figure with the lower end of its interval moved down by the bias, but not below 0."""
    low = max(figure.interval.low - bias, 0.0)
    return replace(figure, interval=replace(figure.interval, low=low))


class _PerFace:
    """One seed's figures face by face, ready to be summed over any draw."""

    def __init__(self, logits: Floats, labels: NDArray[np.int64]) -> None:
        probs = softmax(logits)
        self.confidence, self.right = probs.max(axis=1), probs.argmax(axis=1) == labels
        by_width, by_mass = (binned_gaps(self.confidence, self.right, BINS, by) for by in ("width", "mass"))
        seen = Predicted(logits, labels)
        losses = [one.function(seen) for one in LOSSES]
        self._columns = np.column_stack([by_width, by_mass, *losses])
        self._short = self._columns.astype(np.float32)
        self._order = np.argsort(-self.confidence, kind="stable")
        curve = risk_coverage(self.confidence, self.right)
        self._aurc = curve.aurc
        self.risk = np.interp(COVERAGES, curve.coverage, curve.risk)

    def means(self, counts: NDArray[np.float32]) -> Floats:
        """Both calibration errors and the mean losses of each draw, `(B, 2 + L)`.

        The faces as they are, one draw, are summed in float64; the many draws in float32, which is enough for a
        variance.
        """
        one = len(counts) == 1
        sums = (counts.astype(np.float64) @ self._columns if one else counts @ self._short).astype(np.float64)
        sums /= counts.sum(axis=1, keepdims=True, dtype=np.float64)
        width, mass = (np.abs(sums[:, i * BINS : (i + 1) * BINS]).sum(axis=1) for i in (0, 1))
        return np.column_stack([width, mass, sums[:, 2 * BINS :]])

    def upward_biases(self, subjects: NDArray[np.str_] | None) -> Floats:
        """The upward bias of both calibration errors, `(2,)`."""
        return np.array([upward_bias(self._columns[:, i * BINS : (i + 1) * BINS], subjects) for i in (0, 1)])

    def area(self, counts: NDArray[np.float32]) -> Floats:
        """The area under the risk-coverage curve of each draw, `(B,)`; copies of one face come together."""
        if len(counts) == 1 and (counts == 1).all():
            return np.array([self._aurc])
        drawn = counts[:, self._order]
        answered = np.maximum(drawn.cumsum(axis=1), 1)
        wrong = (drawn * ~self.right[self._order]).cumsum(axis=1)
        return np.asarray((drawn * (wrong / answered)).sum(axis=1) / counts.sum(axis=1), np.float64)


def _each_face_once(curve: Reliability, seeds: int) -> Reliability:
    """Pooled seeds repeat the same faces, so the intervals count each face once."""
    low, high = wilson(np.nan_to_num(curve.accuracy) * curve.count / seeds, curve.count / seeds)
    return Reliability(confidence=curve.confidence, accuracy=curve.accuracy, count=curve.count, low=low, high=high)


def _answered(
    replicates: Sequence[_Replicate], subjects: NDArray[np.str_] | None
) -> tuple[Estimate, Estimate, Estimate]:
    """Coverage and risk at the thresholds, and the risk of answering all."""
    n = len(replicates[0].labels)
    columns = []
    for one in replicates:
        probs = softmax(one.scaled)
        answered, wrong = probs.max(axis=1) >= one.threshold, probs.argmax(axis=1) != one.labels
        columns.append(np.column_stack([answered, answered & wrong, wrong]).astype(np.float32))

    def statistic(counts: NDArray[np.float32]) -> Floats:
        sums = np.stack([counts @ column for column in columns], axis=1).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            risk = sums[:, :, 1] / sums[:, :, 0]
        size = counts.sum(axis=1)[:, None]
        return np.stack([sums[:, :, 0] / size, risk, sums[:, :, 2] / size], axis=2)

    coverage, risk, of_all = spreads(statistic, n, np.random.default_rng(0), subjects=subjects, draws=DRAWS)
    many = round(float(np.mean([column[:, 0].sum() for column in columns])))
    return share(coverage, n), share(risk, max(many, 1)), share(of_all, n)
