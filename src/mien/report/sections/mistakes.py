"""The section of mistakes: the faces that a network named wrongly and was surest of."""

from collections.abc import Iterator, Sequence

from ..findings import Findings
from ..parts import Panel, Section
from ..pictures import PictureRow, mistakes

__all__ = ["sections"]


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown and found.store and faces:
        panels = _panels(mistakes(found.store, found.shown))
        yield Section(id="mistakes", title="Where they were sure and wrong", panels=panels)


def _panels(rows: Sequence[PictureRow]) -> tuple[Panel, ...]:
    if not any(row.pictures for row in rows):
        return ()
    caption = (
        "Test faces named wrongly with the highest probability, as: label → prediction, its probability. "
        "Look for labels that are themselves doubtful, and for what the mistaken faces share."
    )
    return (Panel(title="The most confident mistakes", caption=caption, pictures=tuple(rows), folded=True),)
