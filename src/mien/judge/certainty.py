"""95 % intervals of the rows that get figures, and the paired tests that a reader would ask for.

The test faces (whole subjects where all are known) are redrawn once for all rows, seeds and metrics, so every
difference is paired; with several seeds, their variance is included (see `mien.statistics`). `questions` selects the
pairs. A pair that cannot be tested is named with its reason, and the others are tested.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats, wilson
from ..compare import Comparison, Row
from ..metrics import metric
from ..runs import Logits
from ..statistics import Interval, spread
from ..statistics.estimates import Estimate, one_spread, share
from ..statistics.resampling import Units, known, units
from ..statistics.verdicts import corrected
from .contrasts import Contrast, contrasts
from .paired import LEVEL, Paired
from .pairs import Pair, together
from .questions import Question, asked_words, questions
from .redrawn import DRAWS, TESTED, Redrawn, redraw
from .replicates import is_random, shared
from .select import predictions, select

__all__ = ["DRAWS", "TESTED", "Certainty", "Untested", "assess", "known_subjects", "size_of_test"]


@dataclass(frozen=True, kw_only=True)
class Untested:
    """A requested difference that could not be tested, or a row that cannot be tested at all."""

    rows: tuple[str, ...]
    """The names of the pair, or of the one row."""
    reason: str
    """In a sentence."""

    @property
    def sentence(self) -> str:
        """`vgg16 − resnet34: they share no finished seed.`"""
        return f"{' − '.join(self.rows)}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """Intervals by row name and metric, recalls by row name, and the verdict on each pair."""

    intervals: Mapping[tuple[str, str], Interval]
    """Intervals of every metric for rows that get figures, of the metrics of `TESTED` for the others."""
    recalls: Mapping[str, tuple[Estimate, ...]]
    """One for each class; nan for a class without test faces."""
    f1: Mapping[str, tuple[Estimate, ...]]
    """The same of F1."""
    pairs: tuple[Pair, ...]
    """The pairs that were asked for and could be tested, by each metric of `TESTED` in turn."""
    by_subject: bool
    """Whether whole subjects were drawn, as all are known."""
    why_untested: str
    """The reason why there are no pairs, in a sentence; empty if there are pairs."""
    contrasts: tuple[Contrast, ...] = ()
    """What each setting changes over all networks, by each metric of `TESTED` in turn."""
    asked: str = ""
    """Which pairs were asked for, in words: `all 15 pairs of rows`."""
    untested: tuple[Untested, ...] = ()
    """What could not be tested, each with its reason."""
    rows: tuple[str, ...] = ()
    """The names of all rows with figures."""

    def of(self, metric: str) -> list[Pair]:
        """The pairs of a metric, in the table's order."""
        return [pair for pair in self.pairs if pair.metric == metric]

    def holds(self, best: str, metric: str = "accuracy") -> bool:
        """Whether a row is significantly better than every other, with the variance of training included."""
        own = [pair for pair in self.of(metric) if best in (pair.a, pair.b)]
        beaten = {name for pair in own if pair.settled == best for name in (pair.a, pair.b)}
        return bool(own) and beaten >= set(self.rows)

    def between(self, first: str, second: str, metric: str = "accuracy") -> Pair | None:
        """The verdict on two rows, in either order; None if it was not requested or could not be tested."""
        return next((pair for pair in self.of(metric) if {pair.a, pair.b} == {first, second}), None)


def assess(comparison: Comparison) -> Certainty:
    """Intervals of the rows that get figures, and verdicts on the selected pairs of all rows."""
    able = [row for row in comparison.rows if row.scores]
    if not able:
        why = "No row has figures yet."
        return Certainty(intervals={}, recalls={}, f1={}, pairs=(), by_subject=False, why_untested=why)
    chosen = select(able)
    test = predictions(chosen[0])[0]
    subjects = known_subjects(test)
    total = units(len(test.labels), subjects)
    judges = [Paired(metric=key, units=total) for key in TESTED]
    alike = [row for row in able if _same_faces(row, test)]
    shown = redraw([row for row in alike if row in chosen], subjects)
    drawn = _in_order(alike, [*shown, *_others(alike, shown, subjects)])
    asked = questions(able, comparison.factors)
    tests = [one for one in asked if not _obstacle(one, test)]
    pairs = tuple(pair for judge in judges for pair in _pairs(tests, drawn, judge))
    return Certainty(
        intervals={key: interval for row in drawn.values() for key, interval in _intervals(row, total)},
        recalls={row.name: _recalls(row, total) for row in shown},
        f1={row.name: _by_class(row.f1, predictions(row.row)[0], total) for row in shown},
        pairs=pairs,
        by_subject=subjects is not None,
        why_untested="" if pairs else _why_nothing(able, asked),
        contrasts=tuple(one for judge in judges for one in contrasts(list(drawn.values()), comparison.factors, judge)),
        asked=asked_words(asked, able),
        untested=(*_without_figures(comparison), *_untested(asked, test), *_undefined(drawn.values())),
        rows=tuple(row.name for row in able),
    )


