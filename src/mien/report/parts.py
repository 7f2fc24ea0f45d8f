"""The parts of the page: sections of numbered figures and tables, and the files that they write beside it.

A new part of the report builds a `Section` (see `sections`); drawings are also written under
`figures/`, small tables as `tables/NAME.csv`, and `Section.files` as they are.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..shown import csv_cell
from .figures.sheet import HALF, Drawing
from .pictures import PictureRow

__all__ = ["Panel", "Section", "SmallTable", "panels"]

FEW_COLUMNS = 5
"""Most columns of a table that leaves room for another figure beside it."""
SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z“])")
"""The gap between two sentences."""


@dataclass(frozen=True, kw_only=True)
class SmallTable:
    """A table of finished texts; the first cell of a row names it. It scrolls on a phone, prints, and follows a dark
    theme.
    """

    name: str
    """Name of its file, `tables/NAME.csv`."""
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """As many cells each as there are heads; a dash where a value is undefined."""
    notes: tuple[str, ...] = ()
    """Small print under the table, a paragraph each."""
    strong: frozenset[tuple[int, int]] = frozenset()
    """Cells (row, column) in bold: significant results only."""
    words: frozenset[int] = frozenset()
    """Columns of words, which wrap and are left-aligned; the others hold figures and are right-aligned."""

    long: bool = False
    """Whether it is a list of many short lines, which print in two columns."""

    def as_csv(self) -> str:
        """The texts as they are shown."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(map(csv_cell, row) for row in [self.heads, *self.rows])
        return text.getvalue()


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One numbered figure (a drawing or pictures of the corpus, maybe with a table under it), or a numbered table."""

    title: str
    caption: str
    """What it shows, and how to read it: the first sentence stands under it, the others are folded away."""
    drawing: Drawing | None = None
    pictures: tuple[PictureRow, ...] = ()
    table: SmallTable | None = None
    folded: bool = False
    """Whether it is folded away: all of it, or for pictures the rows after the first."""

    small_print: bool = False
    """Whether the table under a drawing is folded away, because it repeats the drawing's figures with more digits."""

    @property
    def first(self) -> str:
        """The first sentence of the caption."""
        return SENTENCE.split(self.caption, maxsplit=1)[0]

    @property
    def guide(self) -> str:
        """The rest of the caption."""
        return self.caption[len(self.first) :].strip()

    @property
    def half(self) -> bool:
        """Whether another figure has room beside it."""
        if self.folded or self.pictures:
            return False
        if self.drawing:
            return self.drawing.width <= HALF and not self.table
        return self.table is not None and len(self.table.heads) <= FEW_COLUMNS

    @property
    def kind(self) -> str:
        """The kind of its number: figures and tables are counted separately."""
        return "Figure" if self.drawing or self.pictures else "Table"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page."""

    id: str
    title: str
    panels: tuple[Panel, ...] = ()
    lead: str = ""
    """A paragraph before the panels."""
    points: tuple[str, ...] = ()
    """A list of sentences after the lead."""
    prose: tuple[tuple[str, str], ...] = ()
    """Long paragraphs as (title, text), folded away after the lead; an empty title is a paragraph alone."""
    measured: bool = True
    """If false, the lead gives the command that measures it, and is shown in the list of what was not measured."""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    """What else is written beside the page, by relative path, such as `groups.csv`."""


def panels(drawings: Sequence[Drawing]) -> tuple[Panel, ...]:
    """One panel for each drawing."""
    return tuple(Panel(title=one.title, caption=one.caption, drawing=one) for one in drawings)
