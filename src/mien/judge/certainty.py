"""How sure the table is: 95 % intervals of the rows that get figures, and paired tests between few rows.

The test faces (whole subjects where all are known) are redrawn once for all rows, seeds and metrics, so every
difference is paired; with several seeds their spread counts in; see `mien.statistics`. The limit on tested rows
keeps a report readable; the page says what it leaves out.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats, wilson
from ..compare import Comparison
from ..rows import Row
from ..runs import Logits
from ..statistics import SHARE, Interval, mcnemar, spread
from ..statistics.estimates import Estimate, one_spread, share
from ..statistics.resampling import known, units
from ..statistics.verdicts import corrected, right, verdict_of
from .contrasts import Contrast, contrasts
from .folds import fold_test, folds_of, resampled
from .pairs import Pair, together
from .redrawn import DRAWS, TESTED, Redrawn, redraw
from .select import predictions, select

__all__ = [
    "DRAWS",
    "MOST_TESTED",
    "TESTED",
    "Certainty",
    "assess",
    "known_subjects",
    "size_of_test",
]

MOST_TESTED = 8
"""Rows up to which all pairs are tested."""
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """Intervals by row name and metric, recalls by row name, and what is said of each pair."""

    intervals: Mapping[tuple[str, str], Interval]
    recalls: Mapping[str, tuple[Estimate, ...]]
    """One a class; nan for a class without test faces."""
    f1: Mapping[str, tuple[Estimate, ...]]
    """The same of F1."""
    pairs: tuple[Pair, ...]
    """All pairs by each metric of `TESTED` in turn."""
    by_subject: bool
    """Whether whole subjects were drawn, as all are known."""
    why_untested: str
    """Why there are no pairs, in a sentence; empty where there are."""
    contrasts: tuple[Contrast, ...] = ()
    """What each setting changes over all networks, by each metric of `TESTED` in turn."""

    def of(self, metric: str) -> list[Pair]:
        """The pairs of a metric, in the table's order."""
        return [pair for pair in self.pairs if pair.metric == metric]

    def holds(self, best: str, metric: str = "accuracy") -> bool:
        """Whether a row is better than every other, and not by the luck of one training."""
        own = [pair for pair in self.of(metric) if best in (pair.a, pair.b)]
        return bool(own) and all(pair.settled == best for pair in own)

    def between(self, first: str, second: str, metric: str = "accuracy") -> Pair | None:
        """What is said of two rows, in either order."""
        return next((pair for pair in self.of(metric) if {pair.a, pair.b} == {first, second}), None)


def assess(comparison: Comparison) -> Certainty:
    """Intervals of the rows that get figures; verdicts on all pairs where there are few enough with equal seeds."""
    shown = select(comparison.rows)
    if not shown:
        why = "No row has figures yet."
        return Certainty(intervals={}, recalls={}, f1={}, pairs=(), by_subject=False, why_untested=why)
    test = predictions(shown[0])[0]
    subjects = known_subjects(test)
    alike = redraw([row for row in shown if _same_faces(row, shown[0])], subjects)
    why = _obstacle(comparison, shown)
    total = units(len(test.labels), subjects)
    few = len(shown) == sum(bool(row.scores) for row in comparison.rows)
    return Certainty(
        intervals={key: interval for row in alike for key, interval in _intervals(row, total)},
        recalls={row.name: _recalls(row, total) for row in alike},
        f1={row.name: _by_class(row.f1, predictions(row.row)[0], total) for row in alike},
        pairs=() if why else tuple(pair for metric in TESTED for pair in _pairs(alike, metric, total)),
        by_subject=subjects is not None,
        why_untested=why,
        contrasts=tuple(
            contrast
            for metric in TESTED
            for contrast in contrasts(alike, comparison.factors, metric, total=total, by_subject=subjects is not None)
        )
        if few
        else (),
    )


