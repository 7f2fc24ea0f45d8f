"""The sections of what was examined: damage, groups of people, doubtful labels, other corpora, explanations.

In: the rows that a page shows, and what was found of them. Out: a section each, with figures, a small table, words
on how to read it, and CSV files with every digit. A section with nothing measured says in a sentence how to get it.
"""

import shlex
from collections.abc import Iterator

from ...planes import MOVED
from ..figures.sheet import Look
from ..findings import Findings
from ..parts import Section
from .across import across_section
from .damage import damage_section
from .doubts import doubts_section
from .explanations import explanations_section
from .groups import groups_sections

__all__ = ["examined_sections"]

NOT_SHOWN = Look(colour="#808080", marker="X", dash=(0, (1, 1.3)), hatch="", solid=False)
"""Of a baseline that has no other figures."""


def examined_sections(found: Findings, *, faces: bool) -> Iterator[Section]:
    """The sections in their order; pictures of the corpus among them only with `faces`."""
    shown, examined = found.shown, found.examined
    if not shown:
        return
    folder = shlex.quote(str(shown[0].first.path.parent))
    store = found.store
    looks = found.looks
    rest = [row for row in found.comparison.rows if row.name not in looks]
    yield damage_section(examined, {row.name: NOT_SHOWN for row in rest} | looks, store if faces else None, folder)
    yield from groups_sections(examined, looks)
    yield doubts_section(examined, shown, store, folder, faces=faces)
    yield across_section(examined, looks, folder)
    drawn = store is not None and MOVED in store.planes
    yield explanations_section(found.explained, looks, folder, drawn=drawn)
