"""Tracking of faces through a video, with labels smoothed over time.

In: the faces of one frame after the other with their logits `(n, K)`. Out: a track number for each and logits averaged
over time. A face joins the track whose last box it overlaps most. Logits are averaged over the track's past with
weights that fall with age, by a time constant in seconds: the result does not depend on the frame rate, and the first
frames do not weigh more than others. Memory depends only on the number of faces in view.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .faces import Box, Face, overlap
from .reading import given_number

__all__ = ["Followed", "Session"]

LONGEST_S = 1e9
SAME_TRACK = 0.3
"""Intersection over union with a track's last box from which a face may belong to it."""


@dataclass(frozen=True, kw_only=True)
class Followed:
    """One face of a frame with its place in time."""

    track: int
    """Number of the track, from 1 in order of appearance; never given twice."""
    logits: NDArray[np.float64]
    """`(K,)` averaged over the track's past."""


@dataclass(kw_only=True)
class _Track:
    number: int
    box: Box
    seen_s: float
    total: NDArray[np.float64]
    """`(K,)` sum of weighted logits."""
    weight: float


class Session:
    """Tracks of one video or camera; one session a stream."""

    def __init__(self, *, smoothing_s: float = 0.4, forget_s: float = 1.0) -> None:
        """Start without tracks.

        Args:
            smoothing_s: time constant of the average of logits, seconds; 0 leaves each frame as it is.
            forget_s: a face unseen for longer than this, and in the frame before, starts a new track.

        Raises `ConfigError` if one is negative, more than a billion, or not a number.
        """
        self._smoothing_s = given_number(smoothing_s, "smoothing_s, in seconds,", LONGEST_S)
        self._forget_s = given_number(forget_s, "forget_s, in seconds,", LONGEST_S)
        self._tracks: list[_Track] = []
        self._count = 0
        self._before_s = -math.inf

    def follow(self, faces: Sequence[Face], logits: NDArray[np.floating], time_s: float) -> list[Followed]:
        """Assign the faces of one frame to their tracks.

        Args:
            faces: of the frame.
            logits: `(len(faces), K)`.
            time_s: of the frame, in seconds; never less than that of the frame before.
        """
        oldest = min(time_s - self._forget_s, self._before_s)
        self._tracks = [track for track in self._tracks if track.seen_s >= oldest]
        self._before_s = time_s
        matched = self._match(faces)
        followed = []
        for place, face in enumerate(faces):
            track = matched.get(place) or self._start(face, len(logits[place]), time_s)
            self._move(track, face, logits[place], time_s)
            followed.append(Followed(track=track.number, logits=track.total / track.weight))
        return followed

    def _match(self, faces: Sequence[Face]) -> dict[int, _Track]:
        """Best overlaps first, each face and each track once."""
        pairs = [
            (overlap(track.box, face.box), place, track) for place, face in enumerate(faces) for track in self._tracks
        ]
        pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2].number))
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for share, place, track in pairs:
            if share >= SAME_TRACK and place not in matched and track.number not in taken:
                matched[place] = track
                taken.add(track.number)
        return matched

    def _start(self, face: Face, classes: int, time_s: float) -> _Track:
        self._count += 1
        track = _Track(number=self._count, box=face.box, seen_s=time_s, total=np.zeros(classes), weight=0.0)
        self._tracks.append(track)
        return track

    def _move(self, track: _Track, face: Face, logits: NDArray[np.floating], time_s: float) -> None:
        kept = math.exp(-max(0.0, time_s - track.seen_s) / self._smoothing_s) if self._smoothing_s else 0.0
        track.total = kept * track.total + logits
        track.weight = kept * track.weight + 1.0
        track.box, track.seen_s = face.box, time_s
