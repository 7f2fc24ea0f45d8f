"""How sure the table is: 95 % intervals of the rows that get figures, and paired tests between few rows.

Both redraw the test faces (whole subjects where all are known) and, with several seeds, count the seeds'
spread in; see `mien.statistics`. The limits keep the report of a large grid a matter of seconds; the page says
what they leave out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..compare import Comparison
from ..runs import Logits
from ..statistics import Interval, Verdict, compare_all, face_counts, replicate, spread
from ..statistics.resampling import units
from .figures.evidence import Shown, select

__all__ = ["INTERVAL_METRICS", "MOST_TESTED", "Certainty", "assess", "size_of_test"]

INTERVAL_METRICS = ("accuracy", "uar", "macro_f1")
MOST_TESTED = 8
"""Rows up to which all pairs are tested."""
DRAWS = 1000
PAIR_DRAWS = 400


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """Intervals by row name and metric, and verdicts on accuracy."""

    intervals: Mapping[tuple[str, str], Interval]
    verdicts: tuple[Verdict, ...]
    by_subject: bool
    """Whether whole subjects were drawn, as all are known."""
    why_untested: str
    """Why there are no verdicts, in a sentence; empty where there are."""

    def holds(self, best: str) -> bool:
        """Whether a row is better than every other, and not by one seed's luck."""
        own = [v for v in self.verdicts if best in (v.a, v.b)]
        return bool(own) and all(v.seeds > 1 and v.better == ("a" if v.a == best else "b") for v in own)

    def between(self, first: str, second: str) -> Verdict | None:
        """The verdict on two rows, in either order."""
        return next((v for v in self.verdicts if {v.a, v.b} == {first, second}), None)


def assess(comparison: Comparison) -> Certainty:
    """Intervals of the rows that get figures; verdicts on all pairs where there are few enough with equal seeds."""
    shown = select(comparison.rows)
    if not shown:
        return Certainty(intervals={}, verdicts=(), by_subject=False, why_untested="No run is finished.")
    why = _obstacle(comparison, shown)
    verdicts: list[Verdict] = []
    test = shown[0].tests[0]
    if not why:
        logits = {item.name: np.stack([one.logits for one in item.tests]) for item in shown}
        generator = np.random.default_rng(0)
        verdicts = compare_all(logits, test.labels, generator, subjects=_subjects(test), draws=PAIR_DRAWS)
    return Certainty(
        intervals=_intervals(shown),
        verdicts=tuple(verdicts),
        by_subject=_subjects(test) is not None,
        why_untested=why,
    )


def size_of_test(comparison: Comparison) -> int:
    """Test faces behind a figure: of a cross-validation all folds together."""
    seen = (score.n for row in comparison.rows for score in row.scores)
    return max(seen, default=comparison.data.counts["test"])


def _obstacle(comparison: Comparison, shown: Sequence[Shown]) -> str:
    seeds = {tuple(item.row.tests) for item in shown}
    if len(shown) < 2:
        return "There is one row, so there is no difference to test."
    if len(comparison.rows) > MOST_TESTED:
        return f"Pairs are tested in comparisons of up to {MOST_TESTED} rows; this one has {len(comparison.rows)}."
    if len(seeds) > 1:
        return "The rows do not have the same finished seeds yet, so their differences were not tested."
    if any(not _same_faces(item, shown[0]) for item in shown):
        return "The rows were not tested on the same faces, so their differences were not tested."
    return ""


def _intervals(shown: Sequence[Shown]) -> dict[tuple[str, str], Interval]:
    first = shown[0].tests[0]
    subjects, n = _subjects(first), len(first.labels)
    counts = np.concatenate(list(face_counts(np.random.default_rng(0), n, DRAWS, subjects)))
    found = {}
    for item in (item for item in shown if _same_faces(item, shown[0])):
        logits = np.stack([test.logits for test in item.tests])
        for metric in INTERVAL_METRICS:
            values = [getattr(score, metric) for score in item.row.scores]
            if np.isfinite(values).all():
                draws = replicate(logits, first.labels, metric, counts)
                found[item.name, metric] = spread(values, draws, units(n, subjects)).interval()
    return found


def _same_faces(item: Shown, other: Shown) -> bool:
    return all(np.array_equal(test.ids, other.tests[0].ids) for test in item.tests)


def _subjects(test: Logits) -> NDArray[np.str_] | None:
    return test.subjects if (test.subjects != "").all() and len(np.unique(test.subjects)) > 1 else None
