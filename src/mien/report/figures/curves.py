"""Figures 2 to 4 of the paper in one: accuracy and loss by epoch, one column for each row of the table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...words import plus
from .evidence import Shown
from .sheet import (
    INK,
    Drawing,
    Sheet,
    in_all_forms,
    in_lines,
    is_phone,
    most_columns,
    name_panel,
    percent_axis,
    pt,
    second_line,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_curves"]

COLUMNS = 6, 3, 2
"""Rows of the table side by side: on the page, in a paper, on a phone."""
GAP, BLOCK = 0.22, 0.92
"""Inches between accuracy and loss of one row, and between two lines of rows."""
CAPTION = (
    "The upper panels show accuracy, the lower ones cross-entropy loss. The thick line is validation, the thin grey "
    "line is training, and the dot is the epoch that was kept. The tint between the accuracy lines is the "
    "generalisation gap: the accuracy on training faces that does not transfer to new faces. Training figures are "
    "running means over the epoch with dropout and augmentation active, so dropout makes the gap look smaller than "
    "it is, even negative. The number is the gap at the last epoch, training minus validation."
)
BAND = " Lines are means over seeds. With more than one seed, a band spans the lowest and the highest."


@in_all_forms
def draw_curves(shown: Sequence[Shown]) -> list[Drawing]:
    """One drawing of all rows that have a history; rows that were not trained epoch by epoch have none."""
    able = [item for item in shown if item.first.history]
    if not able:
        return []
    tables = [_table(item) for item in able]
    lines, columns = in_lines(len(able), most_columns(*COLUMNS))
    names = second_line()
    gaps = ([GAP, BLOCK + names] * lines)[:-1]
    size = 1.9 if columns <= 2 else 1.7, 0.85 if is_phone() else 1.2
    with Sheet(2 * lines, columns, size, gap=(0.2, gaps), top=0.48 + names, bottom=0.42) as sheet:
        lowest = min(float(table[:, :, 1::2].min()) for table in tables)
        highest = max(float(table[:, :, 0::2].max()) for table in tables)
        for place, (item, table) in enumerate(zip(able, tables, strict=True)):
            line, column = divmod(place, columns)
            above, below = (sheet.axes[(2 * line + part) * columns + column] for part in (0, 1))
            percent_axis(above, np.floor(lowest * 10) / 10, 1.0)
            below.set_ylim(0, highest * 1.05)
            _column(above, below, item, table, first=column == 0)
        used = {id(axes) for axes in sheet.axes if axes.lines}
        for axes in sheet.axes:
            if id(axes) not in used:
                axes.remove()
        caption = CAPTION + BAND * any(len(item.row.runs) > 1 for item in able)
        return [sheet.finish("curves", "Learning curves", caption)]


def _column(above: "Axes", below: "Axes", item: Shown, table: NDArray[np.float64], *, first: bool) -> None:
    """One row of the table: its name, accuracy, loss."""
    _lines(above, item, table[:, :, 1], table[:, :, 3])
    _lines(below, item, table[:, :, 0], table[:, :, 2])
    name_panel(above, item.name, pad=17)
    _name_lines(above, item)
    _gap(above, item, table)
    above.tick_params(labelbottom=False)
    below.set_xlabel("epoch")
    for axes in (above, below):
        axes.xaxis.set_major_locator(whole_numbers())
        axes.tick_params(labelleft=first)
    if first:
        above.set_ylabel("accuracy, %")
        below.set_ylabel("loss, nats")


def _table(item: Shown) -> NDArray[np.float64]:
    """`(seeds, epochs, 4)`: loss and accuracy of train, loss and accuracy of valid."""
    histories = [run.history for run in item.row.runs]
    epochs = min(len(history) for history in histories)
    return np.array(
        [
            [(e.train_loss, e.train_accuracy, e.valid_loss, e.valid_accuracy) for e in history[:epochs]]
            for history in histories
        ]
    )


def _lines(axes: "Axes", item: Shown, train: NDArray[np.float64], valid: NDArray[np.float64]) -> None:
    epochs = np.arange(1, train.shape[1] + 1)
    axes.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)
    marker = "." if len(epochs) == 1 else None
    axes.plot(epochs, train.mean(axis=0), color=INK, alpha=0.6, linewidth=0.9, marker=marker)
    axes.plot(epochs, valid.mean(axis=0), color=item.look.colour, linestyle=item.look.dash, linewidth=1.8)
    if len(valid) > 1:
        axes.fill_between(epochs, valid.min(axis=0), valid.max(axis=0), color=item.look.colour, alpha=0.25, lw=0)
    kept = [run.record.selected_epoch for run in item.row.runs]
    dots = [(epoch, line[epoch - 1]) for epoch, line in zip(kept, valid, strict=True) if 1 <= epoch <= len(line)]
    if dots:
        axes.plot(*zip(*dots, strict=True), "o", markersize=4, color=item.look.colour, zorder=3)
    axes.set_xlim(1 if len(epochs) > 1 else 0, max(len(epochs), 2))


def _gap(axes: "Axes", item: Shown, table: NDArray[np.float64]) -> None:
    train, valid = table[:, :, 1].mean(axis=0), table[:, :, 3].mean(axis=0)
    axes.fill_between(np.arange(1, len(train) + 1), train, valid, color=item.look.colour, alpha=0.1, lw=0)
    words = f"gap {plus(float(train[-1] - valid[-1]))} points"
    axes.text(0.98, 0.05, words, transform=axes.transAxes, ha="right", fontsize=pt(7))


def _name_lines(axes: "Axes", item: Shown) -> None:
    """Name both lines as they are drawn here, above the panel, where no line can run through the words."""
    axes.plot([], [], color=item.look.colour, linestyle=item.look.dash, linewidth=1.8, label="valid")
    axes.plot([], [], color=INK, alpha=0.6, linewidth=0.9, label="train")
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=2, borderaxespad=0.1, handlelength=2.2, fontsize=pt(7.5)
    )
