"""Calibration figures: reliability diagrams, and risk against coverage."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...judge.calibration import Calibrated
from .sheet import (
    INK,
    Drawing,
    Look,
    Sheet,
    in_all_forms,
    in_lines,
    legend_columns,
    most_columns,
    name_panel,
    percent_axis,
    pt,
    second_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


__all__ = ["draw_reliability", "draw_risk_coverage"]

COLUMNS = 6, 3, 2
"""Panels side by side: on the page, in a paper, on a phone."""
LARGEST = 5.5
FEWEST = 10
"""Faces in a bin from which on the line runs through it and its interval is drawn: that of one face is all heights."""


@in_all_forms
def draw_reliability(rows: Sequence[Calibrated], looks: Mapping[str, Look]) -> list[Drawing]:
    """One panel a row: accuracy against confidence, before and after the temperature."""
    if not rows:
        return []
    lines, columns = in_lines(len(rows), most_columns(*COLUMNS))
    names = second_line()
    gap, top = (0.22, 0.52 + names), 0.6 + names
    with Sheet(lines, columns, (1.6, 1.6), gap=gap, top=top, bottom=0.48, right=0.2) as sheet:
        for index, (axes, row) in enumerate(zip(sheet.axes, rows, strict=False)):
            _panel(axes, row, looks[row.row.name])
            axes.tick_params(labelleft=index % columns == 0, labelbottom=index + columns >= len(rows))
        for axes in sheet.axes[len(rows) :]:
            axes.remove()
        sheet.axes[0].set_ylabel("accuracy, %")
        sheet.axes[(lines - 1) * columns].set_xlabel("confidence, %")
        _legend(sheet.axes[0], looks[rows[0].row.name].colour)
        several = any(len(row.row.tests) > 1 for row in rows)
        return [
            sheet.finish(
                "reliability",
                "Reliability on test, before and after temperature scaling",
                "Faces are sorted into 15 bins by the probability of the prediction (horizontal); the vertical axis "
                "is the share of correct predictions in a bin. On the diagonal the probabilities are calibrated; "
                "below it the network is overconfident. Hollow grey marks are as trained. Filled marks are after "
                "division of the logits by one temperature T, fitted on valid. Lines are Wilson's 95 % intervals, "
                "and a larger mark holds more faces. T above 1 lowers the probabilities; it never changes the "
                "predicted class." + " Seeds are pooled, and every face counts once in an interval." * several,
            )
        ]


def _panel(axes: "Axes", row: Calibrated, look: Look) -> None:
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.3, linewidth=0.6)
    for form, colour, face, alpha in ((row.before, INK, "none", 0.5), (row.after, look.colour, None, 1.0)):
        curve, filled = form.curve, form.curve.count > 0
        x, y = curve.confidence[filled], curve.accuracy[filled]
        size = 1.6 + (LARGEST - 1.6) * np.sqrt(curve.count[filled] / curve.count.sum())
        joined = curve.count[filled] >= FEWEST * len(row.row.tests)
        ends = (curve.low[filled][joined], curve.high[filled][joined])
        axes.vlines(x[joined], *ends, color=colour, alpha=alpha * 0.7, linewidth=0.9)
        axes.plot(x[joined], y[joined], color=colour, alpha=alpha * 0.8, linewidth=0.8)
        for mark in zip(x, y, size, strict=True):
            axes.plot(*mark[:2], "o", ms=mark[2], mec=colour, mfc=face or colour, mew=0.8, alpha=alpha, clip_on=False)
    percent_axis(axes)
    percent_axis(axes, axis="x")
    name_panel(axes, row.row.name, 8)
    low, high = min(row.temperatures), max(row.temperatures)
    t = f"T {low:.2f}" if low == high else f"T {low:.2f}–{high:.2f}"
    errors = (100 * form.scores["ece"].value for form in (row.before, row.after))
    axes.text(
        0.97, 0.04, f"{t}\nECE {next(errors):.1f} → {next(errors):.1f} %", ha="right", va="bottom", fontsize=pt(7)
    )


def _legend(axes: "Axes", colour: str) -> None:
    axes.plot([], [], "o-", color=INK, mfc="none", alpha=0.5, ms=4, linewidth=0.8, label="as trained")
    axes.plot([], [], "o-", color=colour, ms=4, linewidth=0.8, label="after scaling")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.16 + second_line()),
        ncols=2,
        borderaxespad=0,
        handlelength=1.6,
        fontsize=pt(7.5),
    )


@in_all_forms
def draw_risk_coverage(
    rows: Sequence[Calibrated], looks: Mapping[str, Look], coverages: Sequence[float], risk: float, *, fewest: float
) -> list[Drawing]:
    """The share of wrong answers among the surest faces, one curve a row, after scaling; `coverages (C,)`."""
    if not rows:
        return []
    x = np.asarray(coverages)
    mark = (
        "The mark is the point on test that results from the threshold chosen on valid for a risk of "
        f"{100 * risk:.0f} % (dashed). "
    )
    kept = x >= fewest
    with Sheet(1, 1, (3.9, 2.0), top=0.15 + 0.19 * -(-len(rows) // legend_columns(2))) as sheet:
        axes = sheet.axes[0]
        axes.grid(color=INK, alpha=0.1, linewidth=0.6)
        marked = any(np.isfinite(row.risk.value) for row in rows)
        if marked:
            axes.axhline(risk, color=INK, alpha=0.5, linewidth=0.7, linestyle=(0, (2, 2)))
        for row in rows:
            look = looks[row.row.name]
            axes.plot(x[kept], row.after.risk[kept], color=look.colour, ls=look.dash, lw=1.4, label=row.row.name)
            if np.isfinite(row.risk.value):
                face = look.colour if look.solid else "none"
                axes.plot(row.coverage.value, row.risk.value, look.marker, ms=6, mec=look.colour, mfc=face, mew=1.2)
        percent_axis(axes, axis="x")
        percent_axis(axes, 0.0, min(1.0, max(0.05, 1.08 * max(float(row.after.risk.max()) for row in rows))))
        axes.set_xlabel("coverage: share of faces that get an answer, %")
        axes.set_ylabel("risk: wrong answers among them, %")
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.05, 1.0),
            ncols=legend_columns(2),
            borderaxespad=0.2,
            handlelength=2.4,
            fontsize=pt(7.5),
        )
        return [
            sheet.finish(
                "risk-coverage",
                "Risk and coverage with the answer “uncertain”",
                "A network answers for the faces with the highest probability and says “uncertain” for the others. "
                "At the right it answers for all faces, further left only for the most confident ones. "
                + mark * marked
                + "The area under a curve is its AURC; lower is better. Dashed curves are rows with dropout.",
            )
        ]
