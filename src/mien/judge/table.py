"""The table of a comparison: one line for each row, with every score and its interval, every cost, and notes.

`build_table` makes the lines; HTML, LaTeX, Markdown, CSV and the terminal lay them out (`mien.report`). An undefined or
unmeasured value is a dash, never a 0. Bold type depends on the paired tests only.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..compare import Comparison, Row
from ..metrics import METRICS, Metric, absent_words, metric
from ..runs import Costs
from ..statistics import Interval
from ..words import DASH, NO_INTERVAL, listed
from .certainty import TESTED, Certainty, size_of_test
from .folds import resampled
from .paper import PAPER, PAPER_CORPUS, paper_notes
from .select import MOST_ROWS

__all__ = ["COLUMNS", "SCORES", "Cell", "Column", "Line", "Table", "build_table", "replicates"]

NAN = math.nan


@dataclass(frozen=True, kw_only=True)
class Column:
    """One quantity of the table."""

    key: str
    """Its name in CSV and JSON: a key of `METRICS`, or a field of `Costs`."""
    title: str
    unit: str
    digits: int = 1
    scale: float = 1.0
    """Shown values are `value * scale`; CSV and JSON hold the plain value."""
    meaning: str
    wide: bool = True
    """False: in CSV and JSON alone."""


def _of(metric: Metric) -> Column:
    return Column(
        key=metric.key,
        title=metric.title,
        unit=metric.unit,
        digits=metric.digits,
        scale=metric.scale,
        meaning=metric.meaning,
        wide=metric.place == "page",
    )


SCORES = tuple(_of(one) for one in METRICS if one.place in ("page", "files"))
COSTS = (
    Column(key="parameters", title="Params", unit="M", digits=2, scale=1e-6, meaning="weights that are trained"),
    Column(
        key="flops", title="FLOPs", unit="G", digits=2, scale=1e-9, meaning="of one face; a multiply-add counts two"
    ),
    Column(
        key="train_peak_mb",
        title="Train peak",
        unit="MB",
        digits=0,
        meaning="peak memory of the training process, the paper's “Memory”",
    ),
    Column(
        key="predict_peak_mb",
        title="Predict peak",
        unit="MB",
        digits=0,
        meaning="the same of a fresh process that predicts",
    ),
    Column(key="images_per_second", title="Speed", unit="images/s", digits=0, meaning="training faces a second"),
    Column(
        key="predict_images_per_second",
        title="Predict speed",
        unit="images/s",
        digits=0,
        meaning="predicted faces a second",
        wide=False,
    ),
    Column(key="train_seconds", title="Time", unit="s", digits=0, meaning="wall time of training", wide=False),
)
COLUMNS = (*SCORES, *COSTS)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure: the mean over seeds and its uncertainty; nan if undefined or not available."""

    value: float = NAN
    spread: float = NAN
    """Standard deviation over seeds; nan with one seed."""
    low: float = NAN
    high: float = NAN
    """The 95 % interval."""
    useful: bool = True
    """Whether the interval narrows the figure down; see `statistics.Interval.useful`."""
    best: bool = False
    """Whether it is the best of its column by the tests."""
    printed: bool = False
    """Whether it is the paper's, in the two digits it was printed with."""

    def mean(self, column: Column) -> str:
        """`84.1`, or a dash."""
        digits = 0 if self.printed else column.digits
        return _number(self.value * column.scale, digits) if math.isfinite(self.value) else DASH

    def deviation(self, column: Column) -> str:
        """`± 0.4`, or nothing."""
        return f"± {_number(self.spread * column.scale, column.digits)}" if math.isfinite(self.spread) else ""

    def text(self, column: Column) -> str:
        """`84.1 ± 0.4`, `84.1`, or a dash."""
        return f"{self.mean(column)} {self.deviation(column)}".strip()

    def interval(self, column: Column) -> str:
        """`82.8–85.4`, or an empty text; words if it is too wide to be useful."""
        if not math.isfinite(self.low):
            return ""
        if not self.useful:
            return NO_INTERVAL
        return f"{_number(self.low * column.scale, column.digits)}–{_number(self.high * column.scale, column.digits)}"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: a row of the comparison, or a network of the paper."""

    name: str
    cells: Mapping[str, Cell]
    """By column key."""
    seeds: int = 0
    factors: Mapping[str, object] = field(default_factory=dict)
    status: str = ""
    """What is missing: failed and pending runs; empty where all are finished."""
    paper: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Lines with their columns, the caption and the notes."""

    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    caption: str
    notes: tuple[str, ...]

    @property
    def wide(self) -> tuple[Column, ...]:
        """The columns that are shown to people."""
        return tuple(column for column in self.columns if column.wide)


