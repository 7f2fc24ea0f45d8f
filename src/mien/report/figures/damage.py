"""Accuracy on damaged faces: one panel for each corruption, one line for each row."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...examine.corruptions import SEVERITIES
from ...examine.robustness import Damage
from .sheet import INK, Drawing, Look, Sheet, in_all_forms, in_lines, most_columns, percent_axis, pt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["corruption_name", "dot", "draw_damage", "name_rows"]

COLUMNS = 6, 3, 3
"""Panels side by side: on the page, in a paper, on a phone."""
DODGE, WIDEST = 0.13, 1.2
"""Severities between the intervals of neighbouring rows, so that they stand beside one another, and of all of them."""
CROWD = 8
"""Rows from which the legend is set in smaller letters."""


def corruption_name(corruption: str) -> str:
    """`occluded eyes`: a corruption's name for people."""
    return corruption.replace("_", " ")


@in_all_forms
def draw_damage(damages: Sequence[Damage], looks: Mapping[str, Look]) -> list[Drawing]:
    """Small multiples of accuracy against severity, 0 being the face as it is; looks by row name."""
    kinds = damages[0].corruptions
    lines, columns = in_lines(len(kinds) + 1, most_columns(*COLUMNS))
    dodge = min(DODGE, WIDEST / len(damages))
    shown = [e.value for one in damages for e in (one.clean, *(cell for kind in one.accuracy for cell in kind))]
    ends = [e.interval for one in damages for e in (one.clean, *(kind[-1] for kind in one.accuracy))]
    low = np.floor(10 * min(*shown, *(end.low for end in ends))) / 10
    high = np.ceil(10 * max(*shown, *(end.high for end in ends))) / 10
    with Sheet(lines, columns, (1.5, 1.25), gap=(0.22, 0.45), top=0.3, right=0.3) as sheet:
        for k, (axes, kind) in enumerate(zip(sheet.axes, kinds, strict=False)):
            axes.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)
            for place, one in enumerate(damages):
                look, cells = looks[one.name], (one.clean, *one.accuracy[k])
                axes.plot(
                    range(len(cells)), [c.value for c in cells], color=look.colour, linestyle=look.dash, linewidth=1.3
                )
                end, x = cells[-1], SEVERITIES[-1] + dodge * (1 + place)
                axes.plot([x, x], [end.interval.low, end.interval.high], color=look.colour, linewidth=1)
                dot(axes, x, end.value, look, 3)
            percent_axis(axes, max(0.0, float(low)), min(1.0, float(high)))
            axes.set_xlim(0, SEVERITIES[-1] + dodge * (len(damages) + 1))
            axes.set_xticks([0, *SEVERITIES])
            axes.set_title(corruption_name(kind))
            axes.tick_params(labelleft=k % columns == 0, labelbottom=k + columns >= len(kinds))
        for axes in sheet.axes[len(kinds) + 1 :]:
            axes.remove()
        sheet.axes[len(kinds)].set_axis_off()
        names = [one.name for one in damages]
        letters: dict[str, float] = (
            {"fontsize": pt(6), "labelspacing": 0.3} if len(names) > CROWD else {"fontsize": pt(7.5)}
        )
        name_rows(sheet.axes[len(kinds)], names, looks, loc="upper left", **letters)
        sheet.axes[0].set_ylabel("accuracy, %")
        sheet.axes[(lines - 1) * columns].set_xlabel("severity (0: as it is)")
        return [
            sheet.finish(
                "robustness",
                "Accuracy as faces are damaged",
                "Each panel is one kind of damage, from the face as it is (0) to the strongest of five severities. "
                "All rows see the same faces with the same damage. A level line means that this damage does no harm. "
                "Where lines cross, the best network on clean faces is not the best one on damaged faces. The 95 % "
                "intervals at severity 5 are drawn to its right. The vertical axis does not always start at 0.",
            )
        ]


def dot(axes: "Axes", x: float, y: float, look: Look, size: float = 3.6) -> None:
    """One row's marker: full for a network's first variant, hollow for the others."""
    face = look.colour if look.solid else "none"
    axes.plot(x, y, look.marker, ms=size, mec=look.colour, mfc=face, mew=1)


def name_rows(axes: "Axes", names: Sequence[str], looks: Mapping[str, Look], **place: Any) -> None:
    """A legend of rows with line and marker; `place` is matplotlib's."""
    for name in names:
        look = looks[name]
        face = look.colour if look.solid else "none"
        axes.plot([], [], look.marker, ls=look.dash, color=look.colour, mfc=face, ms=4, lw=1.3, label=name)
    axes.legend(borderaxespad=0.1, handlelength=2.4, **place)
