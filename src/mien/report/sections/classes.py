"""The section of expressions: confusion, F1, recall with its intervals, ROC."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ...judge.certainty import Certainty
from ...words import in_percent
from ..figures import Shown, draw_bars, draw_confusions, draw_recalls, draw_roc
from ..findings import Findings
from ..parts import Panel, Section, SmallTable, panels

__all__ = ["classes_section", "sections"]


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown:
        yield classes_section(found.shown, found.comparison.data.labels, found.judgement.certainty)


def classes_section(shown: Sequence[Shown], labels: Sequence[str], certainty: Certainty) -> Section:
    """Which expressions are told apart."""
    first = panels([*draw_confusions(shown, labels), *draw_recalls(shown, labels, certainty.recalls)])
    more = panels([*draw_bars(shown, labels, certainty.f1), *draw_roc(shown, labels)])
    found = [*first, *_recalls(shown, labels, certainty), *(replace(one, folded=True) for one in more)]
    return Section(id="classes", title="Which expressions they tell apart", panels=tuple(found))


def _recalls(shown: Sequence[Shown], labels: Sequence[str], certainty: Certainty) -> Sequence[Panel]:
    able = [item for item in shown if item.name in certainty.recalls]
    if not able:
        return ()
    support = np.bincount(able[0].tests[0].labels, minlength=len(labels)).tolist()
    rows = [
        ("faces", *(f"{n:,}" for n in support)),
        *((item.name, *map(in_percent, certainty.recalls[item.name])) for item in able),
    ]
    table = SmallTable(name="recalls", heads=("Recall, %", *labels), rows=tuple(rows))
    seeds = len(able[0].tests)
    method = (
        "With several seeds, or subjects known, it is taken at the number of faces that would give a plain share the "
        "variance seen."
        if seeds > 1 or certainty.by_subject
        else "One seed: it is over faces alone."
    )
    caption = f"In brackets Wilson's 95 % interval. {method}"
    return (Panel(title="Recall of each class", caption=caption, table=table, folded=True),)
