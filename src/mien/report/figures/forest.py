"""The forest plot: every difference between two rows with its interval and its p, one panel for each metric."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...judge.pairs import CANNOT_TELL, Pair
from ...metrics import metric
from ...words import listed, p_words
from .sheet import INK, SMALLER, Drawing, Look, Sheet, in_all_forms, is_narrow, is_phone, pt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_forest"]

LINE, TWO_LINES = 0.2, 0.33
"""Inches between pairs with a label of one line, and of two lines or above the interval."""
LETTER = 0.0635
"""Mean width of a letter at 8 points, in inches."""
WIDTH = 2.6
BESIDE = 0.52
"""Inches right of a panel, for its column of p."""
MOST_PAIRS = 30
"""Pairs that are drawn; the file has all."""


@in_all_forms
def draw_forest(by_metric: Mapping[str, Sequence[Pair]], looks: Mapping[str, Look]) -> list[Drawing]:
    """One line for each pair of rows, one panel for each metric; `by_metric` has the pairs by the metric's key.

    `looks` are those of the rows. A pair that a metric cannot test has an empty place in its panel. Without pairs there
    is no drawing.
    """
    by_metric = {key: pairs for key, pairs in by_metric.items() if pairs}
    if not by_metric:
        return []
    asked, names = _lines(by_metric), list(by_metric)
    every = _smallest(asked)
    first = [next(filter(None, pairs)) for pairs in every]
    above, two = is_phone(), is_narrow() and not is_phone()
    labels = [f"{pair.a} −\n{pair.b}" if two else f"{pair.a} − {pair.b}" for pair in first]
    letters = 0 if above else max(len(line) for label in labels for line in label.split("\n"))
    verdicts = [] if is_narrow() else [_verdict(pairs) for pairs in every]
    left, right = 0.15 + LETTER * letters, BESIDE + LETTER * 1.1 * max(map(len, verdicts), default=0)
    height = (TWO_LINES / SMALLER if is_narrow() else LINE) * len(every) + 0.1
    sizes = {"left": left, "right": right, "top": 0.55, "bottom": 0.46}
    with Sheet(1, len(names), (WIDTH, height), gap=(BESIDE, 0), **sizes) as sheet:
        for place, (key, axes) in enumerate(zip(names, sheet.axes, strict=True)):
            _panel(axes, [pairs[place] for pairs in every], looks)
            axes.set_title(metric(key).title, pad=pt(16))
        if above:
            _names_above(sheet.axes[0], labels)
        else:
            _names(sheet.axes[0], labels)
        _say(sheet, verdicts, [any(pair.settled for pair in pairs if pair) for pairs in every])
        return [sheet.finish("forest", "Differences, pair by pair", _caption(first, len(asked)))]


def _lines(by_metric: Mapping[str, Sequence[Pair]]) -> list[list[Pair | None]]:
    """The pairs of a line by each metric, None where it cannot test them; in the order in which pairs first come."""
    found = [{(pair.a, pair.b): pair for pair in pairs} for pairs in by_metric.values()]
    return [[pairs.get(names) for pairs in found] for names in dict.fromkeys(key for pairs in found for key in pairs)]


def _panel(axes: "Axes", pairs: Sequence[Pair | None], looks: Mapping[str, Look]) -> None:
    """All pairs by one metric."""
    tested = [pair for pair in pairs if pair]
    axes.set_ylim(len(pairs) - 0.5 + 0.25, -0.5 - 0.25)
    if is_phone():  # a line through all pairs would cross their names
        axes.vlines([0] * len(pairs), np.arange(len(pairs)) - 0.15, np.arange(len(pairs)) + 0.3, color=INK, lw=0.6)
    else:
        axes.axvline(0, color=INK, linewidth=0.6, alpha=0.6)
        axes.grid(axis="x", color=INK, alpha=0.1, linewidth=0.6)
    for line, pair in enumerate(pairs):
        if pair:
            _line(axes, line, pair, looks)
    ends = [100 * end for pair in tested for end in (pair.interval.low, pair.interval.high, 0.0)]
    pad = 0.06 * (max(ends) - min(ends) or 1.0)
    axes.set_xlim(min(ends) - pad, max(ends) + pad)
    axes.set_yticks(range(len(pairs)), [""] * len(pairs))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("points")
    if is_phone():
        axes.locator_params(axis="x", nbins=3)
    _head(axes, 1.04, "p")


def _line(axes: "Axes", y: int, pair: Pair, looks: Mapping[str, Look]) -> None:
    """One pair: filled and in the better row's colour where one is better."""
    colour = looks[pair.better].colour if pair.better else INK
    alpha = 1.0 if pair.better else 0.6
    axes.plot([100 * pair.interval.low, 100 * pair.interval.high], [y, y], color=colour, linewidth=1.4, alpha=alpha)
    face = colour if pair.better else "none"
    axes.plot(100 * pair.effect, y, "o" if pair.better else "D", ms=5 if pair.better else 4, mec=colour, mfc=face)
    p = p_words(pair.p_corrected, bare=True)
    weight = "bold" if pair.settled else "normal"
    across = axes.get_yaxis_transform()
    axes.text(1.04, y, p, transform=across, va="center", fontsize=pt(8), weight=weight)


