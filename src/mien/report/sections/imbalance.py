"""The section of uneven classes: accuracy, UAR and calibration error, before and after adjusting the logits."""

from collections.abc import Iterator, Sequence

from ...judge.imbalance import Change, Imbalance
from ...words import DASH, percent, points
from ..findings import Findings
from ..parts import Panel, Section, SmallTable

__all__ = ["sections"]

HEADS = ("Row", "Accuracy, %", "adjusted", "change", "UAR, %", "adjusted", "change", "ECE, %", "adjusted")


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if rows := found.judgement.imbalance:
        yield Section(id="imbalance", title="What uneven classes cost", lead=_lead(rows), panels=(_table(rows),))


def _lead(rows: Sequence[Imbalance]) -> str:
    adjusted = sum(row.changes["uar"].after == row.changes["uar"].after for row in rows)
    gained = sum(row.changes["uar"].after > row.changes["uar"].before for row in rows)
    lost = sum(row.changes["accuracy"].after < row.changes["accuracy"].before for row in rows)
    return (
        f"Some classes are rarer than others in training. Subtracting the log of each class's share from the logits "
        f"needs no training (Menon et al. 2021). It raises the UAR of {gained} of {adjusted} rows, and lowers the "
        f"accuracy of {lost}."
    )


def _table(rows: Sequence[Imbalance]) -> Panel:
    return Panel(
        title="Logit adjustment after training",
        caption="The figures of each row as trained and adjusted, means over replicates. In brackets 95 % intervals of "
        "the change on the same redrawn test faces. The adjustment has no setting that was fitted (tau is 1). Accuracy "
        "counts faces, UAR counts classes; the expected calibration error (ECE) shows what the adjustment does to the "
        "probabilities. A dash: the row took the frequencies into account in training, or has no log odds to adjust.",
        table=SmallTable(name="imbalance", heads=HEADS, rows=tuple(_line(row) for row in rows)),
    )


def _line(row: Imbalance) -> tuple[str, ...]:
    ece = row.changes["ece"]
    tested = (cell for key in ("accuracy", "uar") for cell in _cells(row.changes[key]))
    return (row.name, *tested, _share(ece.before), _share(ece.after))


def _cells(change: Change) -> tuple[str, str, str]:
    difference = points(change.after - change.before, change.interval) if change.interval else DASH
    return _share(change.before), _share(change.after), difference


def _share(value: float) -> str:
    return percent(value, 1).removesuffix("\u00a0%") if value == value else DASH
