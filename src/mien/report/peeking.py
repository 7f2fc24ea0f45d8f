"""The price of peeking: the figure of the epoch chosen on valid, beside the best epoch on the test.

Much of what is published is the best epoch *on the test set*. `mien compare --show-peeking` keeps every epoch's
figures on the test in a file of its own; no other figure of the report is taken from it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..calibration import Floats
from ..metrics import scores
from ..statistics import gap_interval
from ..words import as_csv
from .certainty import METRIC_NAMES
from .figures import Shown, draw_peeking
from .figures.peeking import Dumbbell
from .parts import Panel, Section, SmallTable

__all__ = ["Peeked", "peeked", "peeked_rows", "peeking_section"]

ABSENT = (
    "Many published figures are those of the best epoch on the test set. Nobody peeked in these runs, so what that "
    "would have claimed here is not known. To see it on your own runs: mien compare … --show-peeking --runs "
    "NEW_FOLDER judges every epoch on the test as well, into a file of its own that no other figure is taken from."
)


@dataclass(frozen=True, kw_only=True)
class Peeked:
    """One row's runs that were also judged at every epoch; arrays `(R,)` by metric."""

    item: Shown
    runs: tuple[str, ...]
    """Their ids."""
    honest: Mapping[str, Floats]
    """On test, at the epoch that the run had chosen."""
    claimed: Mapping[str, Floats]
    """On test, at the epoch that is best there by this metric."""

    def gap(self, metric: str) -> Floats:
        """What peeking adds, run by run."""
        return self.claimed[metric] - self.honest[metric]


def peeked(item: Shown) -> Peeked | None:
    """The row's runs with `peeking.csv`; None where there is none."""
    runs = [(run, table) for run in item.row.runs if (table := run.peeking)]
    if not runs:
        return None
    tests = [run.logits("test") for run, _ in runs]
    own = [scores(test.logits, test.labels) for test in tests]
    return Peeked(
        item=item,
        runs=tuple(run.id for run, _ in runs),
        honest={metric: np.array([getattr(one, metric) for one in own]) for metric in METRIC_NAMES},
        claimed={metric: np.array([table[metric].max() for _, table in runs]) for metric in METRIC_NAMES},
    )


def peeked_rows(shown: Sequence[Shown]) -> tuple[Peeked, ...]:
    """All rows that somebody peeked at."""
    return tuple(row for row in map(peeked, shown) if row)


def peeking_section(rows: Sequence[Peeked]) -> Section:
    """Honest beside claimed, where runs were peeked at; else how to get it."""
    title = "The price of peeking"
    if not rows:
        return Section(id="peeking", title=title, lead=ABSENT)
    drawings = draw_peeking([_dumbbell(row) for row in rows])
    found = [Panel(title=one.title, caption=one.caption, drawing=one) for one in drawings]
    files = {"peeking.csv": as_csv(("row", "metric", "run", "honest", "claimed"), _digits(rows))}
    return Section(id="peeking", title=title, lead=_lead(rows), panels=(*found, _table(rows)), files=files)


def _digits(rows: Sequence[Peeked]) -> Iterator[tuple[object, ...]]:
    for row in rows:
        for metric in METRIC_NAMES:
            together = zip(row.runs, row.honest[metric].tolist(), row.claimed[metric].tolist(), strict=True)
            for run, honest, claimed in together:
                yield row.item.name, metric, run, honest, claimed


def _lead(rows: Sequence[Peeked]) -> str:
    gaps = np.concatenate([row.gap("accuracy") for row in rows])
    interval = gap_interval(gaps)
    words = (
        f" (95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f}, over {len(gaps)} runs)"
        if math.isfinite(interval.high)
        else ""
    )
    return (
        "Choosing the epoch by the test, as much published work does, would have claimed "
        f"{100 * gaps.mean():.1f} points of accuracy more than these networks have{words}. The claim is chosen on "
        f"the very faces that judge it; on new faces it would not come back. {_leaders(rows)}"
    ).strip()


def _leaders(rows: Sequence[Peeked]) -> str:
    if len(rows) < 2:
        return ""
    honest, claimed = (
        max(rows, key=lambda row: float(form(row)["accuracy"].mean())).item.name for form in (_honest, _claimed)
    )
    if honest == claimed:
        return f"Either way, {honest} comes first."
    return f"It would also have named {claimed} as the best, where {honest} has the best honest figure."


def _dumbbell(row: Peeked) -> Dumbbell:
    return Dumbbell(
        name=row.item.name,
        look=row.item.look,
        honest=row.honest["accuracy"].tolist(),
        claimed=row.claimed["accuracy"].tolist(),
    )


def _table(rows: Sequence[Peeked]) -> Panel:
    heads = ["Row", "Runs"]
    for name in METRIC_NAMES.values():
        head = name[0].upper() + name[1:]
        heads += [f"{head}, honest → peeking, %", "gap, points"]
    lines = [(row.item.name, f"{len(row.gap('accuracy'))}", *_cells([row])) for row in rows]
    if len(rows) > 1:
        lines.append(("all rows", f"{sum(len(row.gap('accuracy')) for row in rows)}", *_cells(rows)))
    return Panel(
        title="What best-epoch-on-test would have claimed",
        caption="Means over runs (seeds, and folds where there are any). Honest is the epoch that was kept, as in "
        "Table 1; peeking is the best epoch on the test, for each metric its own. The kept epoch was chosen by "
        "accuracy on valid, so the gaps of UAR and macro F1 also hold what choosing by these would give. In brackets "
        "the 95 % interval of the mean gap over runs, which are taken to gain nothing or an exponential amount, all "
        "alike; few runs leave it wide, and where none gained it has no upper end.",
        table=SmallTable(name="peeking", heads=tuple(heads), rows=tuple(lines)),
    )


def _cells(rows: Sequence[Peeked]) -> Iterator[str]:
    for metric in METRIC_NAMES:
        honest, claimed = (np.concatenate([form(row)[metric] for row in rows]) for form in (_honest, _claimed))
        interval = gap_interval(claimed - honest)
        yield f"{100 * honest.mean():.1f} → {100 * claimed.mean():.1f}"
        high = f"{100 * interval.high:.1f}" if math.isfinite(interval.high) else "?"
        within = f" [{100 * interval.low:.1f}–{high}]" if math.isfinite(interval.low) else ""
        yield f"+{100 * (claimed - honest).mean():.1f}{within}"


def _honest(row: Peeked) -> Mapping[str, Floats]:
    return row.honest


def _claimed(row: Peeked) -> Mapping[str, Floats]:
    return row.claimed
