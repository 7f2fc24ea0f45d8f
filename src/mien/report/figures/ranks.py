"""Mean ranks of networks over several corpora, with the critical difference (Demšar 2006, fig. 1)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...statistics import Friedman, friedman_nemenyi
from ...words import p_words
from .sheet import INK, Drawing, Sheet, in_all_forms, pt

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_critical_difference"]

FEWEST_CORPORA, FEWEST_NETWORKS = 2, 3
LEVEL = 0.95
WIDTH = 4.6
"""Of the scale of ranks, in inches; names stand to both sides of it."""


@in_all_forms
def draw_critical_difference(
    scores: ArrayLike, networks: Sequence[str], corpora: Sequence[str], *, name: str = "ranks"
) -> list[Drawing]:
    """The diagram of `scores` `(corpora, networks)`, higher is better; none where there is too little to rank.

    Rows must be different corpora: seeds, folds or distorted copies of one are not independent. A corpus with an
    undefined score (nan) is left out and named. No drawing for fewer than two corpora or three networks.
    """
    table = np.asarray(scores, np.float64)
    whole = np.asarray(np.isfinite(table).all(axis=1)) if table.ndim == 2 else np.zeros(len(table), bool)
    if whole.sum() < FEWEST_CORPORA or len(networks) < FEWEST_NETWORKS:
        return []
    found = friedman_nemenyi(table[whole], LEVEL)
    left_out = [corpus for corpus, kept in zip(corpora, whole, strict=True) if not kept]
    order = np.argsort(found.mean_ranks, kind="stable")
    bars = joined(found, order)
    levels = -(-len(networks) // 2)
    height = 0.75 + 0.12 * len(bars) + 0.2 * levels
    side = 0.62 + 0.075 * max(map(len, networks))
    with Sheet(1, 1, (WIDTH, height), left=side, right=side, top=0.08, bottom=0.05) as sheet:
        axes = sheet.axes[0]
        axes.set_axis_off()
        axes.set(xlim=(1, len(networks)), ylim=(height, 0))
        _scale(axes, len(networks), found.critical_difference)
        for line, (first, last) in enumerate(bars):
            y = 0.66 + 0.12 * line
            ends = found.mean_ranks[order[[first, last]]]
            pad = 0.006 * (len(networks) - 1)
            axes.plot(
                [ends[0] - pad, ends[1] + pad], [y, y], color=INK, linewidth=3.2, solid_capstyle="butt", clip_on=False
            )
        _names(axes, found, order, networks, start=0.75 + 0.12 * len(bars))
        return [
            sheet.finish(name, "Mean ranks over corpora", _caption(found, int(whole.sum()), len(networks), left_out))
        ]


def joined(found: Friedman, order: NDArray[np.intp]) -> list[tuple[int, int]]:
    """The longest runs (first, last place in `order`) of networks that cannot be told apart.

    Where Friedman's test finds no difference at all, no pair may be told apart, and one bar joins everything.
    """
    last = len(order) - 1
    if found.p >= 1 - LEVEL:
        return [(0, last)]
    ranks = found.mean_ranks[order]
    ends = [int(np.flatnonzero(ranks - rank < found.critical_difference).max()) for rank in ranks]
    return [(i, end) for i, end in enumerate(ends) if end > i and end not in ends[:i]]


def _scale(axes: "Axes", networks: int, critical: float) -> None:
    y = 0.52
    axes.plot([1, networks], [y, y], color=INK, linewidth=0.8, clip_on=False)
    for rank in range(1, networks + 1):
        axes.plot([rank, rank], [y - 0.07, y], color=INK, linewidth=0.8, clip_on=False)
        axes.text(rank, y - 0.1, str(rank), ha="center", va="bottom", fontsize=pt(8))
    end = min(1 + critical, networks)
    axes.plot([1, end], [0.16, 0.16], color=INK, linewidth=0.8, clip_on=False)
    for x in (1.0, end) if end == 1 + critical else (1.0,):
        axes.plot([x, x], [0.12, 0.2], color=INK, linewidth=0.8, clip_on=False)
    axes.text((1 + end) / 2, 0.1, f"critical difference {critical:.2f}", ha="center", va="bottom", fontsize=pt(8))


def _names(axes: "Axes", found: Friedman, order: NDArray[np.intp], networks: Sequence[str], start: float) -> None:
    """The better half is named on the left, the other on the right, each on a line of its own."""
    count = len(order)
    half = -(-count // 2)
    pad = 0.02 * (count - 1)
    for place, index in enumerate(order):
        rank, on_left = float(found.mean_ranks[index]), place < half
        y = start + 0.2 * (place if on_left else count - 1 - place)
        edge = 1 - pad if on_left else count + pad
        axes.plot([rank, rank, edge], [0.52, y, y], color=INK, linewidth=0.8, clip_on=False)
        words = f"{networks[index]}  {rank:.2f}" if on_left else f"{rank:.2f}  {networks[index]}"
        axes.text(edge - pad if on_left else edge + pad, y, words, ha="right" if on_left else "left", va="center")


def _caption(found: Friedman, corpora: int, networks: int, left_out: Sequence[str]) -> str:
    rule = (
        "Networks under one thick bar do not differ significantly: their ranks differ by less than the critical "
        "difference."
        if found.p < 1 - LEVEL
        else "Friedman's test finds no difference, so no pair is compared, and one bar joins them all."
    )
    without = f" Left out, because a score is undefined there: {', '.join(left_out)}." if left_out else ""
    return (
        f"Each network's mean rank over {corpora} corpora; 1, on the left, is best (Friedman's test over {networks} "
        f"networks: χ² = {found.statistic:.2f}, p {p_words(found.p)}; Nemenyi's critical difference at 5 %; Demšar "
        f"2006). {rule} Every corpus counts once, whatever its size. With few corpora only large differences are "
        f"significant.{without}"
    )
