"""Faces followed over time: who is who from frame to frame, and a label that does not flicker.

In: the faces of one frame after the other with their logits `(n, K)`. Out: a track number for each and logits averaged
over time. A face belongs to the track whose last box it overlaps most; logits are averaged exponentially with a time
constant in seconds, so the result does not depend on the frame rate. Memory depends on the faces in view alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError
from .faces import Face, overlap

__all__ = ["Followed", "Session"]

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
    face: Face
    seen_s: float
    logits: NDArray[np.float64]


class Session:
    """Tracks of one video or camera; one session a stream."""

    def __init__(self, *, smoothing_s: float = 0.4, forget_s: float = 1.0) -> None:
        """Start without tracks.

        Args:
            smoothing_s: time constant of the average of logits, seconds; 0 leaves each frame as it is.
            forget_s: a face unseen for longer than this starts a new track.

        Raises `ConfigError` where one is negative or not finite.
        """
        if not (0 <= smoothing_s < math.inf and 0 <= forget_s < math.inf):
            raise ConfigError(f"Smoothing and forgetting take seconds, 0 or more; got {smoothing_s} and {forget_s}.")
        self._smoothing_s = smoothing_s
        self._forget_s = forget_s
        self._tracks: list[_Track] = []
        self._count = 0

    def follow(self, faces: Sequence[Face], logits: NDArray[np.floating], time_s: float) -> list[Followed]:
        """Place the faces of the frame at `time_s`, in seconds and never falling, in their tracks.

        Args:
            faces: of the frame.
            logits: `(len(faces), K)`.
            time_s: of the frame.
        """
        self._tracks = [track for track in self._tracks if time_s - track.seen_s <= self._forget_s]
        matched = self._match(faces)
        followed = []
        for place, face in enumerate(faces):
            now = np.asarray(logits[place], np.float64)
            track = matched.get(place)
            if track is None:
                track = self._start(face, now, time_s)
            else:
                self._move(track, face, now, time_s)
            followed.append(Followed(track=track.number, logits=track.logits))
        return followed

    def _match(self, faces: Sequence[Face]) -> dict[int, _Track]:
        """Best overlaps first, each face and each track once."""
        pairs = [
            (overlap(track.face.box, face.box), place, track)
            for place, face in enumerate(faces)
            for track in self._tracks
        ]
        pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2].number))
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for share, place, track in pairs:
            if share >= SAME_TRACK and place not in matched and track.number not in taken:
                matched[place] = track
                taken.add(track.number)
        return matched

    def _start(self, face: Face, logits: NDArray[np.float64], time_s: float) -> _Track:
        self._count += 1
        track = _Track(number=self._count, face=face, seen_s=time_s, logits=logits)
        self._tracks.append(track)
        return track

    def _move(self, track: _Track, face: Face, logits: NDArray[np.float64], time_s: float) -> None:
        passed = max(0.0, time_s - track.seen_s)
        weight = -math.expm1(-passed / self._smoothing_s) if self._smoothing_s else 1.0
        track.logits = track.logits + weight * (logits - track.logits)
        track.face, track.seen_s = face, time_s