def size_of_test(comparison: Comparison) -> int:
    """Test faces behind a figure: of a cross-validation all folds together."""
    seen = (score.n for row in comparison.rows for score in row.scores)
    return max(seen, default=comparison.data.counts["test"])


def known_subjects(test: Logits) -> NDArray[np.str_] | None:
    """The subjects `(n,)` where all are known and there are several, else None."""
    return known(test.subjects) if len(np.unique(test.subjects)) > 1 else None


def _obstacle(comparison: Comparison, shown: Sequence[Row]) -> str:
    seeds = {tuple(row.tests) for row in shown}
    if len(shown) < 2:
        return "There is one row, so there is no difference to test."
    if len(comparison.rows) > MOST_TESTED:
        return f"Pairs are tested in comparisons of up to {MOST_TESTED} rows; this one has {len(comparison.rows)}."
    if len(seeds) > 1:
        return "The rows do not have the same finished seeds yet, so their differences were not tested."
    if any(not _same_faces(row, shown[0]) for row in shown):
        return "The rows were not tested on the same faces, so their differences were not tested."
    return ""


def _intervals(row: Redrawn, total: int) -> list[tuple[tuple[str, str], Interval]]:
    return [
        ((row.name, metric), spread(table[0], table[1:], total).interval(LEVEL, SHARE))
        for metric, table in row.metrics.items()
        if np.isfinite(table[0]).all()
    ]


def _recalls(row: Redrawn, total: int) -> tuple[Estimate, ...]:
    """Wilson's interval of each class's recall: the plain one for one seed, else with effective numbers."""
    test = predictions(row.row)[0]
    if row.recalls.shape[1] > 1 or known_subjects(test) is not None:
        return _by_class(row.recalls, test, total)
    support = np.bincount(test.labels, minlength=row.recalls.shape[2])
    low, high = wilson(row.recalls[0, 0] * support, support, LEVEL)
    return tuple(
        Estimate(value=value, interval=Interval(low=a, high=b, level=LEVEL, method="Wilson"))
        for value, a, b in zip(row.recalls[0, 0].tolist(), low.tolist(), high.tolist(), strict=True)
    )


def _by_class(table: Floats, test: Logits, total: int) -> tuple[Estimate, ...]:
    """Wilson's interval at the effective number of the class's faces, for each column of a table as in `Redrawn`."""
    support = np.bincount(test.labels, minlength=table.shape[2]).tolist()
    return tuple(
        share(one_spread(table[0, :, k], table[1:, :, k], min(n, total)), n, LEVEL) for k, n in enumerate(support)
    )


def _pairs(rows: Sequence[Redrawn], metric: str, total: int) -> list[Pair]:
    if not all(np.isfinite(row.metrics[metric][0]).all() for row in rows):
        return []
    folded = {row.name: folds_of(row.row, (metric,)) for row in rows if resampled(row.row)}
    couples = list(itertools.combinations(rows, 2))
    generator = np.random.default_rng(0)
    verdicts = []
    for a, b in couples:
        difference = a.metrics[metric] - b.metrics[metric]
        tests = [predictions(row.row) for row in (a, b)]
        verdicts.append(
            verdict_of(
                spread(difference[0], difference[1:], total),
                difference[0],
                generator,
                names=(a.name, b.name),
                metric=metric,
                n=len(tests[0][0].labels),
                split=mcnemar(*(right(one[0].logits, one[0].labels) for one in tests)) if len(tests[0]) == 1 else None,
                by_subject=known_subjects(tests[0][0]) is not None,
                level=LEVEL,
            )
        )
    tests_of_folds = [
        fold_test(folded[a.name], folded[b.name], metric, pairs=len(couples), level=LEVEL) if folded else None
        for a, b in couples
    ]
    return together(corrected(verdicts), tests_of_folds)


def _same_faces(row: Row, other: Row) -> bool:
    faces = predictions(other)[0].ids
    return all(np.array_equal(test.ids, faces) for test in row.tests.values())