def size_of_test(comparison: Comparison) -> int:
    """Number of test faces behind a figure; for a cross-validation, of all folds together."""
    seen = (score.n for row in comparison.rows for score in row.scores)
    return max(seen, default=comparison.data.counts["test"])


def known_subjects(test: Logits) -> NDArray[np.str_] | None:
    """The subjects `(n,)` where all are known and there are several, else None."""
    return known(test.subjects) if len(np.unique(test.subjects)) > 1 else None


# Which questions can be tested


def _others(rows: Sequence[Row], shown: Sequence[Redrawn], subjects: NDArray[np.str_] | None) -> list[Redrawn]:
    """The rows without figures on the same draws, by the tested metrics alone."""
    names = {one.name for one in shown}
    left = [row for row in rows if row.name not in names]
    return redraw(left, subjects, TESTED) if left else []


def _in_order(rows: Sequence[Row], drawn: Sequence[Redrawn]) -> dict[str, Redrawn]:
    by_name = {one.name: one for one in drawn}
    return {row.name: by_name[row.name] for row in rows}


def _why_nothing(rows: Sequence[Row], asked: Sequence[Question]) -> str:
    if len(rows) < 2:
        return "There is only one row, so nothing was compared."
    if not asked:
        return "No two rows differ in one factor alone, so no difference was tested."
    return "None of the differences could be tested."


def _obstacle(one: Question, test: Logits) -> str:
    """The reason why a pair cannot be tested, in a sentence; empty if it can be."""
    if not all(_same_faces(row, test) for row in (one.first, one.second)):
        return "they were not tested on the same faces."
    return "" if shared((one.first, one.second)) else "they share no finished seed."


def _untested(asked: Sequence[Question], test: Logits) -> Iterator[Untested]:
    for one in asked:
        if reason := _obstacle(one, test):
            yield Untested(rows=(one.first.name, one.second.name), reason=reason)


def _without_figures(comparison: Comparison) -> Iterator[Untested]:
    return (Untested(rows=(row.name,), reason="it has no figures yet.") for row in comparison.rows if not row.scores)


def _undefined(rows: Iterable[Redrawn]) -> Iterator[Untested]:
    for row in rows:
        for key in TESTED:
            if not _defined(row, key):
                yield Untested(rows=(row.name,), reason=f"its {metric(key).name} is undefined on these faces.")


def _defined(row: Redrawn, key: str) -> bool:
    return bool(np.isfinite(row.metrics[key][0]).all())


def _pairs(asked: Sequence[Question], drawn: Mapping[str, Redrawn], judge: Paired) -> list[Pair]:
    """The pairs of one metric, corrected together."""
    couples = [(drawn[one.first.name], drawn[one.second.name]) for one in asked]
    couples = [two for two in couples if all(_defined(row, judge.metric) for row in two)]
    keys = [shared([row.row for row in two]) for two in couples]
    ready = list(zip(couples, keys, strict=True))
    verdicts = [judge.verdict([two], own, (two[0].name, two[1].name)) for two, own in ready]
    folds = [judge.over_folds([two], own, len(couples)) for two, own in ready]
    return together(corrected(verdicts), folds, [any(is_random(row.row) for row in two) for two in couples])


def _same_faces(row: Row, test: Logits) -> bool:
    return all(np.array_equal(own.ids, test.ids) for own in row.tests.values())


# Intervals


def _intervals(row: Redrawn, total: Units) -> list[tuple[tuple[str, str], Interval]]:
    return [
        ((row.name, key), spread(table[0], table[1:], total).interval(LEVEL, metric(key).bounds))
        for key, table in row.metrics.items()
        if np.isfinite(table[0]).all()
    ]


def _recalls(row: Redrawn, total: Units) -> tuple[Estimate, ...]:
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


def _by_class(table: Floats, test: Logits, total: Units) -> tuple[Estimate, ...]:
    """Wilson's interval at the effective number of the class's faces, for each column of a table as in `Redrawn`."""
    support = np.bincount(test.labels, minlength=table.shape[2]).tolist()
    return tuple(
        share(one_spread(table[0, :, k], table[1:, :, k], replace(total, count=min(n, total.count))), n, LEVEL)
        for k, n in enumerate(support)
    )
