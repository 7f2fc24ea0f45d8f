"""What a setting changes over all networks, as a table for the page and as a file."""

from collections.abc import Iterator, Sequence

import numpy as np

from ...judge.contrasts import Contrast
from ...judge.pairs import Pair
from ...metrics import metric
from ...words import DASH, as_csv, p_words, points, times
from ..parts import Panel, SmallTable

__all__ = ["answers_file", "answers_panel"]

VERDICT = 5
"""The column of verdicts."""
COSTS = ("Training time", "Peak memory")
"""Heads of what the level costs, as a multiple of the reference."""


def answers_panel(contrasts: Sequence[Contrast]) -> Panel | None:
    """The mean over the networks by each metric, and under that of accuracy each network alone; None without any."""
    if not contrasts:
        return None
    rows = [row for contrast in contrasts for row in _rows(contrast)]
    strong = frozenset((i, VERDICT) for i, (_, pair) in enumerate(rows) if pair is not None and pair.settled)
    table = SmallTable(
        name="contrasts",
        heads=("Level − reference", "Metric", "Difference, points", "p", "p, Holm", "Verdict", *COSTS),
        rows=tuple(cells for cells, _ in rows),
        strong=strong,
        words=frozenset({1, VERDICT}),
    )
    return Panel(title="What a setting changes over all networks", caption=_caption(contrasts[0]), table=table)


def _rows(contrast: Contrast) -> Iterator[tuple[tuple[str, ...], Pair | None]]:
    pair, name = contrast.pair, metric(contrast.pair.metric).name
    mean = f"{pair.a} − {pair.b}, mean of {contrast.networks}"
    p = (p_words(pair.p, bare=True), p_words(pair.p_corrected, bare=True))
    costs = _costs(float(np.mean(contrast.seconds)), float(np.mean(contrast.memory)))
    yield (mean, name, points(pair.effect, pair.interval), *p, pair.word, *costs), pair
    if pair.metric == "accuracy":
        for own, seconds, memory in zip(contrast.each, contrast.seconds, contrast.memory, strict=True):
            p = (p_words(own.p, bare=True), DASH)
            costs = _costs(seconds, memory)
            yield (f"{own.a} − {own.b}", name, points(own.effect, own.interval), *p, DASH, *costs), None


def _costs(seconds: float, memory: float) -> tuple[str, str]:
    return times(seconds, 2), times(memory, 2)


def _caption(contrast: Contrast) -> str:
    pair = contrast.pair
    over = "folds" if pair.folds else "subjects" if pair.verdict.by_subject else "faces"
    over += " and seeds" * (not pair.folds and pair.verdict.seeds > 1)
    return (
        "The difference is taken for each network on the same seeds and faces, and averaged over the networks; 95 % "
        f"interval over {over}. Holm's correction covers all such means of one metric. The answer holds for the mean "
        "of these networks, and not for other networks. Lines of single networks are shown for information and have "
        "no verdict. Time and memory of training are multiples of the reference's, by the runs' own records."
    )


def answers_file(contrasts: Sequence[Contrast]) -> str:
    """`contrasts.csv`: every digit."""
    known = ("metric", "setting", "level", "reference", "network", "difference", "low", "high", "p", "p_holm", "better")
    heads = (*known, "train_seconds", "train_peak_mb")
    return as_csv(heads, (row for contrast in contrasts for row in _digits(contrast)))


def _digits(contrast: Contrast) -> Iterator[tuple[object, ...]]:
    means = float(np.mean(contrast.seconds)), float(np.mean(contrast.memory))
    each = zip(contrast.each, contrast.seconds, contrast.memory, strict=True)
    for own, *costs in ((contrast.pair, *means), *each):
        mean = own is contrast.pair
        numbers = (own.effect, own.interval.low, own.interval.high, own.p, own.p_corrected if mean else "")
        who = ("mean" if mean else own.a, *numbers, (own.better or "") if mean else "")
        yield own.metric, contrast.key, contrast.level, contrast.reference, *who, *costs
