"""A video as a stream to intervals. A new method of spotting is a file here and a line in `SPOTTERS`.

A method is given as `NAME`, or as `NAME=FILE` where it learns: FILE has its weights.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from ..faces import FaceDetector
from ..faces.anchor import Anchor, Track
from ..metrics.spotting import Interval
from ..video import Frame
from .matched import spot_matched
from .mdmd import spot_mdmd
from .movement import REGIONS, Movement
from .pulses import PulseOptions, find_pulses, score
from .softnet import open_softnet, spot_softnet

__all__ = ["SPOTTERS", "Spotted", "named_method", "spot"]

ANCHOR_S, LONGEST_S = 5.0, 15.0
"""A new anchor frame after so long, once the face is at rest; and at the latest."""
QUIET_PX = 0.3
"""A face of which no region is further than this from the anchor frame is at rest."""
MOST_HEAD_PX = 12.0
"""A new anchor frame where the head has moved further than this, of a face 128 pixels wide."""
SOFTNET = "softnet"
SEEK_S = 0.2
"""A face that was lost is looked for so often."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Spotted:
    """The results for one video."""

    intervals: list[Interval]
    frames: int
    fps: float
    faceless: int
    """Frames in which no face was followed."""
    scores: NDArray[np.float32]
    """`(frames,)`: how far the face is from rest, in pixels of a face 128 pixels wide; of mdmd its contrast, of softnet
    its score."""


def spot(
    frames: Iterable[Frame],
    fps: float,
    detector: FaceDetector,
    options: PulseOptions | None = None,
    *,
    method: str = "matched",
) -> Spotted:
    """The expressions of the largest face of a video; frames are read once, one at a time.

    Args:
        frames: of a video, in order.
        fps: frames a second; times are counted by it.
        detector: finds the face, best with its landmarks.
        options: what counts as an expression; for `regions` alone.
        method: a key of `SPOTTERS`; `softnet=FILE` takes its weights from FILE.

    Raises `DataError` where no frame has a face, `ConfigError` for a method that there is not, `BundleError` for
    weights that it cannot use.
    """
    name, weights = named_method(method)
    return SPOTTERS[name](frames, fps, detector, options or PulseOptions(), weights)


def named_method(method: str) -> tuple[str, str]:
    """The key of `SPOTTERS` and the weights that a method asks for, "" for those that come with mien.

    Raises `ConfigError` where there is no such method, or it has no weights.
    """
    name, equals, weights = method.partition("=")
    if name not in SPOTTERS:
        raise ConfigError(f"There is no spotting method {name[:40]!r}; the methods are {', '.join(SPOTTERS)}.")
    if equals and (name != SOFTNET or not weights):
        raise ConfigError(f"The spotting method {method[:40]!r} is {SOFTNET}=FILE, or a name without '='.")
    return name, weights


def _by_regions(
    frames: Iterable[Frame], fps: float, detector: FaceDetector, options: PulseOptions, _weights: str
) -> Spotted:
    follower = _Follower(detector, fps)
    moved = [follower.moved(frame.picture) for frame in frames]
    if not follower.found:
        raise _faceless(len(moved))
    series = np.array(moved)
    return Spotted(
        intervals=find_pulses(series, fps, options),
        frames=len(series),
        fps=fps,
        faceless=int(np.isnan(series).any(axis=(1, 2)).sum()),
        scores=score(series, fps, options)[0].astype(np.float32),
    )


def _whole(
    spot_in: Callable[[Iterable[Frame], float, FaceDetector], tuple[list[Interval], NDArray[np.float32], int]],
    frames: Iterable[Frame],
    fps: float,
    detector: FaceDetector,
    _options: PulseOptions,
    _weights: str,
) -> Spotted:
    """The results of a method without options."""
    intervals, scores, faceless = spot_in(frames, fps, detector)
    if faceless == len(scores):
        raise _faceless(faceless)
    return Spotted(intervals=intervals, frames=len(scores), fps=fps, faceless=faceless, scores=scores)


def _by_softnet(
    frames: Iterable[Frame], fps: float, detector: FaceDetector, options: PulseOptions, weights: str
) -> Spotted:
    spot_in = partial(spot_softnet, bundle=open_softnet(weights or SOFTNET))
    return _whole(spot_in, frames, fps, detector, options, weights)


def _faceless(frames: int) -> DataError:
    return DataError(f"No face was found in {frames} frames.")


SPOTTERS: dict[str, Callable[[Iterable[Frame], float, FaceDetector, PulseOptions, str], Spotted]] = {
    "matched": partial(_whole, spot_matched),
    "regions": _by_regions,
    "mdmd": partial(_whole, spot_mdmd),
    SOFTNET: _by_softnet,
}


class _Follower:
    """Displacements of the regions from the first anchor on, joined over the anchors after it."""

    def __init__(self, detector: FaceDetector, fps: float) -> None:
        self._track, self._fps = Track(detector), fps
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._movement: Movement | None = None
        self._anchor: Anchor | None = None
        self._base = np.zeros((len(REGIONS), 2))
        """Displacements of the anchor frame itself."""
        self._age = 0
        self.found = False

    def moved(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """`(R, 2)` in this frame; nan where there is no face."""
        self._age += 1
        if self._movement is None or self._anchor is None:
            if self._age == 1 or self._age % max(1, round(SEEK_S * self._fps)) == 0:
                self._anchor_here(picture, self._base)
            return (self._base if self._movement else np.full_like(self._base, np.nan)).astype(np.float32)
        here, head = self._movement.of(self._anchor.cut(picture))
        now = self._base + here
        quiet = bool(np.abs(here).max() < QUIET_PX)
        if head > MOST_HEAD_PX or self._age >= (ANCHOR_S if quiet else LONGEST_S) * self._fps:
            self._anchor_here(picture, now)
        return now.astype(np.float32)

    def _anchor_here(self, picture: NDArray[np.uint8], now: NDArray[np.float64]) -> None:
        self._anchor = self._track.anchor(picture)
        self._movement = Movement(self._anchor, self._flow) if self._anchor else None
        self._base = now
        self._age = 0
        self.found |= self._movement is not None
