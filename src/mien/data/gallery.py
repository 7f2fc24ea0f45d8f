"""The page of an audit: its findings in words, then the first of each kind with small pictures, in one HTML file.

In: a store and its `Audit`. Out: HTML that needs nothing else. `faces=False` leaves the pictures out, for corpora whose
terms forbid showing them. Other pages of faces are made of the same `page` and `picture`.
"""

import base64
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from ..shown import tagless
from ..version import __version__
from .audit import Audit, Group
from .findings import next_command, summary
from .store import Store

__all__ = ["gallery_page", "page", "picture"]

GROUPS_SHOWN = 60
IMAGES_SHOWN = 8

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 96rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } td, th { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #8884 }
td:first-child, th:first-child { text-align: left; padding-left: 0 }
.summary td { text-align: left; vertical-align: top } .summary th { font-weight: 400; vertical-align: top }
.harm th { font-weight: 600; box-shadow: inset 4px 0 #c4553b; padding-left: .7rem !important }
pre { background: #8882; padding: .7rem 1rem; border-radius: 4px; white-space: pre-wrap; overflow-wrap: anywhere }
.note { margin: -.6rem 0 .6rem; opacity: .75 }
.groups { display: flex; flex-wrap: wrap; gap: .6rem }
.groups .group { border: 1px solid #8884; border-radius: 4px; padding: .6rem }
.group { display: flex; flex-wrap: wrap; gap: .6rem; max-width: 100%; box-sizing: border-box }
figure { margin: 0; width: 7rem; overflow-wrap: anywhere; font-size: .75rem; line-height: 1.35 }
img { width: 6rem; image-rendering: pixelated; display: block }
.train { border-left: 4px solid #3b82c4; padding-left: .4rem }
.valid { border-left: 4px solid #b08a00; padding-left: .4rem }
.test { border-left: 4px solid #c4553b; padding-left: .4rem }
@media (max-width: 40rem) {
  .summary tr { display: block; padding: .4rem 0; border-bottom: 1px solid #8884 }
  .summary th, .summary td { display: block; border: 0; padding: 0 }
}
"""


def gallery_page(store: Store, found: Audit, *, faces: bool = True) -> str:
    """The page: the findings and the remedy, then the first `GROUPS_SHOWN` groups of each kind."""
    sections = [
        ("Identical images across splits", found.leaks),
        ("Nearly identical images across splits", found.near_leaks),
        ("Identical images with different labels", found.conflicts),
        ("Blank images", list(_singles(store, found))),
    ]
    shown = [row for _, groups in sections for group in groups[:GROUPS_SHOWN] for row in group.rows[:IMAGES_SHOWN]]
    sources = _sources(store, set(shown))
    licence = f"<p>{len(store):,} images, sha256 {store.meta.sha256[:16]}. {tagless(store.meta.licence)}</p>"
    body = "".join(_section(store, name, groups, sources, faces) for name, groups in sections if groups)
    return page(f"Audit of {store.meta.corpus}", f"{_summary(store, found)}{body}{_numbers(found)}{licence}")


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


def _summary(store: Store, found: Audit) -> str:
    """One line for each kind, and the command that removes the harmful findings."""
    rows = "".join(
        f'<tr{" class=harm" if line.harms else ""}><th scope="row">{line.kind}</th><td>{tagless(line.numbers)}</td>'
        f"<td>{line.meaning if line.count else ''}</td></tr>"
        for line in summary(found)
    )
    command = next_command(found, str(store.path))
    rest = (
        "<p>To leave out everything that distorts a test or a training (of copies, those in the test are kept):</p>"
        f"<pre>{tagless(command)}</pre>"
        if command
        else "<p>Nothing found here distorts a test or a training.</p>"
    )
    return f'<table class="summary">{rows}</table>{rest}'


def _numbers(found: Audit) -> str:
    splits = list(found.counts)
    head = "".join(f"<th>{split}</th>" for split in ("class", *splits))
    names = list(found.counts[splits[0]]) if splits else []
    rows = [[name, *(f"{found.counts[split][name]:,}" for split in splits)] for name in names]
    body = "".join("<tr>" + "".join(f"<td>{tagless(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<h2>Images by class and split</h2><table class="numbers"><tr>{head}</tr>{body}</table>'


def _section(store: Store, name: str, groups: Sequence[Group], sources: dict[int, str], faces: bool) -> str:
    shown = "".join(_group(store, group, sources, faces) for group in groups[:GROUPS_SHOWN])
    count = f"{len(groups):,} group{'s' * (len(groups) != 1)}"
    rest = f"first {GROUPS_SHOWN} of {count} shown" if len(groups) > GROUPS_SHOWN else f"all {count} shown"
    return f'<h2>{name}</h2><p class="note">{rest}; all in findings.csv</p><div class="groups">{shown}</div>'


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
