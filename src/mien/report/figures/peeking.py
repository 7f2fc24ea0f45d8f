"""The honest figure beside the claim of the best epoch on the test."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...statistics.estimates import Estimate
from .sheet import INK, Drawing, Look, Sheet, in_all_forms, percent_axis, pt

__all__ = ["Dumbbell", "Ways", "draw_peeked_folds", "draw_peeking"]

LINE = 0.38
LETTER = 0.0635
"""Mean width of a letter at 8 points, in inches."""


@dataclass(frozen=True, kw_only=True)
class Dumbbell:
    """One row: accuracies of its runs, 0 to 1, in the same order."""

    name: str
    look: Look
    honest: Sequence[float]
    claimed: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Ways:
    """One row: its UF1 by each of `WAYS`, in their order, shares with intervals."""

    name: str
    look: Look
    figures: Sequence[Estimate]


WAYS = (
    ("o", True, "pooled, epoch chosen without the subject"),
    ("D", False, "pooled, best epoch on each subject"),
    ("s", False, "mean of each subject's best"),
)
"""Marker, whether it is filled, and name of each way to come to a UF1."""


@in_all_forms
def draw_peeked_folds(rows: Sequence[Ways]) -> list[Drawing]:
    """One line a row of the table, one mark with its interval for each way."""
    if not rows:
        return []
    left = 0.2 + LETTER * max(len(row.name) for row in rows)
    ends = [end for row in rows for one in row.figures for end in (one.interval.low, one.interval.high)]
    with Sheet(1, 1, (4.4, 0.5 * len(rows) + 0.15), left=left, right=0.9, top=0.75, bottom=0.46) as sheet:
        axes = sheet.axes[0]
        axes.grid(axis="x", color=INK, alpha=0.1, linewidth=0.6)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        for y, row in enumerate(rows):
            colour, honest = row.look.colour, row.figures[0].value
            for place, (one, (marker, full, _)) in enumerate(zip(row.figures, WAYS, strict=True)):
                at = y + 0.24 * (place - 1)
                axes.plot([one.interval.low, one.interval.high], [at, at], color=colour, linewidth=1.1, alpha=0.7)
                axes.plot(one.value, at, marker, ms=5, mec=colour, mfc=colour if full else "none", mew=1.3, zorder=3)
                if place:
                    words = f"{100 * (one.value - honest):+.1f}".replace("-", "−")
                    across = axes.get_yaxis_transform()
                    axes.text(1.02, at, f"{words} points", transform=across, va="center", fontsize=pt(7.5))
        percent_axis(axes, max(0.0, np.floor(10 * min(ends)) / 10), min(1.0, np.ceil(10 * max(ends)) / 10), axis="x")
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("UF1, %")
        for marker, full, words in WAYS:
            axes.plot([], [], marker, color=INK, mfc=INK if full else "none", ms=5, mew=1.3, label=words)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=1, borderaxespad=0.2, handlelength=1.0)
        return [
            sheet.finish(
                "peeked-folds",
                "UF1, and what choosing the epoch on the held-out subject would have claimed",
                "The filled dot is the UF1: predictions pooled over all folds, at epochs fixed or chosen without "
                "the held-out subject. The diamond pools them at the epoch that is best on each held-out subject. The "
                "square averages the best figure that each subject ever has, and is no UF1. All marks of a row are of "
                "the same trained networks. Lines are 95 % intervals over subjects. The horizontal axis does not start "
                "at 0.",
            )
        ]


@in_all_forms
def draw_peeking(rows: Sequence[Dumbbell]) -> list[Drawing]:
    """One line a row: from the honest accuracy to the claimed one, means over runs, each run thin below."""
    if not rows:
        return []
    left = 0.2 + LETTER * max(len(row.name) for row in rows)
    every = [value for row in rows for value in (*row.honest, *row.claimed)]
    pad = 0.12 * (max(every) - min(every) or 0.05)
    with Sheet(1, 1, (4.4, LINE * len(rows) + 0.1), left=left, right=1.0, top=0.34, bottom=0.46) as sheet:
        axes = sheet.axes[0]
        axes.grid(axis="x", color=INK, alpha=0.1, linewidth=0.6)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        for y, row in enumerate(rows):
            colour = row.look.colour
            for run, ends in enumerate(zip(row.honest, row.claimed, strict=True)):
                below = y + 0.2 + 0.25 * (run + 0.5) / len(row.honest)
                axes.plot(ends, [below, below], color=colour, alpha=0.55, linewidth=0.8)
            honest, claimed = float(np.mean(row.honest)), float(np.mean(row.claimed))
            axes.plot([honest, claimed], [y, y], color=colour, linewidth=2.2, alpha=0.55)
            axes.plot(honest, y, "o", ms=6, mec=colour, mfc=colour, zorder=3)
            axes.plot(claimed, y, "D", ms=5, mec=colour, mfc="none", mew=1.3, zorder=3)
            words = f"+{100 * (claimed - honest):.1f} points"
            axes.text(1.02, y, words, transform=axes.get_yaxis_transform(), va="center", fontsize=pt(8))
        percent_axis(axes, max(0.0, min(every) - pad), min(1.0, max(every) + pad), axis="x")
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("accuracy on test, %")
        axes.plot([], [], "o", color=INK, ms=6, label="epoch chosen on valid")
        axes.plot([], [], "D", color=INK, mfc="none", ms=5, mew=1.3, label="best epoch on test")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2, handlelength=1.0)
        return [
            sheet.finish(
                "peeking",
                "Honest accuracy, and what peeking would have claimed",
                "A filled dot is the epoch that the protocol kept without using the test. An open diamond is the "
                "best epoch on the test, which cannot be known beforehand. The thin lines below are single runs. The "
                "gap is selection on the test, and not a better network. The horizontal axis does not start at 0.",
            )
        ]
