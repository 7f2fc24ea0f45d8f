"""Forest plots: every difference between two rows with its interval, its p and what may be said of it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...judge.pairs import CANNOT_TELL, Pair
from ...words import p_words
from .sheet import INK, Drawing, Look, Sheet, in_both_forms, is_narrow, pt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_forest"]

LINE, TWO_LINES = 0.21, 0.33
"""Inches between pairs, named on one line or on two."""
LETTER = 0.0635
"""Mean width of a letter at 8 points, in inches."""
WIDTH = 2.9
MOST_PAIRS = 30
"""Pairs that are drawn; the file has all."""


@in_both_forms
def draw_forest(pairs: Sequence[Pair], title: str, looks: Mapping[str, Look]) -> list[Drawing]:
    """One line a pair of rows, all by the same metric; `title` is its name, `looks` those of the rows."""
    if not pairs:
        return []
    every, pairs = len(pairs), _smallest(pairs)
    labels = [f"{pair.a} −\n{pair.b}" if is_narrow() else f"{pair.a} − {pair.b}" for pair in pairs]
    letters = max(len(line) for label in labels for line in label.split("\n"))
    left, right = 0.15 + LETTER * letters, 0.75 + 1.15 * LETTER * max(len(_verdict(pair)) for pair in pairs)
    height = (TWO_LINES if is_narrow() else LINE) * len(pairs) + 0.1
    with Sheet(1, 1, (WIDTH, height), left=left, right=right, top=0.42, bottom=0.46) as sheet:
        axes, beside = sheet.axes[0], 1.03 + pt(0.5) / sheet.panel[0]
        axes.set_ylim(len(pairs) - 0.5 + 0.25, -0.5 - 0.25)
        axes.axvline(0, color=INK, linewidth=0.6, alpha=0.6)
        axes.grid(axis="x", color=INK, alpha=0.1, linewidth=0.6)
        for line, pair in enumerate(pairs):
            _line(axes, line, pair, looks, beside)
        ends = [100 * end for pair in pairs for end in (pair.interval.low, pair.interval.high, 0.0)]
        pad = 0.06 * (max(ends) - min(ends) or 1.0)
        axes.set_xlim(min(ends) - pad, max(ends) + pad)
        axes.set_yticks(range(len(pairs)), labels)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"difference in {title}, points")
        _heads(axes, beside)
        return [sheet.finish(f"forest-{pairs[0].metric}", f"Differences in {title}", _caption(pairs, every))]


def _verdict(pair: Pair) -> str:
    """`vgg16 is better`; where a page is narrow, `first`."""
    if pair.better is None or not is_narrow():
        return pair.word
    return "first" if pair.better == pair.a else "second"


def _line(axes: "Axes", y: int, pair: Pair, looks: Mapping[str, Look], beside: float) -> None:
    """One pair; `beside` is where verdicts begin, in widths of the panel."""
    colour = looks[pair.better].colour if pair.better else INK
    alpha = 1.0 if pair.better else 0.6
    axes.plot([100 * pair.interval.low, 100 * pair.interval.high], [y, y], color=colour, linewidth=1.4, alpha=alpha)
    face = colour if pair.better else "none"
    axes.plot(100 * pair.effect, y, "o" if pair.better else "D", ms=5 if pair.better else 4, mec=colour, mfc=face)
    across = axes.get_yaxis_transform()
    axes.text(1.03, y, p_words(pair.p_corrected, bare=True), transform=across, va="center", fontsize=pt(8))
    weight = "bold" if pair.settled else "normal"
    fade = 0.65 if pair.word == CANNOT_TELL else 1.0
    axes.text(
        beside,
        y,
        _verdict(pair),
        transform=across,
        va="center",
        fontsize=pt(8),
        weight=weight,
        color=INK,
        alpha=fade,
    )


def _heads(axes: "Axes", beside: float) -> None:
    for x, text in ((1.03, "p"), (beside, "verdict")):
        axes.text(x, 1.02, text, transform=axes.transAxes, va="bottom", fontsize=pt(8), alpha=0.65)
    axes.text(
        -0.02, 1.02, "first − second", transform=axes.transAxes, ha="right", va="bottom", fontsize=pt(8), alpha=0.65
    )
    axes.text(0.0, 1.02, "← second is better", transform=axes.transAxes, va="bottom", fontsize=pt(7.5), alpha=0.65)
    axes.text(
        1.0, 1.02, "first is better →", transform=axes.transAxes, ha="right", va="bottom", fontsize=pt(7.5), alpha=0.65
    )


def _smallest(pairs: Sequence[Pair]) -> list[Pair]:
    """Of too many pairs those with the smallest p, in their order."""
    kept = sorted(range(len(pairs)), key=lambda i: pairs[i].p)[:MOST_PAIRS]
    return [pairs[i] for i in sorted(kept)]


def _caption(pairs: Sequence[Pair], every: int) -> str:
    first = pairs[0]
    if first.folds:
        over = f"the {first.folds.folds} folds (corrected resampled t)"
    else:
        over = "subjects" if first.verdict.by_subject else "faces"
        over += " and seeds" if first.verdict.seeds > 1 else ""
    correction = (
        f" The p is corrected by Holm for all {every} pairs and the interval is not, so an interval may exclude 0 "
        "although the verdict is “cannot tell”."
        if every > 1
        else ""
    )
    fewer = f" Drawn are the {len(pairs)} with the smallest p; differences.csv has all." * (every > len(pairs))
    return (
        f"The mark is the difference, the line its 95 % interval over {over}. A filled dot in the better row's colour "
        f"marks a difference that is significant at 5 %; an open diamond marks one that is not.{correction}{fewer}"
    )
