"""Doubtful labels: the pairs of classes that are exchanged, and the cost of injected noise."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...examine.labelnoise import LabelIssues, NoisePoint
from .damage import dot, name_rows
from .sheet import COLOURS, DASHES, INK, Drawing, Look, Sheet, in_all_forms, percent_axis, pt, tint

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_joint", "draw_noise"]

DEEPEST = 0.62
"""Opacity of the largest cell, so that ink stays readable on it."""
LEAST = 0.05
"""Faces in a hundred below which a cell is left empty."""


@in_all_forms
def draw_joint(issues: LabelIssues) -> list[Drawing]:
    """The estimated share of faces by given and true label, off the diagonal; none where nothing is doubted."""
    size, words = len(issues.classes), max(map(len, issues.classes)) * 0.08 + 0.5
    off = 100 * np.where(np.eye(size, dtype=bool), 0, issues.joint)
    if not (off >= LEAST).any():
        return []
    side = max(2.4, 0.36 * size)
    with Sheet(1, 1, (side, side), left=words, bottom=0.1, top=words, right=0.6) as sheet:
        axes = sheet.axes[0]
        for i, j in zip(*np.nonzero(off >= LEAST), strict=True):
            tint(axes, j, i, COLOURS[1], DEEPEST * off[i, j] / off.max())
            axes.text(j + 0.5, i + 0.52, f"{off[i, j]:.1f}", ha="center", va="center", fontsize=pt(7))
        for i in range(size):
            tint(axes, i, i, INK, 0.08)
        axes.set(xlim=(0, size), ylim=(size, 0), xlabel="probably", ylabel="labelled")
        for spine in axes.spines.values():
            spine.set(visible=True, alpha=0.35)
        axes.xaxis.set(ticks_position="top", label_position="top")
        axes.tick_params(length=0)
        ticks = np.arange(size) + 0.5
        axes.set_yticks(ticks, issues.classes, fontsize=pt(7.5))
        axes.set_xticks(ticks, issues.classes, rotation=90, fontsize=pt(7.5))
        return [
            sheet.finish(
                "doubts",
                "Which labels are probably wrong",
                "The estimated percentage of all examined faces that carry the label of the line and show the "
                "expression of the column. Two cells that mirror each other across the grey diagonal are one "
                f"confusion in both directions. Empty cells are below {LEAST} %. The table below has the largest with "
                "intervals.",
            )
        ]


@in_all_forms
def draw_noise(points: Sequence[NoisePoint], looks: Mapping[str, Look]) -> list[Drawing]:
    """The test metric against the share of replaced labels, and learning curves, a panel a curve; looks by curve."""
    curves = list(dict.fromkeys(point.curve for point in points))
    drawings = [_against_noise(points, curves, looks)]
    return drawings if any(len(point.valid_accuracy) < 2 for point in points) else [*drawings, _learning(points, looks)]


def _against_noise(points: Sequence[NoisePoint], curves: Sequence[str], looks: Mapping[str, Look]) -> Drawing:
    ends = [end for point in points for end in (point.interval.low, point.interval.high)]
    step = 0.006
    with Sheet(1, 1, (4.2, 2.2), top=0.25 + 0.2 * -(-len(curves) // 2)) as sheet:
        axes = sheet.axes[0]
        axes.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)
        for place, curve in enumerate(curves):
            own, look = [point for point in points if point.curve == curve], looks[curve]
            x = [point.noise + step * (place - (len(curves) - 1) / 2) for point in own]
            axes.plot(x, [point.spread.mean for point in own], color=look.colour, linestyle=look.dash, linewidth=1.3)
            for at, point in zip(x, own, strict=True):
                axes.plot([at, at], [point.interval.low, point.interval.high], color=look.colour, linewidth=1)
                dot(axes, at, point.spread.mean, look, 4.5)
        percent_axis(axes, max(0.0, np.floor(10 * min(ends)) / 10), min(1.0, np.ceil(10 * max(ends)) / 10))
        shares = sorted({point.noise for point in points})
        axes.set_xlim(shares[0] - 0.02, shares[-1] + 0.02)
        axes.set_xticks(shares, [f"{100 * share:.0f}" for share in shares])
        axes.set_xlabel("training labels replaced, %")
        axes.set_ylabel(f"{points[0].metric} on test, %")
        name_rows(axes, curves, looks, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
        return sheet.finish(
            "label-noise",
            "What wrong training labels cost",
            "Before training, this share of the training labels was replaced by another class, drawn evenly; the "
            "test labels are the corpus's own. Dots are means over seeds with 95 % intervals. The flatter the line, "
            "the more robust the network is to wrong labels. The table below tests each drop.",
        )


def _learning(points: Sequence[NoisePoint], looks: Mapping[str, Look]) -> Drawing:
    curves = list(dict.fromkeys(point.curve for point in points))[:4]
    shares = sorted({point.noise for point in points})
    with Sheet(1, len(curves), (7.4 / max(len(curves), 2) - 0.4, 1.9), gap=(0.4, 0), top=0.5) as sheet:
        for axes, curve in zip(sheet.axes, curves, strict=True):
            axes.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)
            for point in (point for point in points if point.curve == curve):
                dash = DASHES[shares.index(point.noise) % len(DASHES)]
                epochs = np.arange(1, len(point.valid_accuracy) + 1)
                axes.plot(epochs, point.train_accuracy, color=INK, alpha=0.55, linestyle=dash, linewidth=0.9)
                axes.plot(epochs, point.valid_accuracy, color=looks[curve].colour, linestyle=dash, linewidth=1.6)
            axes.set_xlim(1, len(epochs))
            axes.set_title(curve)
            axes.set_xlabel("epoch")
            percent_axis(axes)
            axes.tick_params(labelleft=axes is sheet.axes[0])
        sheet.axes[0].set_ylabel("accuracy, %")
        _name_shares(sheet.axes[-1], shares)
        return sheet.finish(
            "label-noise-curves",
            "Learning under wrong labels",
            "Coloured, accuracy on validation, whose labels are the corpus's own; thin and grey, on the training "
            "labels with their noise; one dash a share of replaced labels. Where the grey lines of noisy labels keep "
            "rising while the coloured lines fall, the network memorises wrong labels.",
        )


def _name_shares(axes: "Axes", shares: Sequence[float]) -> None:
    for place, share in enumerate(shares):
        axes.plot([], [], color=INK, linestyle=DASHES[place % len(DASHES)], linewidth=1.2, label=f"{100 * share:.0f} %")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1.1), ncols=len(shares), borderaxespad=0.1, handlelength=2.2)
