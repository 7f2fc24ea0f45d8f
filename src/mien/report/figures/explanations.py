"""How much of an explanation falls on the pixels that moved in drawn faces, beside chance and by action unit."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...explain import METHODS, TITLES
from ...explain.beside import FIGURES, Figure, Grounded, Truth
from .damage import dot
from .sheet import INK, Drawing, Look, Sheet, in_all_forms, is_phone, of_row, percent_axis, pt, second_line, tint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AU_NAMES", "draw_explanations", "draw_units", "shown_methods"]

AU_NAMES: Mapping[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    12: "lip corner puller",
    15: "lip corner depressor",
    16: "lower lip depressor",
    20: "lip stretcher",
    23: "lip tightener",
    26: "jaw drop",
}
"""Of FACS (Ekman, Friesen and Hager 2002)."""
WORDS: Mapping[Figure, str] = {"pointing": "largest pixel on what moved, %", "energy": "energy on what moved, %"}
ROW = 0.19
"""Inches a network."""
LEGEND = 0.3
"""Inches from a panel to the legend, over its title."""
LIFT = 3.0
"""Times chance at which a cell is full."""
DEEPEST = 0.62


def shown_methods(truths: Sequence[Truth]) -> list[str]:
    """The methods that any of the networks was explained by, in their order."""
    seen = {one.method for truth in truths for one in truth.methods}
    return [method for method in METHODS if method in seen]


@in_all_forms
def draw_explanations(truths: Sequence[Truth], looks: Mapping[str, Look]) -> list[Drawing]:
    """A panel a method and figure, a line a network; looks by row name."""
    methods = shown_methods(truths)
    height, left = 0.15 + (ROW + second_line()) * len(truths), 0.066 * _letters(truths) + 0.2
    width = min(2.4, 6.3 / len(methods))
    lines, columns = (len(methods), 2) if is_phone() else (2, len(methods))
    with Sheet(lines, columns, (width, height), left=left, gap=(0.2, 0.62), top=0.52, bottom=0.42) as sheet:
        for kind, figure in enumerate(FIGURES):
            low, high = _ends(truths, figure)
            for place, method in enumerate(methods):
                line, column = (place, kind) if is_phone() else (kind, place)
                axes = sheet.axes[line * columns + column]
                _dots(axes, truths, looks, method, figure)
                percent_axis(axes, low, high, axis="x")
                axes.set_title(TITLES[method] if kind == 0 else "")
                axes.tick_params(labelleft=column == 0)
                if place == (len(methods) - 1 if is_phone() else 0):
                    axes.set_xlabel(WORDS[figure].replace(" on ", "\non ") if is_phone() else WORDS[figure], loc="left")
        _name_marks(sheet.axes[0], 1 + LEGEND / height)
        return [sheet.finish("explanations", "How much of an explanation falls on what moved", _caption(truths))]


@in_all_forms
def draw_units(truths: Sequence[Truth], looks: Mapping[str, Look], method: str) -> list[Drawing]:
    """Lifts of each action unit by one method, a line a network; none where it was not measured."""
    rows = [(truth, one) for truth in truths for one in truth.methods if one.method == method]
    units = sorted({unit for _, one in rows for unit in one.units})
    if not units:
        return []
    side, left = 0.38, 0.066 * _letters([truth for truth, _ in rows]) + 0.2
    size = (side * len(units), 0.26 * len(rows))
    with Sheet(1, 1, size, left=left, top=0.1, bottom=1.6) as sheet:
        axes = sheet.axes[0]
        for line, (truth, one) in enumerate(rows):
            for column, unit in enumerate(units):
                if unit in one.units:
                    _cell(axes, column, line, one.units[unit].value, looks[truth.name])
        axes.set(xlim=(0, len(units)), ylim=(len(rows), 0))
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_yticks(np.arange(len(rows)) + 0.5, [of_row(truth.name) for truth, _ in rows])
        names = [f"AU {unit}, {AU_NAMES.get(unit, '')}".rstrip(", ") for unit in units]
        axes.set_xticks(np.arange(len(units)) + 0.5, names, rotation=90, fontsize=pt(7.5))
        return [
            sheet.finish(
                "action-units",
                "Which action units are looked at",
                f"By {TITLES[method]}: the positive energy of the map on the pixels of an action unit, divided by "
                "that on the same number of average pixels of the face, over the faces in which the unit is active. "
                "1 is chance. The network does not use an action unit that is near or below 1. A pixel may belong to "
                "several units.",
            )
        ]


def _letters(truths: Sequence[Truth]) -> int:
    """Letters of the longest line of a row's name."""
    return max(len(line) for truth in truths for line in of_row(truth.name).split("\n"))


