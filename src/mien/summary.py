"""What a video showed: a line a track, and a timeline to draw, in memory that does not grow with its length.

In: `Seen` frames in order. Out: `TrackSummary`s, and `Timeline.curves`: mean probabilities over equal spans of time,
which double in width whenever the video outgrows them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .predict import Prediction, Seen

__all__ = ["Timeline", "TrackSummary", "summarise"]

BINS = 512
FIRST_BIN_S = 1 / 64
MOST_TRACKS = 32
"""Tracks with a curve; of more, the first ones have it."""


@dataclass(frozen=True, kw_only=True)
class TrackSummary:
    """One face through a video."""

    track: int
    first_s: float
    last_s: float
    frames: int
    """Frames in which it was found."""
    label: str
    """The label it has in most of them."""
    shares: Mapping[str, float]
    """Share of its frames with each label, the largest first."""


@dataclass(kw_only=True)
class _Tally:
    first_s: float
    last_s: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)


class Timeline:
    """Takes the frames of a video in order."""

    def __init__(self) -> None:
        self.bin_s = FIRST_BIN_S
        """Width of a span, seconds."""
        self.end_s = 0.0
        """Time of the last frame."""
        self._tallies: dict[int, _Tally] = {}
        self._sums: dict[int, NDArray[np.float64]] = {}

    def add(self, seen: Seen) -> None:
        """Take in the next frame."""
        self.end_s = max(self.end_s, seen.time_s or 0.0)
        while self.end_s >= BINS * self.bin_s:
            self._widen()
        for prediction in seen.predictions:
            if prediction.track is not None:
                self._count(prediction.track, prediction, seen.time_s or 0.0)

    def tracks(self) -> list[TrackSummary]:
        """The tracks so far, in order of appearance."""
        return [summarise(track, tally.first_s, tally.last_s, tally.labels) for track, tally in self._tallies.items()]

    def curves(self) -> dict[int, NDArray[np.float64]]:
        """Mean probabilities `(BINS, K)` of each of the first tracks; nan where it was not seen."""
        return {
            track: sums[:, :-1] / np.where(sums[:, -1:] > 0, sums[:, -1:], np.nan) for track, sums in self._sums.items()
        }

    def _count(self, track: int, prediction: Prediction, time_s: float) -> None:
        tally = self._tallies.setdefault(track, _Tally(first_s=time_s))
        tally.last_s = time_s
        tally.labels[prediction.label] += 1
        if track not in self._sums and len(self._sums) < MOST_TRACKS:
            self._sums[track] = np.zeros((BINS, len(prediction.probs) + 1))
        if track in self._sums:
            self._sums[track][int(time_s / self.bin_s)] += (*prediction.probs.values(), 1.0)

    def _widen(self) -> None:
        self.bin_s *= 2
        for track, sums in self._sums.items():
            pairs = sums.reshape(BINS // 2, 2, -1).sum(axis=1)
            self._sums[track] = np.concatenate([pairs, np.zeros_like(pairs)])


def summarise(track: int, first_s: float, last_s: float, labels: Counter[str]) -> TrackSummary:
    """The summary of a track from the counts of its labels, of which there is at least one."""
    frames = labels.total()
    ranked = sorted(labels.items(), key=lambda item: (-item[1], item[0]))
    return TrackSummary(
        track=track,
        first_s=first_s,
        last_s=last_s,
        frames=frames,
        label=ranked[0][0],
        shares={name: count / frames for name, count in ranked},
    )
