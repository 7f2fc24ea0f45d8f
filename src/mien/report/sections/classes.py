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
    return Section(id="classes", title="Which expressions are confused", panels=tuple(found))


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
        "With several seeds, or with known subjects, it uses the effective number of faces: the number at which a "
        "plain share would have the observed variance."
        if seeds > 1 or certainty.by_subject
        else "With one seed it covers faces alone."
    )
    caption = f"Brackets hold Wilson's 95 % interval. {method}"
    return (Panel(title="Recall of each class", caption=caption, table=table, folded=True),)
