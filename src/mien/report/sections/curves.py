"""The section of learning curves: accuracy and loss by epoch, training beside validation."""

from collections.abc import Iterator

from ..figures import draw_curves
from ..findings import Findings
from ..parts import Section, panels

__all__ = ["sections"]


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    shown = found.shown
    if not shown:
        return
    left_out = sum(bool(row.scores) for row in found.comparison.rows) - len(shown)
    note = f"Figures show the {len(shown)} most accurate rows; the {left_out} others are in the table alone."
    yield Section(
        id="curves", title="How they learned", panels=panels(draw_curves(shown)), lead=note if left_out > 0 else ""
    )
