"""The report of a comparison: one self-contained page, the table in four forms, every figure as SVG and PDF.

In: a `Comparison`, of any number of finished runs, so that a long grid shows its report as it grows. Out:

    OUT/report.html                     opens offline, prints, follows the reader's light or dark
    OUT/report.json                     all its figures with their intervals, for programs
    OUT/table.tex  table.md  table.csv
    OUT/figures/NAME.svg  NAME.pdf      no pictures of the corpus among them
    OUT/tables/NAME.csv                 the smaller tables of the page

matplotlib, jinja2, scipy and statsmodels come with `mien[train]` and are imported when a report is made.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import write_bytes, write_text
from ..compare import Comparison
from ..errors import MissingExtra

if TYPE_CHECKING:
    from rich.table import Table

    from ..examine.examined import Beside
    from .parts import Section

__all__ = ["as_json", "terminal_table", "write_report"]


def write_report(
    comparison: Comparison, out: Path, *, faces: bool = True, command: str = "", beside: "Beside | None" = None
) -> Path:
    """Write the report into the folder `out`, each file whole or not at all.

    Args:
        comparison: what `mien.compare.collect` made of run folders.
        out: made where it is missing; files of an earlier report are replaced.
        faces: False leaves out every picture of the corpus.
        command: the one command that repeats the comparison, shown on the page; empty leaves it out.
        beside: the baseline of robustness and runs of other folders, for the sections of what was examined.

    Returns the path of `report.html`. Raises `MissingExtra` where a library of `mien[train]` is missing.
    """
    with _needs_train():
        from . import page, tables
        from .findings import find
        from .machine_readable import as_dict
    found = find(comparison, beside)
    table = tables.build_table(comparison, found.certainty)
    sections = page.compose(found, faces=faces)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("table.tex", tables.as_latex(table)),
        ("table.md", tables.as_markdown(table)),
        ("table.csv", tables.as_csv(table)),
        ("report.json", json.dumps(as_dict(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"),
    ):
        write_text(out / name, content)
    for section in sections:
        _write_files(section, out)
    write_text(out / "report.html", page.render(found, table, sections, command))
    return out / "report.html"


def _write_files(section: "Section", out: Path) -> None:
    for panel in section.panels:
        if panel.drawing:
            write_text(out / "figures" / f"{panel.drawing.name}.svg", panel.drawing.svg)
            write_bytes(out / "figures" / f"{panel.drawing.name}.pdf", panel.drawing.pdf)
        if panel.table:
            _write(out / "tables" / f"{panel.table.name}.csv", panel.table.as_csv())
    for name, content in section.files.items():
        _write(out / name, content)


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        write_text(path, content)
    else:
        write_bytes(path, content)


def terminal_table(comparison: Comparison) -> "Table":
    """The table that the command line prints; its intervals are in the report."""
    with _needs_train():
        from .tables import as_rich, build_table
    return as_rich(build_table(comparison))


def as_json(comparison: Comparison, beside: "Beside | None" = None) -> dict[str, Any]:
    """What stands in `report.json`: all figures of the report as plain values, None where undefined."""
    with _needs_train():
        from .findings import find
        from .machine_readable import as_dict
    return as_dict(find(comparison, beside))


@contextmanager
def _needs_train() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mien"):
            raise
        raise MissingExtra("The report", "train") from None
