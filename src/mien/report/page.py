"""The page: sections of figures and text, laid out by `page.html`, everything inside one file.

A section (see `parts`) is a title with figures and tables under it; a new part of the report is one more entry in
`_sections`.
"""

import itertools
from collections.abc import Iterator, Sequence

from .compared import differences_section
from .conditions import conditions, differences, progress_words
from .confidence import calibration_section
from .examined import examined_sections
from .examined_methods import examined_words
from .figures import (
    draw_costs,
    draw_curves,
)
from .findings import Findings
from .html import fill
from .methods import methods_section
from .parts import Panel, Section, panels
from .peeking import peeking_section
from .pictures import PictureRow, examples, mistakes
from .protocol import protocol_section
from .told import classes_section

__all__ = ["compose", "render"]


def compose(found: Findings, *, faces: bool) -> list[Section]:
    """The sections of figures, in the paper's order; those with nothing to show are left out."""
    sections = (
        _sections(found, faces),
        examined_sections(found, faces=faces),
        _judging(found),
    )
    return [section for section in itertools.chain(*sections) if section.panels or section.lead or section.points]


def _sections(found: Findings, faces: bool) -> Iterator[Section]:
    comparison, certainty, shown = found.comparison, found.judgement.certainty, found.shown
    store = found.store if faces else None
    absent = found.judgement.why_no_store if faces else "Pictures are left out, as this page was made with --no-faces."
    first = (_examples(examples(store)),) if store else ()
    yield Section(id="faces", title="The faces", panels=first, lead=absent)
    if not shown:
        return
    left_out = sum(bool(row.scores) for row in comparison.rows) - len(shown)
    note = (
        f"Figures show the {len(shown)} most accurate rows; the {left_out} others are in the table alone."
        if left_out > 0
        else ""
    )
    yield differences_section(certainty, found.every_look)
    yield Section(id="curves", title="How they learned", panels=panels(draw_curves(shown)), lead=note)
    yield classes_section(shown, comparison.data.labels, certainty)
    yield calibration_section(found.judgement.calibration, found.looks)
    yield Section(id="costs", title="What it costs", panels=panels(draw_costs(shown)))
    if store:
        yield Section(id="mistakes", title="Where they were sure and wrong", panels=_mistakes(mistakes(store, shown)))


def _judging(found: Findings) -> Iterator[Section]:
    """How it was judged, which needs no picture: the store is read for its notes and its log."""
    if found.shown:
        yield peeking_section(found.judgement.peeking, found.looks)
    yield protocol_section(found.judgement)
    yield methods_section(found.judgement, examined_words(found))


def _examples(rows: Sequence[PictureRow]) -> Panel:
    return Panel(
        title="Examples of each class",
        caption="The first training faces of each class, as the networks see them. If the labels do not convince "
        "you here, no network can learn them from these pictures either.",
        pictures=tuple(rows),
    )


def _mistakes(rows: Sequence[PictureRow]) -> tuple[Panel, ...]:
    if not any(row.pictures for row in rows):
        return ()
    caption = (
        "Test faces named wrongly with the highest probability, as: label → what the network said, its probability. "
        "Look for labels that are themselves doubtful, and for what the mistaken faces share."
    )
    return (Panel(title="The most confident mistakes", caption=caption, pictures=tuple(rows), folded=True),)


def render(found: Findings, sections: Sequence[Section], command: str) -> str:
    """The page as one HTML text."""
    comparison, certainty = found.comparison, found.judgement.certainty
    return fill(
        "page.html",
        comparison=comparison,
        table=found.judgement.table,
        certainty=certainty,
        sections=sections,
        finding=found.judgement.finding,
        progress=progress_words(comparison, found.left_out),
        differences=differences(comparison),
        conditions=conditions(comparison),
        command=command,
    )