def _dots(axes: "Axes", truths: Sequence[Truth], looks: Mapping[str, Look], method: str, figure: Figure) -> None:
    for name, dash in (("area", (0, (1, 1.3))), ("usual", (0, (4, 2)))):
        axes.axvline(truths[0].chance[name][figure], color=INK, alpha=0.6, linewidth=0.8, linestyle=dash)
    for line, truth in enumerate(truths):
        found = _of(truth, method)
        if found is None:
            continue
        beside, look = getattr(found, figure), looks[truth.name]
        interval = beside.value.interval
        axes.plot([max(interval.low, 0), min(interval.high, 1)], [line, line], color=look.colour, linewidth=1.2)
        dot(axes, beside.value.value, line, look, 4)
        axes.plot(beside.controls["others"].value, line, "|", color=INK, ms=8, mew=1.2)
        axes.plot(beside.controls["untrained"].value, line, "x", color=INK, ms=4, mew=0.9)
    axes.set_ylim(len(truths) - 0.4, -0.6)
    axes.set_yticks(range(len(truths)), [of_row(truth.name) for truth in truths])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _of(truth: Truth, method: str) -> Grounded | None:
    return next((one for one in truth.methods if one.method == method), None)


def _ends(truths: Sequence[Truth], figure: Figure) -> tuple[float, float]:
    """From 0 to a round number above all that is drawn of a figure but the far ends of intervals."""
    besides = [getattr(one, figure) for truth in truths for one in truth.methods]
    values = [one.value for each in besides for one in (each.value, *each.controls.values())]
    values += [own[figure] for truth in truths for own in truth.chance.values()]
    values += [min(each.value.interval.high, each.value.value + 0.15) for each in besides]
    return 0.0, min(1.0, float(np.ceil(10 * max(values)) / 10))


def _cell(axes: "Axes", column: int, line: int, lift: float, look: Look) -> None:
    strength = float(np.clip((lift - 1) / (LIFT - 1), 0, 1))
    if strength:
        tint(axes, column, line, look.colour, DEEPEST * strength)
    axes.text(column + 0.5, line + 0.52, f"{lift:.1f}", ha="center", va="center", fontsize=pt(7))


def _name_marks(axes: "Axes", height: float) -> None:
    """The legend of the marks that are no network's, from `height` axes up."""
    marks = (
        ("|", "", "maps of other expressions"),
        ("x", "", "untrained"),
        ("", (0, (1, 1.3)), "an even map"),
        ("", (0, (4, 2)), "where faces usually move"),
    )
    for marker, dash, words in marks:
        axes.plot([], [], marker=marker, ls=dash, color=INK, ms=5, mew=1, lw=0.8, label=words)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, height), ncols=4, borderaxespad=0, handlelength=1.6, columnspacing=1.4
    )


def _caption(truths: Sequence[Truth]) -> str:
    first = truths[0]
    return (
        "A dot is the mean over a network's explanations of the true class, with its 95 % interval. The upper panels "
        "show how often the largest pixel of the map is one that an action unit of the expression moved. The lower "
        "panels show the share of the map's positive energy on such pixels. Compare a dot with the marks on its "
        "line. A vertical stroke is the same network on faces of other expressions: if the dot is no better, the "
        "network always looks there. A cross is the same network before training: if the dot is no better, the map "
        "does not show what was learned. The dotted line is a uniform map; the dashed line is one fixed map of where "
        f"drawn faces usually move, which depends on no face. {first.n:,} test faces"
        + (", means over seeds." if first.seeds > 1 else ", one seed.")
    )
