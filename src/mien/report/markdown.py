"""`table.md`, and the escaping of every text that comes from a store or a user.

Labels, notes and file names come from a corpus. Pasted into a page, a `<script>` or a link among them would be run or
followed, so every character with a meaning in Markdown or HTML is escaped.
"""

import re

from ..judge.table import Cell, Column, Table

__all__ = ["as_markdown", "markdown"]

SIGNS = {"<": "&lt;", ">": "&gt;", "\n": " ", "\r": " ", **{sign: f"\\{sign}" for sign in "\\`*|[]"}}
ENTITY = re.compile(r"&(?=#?\w+;)")
"""An ampersand that begins a character reference; any other one stays as it is."""
EMPHASIS = re.compile(r"(?<!\w)_|_(?!\w)")
"""An underscore inside a word, as in `loss.soft_labels`; it stays as it is."""


def markdown(text: str) -> str:
    """Text as one line of Markdown: no HTML, no emphasis, no link, no new cell.

    >>> markdown("<b>happy</b> [x](y)")
    '&lt;b&gt;happy&lt;/b&gt; \\\\[x\\\\](y)'
    """
    signs = "".join(SIGNS.get(sign, sign) for sign in ENTITY.sub("&amp;", text))
    return EMPHASIS.sub(r"\\_", signs)


def as_markdown(table: Table) -> str:
    """A pipe table with caption and notes."""
    heads = ["Network", *(f"{c.title}, {c.unit}" for c in table.wide), "Seeds"]
    rows = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for line in table.lines:
        cells = [_cell(line.cells[c.key], c) for c in table.wide]
        rows.append([markdown(line.name), *cells, str(line.seeds)])
    notes = [*table.notes, *(f"{line.name}: {line.status}" for line in table.lines if line.status)]
    body = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return "\n\n".join([body, markdown(table.caption), *(f"- {markdown(note)}" for note in notes)]) + "\n"


def _cell(cell: Cell, column: Column) -> str:
    text, interval = cell.text(column), cell.interval(column)
    return (f"**{text}**" if cell.best else text) + (f" [{interval}]" if interval else "")
