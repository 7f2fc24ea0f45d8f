"""The table of a comparison laid out as CSV and for the terminal; `latex` and `markdown` lay it out for papers."""

import csv
import io
import math

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from ..judge.table import Cell, Column, Table

__all__ = ["as_csv", "as_rich"]


def as_csv(table: Table) -> str:
    """Plain values with every digit, empty if undefined; one line for each row, those of the paper marked by
    `source`.
    """
    factors = list(dict.fromkeys(key for line in table.lines for key in line.factors))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    heads = [name for c in table.columns for name in (c.key, f"{c.key}_sd", f"{c.key}_low", f"{c.key}_high")]
    rows.writerow(["source", "name", *factors, "seeds", *heads, "status"])
    for line in table.lines:
        cells = [line.cells[c.key] for c in table.columns]
        values = [x for cell in cells for x in (cell.value, cell.spread, cell.low, cell.high)]
        numbers = [repr(x) if math.isfinite(x) else "" for x in values]
        own = [line.factors.get(key, "") for key in factors]
        rows.writerow(["paper" if line.paper else "mien", line.name, *own, line.seeds, *numbers, line.status])
    return text.getvalue()


TERMINAL = ("accuracy", "uar", "macro_f1", "parameters", "train_peak_mb")


def as_rich(table: Table) -> RichTable:
    """The table for a terminal of 80 characters: the columns that fit, with figures on one line."""
    columns = [c for c in table.columns if c.key in TERMINAL]
    shown = RichTable(caption=Text(table.caption), caption_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.add_column("Network", min_width=14)
    for column in columns:
        shown.add_column(f"{column.title}\n{column.unit}", justify="right", no_wrap=True)
    shown.add_column("Seeds", justify="right")
    for line in table.lines:
        cells = [_rich_cell(line.cells[c.key], c) for c in columns]
        name = Text(line.name, style="italic" if line.paper else "")
        if line.status:
            name.append(f"\n{line.status}", style="dim")
        shown.add_row(name, *cells, Text(str(line.seeds)))
    return shown


def _rich_cell(cell: Cell, column: Column) -> Text:
    """A score with its deviation, a cost without."""
    text = cell.text(column) if column.unit == "%" else cell.mean(column)
    return Text(text, style="bold" if cell.best else "")
