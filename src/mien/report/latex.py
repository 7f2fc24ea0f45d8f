r"""The table for a paper: `table.tex` with all columns, and `table-narrow.tex` with the paper's own columns.

Both are tables in a float with a caption, a `\label`, and booktabs' rules. The narrow one fits the text width of
`article` (345 pt) in one column; names of rows wrap. The full one needs a wider page, and says so in its comment.
"""

from collections.abc import Iterable, Sequence

from ..judge.paper import PAPER_COLUMNS
from ..judge.table import Cell, Column, Line, Table
from ..metrics import METRICS

__all__ = ["as_latex", "as_narrow_latex", "tex"]

PACKAGES = (r"% Needs \usepackage{booktabs}.",)
WIDTH = (
    "% As wide as seven columns of figures with intervals: up to 480 pt. article's text is 345 pt wide, so set it on a",
    r"% wider page (\usepackage[margin=2cm]{geometry}) or take table-narrow.tex, which fits.",
)
PLAIN = (
    "% With utf8 input (the default since 2018). Names in scripts that the font lacks need another engine, such as",
    "% lualatex with a font that has them.",
)
NAME_WIDTH = 0.3
"""Of the narrow table's name column, as a share of the line."""
TITLES = {one.key: one.title.removeprefix("W. ") for one in METRICS} | {"train_peak_mb": "Memory"}
HEADS = {key: TITLES[key][0].upper() + TITLES[key][1:] for key in PAPER_COLUMNS}
"""Of the narrow table. That precision, recall and F1 are weighted is in its caption."""
SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "–": "--",
    "×": r"$\times$",
    "−": "$-$",
    "→": r"$\to$",
    "≥": r"$\ge$",
    "…": r"\dots{}",
    "\u00a0": "~",
    "“": "``",
    "”": "''",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def as_latex(table: Table) -> str:
    """Two tabulars in one float, scores and costs, with intervals below the scores and all notes."""
    scores = [c for c in table.wide if c.unit == "%"]
    costs = [c for c in table.wide if c.unit != "%"]
    lines = [
        *PACKAGES,
        *WIDTH,
        *PLAIN,
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{tex(table.caption)}}}",
        r"\label{tab:mien}\par\smallskip",
        *_tabular(table, scores),
        r"\par\medskip",
        *_tabular(table, costs),
        *(rf"\par\smallskip {tex(note)}" for note in _notes(table)),
        r"\end{table}",
    ]
    return "\n".join([*lines, ""])


def as_narrow_latex(table: Table) -> str:
    r"""The paper's six columns on `article`'s text width: names wrap, deviations stand below their means."""
    columns = [c for c in table.columns if c.key in PAPER_COLUMNS]
    columns.sort(key=lambda c: PAPER_COLUMNS.index(c.key))
    lines = [
        *PACKAGES,
        "% Fits article's text width of 345 pt in one column.",
        *PLAIN,
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{tex(_short_caption(table))}}}",
        r"\label{tab:mien-narrow}\par\smallskip",
        rf"\begin{{tabular}}{{p{{{NAME_WIDTH}\linewidth}}{'r' * len(columns)}}}",
        r"\toprule",
        " & ".join(["Network", *(HEADS[c.key] for c in columns)]) + r" \\",
        " & ".join(["", *(tex(c.unit) for c in columns)]) + r" \\",
        r"\midrule",
        *(row for line in table.lines for row in _narrow_rows(line, columns)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join([*lines, ""])


def tex(text: str) -> str:
    """Text as LaTeX takes it."""
    return "".join(SIGNS.get(sign, sign) for sign in text.replace("\n", " "))


def _notes(table: Table) -> list[str]:
    return [*table.notes, *(f"{line.name}: {line.status}." for line in table.lines if line.status)]


def _short_caption(table: Table) -> str:
    """The table's first sentence, what the columns are, and what stands below the means."""
    first = table.caption.partition(". ")[0].removesuffix(".")
    below = " Below a mean: its standard deviation over seeds." * any(line.seeds > 1 for line in table.lines)
    averages = "Precision, recall and F1 are averaged by class frequency"
    return f"{first}. {averages}; memory is the peak of the training process.{below}"


def _narrow_rows(line: Line, columns: Sequence[Column]) -> Iterable[str]:
    cells = [line.cells[c.key] for c in columns]
    yield " & ".join([_ragged(line), *(_mean(cell, c) for cell, c in zip(cells, columns, strict=True))]) + r" \\"
    below = [tex(cell.deviation(c)) for cell, c in zip(cells, columns, strict=True)]
    if any(below):
        yield " & ".join(["", *(rf"{{\scriptsize {one}}}" if one else "" for one in below)]) + r" \\"


def _ragged(line: Line) -> str:
    """The name, set so that a narrow column neither stretches its spaces nor breaks the row."""
    return rf"\raggedright {_name(line)}"


def _name(line: Line) -> str:
    return rf"\textit{{{tex(line.name)}}}" if line.paper else tex(line.name)


def _mean(cell: Cell, column: Column) -> str:
    text = tex(cell.mean(column))
    return rf"\textbf{{{text}}}" if cell.best else text


def _tabular(table: Table, columns: Sequence[Column]) -> Iterable[str]:
    """Some columns, intervals on a line of their own below the figures."""
    yield rf"\begin{{tabular}}{{l{'r' * (len(columns) + 1)}}}"
    yield r"\toprule"
    yield " & ".join(["Network", *(tex(c.title) for c in columns), "Seeds"]) + r" \\"
    yield " & ".join(["", *(tex(c.unit) for c in columns), "$n$"]) + r" \\"
    yield r"\midrule"
    for line in table.lines:
        yield " & ".join([_name(line), *(_cell(line.cells[c.key], c) for c in columns), str(line.seeds)]) + r" \\"
        intervals = [tex(line.cells[c.key].interval(c)) if line.cells[c.key].useful else "" for c in columns]
        if any(intervals):
            small = [rf"{{\scriptsize [{one}]}}" if one else "" for one in intervals]
            yield " & ".join(["", *small, ""]) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _cell(cell: Cell, column: Column) -> str:
    text = tex(cell.text(column)).replace(" $\\pm$ ", "\\,$\\pm$\\,")
    return rf"\textbf{{{text}}}" if cell.best else text
