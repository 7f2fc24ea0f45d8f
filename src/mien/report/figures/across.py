"""Results by corpus of training and of test, beside the result on the networks' own corpus."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...examine.across import Cell, Matrix
from .damage import dot
from .sheet import INK, Drawing, Look, Sheet, in_all_forms, of_row, percent_axis, pt, second_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MOST_CORPORA", "draw_across"]

MOST_CORPORA = 5
"""Tested corpora that get a column; the table has all."""


@in_all_forms
def draw_across(matrix: Matrix, looks: Mapping[str, Look]) -> list[Drawing]:
    """A panel for each corpus of training (down) and of test (across), a line a network; looks by network."""
    trained = list(dict.fromkeys(cell.trained_on for cell in matrix.cells))
    tested = matrix.corpora[:MOST_CORPORA]
    networks = list(dict.fromkeys(cell.network for cell in matrix.cells))
    ends = [e for cell in matrix.cells for f in (cell.uar, cell.home_uar) for e in (f.interval.low, f.interval.high)]
    low, high = np.floor(10 * min(ends)) / 10, np.ceil(10 * max(ends)) / 10
    left = 0.075 * max(len(line) for name in networks for line in of_row(name).split("\n")) + 0.2
    width = min(2.3, (7.6 - left) / len(tested) - 0.2)
    sizes = (len(trained), len(tested))
    with Sheet(
        *sizes, (width, (0.21 + second_line()) * len(networks) + 0.12), left=left, gap=(0.2, 0.38), top=0.42
    ) as sheet:
        for index, axes in enumerate(sheet.axes):
            row, column = divmod(index, len(tested))
            cells = {
                c.network: c for c in matrix.cells if (c.trained_on, c.tested_on) == (trained[row], tested[column])
            }
            _panel(axes, cells, networks, looks, first=column == 0)
            percent_axis(axes, max(0.0, low), min(1.0, high), axis="x")
            axes.tick_params(labelbottom=row == len(trained) - 1)
            at_home = trained[row] == tested[column]
            axes.set_title(
                f"{trained[row]}, at home" if at_home else f"{trained[row]} → {tested[column]}", fontsize=pt(8)
            )
        sheet.axes[(len(trained) - 1) * len(tested)].set_xlabel("UAR, %")
        return [
            sheet.finish(
                "across",
                "UAR from corpus to corpus",
                "Each panel is a training corpus → a test corpus. A dot is a network's UAR there with its 95 % "
                "interval, over the classes that both corpora have. The grey ring is the UAR of the same networks on "
                "their own corpus over the same classes, so the distance from ring to dot is the cost of changing "
                "the corpus. Chance is 1 divided by the number of classes.",
            )
        ]


def _panel(
    axes: "Axes", cells: Mapping[str, Cell], networks: Sequence[str], looks: Mapping[str, Look], *, first: bool
) -> None:
    axes.grid(axis="x", color=INK, alpha=0.1, linewidth=0.6)
    for y, network in enumerate(networks):
        cell = cells.get(network)
        if cell is None:
            continue
        look, interval = looks[network], cell.uar.interval
        if not cell.own:
            ends = [cell.home_uar.value, cell.uar.value]
            axes.plot(ends, [y, y], color=INK, alpha=0.3, linewidth=0.8, linestyle=(0, (1, 1.3)))
            axes.plot(cell.home_uar.value, y, "o", ms=5, mec=INK, mfc="none", mew=0.9, alpha=0.6)
        axes.plot([interval.low, interval.high], [y, y], color=look.colour, linewidth=1.2)
        dot(axes, cell.uar.value, y, look, 4.5)
    axes.set_ylim(len(networks) - 0.4, -0.6)
    axes.set_yticks(range(len(networks)), [of_row(name) for name in networks] if first else [""] * len(networks))
    axes.tick_params(axis="y", length=0)
    if not cells:
        axes.text(
            0.5, 0.5, "not tested", transform=axes.transAxes, ha="center", va="center", fontsize=pt(7.5), alpha=0.6
        )
