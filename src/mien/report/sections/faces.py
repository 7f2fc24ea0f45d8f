"""The section of faces: the first pictures of each class, as the networks see them."""

from collections.abc import Iterator, Sequence

from ..findings import Findings
from ..parts import Panel, Section
from ..pictures import PictureRow, examples

__all__ = ["sections"]

NO_FACES = "Pictures are left out, as this page was made with --no-faces."


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    store = found.store if faces else None
    panels = (_examples(examples(store)),) if store else ()
    yield Section(
        id="faces", title="The faces", panels=panels, lead=found.judgement.why_no_store if faces else NO_FACES
    )


def _examples(rows: Sequence[PictureRow]) -> Panel:
    return Panel(
        title="Examples of each class",
        caption="The first training faces of each class, at the size that networks see. If you cannot see the labelled "
        "expression here, no network can learn it from these pictures.",
        pictures=tuple(rows),
    )