def build_table(comparison: Comparison, certainty: Certainty | None = None) -> Table:
    """The table of a comparison; without `certainty` it has no intervals and no bold type."""
    lines = [_line(row, certainty) for row in comparison.rows]
    if comparison.data.corpus == PAPER_CORPUS:
        lines = _with_paper(comparison.rows, lines)
    return Table(
        lines=tuple(lines),
        columns=COLUMNS,
        caption=_caption(comparison, certainty),
        notes=(*_notes(comparison), *_wide_notes(lines)),
    )


def _line(row: Row, certainty: Certainty | None) -> Line:
    intervals = certainty.intervals if certainty else {}
    costs = [run.record.costs for run in row.runs]
    cells = {}
    for column in COLUMNS:
        if column in SCORES:
            values = [float(getattr(score, column.key)) for score in row.scores]
        else:
            values = [figure for cost in costs if (figure := float(getattr(cost, column.key)))]  # of those measured
        best = certainty is not None and certainty.holds(row.name, column.key)
        cells[column.key] = _cell(values, intervals.get((row.name, column.key)), best)
    return Line(name=row.name, cells=cells, seeds=len(row.scores), factors=row.factors, status=_status(row))


def _cell(values: Sequence[float], interval: Interval | None, best: bool) -> Cell:
    if not values or not np.isfinite(values).all():
        return Cell()
    mean, many = float(np.mean(values)), len(values) > 1
    spread = float(np.std(values, ddof=1)) if many and len(set(values)) > 1 else NAN
    low, high = (interval.low, interval.high) if interval else (NAN, NAN)
    useful = interval is None or interval.useful
    return Cell(value=mean, spread=spread, low=low, high=high, useful=useful, best=best)


def _status(row: Row) -> str:
    parts = list(row.failures)
    if row.pending:
        parts.append(f"{row.pending} run{'s' * (row.pending > 1)} not finished yet")
    if row.gaps:
        figures = "these seeds are left out" if row.scores else "no figures are given"
        parts.append(f"incomplete cross-validation, so {figures}: {'; '.join(row.gaps)}")
    return "; ".join(parts)


def _with_paper(rows: Sequence[Row], lines: Sequence[Line]) -> list[Line]:
    """Each network of the paper follows the last row of ours."""
    titles = [PAPER.get(row.network, ("", {}))[0] for row in rows]
    joined: list[Line] = []
    for index, (row, line, title) in enumerate(zip(rows, lines, titles, strict=True)):
        joined.append(line)
        if title and title not in titles[index + 1 :]:
            figures = PAPER[row.network][1]
            cells = {c.key: Cell(value=figures.get(c.key, NAN), printed=True) for c in COLUMNS}
            joined.append(Line(name=f"{title}, as the paper has it", cells=cells, seeds=1, paper=True))
    return joined


