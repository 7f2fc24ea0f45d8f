"""The section on the price of peeking: honest figures beside the claims of the best epoch on the test."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...calibration import Floats
from ...judge.peeking import Peeked
from ...judge.peeking_folds import PeekedFolds
from ...metrics import metric
from ...statistics import gap_interval
from ...words import as_csv, in_percent, points, three
from ..figures import draw_peeking
from ..figures.peeking import Dumbbell, Ways, draw_peeked_folds
from ..figures.sheet import Look
from ..findings import Findings
from ..parts import Panel, Section, SmallTable

__all__ = ["peeking_section", "sections"]

ABSENT = (
    "Many published figures are those of the best epoch on the test set. “mien compare … --show-peeking --runs "
    "NEW_FOLDER” shows what that would have claimed: it judges every epoch on the test as well, into a file of its own."
)


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown:
        yield peeking_section(found.judgement.peeking, found.looks, found.judgement.peeked_folds)


def peeking_section(rows: Sequence[Peeked], looks: Mapping[str, Look], folds: Sequence[PeekedFolds] = ()) -> Section:
    """Honest figures beside claimed ones if epochs were tested; else the command that does so."""
    title = "The price of peeking"
    if not rows:
        return Section(id="peeking", title=title, lead=ABSENT, measured=False)
    drawings = draw_peeking([_dumbbell(row, looks[row.row.name]) for row in rows])
    found = [Panel(title=one.title, caption=one.caption, drawing=one, folded=bool(folds)) for one in drawings]
    files = {"peeking.csv": as_csv(("row", "metric", "run", "honest", "claimed"), _digits(rows))}
    if folds:
        files["peeked-folds.csv"] = as_csv(("row", "folds", "way", "uf1", "low", "high"), _ways_digits(folds))
    return Section(
        id="peeking",
        title=title,
        lead=_lead(rows),
        points=tuple(_folds_words(folds)),
        panels=(*_folds_panels(folds, looks), *found, _table(rows)),
        files=files,
    )


WAYS = ("honest", "best_epochs", "mean_of_bests")
"""Fields of `PeekedFolds`, in the order of the figure."""


def _folds_words(folds: Sequence[PeekedFolds]) -> Iterator[str]:
    """The claim of peeking at the held-out subjects, one sentence for each row."""
    for row in folds:
        yield (
            f"{row.row.name} has a UF1 of {in_percent(row.honest)} %, pooled over {row.folds} subjects. With the best "
            f"epoch on each held-out subject it would claim {points(row.best_gain.value, row.best_gain.interval)} "
            "points more, and as the mean of each subject's best "
            f"{points(row.mean_gain.value, row.mean_gain.interval)}."
        )


def _folds_panels(folds: Sequence[PeekedFolds], looks: Mapping[str, Look]) -> Iterator[Panel]:
    ways = [
        Ways(name=row.row.name, look=looks[row.row.name], figures=tuple(getattr(row, way) for way in WAYS))
        for row in folds
    ]
    for one in draw_peeked_folds(ways):
        yield Panel(title=one.title, caption=one.caption, drawing=one)


def _ways_digits(folds: Sequence[PeekedFolds]) -> Iterator[tuple[object, ...]]:
    for row in folds:
        for way in (*WAYS, "best_gain", "mean_gain"):
            yield row.row.name, row.folds, way, *three(getattr(row, way))


def _digits(rows: Sequence[Peeked]) -> Iterator[tuple[object, ...]]:
    for row in rows:
        for key in row.honest:
            together = zip(row.runs, row.honest[key].tolist(), row.claimed[key].tolist(), strict=True)
            for run, honest, claimed in together:
                yield row.row.name, key, run, honest, claimed


def _lead(rows: Sequence[Peeked]) -> str:
    gaps = np.concatenate([row.gap("accuracy") for row in rows])
    interval = gap_interval(gaps)
    words = (
        f" (95 % interval {100 * interval.low:.1f} to {100 * interval.high:.1f}, over {len(gaps)} runs)"
        if math.isfinite(interval.high)
        else ""
    )
    return (
        f"Choosing the epoch by the test, as much published work does, would have claimed {100 * gaps.mean():.1f} "
        f"points of accuracy more than these networks have{words}. That gain is chosen on the faces that it is "
        f"measured on; new faces would not show it. {_leaders(rows)}"
    ).strip()


def _leaders(rows: Sequence[Peeked]) -> str:
    if len(rows) < 2:
        return ""
    honest, claimed = (
        max(rows, key=lambda row: float(form(row)["accuracy"].mean())).row.name for form in (_honest, _claimed)
    )
    if honest == claimed:
        return f"Either way, {honest} comes first."
    return f"It would also have named {claimed} as the best, where {honest} has the best honest figure."


def _dumbbell(row: Peeked, look: Look) -> Dumbbell:
    return Dumbbell(
        name=row.row.name,
        look=look,
        honest=row.honest["accuracy"].tolist(),
        claimed=row.claimed["accuracy"].tolist(),
    )


def _table(rows: Sequence[Peeked]) -> Panel:
    heads = ["Row", "Runs"]
    for key in rows[0].honest:
        heads += [f"{metric(key).title}, honest → peeking, %", "gap, points"]
    lines = [(row.row.name, f"{len(row.gap('accuracy'))}", *_cells([row])) for row in rows]
    if len(rows) > 1:
        lines.append(("all rows", f"{sum(len(row.gap('accuracy')) for row in rows)}", *_cells(rows)))
    return Panel(
        title="What best-epoch-on-test would have claimed",
        folded=True,
        caption="Means over runs (seeds, and folds where there are any). Honest is the epoch that was kept, as in "
        "Table 1. Peeking is the best epoch on the test, chosen for each metric separately. The kept epoch was "
        "chosen by accuracy on valid, so the gaps of UAR and macro F1 also contain the effect of choosing by "
        "another metric. Brackets hold the 95 % interval of the mean gap over runs. Its model is that a run "
        "gains nothing or an exponentially distributed amount. With few runs it is wide, and where no run gained "
        "it has no upper end.",
        table=SmallTable(name="peeking", heads=tuple(heads), rows=tuple(lines)),
    )


def _cells(rows: Sequence[Peeked]) -> Iterator[str]:
    for key in rows[0].honest:
        honest, claimed = (np.concatenate([form(row)[key] for row in rows]) for form in (_honest, _claimed))
        interval = gap_interval(claimed - honest)
        yield f"{100 * honest.mean():.1f} → {100 * claimed.mean():.1f}"
        high = f"{100 * interval.high:.1f}" if math.isfinite(interval.high) else "?"
        within = f" [{100 * interval.low:.1f}–{high}]" if math.isfinite(interval.low) else ""
        yield f"+{100 * (claimed - honest).mean():.1f}{within}"


def _honest(row: Peeked) -> Mapping[str, Floats]:
    return row.honest


def _claimed(row: Peeked) -> Mapping[str, Floats]:
    return row.claimed
