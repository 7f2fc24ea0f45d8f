"""Groups of people on the page: figures of each group, gaps with corrected p, and the range over subjects.

Each corpus has a section: that of training, and every other one that rows were tested on. Titles, files and figures
name the corpus.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...examine.across import Matrix
from ...examine.examined import Examined, Place
from ...examine.groups import MIN_FACES, MIN_SUBJECTS, Gap, Groups, mirror
from ...words import as_csv, faces_of, is_drawn, p_words, points, three
from ..figures.groups import draw_groups, draw_subjects
from ..figures.sheet import Look
from ..findings import Findings
from ..parts import Panel, Section, SmallTable

__all__ = ["groups_sections", "sections"]

ID, TITLE = "groups", "Whom they fail"
LEVEL = 0.05
MOST_SAID = 8
"""Gaps that are put into words; the table has all."""


def sections(found: Findings, faces: bool) -> Iterator[Section]:
    if found.shown:
        yield from groups_sections(found.examined, found.looks)


def groups_sections(examined: Examined, looks: Mapping[str, Look]) -> Iterator[Section]:
    """A section for each corpus of whose test faces attributes or subjects are known, that of training first."""
    for place in examined.places:
        if place.groups:
            yield _section(place, examined.matrix, looks)
        elif place.notes:
            yield Section(id=f"{ID}{place.suffix}", title=_title(place), lead=" ".join(place.notes), measured=False)


def _title(place: Place) -> str:
    return f"{TITLE} {place.where}".strip()


def _section(place: Place, matrix: Matrix | None, looks: Mapping[str, Look]) -> Section:
    judged, tail = place.groups, place.suffix
    panels, files = [], {}
    for drawing in draw_groups(place, looks):
        panels.append(
            Panel(
                title=drawing.title,
                caption=drawing.caption,
                drawing=drawing,
                table=_gaps_table(judged, tail),
                small_print=True,
            )
        )
        files = {f"groups{tail}.csv": _groups_csv(judged), f"gaps{tail}.csv": _gaps_csv(judged)}
    for drawing in draw_subjects(place, looks):
        panels.append(
            Panel(
                title=drawing.title,
                caption=drawing.caption,
                drawing=drawing,
                table=_subjects_table(judged, tail),
                folded=True,
                small_print=True,
            )
        )
        files[f"subjects{tail}.csv"] = _subjects_csv(judged)
    away = f"{_away(place, matrix)} " if place.away and matrix else ""
    return Section(
        id=f"{ID}{tail}",
        title=_title(place),
        lead=away + _lead(judged),
        points=(*_significant(judged), *place.notes, *_small(judged)),
        panels=tuple(panels),
        files=files,
    )


def _away(place: Place, matrix: Matrix) -> str:
    """The limits of results on faces of another corpus."""
    names = {one.name for one in place.groups}
    cells = [cell for cell in matrix.cells if cell.network in names and cell.tested_on == place.corpus]
    uar = [100 * cell.uar.value for cell in cells if cell.n and not cell.own]
    faces, classes = faces_of(place.corpus), len(place.groups[0].classes)
    drawn = " Drawn faces are not photographs of people." if is_drawn(place.corpus) else ""
    return (
        f"These rows were trained on {faces_of(place.home)} and tested here on {faces}. The groups below are those of "
        f"{faces}; other faces may show other gaps.{drawn} Their UAR over all of these {place.groups[0].n:,} faces is "
        f"{min(uar):.1f} to {max(uar):.1f} % (chance: {100 / classes:.1f} %); where accuracy is near chance, groups "
        "cannot differ much."
    )


def _lead(judged: Sequence[Groups]) -> str:
    gaps = [gap for one in judged for gap in one.gaps]
    if not gaps:
        return (
            "No attribute has two groups that are large enough to compare; the range over subjects is below."
            if any(one.subjects for one in judged)
            else "No attribute has two groups that are large enough to compare."
        )
    significant = sum(gap.p_corrected < LEVEL for gap in gaps)
    count = f"Of {gaps[0].tests} gaps tested (accuracy and UAR of each group against all other faces, each row)"
    if significant:
        return f"{count}, those below are significant after Holm's correction for all of them (5 %)."
    reach = [100 * max(abs(gap.interval.low), abs(gap.interval.high)) for gap in gaps if np.isfinite(gap.value)]
    return (
        f"{count}, none is significant after Holm's correction for all of them (5 %). That does not make the groups "
        f"equal: the intervals allow gaps of up to {max(reach):.0f} points ({np.median(reach):.0f} for the median "
        "interval)."
    )


def _significant(judged: Sequence[Groups]) -> Iterator[str]:
    """The significant gaps, the largest first; a gap and its mirror image count once."""
    significant = [(one.name, gap) for one in judged for gap in _once(one) if gap.p_corrected < LEVEL]
    significant.sort(key=lambda pair: -abs(pair[1].value))
    yield from (f"{name}: {gap.sentence}." for name, gap in significant[:MOST_SAID])
    if len(significant) > MOST_SAID:
        yield f"{len(significant) - MOST_SAID} smaller ones are in the table."


def _once(one: Groups) -> Iterator[Gap]:
    """Of an attribute with two levels that mirror each other, the gap of the smaller group alone."""
    for gap in one.gaps:
        other = mirror(gap, one)
        if other == gap.level or (gap.n, gap.level) <= (gap.rest, other):
            yield gap


def _small(judged: Sequence[Groups]) -> Iterator[str]:
    small = list(dict.fromkeys(words for one in judged for words in one.left_out))
    if small:
        few = f"{MIN_FACES} faces, or {MIN_SUBJECTS} subjects where they are known, on either side"
        yield f"Too small to judge (fewer than {few}): {'; '.join(small)}."


def _gaps_table(judged: Sequence[Groups], tail: str) -> SmallTable:
    gaps = {(one.name, g.attribute, g.level): g for one in judged for g in _once(one) if g.metric == "uar"}
    levels = list(dict.fromkeys(key[1:] for key in gaps))
    cells = [[gaps.get((one.name, *level)) for one in judged] for level in levels]
    return SmallTable(
        name=f"gaps{tail}",
        heads=("UAR gap, points", *(one.name for one in judged)),
        rows=tuple(
            (f"{attribute.replace('_', ' ')} {level}", *(_gap(gap) for gap in line))
            for (attribute, level), line in zip(levels, cells, strict=True)
        ),
        strong=frozenset(
            (i, j + 1) for i, line in enumerate(cells) for j, gap in enumerate(line) if gap and gap.p_corrected < LEVEL
        ),
        notes=(
            "A gap is the group's UAR minus that of all other faces with a known attribute, over the expressions "
            "that both have. Below 0, the network serves the group worse. Brackets hold the 95 % interval, followed "
            "by p after Holm's correction for all gaps tested; bold marks p < .05. Where an attribute has two "
            f"groups, the smaller one is shown. Gaps of accuracy, and recalls of each group, are in gaps{tail}.csv "
            f"and groups{tail}.csv.",
        ),
    )


def _gap(gap: Gap | None) -> str:
    if gap is None or not np.isfinite(gap.value):
        return "–"
    return f"{points(gap.value, gap.interval)}, p {p_words(gap.p_corrected)}"


def _subjects_table(judged: Sequence[Groups], tail: str) -> SmallTable:
    found = [(one.name, one.subjects) for one in judged if one.subjects is not None]
    rows = []
    for name, subjects in found:
        ends = [
            f"{100 * subjects.accuracy[i]:.1f} [{100 * subjects.low[i]:.1f}–{100 * subjects.high[i]:.1f}], "
            f"{subjects.n[i]} faces"
            for i in (0, len(subjects.n) // 2, -1)
        ]
        rows.append((name, str(len(subjects.n)), *ends))
    return SmallTable(
        name=f"subjects{tail}",
        heads=("Network", "Subjects", "Worst, %", "Middle, %", "Best, %"),
        rows=tuple(rows),
        notes=(
            "Accuracy of the worst, the middle and the best subject with Wilson's interval over their faces. The "
            "lowest of many accuracies is low partly by chance, so these intervals do not prove a gap.",
        ),
    )


def _groups_csv(judged: Sequence[Groups]) -> str:
    heads = ("network", "attribute", "level", "faces", "subjects", "quantity", "class", "value", "low", "high")
    rows: list[tuple[object, ...]] = []
    for one in judged:
        for group in one.groups:
            start = (one.name, group.attribute, group.level)
            rows.append((*start, group.n, group.subjects, "accuracy", "", *three(group.accuracy)))
            rows.append((*start, group.n, group.subjects, "uar", "", *three(group.uar)))
            for label, recall, support in zip(one.classes, group.recall, group.support, strict=True):
                rows.append((*start, support, group.subjects, "recall", label, *three(recall)))
    return as_csv(heads, rows)


def _gaps_csv(judged: Sequence[Groups]) -> str:
    heads = ("network", "attribute", "level", "metric", "faces", "rest", "gap", "low", "high", "p", "p_holm", "tests")
    return as_csv(
        heads,
        [
            (
                *(one.name, gap.attribute, gap.level, gap.metric, gap.n, gap.rest, float(gap.value)),
                *(gap.interval.low, gap.interval.high, gap.p, float(gap.p_corrected), gap.tests),
            )
            for one in judged
            for gap in one.gaps
        ],
    )


def _subjects_csv(judged: Sequence[Groups]) -> str:
    return as_csv(
        ("network", "subject", "faces", "accuracy", "low", "high"),
        [
            (one.name, *line)
            for one in judged
            if one.subjects is not None
            for line in zip(
                one.subjects.subject.tolist(),
                one.subjects.n.tolist(),
                *(column.tolist() for column in (one.subjects.accuracy, one.subjects.low, one.subjects.high)),
                strict=True,
            )
        ],
    )
