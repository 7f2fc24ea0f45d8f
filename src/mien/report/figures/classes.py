"""Figures about classes: confusion matrices, scores of each class, ROC curves."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...calibration import softmax
from ...metrics import class_scores, roc_curve
from ...statistics.estimates import Estimate
from .evidence import Shown
from .sheet import (
    COLOURS,
    INK,
    PAGE,
    Drawing,
    Sheet,
    in_all_forms,
    in_lines,
    is_phone,
    legend_columns,
    most_columns,
    name_panel,
    percent_axis,
    pt,
    second_line,
    tint,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_bars", "draw_confusions", "draw_recalls", "draw_roc"]

ROC_POINTS = np.linspace(0, 1, 50) ** 2
"""False positive rates at which curves are drawn: dense near 0, where they bend."""
ONE_COLOUR = COLOURS[0]
"""Of every confusion matrix: a shade means the same in all of them."""
COLUMNS, CELL = 6, 0.168
"""Matrices beside one another at most, and inches of a cell at least: two figures stand in it."""
DEEPEST = 0.62
"""Opacity of a full cell, so that ink stays readable on it."""


@in_all_forms
def draw_confusions(shown: Sequence[Shown], labels: Sequence[str]) -> list[Drawing]:
    """Small multiples: one matrix a row, counts pooled over seeds, cells in per cent of the true class."""
    words = max(map(len, labels)) * 0.062 + 0.15
    left, gap, right = words + 0.2, 0.16, 0.55
    least, side = CELL * len(labels), max(1.75, CELL * len(labels))
    fitting = int((PAGE - left - right + gap) // (least + gap))
    lines, columns = in_lines(len(shown), most_columns(min(COLUMNS, max(fitting, 1)), 3, 2))
    names = second_line()
    with Sheet(
        lines,
        columns,
        (side, side),
        left=left,
        gap=(gap, 0.42 + names),
        bottom=words + 0.2,
        top=0.3 + names,
        right=right,
    ) as sheet:
        for index, (axes, item) in enumerate(zip(sheet.axes, shown, strict=False)):
            _matrix(axes, item, labels, first=index % columns == 0, last=index + columns >= len(shown))
        for axes in sheet.axes[len(shown) :]:
            axes.remove()
        sheet.axes[0].set_ylabel("label")
        sheet.axes[columns * (lines - 1)].set_xlabel("prediction")
        _scale(sheet)
        return [
            sheet.finish(
                "confusion",
                "Confusion matrices on test",
                "Each line is a true class and adds up to 100 %; each column is a prediction. The diagonal is the "
                "recall of the class. Strong cells off the diagonal are expressions that the network confuses. "
                "Counts of all seeds are pooled; empty cells are below 1 %.",
            )
        ]


def _matrix(axes: "Axes", item: Shown, labels: Sequence[str], *, first: bool, last: bool) -> None:
    total = item.confusion.sum(axis=1, keepdims=True)
    share = item.confusion / np.maximum(total, 1)
    size = len(labels)
    for i, j in zip(*np.nonzero(share >= 0.005), strict=True):
        part = float(share[i, j])
        tint(axes, j, i, ONE_COLOUR, DEEPEST * part)
        axes.text(j + 0.5, i + 0.52, f"{100 * part:.0f}", ha="center", va="center", fontsize=pt(6.5 if size < 9 else 5))
    axes.set(xlim=(0, size), ylim=(size, 0))
    for spine in axes.spines.values():
        spine.set(visible=True, alpha=0.35)
    axes.tick_params(length=0)
    ticks = np.arange(size) + 0.5
    axes.set_yticks(ticks, labels if first else [""] * size, fontsize=pt(7.5))
    axes.set_xticks(ticks, labels if last else [""] * size, rotation=90, fontsize=pt(7.5))
    name_panel(axes, item.name)


def _scale(sheet: Sheet) -> None:
    """What the tints mean, in the margin to the right."""
    height = 1.2 / sheet.height
    axes = sheet.figure.add_axes(
        (1 - 0.47 / sheet.width, 0.98 - 0.3 / sheet.height - height, 0.1 / sheet.width, height)
    )
    steps = 20
    for step in range(steps):
        tint(axes, 0, step, ONE_COLOUR, DEEPEST * (step + 0.5) / steps)
    axes.set(xlim=(0, 1), ylim=(0, steps), xticks=[])
    axes.yaxis.tick_right()
    axes.set_yticks([0, steps / 2, steps], ["0 %", "50 %", "100 %"], fontsize=pt(7))
    axes.tick_params(length=0)


@in_all_forms
def draw_bars(shown: Sequence[Shown], labels: Sequence[str], f1: Mapping[str, Sequence[Estimate]]) -> list[Drawing]:
    """F1 of each class, one bar a row, with its interval where it has one."""
    with Sheet(1, 1, (8.9, 1.9), top=0.3 + 0.2 * -(-len(shown) // legend_columns()), bottom=_below(labels)) as sheet:
        axes = sheet.axes[0]
        axes.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)
        width = 0.82 / len(shown)
        for index, item in enumerate(shown):
            each = class_scores(np.array(item.confusions)).f1
            x = np.arange(len(labels)) + (index - (len(shown) - 1) / 2) * width
            face = item.look.colour if item.look.solid else "none"
            axes.bar(
                x,
                np.nan_to_num(each.mean(axis=0)),
                width * 0.86,
                facecolor=face,
                edgecolor=item.look.colour,
                hatch=item.look.hatch,
                linewidth=0.7,
                label=item.name,
            )
            if item.name in f1:
                ends = np.array([(one.interval.low, one.interval.high) for one in f1[item.name]]).T
                axes.vlines(x, *ends, color=INK, lw=0.9)
        _name_classes(axes, labels)
        axes.set_ylabel("F1, %")
        axes.tick_params(axis="x", length=0)
        percent_axis(axes)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=legend_columns(), borderaxespad=0.2, handlelength=1.5
        )
        return [
            sheet.finish(
                "classes",
                "F1 of each class on test",
                "Colour is the network; a hatched bar is its variant with dropout. F1 joins precision and recall: it "
                "is high only where a class is both found and not predicted too often. Where all bars of a class are "
                "low, the class is hard or rare for every network. The vertical line is the 95 % interval.",
            )
        ]


@in_all_forms
def draw_recalls(
    shown: Sequence[Shown], labels: Sequence[str], recalls: Mapping[str, Sequence[Estimate]]
) -> list[Drawing]:
    """Recall of each class with its interval, one mark a row; rows without estimates are left out."""
    able = [item for item in shown if item.name in recalls]
    if not able:
        return []
    with Sheet(1, 1, (8.9, 1.9), top=0.3 + 0.2 * -(-len(able) // legend_columns()), bottom=_below(labels)) as sheet:
        axes = sheet.axes[0]
        axes.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)
        width = 0.72 / len(able)
        for index, item in enumerate(able):
            x = np.arange(len(labels)) + (index - (len(able) - 1) / 2) * width
            value, low, high = np.array([(r.value, r.interval.low, r.interval.high) for r in recalls[item.name]]).T
            look = item.look
            face = look.colour if look.solid else "none"
            axes.vlines(x, low, high, color=look.colour, linewidth=1.2)
            axes.plot(
                x, value, look.marker, ms=4.5, mec=look.colour, mfc=face, mew=1.1, ls="", label=item.name, clip_on=False
            )
        for edge in np.arange(len(labels) - 1) + 0.5:
            axes.axvline(edge, color=INK, alpha=0.1, linewidth=0.6)
        axes.set_xlim(-0.5, len(labels) - 0.5)
        _name_classes(axes, labels)
        axes.set_ylabel("recall, %")
        axes.tick_params(axis="x", length=0)
        percent_axis(axes)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1.0), ncols=legend_columns(), borderaxespad=0.2, handlelength=1.2
        )
        return [
            sheet.finish(
                "recalls",
                "Recall of each class on test, with its interval",
                "The share of a class's faces that is found, with Wilson's 95 % interval"
                + ("." if len(able[0].tests) == 1 else ", means over seeds; the interval counts faces and seeds.")
                + " Rare classes have long intervals, so apparent differences there may be chance. Filled marks are "
                "rows without dropout.",
            )
        ]


def _below(labels: Sequence[str]) -> float:
    """Inches for the names of the classes below an axis; on a phone they are turned."""
    return 0.2 + 0.075 * max(map(len, labels)) if is_phone() else 0.3


def _name_classes(axes: "Axes", labels: Sequence[str]) -> None:
    """Name the classes along the horizontal axis."""
    axes.set_xticks(range(len(labels)), labels, rotation=90 if is_phone() else 0)


@in_all_forms
def draw_roc(shown: Sequence[Shown], labels: Sequence[str]) -> list[Drawing]:
    """One panel a class, one curve a row (its lowest seed)."""
    lines, columns = in_lines(len(labels) + 1, most_columns(6, 3, 3))
    with Sheet(lines, columns, (1.35, 1.35), gap=(0.32, 0.5), top=0.3, right=0.45) as sheet:
        probs = [softmax(item.tests[0].logits) for item in shown]
        for k, (axes, label) in enumerate(zip(sheet.axes, labels, strict=False)):
            axes.plot([0, 1], [0, 1], color=INK, alpha=0.3, linewidth=0.6)
            for item, p in zip(shown, probs, strict=True):
                fpr, tpr = roc_curve(p[:, k], item.tests[0].labels == k)
                if np.isfinite(fpr).all() and np.isfinite(tpr).all():
                    y = np.interp(ROC_POINTS, fpr, tpr)
                    axes.plot(ROC_POINTS, y, color=item.look.colour, linestyle=item.look.dash, lw=1.2)
            percent_axis(axes)
            percent_axis(axes, axis="x")
            axes.set_title(label)
            axes.tick_params(labelleft=k % columns == 0, labelbottom=k + columns >= len(labels))
        _legend(sheet, shown, len(labels))
        sheet.axes[0].set_ylabel("true positive rate, %")
        sheet.axes[(lines - 1) * columns].set_xlabel("false positive rate, %")
        return [
            sheet.finish(
                "roc",
                "ROC curves on test, each class against the rest",
                "A curve shows the share of a class that is found (vertical) against the share of other faces "
                "wrongly given this class (horizontal) as the threshold falls. Closer to the upper left corner is "
                "better, and the diagonal is chance. The area under the curve is the AUC. Dashed curves are rows "
                "with dropout." + " Curves are of the lowest seed." * any(len(item.tests) > 1 for item in shown),
            )
        ]


def _legend(sheet: Sheet, shown: Sequence[Shown], used: int) -> None:
    for axes in sheet.axes[used + 1 :]:
        axes.remove()
    axes = sheet.axes[used]
    for item in shown:
        axes.plot([], [], color=item.look.colour, linestyle=item.look.dash, linewidth=1.4, label=item.name)
    axes.set_axis_off()
    axes.legend(loc="upper left", borderaxespad=0, handlelength=2.2, fontsize=pt(7.5))
