"""The section of pooled folds: UF1 and UAR over all subjects, and over those of each corpus of a composite."""

import math
from collections.abc import Iterator, Sequence

from ...judge.parts import KEYS, Part, PooledRow
from ...words import DASH, as_csv, in_percent, many, percent, three
from ..findings import Findings
from ..parts import Panel, Section, SmallTable

__all__ = ["pooled_words", "sections"]

TITLES = {"macro_f1": "UF1, %", "uar": "UAR, %", "accuracy": "Accuracy, %"}


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if rows := found.judgement.pooled:
        yield Section(
            id="pooled",
            title="Over all folds, and corpus by corpus" if _several(rows) else "Over all folds",
            lead=" ".join(pooled_words(rows)),
            panels=(_table(rows),),
            files={"parts.csv": as_csv(HEADS, _digits(rows))},
        )


def pooled_words(rows: Sequence[PooledRow]) -> Iterator[str]:
    """Sentences on the pooling of folds; nothing without such rows."""
    if not rows:
        return
    protocol = rows[0].row.runs[0].settings.data.protocol
    fold = "a corpus" if protocol == "hde" else "a person"
    yield (
        f"Each fold tests {fold}. The predictions of all {many(rows[0].row.folds, 'fold')} make one confusion matrix, "
        "from which UF1 (the macro F1) and UAR (the mean recall) follow (See et al. 2019)."
    )
    means = [row for row in rows if math.isfinite(row.mean_of_subjects)]
    if means:
        gaps = [row.mean_of_subjects - row.parts[0].figures["macro_f1"].value for row in means]
        widest = max(gaps, key=abs)
        yield (
            "The mean of each subject's own F1 is another number, and is no UF1: here it differs by up to "
            f"{100 * abs(widest):.1f} points."
        )


def _several(rows: Sequence[PooledRow]) -> bool:
    return any(len(row.parts) > 1 for row in rows)


def _table(rows: Sequence[PooledRow]) -> Panel:
    several = _several(rows)
    by_subject = rows[0].parts[0].subjects > 0
    heads = (
        "Row",
        *(("Corpus",) if several else ()),
        "Clips",
        "Subjects",
        *(TITLES[key] for key in KEYS),
        *(("Mean of subjects' F1, %",) if by_subject else ()),
    )
    lines = [(row, part) for row in rows for part in row.parts]
    return Panel(
        title="UF1 and UAR of pooled predictions",
        caption="Brackets hold 95 % intervals over "
        + ("subjects" if by_subject else "test faces")
        + (" and seeds" if len(rows[0].row.tests) > 1 else "")
        + " (bootstrap). "
        + ("A corpus has the figures of its own clips, by the same networks. " if several else "")
        + "Classes that a corpus has no clip of do not count there. Results of single subjects stand under “Whom they "
        "fail”.",
        table=SmallTable(
            name="parts",
            heads=heads,
            rows=tuple(_line(row, part, several, by_subject) for row, part in lines),
            words=frozenset({1} if several else ()),
        ),
    )


def _line(row: PooledRow, part: Part, several: bool, by_subject: bool) -> tuple[str, ...]:
    all_of_them = not part.name
    return (
        row.row.name,
        *((part.name or "all",) if several else ()),
        f"{part.n:,}",
        f"{part.subjects:,}" if part.subjects else DASH,
        *(in_percent(part.figures[key]) for key in KEYS),
        *((_share(row.mean_of_subjects) if all_of_them else "",) if by_subject else ()),
    )


def _share(value: float) -> str:
    return percent(value, 1).removesuffix("\u00a0%") if math.isfinite(value) else DASH


HEADS = ("row", "corpus", "clips", "subjects", "metric", "value", "low", "high")


def _digits(rows: Sequence[PooledRow]) -> Iterator[tuple[object, ...]]:
    for row in rows:
        for part in row.parts:
            for key in KEYS:
                yield row.row.name, part.name or "all", part.n, part.subjects, key, *three(part.figures[key])
