"""The difference of two rows, with the facts behind its verdict, for every kind of test."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..metrics import metric
from ..statistics import Interval, Verdict, holm
from .folds import FoldTest

__all__ = ["CANNOT_TELL", "Pair", "together"]

CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The difference first minus second of two rows by one metric.

    For a k-fold cross-validation the verdict rests on the corrected resampled t-test over the folds, otherwise on
    `mien.statistics.Verdict`. All values here come from the one it rests on.
    """

    verdict: Verdict
    """The verdict over faces, and over seeds if there are several, with the folds' predictions pooled."""
    folds: FoldTest | None = None
    p_corrected: float
    """After Holm over all pairs of this metric."""
    random: bool = True
    """Whether training one of the rows again could give another result."""

    @property
    def a(self) -> str:
        """The first row's name."""
        return self.verdict.a

    @property
    def b(self) -> str:
        """The second row's name."""
        return self.verdict.b

    @property
    def metric(self) -> str:
        """A key of `mien.metrics.METRICS`."""
        return self.verdict.metric

    @property
    def effect(self) -> float:
        """The difference, in the metric's unit."""
        return self.folds.effect if self.folds else self.verdict.effect

    @property
    def interval(self) -> Interval:
        """Its 95 % interval, not corrected for the number of pairs."""
        return self.folds.interval if self.folds else self.verdict.interval

    @property
    def p(self) -> float:
        """Two-sided, of this pair alone."""
        return self.folds.p if self.folds else self.verdict.p

    @property
    def method(self) -> str:
        """The method that gave `p`, in words."""
        if self.folds:
            return self.folds.interval.method
        return "McNemar's exact test" if self.verdict.by_mcnemar else self.verdict.interval.method

    @property
    def better(self) -> str | None:
        """The name of the better row, or None where this data cannot tell."""
        if self.p_corrected >= 1 - self.interval.level or self.effect == 0:
            return None
        return self.a if (self.effect > 0) != (metric(self.metric).lower_is_better) else self.b

    @property
    def settled(self) -> str | None:
        """The better row, if the variance of training is included or there is none; bold type requires this. It is
        included with several seeds or several folds.
        """
        return self.better if self.folds or self.verdict.seeds > 1 or not self.random else None

    @property
    def caution(self) -> str:
        """The limit of a verdict on one seed; empty for several seeds, or without randomness."""
        return "" if self.folds or not self.random else self.verdict.caution

    @property
    def word(self) -> str:
        """`vgg16 is better`, or `cannot tell`."""
        return f"{self.better} is better" if self.better else CANNOT_TELL

    @property
    def to_tell(self) -> str:
        """The data needed to detect the difference, in a sentence."""
        if not self.folds:
            return self.verdict.to_tell
        if self.effect == 0:
            return "The two are tied."
        if self.folds.repeats_needed:
            return (
                f"Showing so small a difference at 80 % power takes about {self.folds.repeats_needed} repetitions of "
                "the cross-validation."
            )
        return "No number of repetitions would show it, because folds share their faces: it takes a larger corpus."


def together(
    verdicts: Sequence[Verdict], folds: Sequence[FoldTest | None], random: Sequence[bool] | None = None
) -> list[Pair]:
    """The pairs of one metric, corrected by Holm."""
    chance = random or [True] * len(verdicts)
    found = [
        Pair(verdict=verdict, folds=test, p_corrected=1.0, random=luck)
        for verdict, test, luck in zip(verdicts, folds, chance, strict=True)
    ]
    corrected = holm([pair.p for pair in found]).tolist()
    return [replace(pair, p_corrected=p) for pair, p in zip(found, corrected, strict=True)]
