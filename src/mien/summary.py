"""Summarises a video: one line for each track, and a timeline to draw. Memory does not grow with its length.

In: `Seen` frames in order. Out: `TrackSummary`s, and `Timeline.curves`: mean probabilities over equal spans of time,
which double in width whenever the video outgrows them. Only the list of tracks grows, by a few numbers each.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .predict import Prediction, Seen

__all__ = ["SPANS", "Timeline", "TrackSummary"]

SPANS = 512
"""Equal spans of time that a video is divided into."""
FIRST_SPAN_S = 1 / 64
MOST_CURVES = 32
"""Most tracks with a curve. If there are more, those in view have one, and of the others those seen in the most
frames.
"""


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
    last_s: float
    labels: Counter[str] = field(default_factory=Counter)


class Timeline:
    """Takes the frames of a video in order."""

    def __init__(self) -> None:
        self.span_s = FIRST_SPAN_S
        """Width of a span, seconds."""
        self.end_s = 0.0
        """Time of the last frame."""
        self.frames = 0
        """Frames so far."""
        self._tallies: dict[int, _Tally] = {}
        self._sums: dict[int, NDArray[np.float64]] = {}

    def add(self, seen: Seen) -> None:
        """Take in the next frame."""
        self.frames += 1
        self.end_s = max(self.end_s, seen.time_s or 0.0)
        while self.end_s >= SPANS * self.span_s:
            self._widen()
        for prediction in seen.predictions:
            if prediction.track is not None:
                self._count(prediction.track, prediction, seen.time_s or 0.0)

    def tracks(self) -> list[TrackSummary]:
        """The tracks so far, in order of appearance."""
        return [_summary(track, tally) for track, tally in self._tallies.items()]

    def curves(self) -> dict[int, NDArray[np.float64]]:
        """Mean probabilities `(SPANS, K)` of the tracks that have a curve, in order of appearance; nan where unseen."""
        return {
            track: sums[:, :-1] / np.where(sums[:, -1:] > 0, sums[:, -1:], np.nan)
            for track, sums in sorted(self._sums.items())
        }

    def _count(self, track: int, prediction: Prediction, time_s: float) -> None:
        tally = self._tallies.setdefault(track, _Tally(first_s=time_s, last_s=time_s))
        tally.last_s = time_s
        tally.labels[prediction.label] += 1
        if track not in self._sums:
            self._sums[track] = np.zeros((SPANS, len(prediction.probs) + 1))
        self._sums[track][int(time_s / self.span_s)] += (*prediction.probs.values(), 1.0)
        if len(self._sums) > MOST_CURVES:
            del self._sums[min(self._sums, key=lambda other: self._worth(other, time_s))]

    def _worth(self, track: int, time_s: float) -> tuple[bool, int, int]:
        tally = self._tallies[track]
        return tally.last_s == time_s, tally.labels.total(), -track

    def _widen(self) -> None:
        self.span_s *= 2
        for track, sums in self._sums.items():
            pairs = sums.reshape(SPANS // 2, 2, -1).sum(axis=1)
            self._sums[track] = np.concatenate([pairs, np.zeros_like(pairs)])


def _summary(track: int, tally: _Tally) -> TrackSummary:
    frames = tally.labels.total()
    ranked = sorted(tally.labels.items(), key=lambda item: (-item[1], item[0]))
    return TrackSummary(
        track=track,
        first_s=tally.first_s,
        last_s=tally.last_s,
        frames=frames,
        label=ranked[0][0],
        shares={name: count / frames for name, count in ranked},
    )
