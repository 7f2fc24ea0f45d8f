"""Accuracy against its costs: training time, memory and parameters."""

from collections.abc import Sequence

import numpy as np

from .evidence import Shown
from .sheet import INK, Drawing, Sheet, in_all_forms, in_lines, legend_columns, most_columns, percent_axis

__all__ = ["draw_costs"]

AXES = (
    ("train_seconds", "training time, minutes", 60.0),
    ("train_peak_mb", "peak memory of training, MB", 1.0),
    ("parameters", "parameters, millions", 1e6),
)


@in_all_forms
def draw_costs(shown: Sequence[Shown]) -> list[Drawing]:
    """Three panels with one point for each row; costs that were not measured are left out."""
    accuracy = [[score.accuracy for score in item.row.scores] for item in shown]
    low, high = min(map(min, accuracy)), max(map(max, accuracy))
    pad = max(0.01, 0.15 * (high - low))
    lines, columns = in_lines(len(AXES), most_columns(3, 3, 1))
    top = 0.25 + 0.2 * -(-len(shown) // legend_columns())
    with Sheet(lines, columns, (2.8, 1.6), gap=(0.3, 0.5), top=top) as sheet:
        for axes, (field, title, unit) in zip(sheet.axes, AXES, strict=True):
            axes.grid(color=INK, alpha=0.1, linewidth=0.6)
            places = [_mean(item, field) / unit for item in shown]
            for item, x, y in zip(shown, places, accuracy, strict=True):
                look = item.look
                face = look.colour if look.solid else "none"
                axes.plot([x, x], [min(y), max(y)], color=look.colour, linewidth=1)
                axes.plot(x, np.mean(y), look.marker, ms=6, mec=look.colour, mfc=face, mew=1.4, ls="", label=item.name)
            axes.set_xlim(0, 1.1 * max((x for x in places if np.isfinite(x)), default=1))
            axes.set_xlabel(title)
            percent_axis(axes, max(0, low - pad), min(1, high + pad))
        for axes in sheet.axes[1:columns]:
            axes.tick_params(labelleft=False)
        sheet.axes[0].set_ylabel("accuracy on test, %")
        sheet.axes[0].legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=legend_columns(), borderaxespad=0.2, handlelength=1.2
        )
        spread = " The line through a point runs over its seeds." * any(len(y) > 1 for y in accuracy)
        return [
            sheet.finish(
                "costs",
                "Accuracy against time, memory and parameters",
                "One point for each row: higher is more accurate, further left is cheaper; filled points are rows "
                "without dropout. A network is worth its cost only if no other lies above it and to its left. The "
                "vertical axis does not start at 0. Time and memory hold for the machine named below." + spread,
            )
        ]


def _mean(item: Shown, field: str) -> float:
    values = [figure for run in item.row.runs if (figure := getattr(run.record.costs, field))]  # of those measured
    return float(np.mean(values)) if values else float("nan")
