"""The section of mistakes: the wrong predictions with the highest probability."""

from collections.abc import Iterator, Sequence

from ..findings import Findings
from ..parts import Panel, Section
from ..pictures import PictureRow, mistakes

__all__ = ["sections"]


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown and found.store and faces:
        panels = _panels(mistakes(found.store, found.shown))
        yield Section(id="mistakes", title="The most confident mistakes", panels=panels)


def _panels(rows: Sequence[PictureRow]) -> tuple[Panel, ...]:
    if not any(row.pictures for row in rows):
        return ()
    caption = (
        "The wrong predictions with the highest probability. Each caption reads: label → prediction, with its "
        "probability. Look for labels that are doubtful themselves, and for what these faces have in common."
    )
    return (Panel(title="The most confident mistakes", caption=caption, pictures=tuple(rows), folded=True),)