def _caption(comparison: Comparison, certainty: Certainty | None) -> str:
    rows = [row for row in comparison.rows if row.scores]
    if not rows:
        return "No row has figures yet."
    most, crossed = max((len(row.scores) for row in rows), default=0), bool(rows) and resampled(rows[0])
    folds = max((row.folds for row in rows), default=1)
    once = f", each of them once, in {folds} folds" if folds > 1 else ""
    parts = [f"Scores on the {size_of_test(comparison):,} test faces of {comparison.data.corpus}{once}."]
    if most > 1:
        parts.append(f"Mean ± standard deviation over {replicates(comparison)}.")
    elif crossed:
        parts.append("Each fold was trained once, so there is no standard deviation over trainings.")
    else:
        parts.append("Each row has one seed, so there is no standard deviation, and nothing is set in bold.")
    if certainty and certainty.intervals:
        over = "test subjects" if certainty.by_subject else "test faces"
        over += f" and {replicates(comparison)}" if most > 1 else ""
        parts.append(f"Below the scores: 95 % intervals over {over} (bootstrap).")
        if folds > 1 and most == 1:
            parts.append("They hold for these trained networks; new trainings would vary more.")
        if any((row.name, "accuracy") not in certainty.intervals for row in rows):
            parts.append("Some rows were not tested on the same faces, and have no intervals.")
        if len(rows) > MOST_ROWS:
            names = listed(metric(key).name for key in TESTED)
            parts.append(f"Rows beyond the {MOST_ROWS} most accurate have intervals of {names} alone.")
    if certainty and (most > 1 or crossed):
        test = "corrected resampled t-tests over folds" if crossed else "paired tests"
        bold = f"Bold: better than every other row by that column ({test}, Holm-corrected at 5 %)."
        parts.append(certainty.why_untested or bold)
    return " ".join(parts)


def replicates(comparison: Comparison) -> str:
    """The replicates of a row's scores: `seeds`, `repetitions`, or both."""
    repeats = len({run.settings.data.repeat for run in comparison.runs})
    return "seeds" if repeats == 1 else "repetitions" if len(comparison.seeds) == 1 else "seeds and repetitions"


def _notes(comparison: Comparison) -> Iterable[str]:
    labels = comparison.data.labels
    yield from _never_predicted(comparison.rows, labels)
    tested = next((test for row in comparison.rows for test in row.tests.values()), None)
    if tested is not None and (words := absent_words(labels, np.bincount(tested.labels, minlength=len(labels)))):
        yield words
    if any(not math.isfinite(score.macro_auc) for row in comparison.rows for score in row.scores):
        yield f"{DASH} undefined: the test part has a single class."
    costs = [run.record.costs for run in comparison.runs]
    if any(_unmeasured(row) for row in comparison.rows):
        yield f"{DASH} under a cost: it was not measured for any run of the row."
    batches = sorted({cost.predict_batch for cost in costs if cost.predict_batch})
    if batches:
        yield f"Predict peak is measured in a fresh process at batches of {', '.join(map(str, batches))}."
    if batches and any(run.settings.JOINS and run.settings.method != "soup" for run in comparison.runs):
        yield "The predict peak of an ensemble is the sum of its members', each measured in a process of its own."
    yield from paper_notes(comparison)


def _unmeasured(row: Row) -> bool:
    """Whether some cost was measured for none of a row's runs."""
    costs = [run.record.costs for run in row.runs]
    keys = [column.key for column in COLUMNS if column.wide and hasattr(Costs(), column.key)]
    return bool(costs) and any(not any(getattr(cost, key) for cost in costs) for key in keys)


def _never_predicted(rows: Sequence[Row], labels: Sequence[str]) -> Iterable[str]:
    """Which rows leave out which classes, in one note."""
    by_classes: dict[str, list[str]] = {}
    for row in rows:
        never = sorted({k for score in row.scores for k in score.undefined})
        if never:
            by_classes.setdefault(listed(labels[k] for k in never), []).append(row.name)
    if by_classes:
        words = (f"{listed(names)} never predict{'s' * (len(names) == 1)} {own}" for own, names in by_classes.items())
        yield f"{'; '.join(words)}: the precision of such a class is undefined and counts as 0 in the averages."


def _wide_notes(lines: Sequence[Line]) -> Iterable[str]:
    """Which rows have no useful interval, and how far it would reach."""
    for line in lines:
        cell = line.cells["accuracy"]
        if not cell.useful:
            yield (
                f"{line.name}: no useful interval of accuracy: it would reach from {100 * cell.low:.0f} to "
                f"{100 * cell.high:.0f} %. Intervals wider than 50 points are left out here; table.csv has them. "
                f"{'Run more seeds' if line.seeds > 1 else 'Test on more faces'}."
            )


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"