def _names(axes: "Axes", labels: Sequence[str]) -> None:
    """The pairs, left of the first panel."""
    axes.set_yticks(range(len(labels)), labels)
    _head(axes, -0.03, "first − second", ha="right")


def _names_above(axes: "Axes", labels: Sequence[str]) -> None:
    """The pairs on a phone: each above its line, across all panels."""
    across = axes.get_yaxis_transform()
    for y, label in enumerate(labels):
        axes.text(0, y - 0.36, label, transform=across, va="center", fontsize=pt(8), alpha=0.8)


def _say(sheet: Sheet, verdicts: Sequence[str], settled: Sequence[bool]) -> None:
    """The verdicts, right of the last panel."""
    axes = sheet.axes[-1]
    beside = 1.0 + BESIDE / sheet.panel[0]
    for y, (words, sure) in enumerate(zip(verdicts, settled, strict=False)):
        text = axes.text(beside, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=pt(8))
        text.set_fontweight("bold" if sure else "normal")
        text.set_alpha(0.65 if words == CANNOT_TELL else 1.0)
    if verdicts:
        _head(axes, beside, "verdict")


def _head(axes: "Axes", x: float, text: str, ha: str = "left") -> None:
    axes.text(x, 1.0, text, transform=axes.transAxes, ha=ha, va="bottom", fontsize=pt(8), alpha=0.65)


def _verdict(pairs: Sequence[Pair | None]) -> str:
    """`first is better`, with the metrics that say so where others do not; else `cannot tell`."""
    decided = [pair for pair in pairs if pair and pair.better]
    found = []
    for place, side in (("a", "first"), ("b", "second")):
        by = [metric(pair.metric).name for pair in decided if pair.better == getattr(pair, place)]
        if by:
            found.append(f"{side} is better" if len(by) == len(pairs) else f"{side} by {listed(by)}")
    return "; ".join(found) or CANNOT_TELL


def _smallest(lines: Sequence[list[Pair | None]]) -> list[list[Pair | None]]:
    """Of too many lines those whose first metric has the smallest p, in their order."""
    p = [next(filter(None, pairs)).p for pairs in lines]
    return [lines[i] for i in sorted(sorted(range(len(lines)), key=p.__getitem__)[:MOST_PAIRS])]


def _caption(pairs: Sequence[Pair], every: int) -> str:
    first = pairs[0]
    if first.folds:
        over = f"the {first.folds.folds} folds (corrected resampled t)"
    else:
        over = "subjects" if first.verdict.by_subject else "faces"
        over += " and seeds" if first.verdict.seeds > 1 else ""
    correction = (
        f" The p is corrected by Holm for all {every} pairs of a metric and the interval is not, so an interval may "
        "exclude 0 although the verdict is “cannot tell”."
        if every > 1
        else ""
    )
    fewer = (
        f" Drawn are the {len(pairs)} with the smallest p by {metric(first.metric).name}; differences.csv has all."
        * (every > len(pairs))
    )
    return (
        f"The mark is the difference, the line its 95 % interval over {over}. Right of 0 the first row has the higher "
        "figure. A filled dot in the better row's colour marks a difference that is significant at 5 %; an open "
        f"diamond marks one that is not.{correction}{fewer}"
    )
