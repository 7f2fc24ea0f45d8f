"""The audit as a page: the worst of what it found, with small pictures, in one HTML file that needs nothing else.

In: a store and its `Audit`. Out: HTML. `faces=False` leaves the pictures out, for corpora whose terms forbid
showing them. Other pages of faces are made of the same `page` and `picture`.
"""

import base64
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from ..shown import tagless
from ..version import __version__
from .audit import Audit, Group
from .store import Store

__all__ = ["gallery_page", "page", "picture"]

GROUPS_SHOWN = 60
IMAGES_SHOWN = 8

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #8884 }
td:first-child, th:first-child { text-align: left }
.group { display: flex; flex-wrap: wrap; gap: .6rem; padding: .6rem 0; border-bottom: 1px solid #8884 }
figure { margin: 0; width: 8.5rem; overflow-wrap: anywhere; font-size: .75rem }
img { width: 6rem; image-rendering: pixelated; display: block }
.train { border-left: 4px solid #3b82c4; padding-left: .4rem }
.valid { border-left: 4px solid #b08a00; padding-left: .4rem }
.test { border-left: 4px solid #c4553b; padding-left: .4rem }
"""


def gallery_page(store: Store, found: Audit, *, faces: bool = True) -> str:
    """The page: numbers, then the worst of each kind, at most `GROUPS_SHOWN` groups a kind."""
    sections = [
        ("Identical images across splits", found.leaks),
        ("Identical images with different labels", found.conflicts),
        ("Nearly identical images across splits", found.near_leaks),
        ("Blank images", list(_singles(store, found))),
    ]
    shown = [row for _, groups in sections for group in groups[:GROUPS_SHOWN] for row in group.rows[:IMAGES_SHOWN]]
    sources = _sources(store, set(shown))
    told = f"<p>{len(store)} images, sha256 {store.meta.sha256[:16]}. {tagless(store.meta.licence)}</p>"
    body = "".join(_section(store, name, groups, sources, faces) for name, groups in sections)
    return page(f"Audit of {store.meta.corpus}", f"{told}{_numbers(found)}{body}")


def page(title: str, body: str) -> str:
    """A whole HTML file: `title`, a text, above `body`, HTML."""
    title = tagless(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="generator" content="mien {__version__}">'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1>{body}</body></html>\n"
    )


def _singles(store: Store, found: Audit) -> Iterable[Group]:
    samples = store.samples
    for row in found.blanks:
        yield Group(rows=(row,), labels=(int(samples.label[row]),), splits=(str(samples.split[row]),))


def _sources(store: Store, rows: set[int]) -> dict[int, str]:
    return {row: sample.source for row, sample in enumerate(store.iter_samples()) if row in rows}


def _numbers(found: Audit) -> str:
    splits = list(found.counts)
    head = "".join(f"<th>{split}</th>" for split in ("class", *splits))
    names = list(found.counts[splits[0]]) if splits else []
    rows = [[name, *(found.counts[split][name] for split in splits)] for name in names]
    body = "".join("<tr>" + "".join(f"<td>{tagless(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _section(store: Store, name: str, groups: Sequence[Group], sources: dict[int, str], faces: bool) -> str:
    rest = f", the first {GROUPS_SHOWN} shown" if len(groups) > GROUPS_SHOWN else ""
    shown = "".join(_group(store, group, sources, faces) for group in groups[:GROUPS_SHOWN])
    return f"<h2>{name}: {len(groups)}{rest}</h2>{shown or '<p>None.</p>'}"


def _group(store: Store, group: Group, sources: dict[int, str], faces: bool) -> str:
    figures = [
        f'<figure class="{split}">{picture(store, row) if faces else ""}<figcaption>{split}, '
        f"{tagless(store.meta.labels[label])}<br>{tagless(sources[row])}</figcaption></figure>"
        for row, label, split in zip(group.rows, group.labels, group.splits, strict=True)
        if row in sources
    ]
    more = len(group.rows) - len(figures)
    return f'<div class="group">{"".join(figures)}{f"<p>and {more} more</p>" if more else ""}</div>'


def picture(store: Store, row: int) -> str:
    """An image of the store as an `<img>` that holds its own pixels."""
    image = np.ascontiguousarray(store.images[row][..., ::-1])
    data = base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
    return f'<img alt="row {row}" src="data:image/png;base64,{data}">'
