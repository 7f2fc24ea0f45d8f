"""The score of spotting: found intervals against coded ones, by the rule of the MEGC challenges.

In: intervals of frames, both ends inclusive, of any number of videos. A found interval is a true positive if it shares
at least half of its union with a coded one of its kind, and each belongs to one other at most. True positives, false
positives and misses are added up over all videos, also those without a coded interval, before F1 is formed. Micro- and
macro-expressions are scored apart, and "overall" adds up both.

A public baseline computes the length of an intersection as `max(0, …) + 1`, which gives disjoint intervals a common
frame; here they have none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = [
    "KINDS",
    "Coded",
    "Interval",
    "Kind",
    "SpotScore",
    "f1_interval",
    "iou",
    "matched",
    "recognition_f1",
    "spot_scores",
    "strs",
]

Kind = Literal["micro", "macro"]
KINDS: tuple[Kind, ...] = ("micro", "macro")
OVERALL = "overall"
LEAST_IOU = 0.5
DRAWS = 2000
"""Of the bootstrap."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """One expression in a video; frames count from 0. Raises `ValueError` if it ends before it begins."""

    onset: int
    offset: int
    """The last frame, inclusive."""
    apex: int | None = None
    """None where it is not known."""
    kind: Kind = "micro"
    label: str = ""
    """Its class; "" where it has none."""
    aus: tuple[str, ...] = ()
    """Action units as a corpus writes them, such as `4` or `L12`; () where it does not say."""

    def __post_init__(self) -> None:
        if self.offset < self.onset or self.onset < 0:
            raise ValueError(
                f"an interval from frame {self.onset} to {self.offset}, expected an onset before its offset"
            )
        if self.apex is not None and not self.onset <= self.apex <= self.offset:
            raise ValueError(f"an apex at frame {self.apex}, outside {self.onset} to {self.offset}")

    @property
    def length(self) -> int:
        """Frames."""
        return self.offset - self.onset + 1


@dataclass(frozen=True, kw_only=True)
class SpotScore:
    """Counts over all videos, and the scores from them; 0 if a denominator is 0."""

    true_positives: int
    false_positives: int
    misses: int

    @property
    def precision(self) -> float:
        """TP / (TP + FP)."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """TP / (TP + FN)."""
        return _ratio(self.true_positives, self.true_positives + self.misses)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.misses)


def iou(first: Interval, second: Interval) -> float:
    """Frames in both over frames in either, 0 to 1.

    >>> iou(Interval(onset=0, offset=9), Interval(onset=5, offset=14))
    0.3333333333333333
    >>> iou(Interval(onset=0, offset=9), Interval(onset=10, offset=14))
    0.0
    """
    both = max(0, min(first.offset, second.offset) - max(first.onset, second.onset) + 1)
    return both / (first.length + second.length - both)


def matched(coded: Sequence[Interval], found: Sequence[Interval]) -> list[tuple[int, int]]:
    """The largest one-to-one pairing of intervals with an intersection over union of at least 0.5.

    Args:
        coded: of one video and one kind.
        found: of the same.

    Returns:
        Positions in `coded` and in `found`, in the order of `coded`.
    """
    able = [[j for j, one in enumerate(found) if iou(truth, one) >= LEAST_IOU] for truth in coded]
    partner: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        """Find a partner for coded interval `i`; those that are placed may change theirs (Kuhn 1955)."""
        for j in able[i]:
            if j not in tried:
                tried.add(j)
                if j not in partner or place(partner[j], tried):
                    partner[j] = i
                    return True
        return False

    for i in range(len(coded)):
        place(i, set())
    return sorted((i, j) for j, i in partner.items())


Coded = tuple[Sequence[Interval], Sequence[Interval]]
"""The coded and the found intervals of one video."""


def spot_scores(videos: Iterable[Coded]) -> dict[str, SpotScore]:
    """The scores of `micro`, `macro` and `overall` over videos."""
    counts: dict[str, list[int]] = {kind: [0, 0, 0] for kind in KINDS}
    for coded, found in videos:
        for kind in KINDS:
            truths, own = _of(coded, kind), _of(found, kind)
            right = len(matched(truths, own))
            for place, count in enumerate((right, len(own) - right, len(truths) - right)):
                counts[kind][place] += count
    total = [sum(column) for column in zip(*counts.values(), strict=True)]
    return {name: _score(each) for name, each in {**counts, OVERALL: total}.items()}


def f1_interval(videos: Sequence[Coded], score: str = OVERALL, seed: int = 0) -> tuple[float, float] | None:
    """95 % of F1, 0 to 1: percentiles of a bootstrap over videos. None where there is one video, or none.

    Args:
        videos: coded and found intervals of each.
        score: `micro`, `macro` or `overall`.
        seed: of the draws.
    """
    if len(videos) < 2:
        return None
    each = [spot_scores([video])[score] for video in videos]
    counts = np.array([(one.true_positives, one.false_positives, one.misses) for one in each])
    drawn = counts[np.random.default_rng(seed).integers(0, len(counts), (DRAWS, len(counts)))].sum(axis=1)
    twice = 2 * drawn[:, 0]
    low, high = np.percentile(twice / np.maximum(1, twice + drawn[:, 1] + drawn[:, 2]), (2.5, 97.5))
    return float(low), float(high)


def recognition_f1(pairs: Sequence[tuple[str, str]]) -> float:
    """F1 of the classes of spotted intervals, from true and predicted labels of the true positives alone.

    It is `2PR / (P + R)` of precision and recall averaged over the classes that occur, as MEGC 2023 to 2025 have it; 0
    without a pair.
    """
    classes = sorted({label for pair in pairs for label in pair})
    if not classes:
        return 0.0
    right = {name: sum(truth == guess == name for truth, guess in pairs) for name in classes}
    precision = sum(_ratio(right[name], sum(guess == name for _, guess in pairs)) for name in classes) / len(classes)
    recall = sum(_ratio(right[name], sum(truth == name for truth, _ in pairs)) for name in classes) / len(classes)
    return _ratio(2 * precision * recall, precision + recall)


def strs(videos: Iterable[Coded], kind: Kind = "micro") -> float:
    """Spot then recognise: F1 of spotting times F1 of recognition, 0 to 1, of one kind of intervals with labels."""
    known = [(_of(coded, kind), _of(found, kind)) for coded, found in videos]
    pairs = [(coded[i].label, found[j].label) for coded, found in known for i, j in matched(coded, found)]
    return spot_scores(known)[kind].f1 * recognition_f1(pairs)


def _of(intervals: Iterable[Interval], kind: Kind) -> list[Interval]:
    return [one for one in intervals if one.kind == kind]


def _score(counts: Sequence[int]) -> SpotScore:
    right, wrong, missed = counts
    return SpotScore(true_positives=right, false_positives=wrong, misses=missed)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
