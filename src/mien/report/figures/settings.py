"""Curves of a setting: accuracy against its levels, a line a network, with the interval of each point."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .sheet import INK, Drawing, Look, Sheet, in_all_forms, legend_columns, percent_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Line", "Point", "draw_setting"]

WORDS = {"data.train_limit": "faces trained on"}
"""Titles of axes whose setting has an unclear name."""
LETTERS, HANDLE = 56, 8
"""Letters that fit beside each other above the panel, and the width of a line's sample among them."""
FEWEST_DECADES = 30.0
"""A setting is drawn on a logarithmic axis if its largest level is this many times its smallest, which is not 0."""
ASIDE = 0.006
"""Horizontal distance between lines, so that their intervals can be told apart; a share of the axis."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """Accuracy at one level: the mean over seeds, and its 95 % interval."""

    level: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """Rows that differ in this setting alone, by level."""

    name: str
    look: Look
    points: tuple[Point, ...]


@in_all_forms
def draw_setting(key: str, lines: Sequence[Line], over: str) -> list[Drawing]:
    """One panel; `over` says what the intervals are over."""
    word = WORDS.get(key, key.rpartition(".")[2].replace("_", " "))
    every = [point for line in lines for point in line.points]
    columns = _columns([line.name for line in lines])
    top = 0.25 + 0.2 * -(-len(lines) // columns)
    with Sheet(1, 1, (3.6, 2.4), top=top) as sheet:
        axes = sheet.axes[0]
        axes.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)
        for place, line in enumerate(lines):
            _draw(axes, line, _aside(place, lines, every))
        low, high = min(point.low for point in every), max(point.high for point in every)
        pad = max(0.01, 0.1 * (high - low))
        percent_axis(axes, max(0, low - pad), min(1, high + pad))
        levels = sorted({point.level for point in every})
        if _in_logarithms(levels):
            axes.set_xscale("log")
        axes.set_xticks(levels, [f"{level:g}" for level in levels])
        axes.minorticks_off()
        axes.set_xlabel(word)
        axes.set_ylabel("accuracy on test, %")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2)
        caption = (
            f"Each point is a row of the table: the mean over its seeds, and its 95 % interval over {over}. The same "
            "settings but for this one hold along a line. Intervals of two points may overlap where their difference "
            "holds: it is paired, and stands among the differences. Mind the vertical axis, which does not start at 0."
        )
        return [sheet.finish(f"setting-{key.replace('.', '-')}", f"Accuracy against {word}", caption)]


def _draw(axes: "Axes", line: Line, aside: Mapping[float, float]) -> None:
    x = [aside[point.level] for point in line.points]
    below = [point.mean - point.low for point in line.points]
    above = [point.high - point.mean for point in line.points]
    look = line.look
    axes.errorbar(
        x,
        [point.mean for point in line.points],
        yerr=[below, above],
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker,
        markersize=4.5,
        linewidth=1.5,
        elinewidth=1,
        label=line.name,
    )


def _columns(names: Sequence[str]) -> int:
    """The most columns of the legend for which the longest names fit beside each other."""
    widths = sorted((HANDLE + len(name) for name in names), reverse=True)
    return max((count for count in range(1, legend_columns() + 1) if sum(widths[:count]) <= LETTERS), default=1)


def _in_logarithms(levels: Sequence[float]) -> bool:
    return levels[0] > 0 and levels[-1] >= FEWEST_DECADES * levels[0]


def _aside(place: int, lines: Sequence[Line], every: Sequence[Point]) -> dict[float, float]:
    """Where the levels of a line are drawn."""
    levels = sorted({point.level for point in every})
    steps = place - (len(lines) - 1) / 2
    if _in_logarithms(levels):
        ratio = (levels[-1] / levels[0]) ** (ASIDE * steps)
        return {level: level * ratio for level in levels}
    return {level: level + ASIDE * steps * (levels[-1] - levels[0]) for level in levels}
