"""The page: the sections of `SECTIONS`, laid out by `page.html`, everything inside one file."""

from collections.abc import Sequence

from .conditions import conditions, differences, progress_words
from .findings import Findings
from .html import fill
from .parts import Section
from .sections import SECTIONS

__all__ = ["compose", "render"]


def compose(found: Findings, *, faces: bool) -> list[Section]:
    """The sections in their order; empty ones are left out."""
    every = (section for make in SECTIONS for section in make(found, faces))
    return [section for section in every if section.panels or section.lead or section.points]


def render(found: Findings, sections: Sequence[Section], command: str) -> str:
    """The page as one HTML text."""
    comparison = found.comparison
    return fill(
        "page.html",
        comparison=comparison,
        table=found.judgement.table,
        sections=[section for section in sections if section.measured],
        missing=[section for section in sections if not section.measured],
        finding=found.judgement.finding,
        progress=progress_words(comparison, found.left_out),
        differences=differences(comparison),
        conditions=conditions(comparison),
        command=command,
    )
