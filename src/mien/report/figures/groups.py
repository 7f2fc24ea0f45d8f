"""Results by groups of people: figures of every group as dots with intervals, and every subject's accuracy."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...calibration import Floats
from ...examine.examined import Place
from ...examine.groups import BySubject, Groups
from .damage import dot, name_rows
from .sheet import (
    INK,
    Drawing,
    Look,
    Sheet,
    in_all_forms,
    in_lines,
    legend_columns,
    most_columns,
    name_panel,
    percent_axis,
    second_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_groups", "draw_subjects"]

HEADING, LEVEL, ROW = 0.24, 0.11, 0.085
"""Inches: of an attribute's name, of the air around a level, of one row in it."""
SUBJECTS_WITH_LINES = 120
"""Subjects up to which each has its interval drawn."""
LUCKY_DRAWS = 200


@in_all_forms
def draw_groups(place: Place, looks: Mapping[str, Look]) -> list[Drawing]:
    """Accuracy and UAR of each level, attribute by attribute; none where no level is large enough."""
    judged = place.groups
    levels = list(dict.fromkeys((group.attribute, group.level) for one in judged for group in one.groups))
    if not levels:
        return []
    attributes = {name: [level for _, level in found] for name, found in groupby(levels, key=lambda pair: pair[0])}
    step = LEVEL + ROW * len(judged)
    height = sum(HEADING + step * len(own) for own in attributes.values())
    sizes = {(group.attribute, group.level): group.n for one in judged for group in one.groups}
    words = [f"{level} ({sizes[name, level]:,})" for name, level in levels]
    left = max(0.9, 0.075 * max(map(len, [*words, *attributes])) + 0.2)
    legend = 0.2 * -(-len(judged) // legend_columns())
    with Sheet(1, 2, (3.0, height), left=left, gap=(0.3, 0), top=0.25 + legend, bottom=0.45) as sheet:
        for axes, metric in zip(sheet.axes, ("accuracy", "uar"), strict=True):
            _dots(axes, judged, looks, attributes, metric, first=metric == "accuracy")
        names = [one.name for one in judged]
        name_rows(sheet.axes[0], names, looks, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=legend_columns())
        return [
            sheet.finish(
                f"groups{place.suffix}",
                f"Accuracy and UAR of each group {place.where}".strip(),
                "One line a group with the number of its test faces, one dot a row with its 95 % interval over "
                + ("subjects" if judged[0].groups[0].subjects else "faces")
                + (" and seeds" if judged[0].seeds > 1 else "")
                + ". Compare groups of one attribute with each other. Overlapping intervals do not prove that groups "
                "are equal, and distant dots do not prove that they differ: the table below tests each gap. UAR "
                "weights every expression equally, so it does not favour a group that shows more of the easy "
                "expressions.",
            )
        ]


def _dots(
    axes: "Axes",
    judged: Sequence[Groups],
    looks: Mapping[str, Look],
    attributes: Mapping[str, Sequence[str]],
    metric: str,
    *,
    first: bool,
) -> None:
    step = LEVEL + ROW * len(judged)
    found = {(one.name, group.attribute, group.level): group for one in judged for group in one.groups}
    figures = {key: getattr(group, metric) for key, group in found.items()}
    y, ticks, headings = 0.0, dict[float, str](), set[int]()
    for attribute, levels in attributes.items():
        headings.add(len(ticks))
        ticks[y + HEADING / 2] = attribute.replace("_", " ")
        y += HEADING
        for level in levels:
            for place, one in enumerate(judged):
                figure, look = figures[one.name, attribute, level], looks[one.name]
                at = y + LEVEL / 2 + ROW * (place + 0.5)
                axes.plot([figure.interval.low, figure.interval.high], [at, at], color=look.colour, linewidth=1)
                dot(axes, figure.value, at, look)
            axes.axhline(y + step, color=INK, alpha=0.08, linewidth=0.6)
            ticks[y + step / 2] = f"{level} ({found[judged[0].name, attribute, level].n:,})"
            y += step
    ends = [end for figure in figures.values() for end in (figure.interval.low, figure.interval.high)]
    seen = [end for end in ends if np.isfinite(end)] or [0.0, 1.0]
    axes.set_ylim(y, 0)
    axes.set_yticks(list(ticks), list(ticks.values()) if first else [""] * len(ticks))
    for place, label in enumerate(axes.get_yticklabels()):
        label.set_fontweight("bold" if place in headings else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=INK, alpha=0.1, linewidth=0.6)
    percent_axis(axes, max(0.0, np.floor(min(seen) * 10) / 10), min(1.0, np.ceil(max(seen) * 10) / 10), axis="x")
    axes.set_xlabel("accuracy, %" if metric == "accuracy" else "UAR, %")


@in_all_forms
def draw_subjects(place: Place, looks: Mapping[str, Look]) -> list[Drawing]:
    """Every subject's accuracy, the worst first, one panel a row; none where no subject is known."""
    known = [(one, one.subjects) for one in place.groups if one.subjects is not None and len(one.subjects.subject) > 1]
    if not known:
        return []
    lines, columns = in_lines(len(known), most_columns(3, 3, 2))
    lined = max(len(subjects.subject) for _, subjects in known) <= SUBJECTS_WITH_LINES
    names = second_line()
    with Sheet(lines, columns, (2.15, 1.6), gap=(0.3, 0.5 + names), top=0.3 + names) as sheet:
        for index, (axes, (one, subjects)) in enumerate(zip(sheet.axes, known, strict=False)):
            _subjects(axes, subjects, looks[one.name])
            name_panel(axes, one.name)
            axes.tick_params(labelleft=index % columns == 0)
        for axes in sheet.axes[len(known) :]:
            axes.remove()
        sheet.axes[0].set_ylabel("accuracy, %")
        sheet.axes[(lines - 1) * columns].set_xlabel("subjects, the worst first")
        return [
            sheet.finish(
                f"subjects{place.suffix}",
                f"Accuracy of each subject {place.where}".strip(),
                "One dot a subject of the test"
                + (", with Wilson's 95 % interval over that subject's faces" if lined else "")
                + ". The grey line is the range that chance alone would give if all subjects were equally hard. "
                "Where the dots follow it, the range does not show a difference between people. Where they fall "
                "below it on the left, some subjects are recognised less well than others.",
            )
        ]


def _subjects(axes: "Axes", subjects: BySubject, look: Look) -> None:
    x = np.arange(len(subjects.subject)) + 1
    if len(x) <= SUBJECTS_WITH_LINES:
        axes.vlines(x, subjects.low, subjects.high, color=look.colour, alpha=0.35, linewidth=0.8)
    axes.plot(x, _by_luck(subjects), color=INK, alpha=0.55, linewidth=1)
    axes.plot(x, subjects.accuracy, ".", color=look.colour, markersize=3.5)
    axes.set_xlim(0, len(x) + 1)
    percent_axis(axes)


def _by_luck(subjects: BySubject) -> Floats:
    """The accuracies `(P,)`, worst first, that subjects of one and the same hardness would show, on average."""
    n: NDArray[np.int64] = subjects.n
    shared = float((subjects.accuracy * n).sum() / n.sum())
    drawn = np.random.default_rng(0).binomial(n, shared, (LUCKY_DRAWS, len(n))) / n
    return np.asarray(np.sort(drawn, axis=1).mean(axis=0))
