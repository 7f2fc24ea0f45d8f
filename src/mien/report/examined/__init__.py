"""The sections of what was examined: damage, groups of people, doubtful labels, other corpora.

In: the rows that a page shows, and what lies beside them. Out: a section each, with figures, a small table, words
on how to read it, and CSV files with every digit. A section with nothing measured says in a sentence how to get it.
"""

import shlex
from collections.abc import Iterator, Sequence

from ...data.store import Store
from ...examine.examined import Beside, gather
from ..figures import Shown
from ..parts import Section
from ..pictures import open_store
from .across import across_section
from .damage import damage_section
from .doubts import doubts_section
from .groups import groups_section

__all__ = ["examined_sections"]


def examined_sections(shown: Sequence[Shown], beside: Beside, *, faces: bool) -> Iterator[Section]:
    """The sections in their order; pictures of the corpus among them only with `faces`."""
    if not shown:
        return
    data, folder = shown[0].first.data, shlex.quote(str(shown[0].first.path.parent))
    kept = open_store(data)
    store = kept if isinstance(kept, Store) else None
    examined, looks = gather([item.row for item in shown], store, beside), {item.name: item.look for item in shown}
    pictured = store if faces else None
    yield damage_section(examined, looks, pictured, folder)
    yield groups_section(examined, looks)
    yield doubts_section(examined, shown, store, folder, faces=faces)
    yield across_section(examined, looks, folder)
