"""The report of a comparison: one self-contained page, the table in four forms, every figure as SVG and PDF.

In: a `Comparison`, of any number of finished runs, so that a long grid shows its report as it grows. Out:

    OUT/report.html                     opens offline, prints, follows the reader's light or dark
    OUT/report.json                     all its figures with their intervals, for programs
    OUT/table.tex  table-narrow.tex  table.md  table.csv
    OUT/figures/NAME.svg  NAME.pdf      no pictures of the corpus among them
    OUT/tables/NAME.csv                 the smaller tables of the page

`write_evaluation` writes that of model files on a labelled store, in the same style; see `evaluated`. matplotlib,
jinja2, scipy and statsmodels come with `mien[report]` and `mien[train]`. They are imported when a report is made.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import json_text, write_bytes, write_text
from ..compare import Comparison
from ..errors import ConfigError, MissingExtra
from ..reading import GivenPath, given_path

if TYPE_CHECKING:
    from rich.table import Table

    from ..examine.evaluation import Evaluation
    from ..examine.examined import Context
    from .evaluated import Judged
    from .parts import Section

__all__ = [
    "as_json",
    "judge_evaluation",
    "terminal_table",
    "write_evaluation",
    "write_report",
]


def write_report(
    comparison: Comparison, out: GivenPath, *, faces: bool = True, command: str = "", context: "Context | None" = None
) -> Path:
    """Write the report into the folder `out`, each file whole or not at all.

    Args:
        comparison: what `mien.compare.collect` made of run folders.
        out: made where it is missing; files of an earlier report are replaced.
        faces: False leaves out every picture of the corpus.
        command: the one command that repeats the comparison, shown on the page; empty leaves it out.
        context: the baseline of robustness and runs of other folders, for the sections of what was examined.

    Returns the path of `report.html`. Raises `MissingExtra` where a library of `mien[report]` is missing.
    """
    out = given_path(out, "A report's folder", ConfigError)
    with _needs_report():
        from . import page, tables
        from .findings import find
        from .latex import as_latex, as_narrow_latex
        from .machine_readable import as_dict
        from .markdown import as_markdown
    found = find(comparison, context)
    table = found.judgement.table
    sections = page.compose(found, faces=faces)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("table.tex", as_latex(table)),
        ("table-narrow.tex", as_narrow_latex(table)),
        ("table.md", as_markdown(table)),
        ("table.csv", tables.as_csv(table)),
        ("report.json", json_text(as_dict(found), indent=1)),
    ):
        write_text(out / name, content)
    _write_sections(sections, out)
    write_text(out / "report.html", page.render(found, sections, command))
    return out / "report.html"


def judge_evaluation(evaluation: "Evaluation") -> "Judged":
    """Intervals, verdicts and calibration of model files; `evaluated` has words and JSON of them.

    It needs neither matplotlib nor jinja2. Raises `MissingExtra` where another library of `mien[report]` is missing.
    """
    with _needs_report():
        from .evaluated import find_evaluation
    return find_evaluation(evaluation)


def write_evaluation(found: "Judged", out: GivenPath, *, faces: bool = True, command: str = "") -> Path:
    """Write the report of model files on a labelled store into the folder `out`, each file whole or not at all.

    Args:
        found: what `judge_evaluation` made of an evaluation.
        out: made where it is missing; files of an earlier report are replaced.
        faces: False leaves out every picture of the store.
        command: the one command that repeats it, shown on the page.

    Returns the path of `evaluation.html`. Raises `MissingExtra` where a library of `mien[report]` is missing.
    """
    out = given_path(out, "A report's folder", ConfigError)
    with _needs_report():
        from . import evaluated, evaluated_page
        from .html import fill
    sections, table = evaluated_page.sections(found, faces=faces), evaluated.main_table(found)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    facts = evaluated.as_facts(found)
    write_text(out / "evaluation.json", json_text(facts, indent=1))
    write_text(out / "predictions.csv", evaluated.predictions(found))
    _write(out / "tables" / f"{table.name}.csv", table.as_csv())
    _write_sections(sections, out)
    content = fill(
        "evaluated.html",
        notes=found.evaluation.notes,
        table=table,
        sections=sections,
        command=command,
        **evaluated_page.words(found),
    )
    write_text(out / "evaluation.html", content)
    return out / "evaluation.html"


def _write_sections(sections: "Sequence[Section]", out: Path) -> None:
    """Figures, small tables and other files of the sections, beside their page."""
    for section in sections:
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
    with _needs_report():
        from ..judge.table import build_table
        from .tables import as_rich
    return as_rich(build_table(comparison))


def as_json(comparison: Comparison, context: "Context | None" = None) -> dict[str, Any]:
    """What stands in `report.json`: all figures of the report as plain values, None where undefined."""
    with _needs_report():
        from .findings import find
        from .machine_readable import as_dict
    return as_dict(find(comparison, context))


@contextmanager
def _needs_report() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mien"):
            raise
        raise MissingExtra("The report", "report") from None
