"""SoftNet as a spotter (Liong 2021, ICIP): a small network says of each frame whether it lies in an expression.

What it sees of a frame is a look `(42, 42, 3)`: the flow over k frames around it, k half an expression long, less the
flow of the nose, which the head alone moves; eyes are blank; a band with both brows stands above one with the mouth,
each 42 x 21. Two networks of one shape score micro- and macro-expressions, each by looks of its own k. Scores are
averaged over 2 k frames; peaks above `mean + p (max - mean)`, at least k apart, are the middles of intervals of
2 k + 1 frames.

Beside the paper: flow by DIS and not TV-L1; regions from five landmarks; a flow belongs to the frame between its two,
so intervals are not early by half of k; k is in seconds, and not of one corpus. The weights are a model file, which
`mien.fit_softnet` makes of videos whose expressions are known; those that come with mien know drawn films alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..bundle import BATCH, Bundle
from ..data.flow import find_flow, strain
from ..errors import BundleError
from ..faces import FaceDetector
from ..faces.anchor import SIDE
from ..metrics.spotting import KINDS, Interval, Kind
from ..planes import Plane
from ..reading import GivenPath
from ..video import Frame
from .ring import Ring, rings

__all__ = [
    "HALF_S",
    "LOOKS",
    "Count",
    "Look",
    "half_frames",
    "intervals",
    "look",
    "looks",
    "open_softnet",
    "spot_softnet",
]

HALF_S: dict[Kind, float] = {"micro": 0.18, "macro": 0.75}
"""Half the length of an expression, k, in seconds."""
FASTEST = 50.0
"""Looks a second at most: of more frames, every second, third or so on is scored."""
LOOK = 42
"""Side of a look."""
LOOKS = tuple(Plane(name=kind, kind="flow", shape=(LOOK, LOOK, 3), dtype="float32") for kind in KINDS)
"""What a model file of SoftNet takes of each frame."""
P = 0.55
"""Of the threshold, as published."""
PATCH = 5
"""Half the side of the patch at the nose, pixels, without its middle."""
EYE = (0.34, 0.22)
BROWS = (-0.45, 1.45, -0.75, -0.1)
MOUTH = (-0.1, 1.1, 0.65, 1.45)
"""The blank around an eye, right and down; the bands' left, right, top and bottom, from the eye on the picture's left.
All in distances of the eyes."""
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """What the network sees of one frame, for one kind."""

    place: int
    """The frame in the middle, from 0."""
    kind: Kind
    flow: NDArray[np.float32]
    """`(42, 42, 3)` u, v in pixels of a face 128 pixels wide, and strain."""


def open_softnet(path: GivenPath = "softnet") -> Bundle:
    """A model file of SoftNet; by default the one that comes with mien. Raises `BundleError` where it is none."""
    bundle = Bundle.open(path)
    if bundle.takes != LOOKS or bundle.labels != KINDS:
        raise BundleError(
            f"{bundle.path} takes {', '.join(bundle.card.planes)}, and spotting by softnet needs weights of SoftNet. "
            "`mien spot VIDEOS --coded TABLE.csv --fit NAME.onnx` makes such a file."
        )
    return bundle


def spot_softnet(
    frames: Iterable[Frame], fps: float, detector: FaceDetector, bundle: Bundle
) -> tuple[list[Interval], NDArray[np.float32], int]:
    """Intervals, the larger of both mean scores of each frame, and how many frames had no face.

    Args:
        frames: of a video, in order; as many as an expression needs are kept as small grey faces.
        fps: frames a second.
        detector: finds the face.
        bundle: as `open_softnet` gives it.
    """
    step, count = Step(fps), Count()
    found: dict[Kind, dict[int, float]] = {kind: {} for kind in KINDS}
    for batch in _batches(looks(frames, fps, detector, count)):
        filled = {plane.name: np.zeros((len(batch), *plane.shape), np.float32) for plane in LOOKS}
        for row, look in enumerate(batch):
            filled[look.kind][row] = look.flow
        for look, scores in zip(batch, bundle.logits(filled), strict=True):
            found[look.kind][look.place] = float(scores[KINDS.index(look.kind)])
    spotted: list[Interval] = []
    shown = np.zeros(count.frames)
    for kind, own in found.items():
        scores = np.zeros(len(range(0, count.frames, step.frames)))
        for place, score in own.items():
            scores[place // step.frames] = score
        mean = averaged(scores, half_frames(kind, step.rate))
        spotted += [step.whole(one, count.frames) for one in intervals(mean, kind, step.rate)]
        shown = np.maximum(shown, np.repeat(mean, step.frames)[: count.frames])
    return sorted(spotted, key=lambda one: one.onset), shown.astype(np.float32), count.faceless


@dataclass
class Count:
    """How many frames were read, and how many of them had no face."""

    frames: int = 0
    faceless: int = 0


class Step:
    """Every how many frames a video is looked at."""

    def __init__(self, fps: float) -> None:
        self.frames = max(1, int(fps // FASTEST))
        self.rate = fps / self.frames
        """Looks a second."""

    def whole(self, one: Interval, frames: int) -> Interval:
        """An interval of looks as one of frames."""
        onset, apex, offset = (place * self.frames for place in (one.onset, one.apex or one.onset, one.offset))
        return Interval(onset=onset, apex=apex, offset=min(offset + self.frames, frames) - 1, kind=one.kind)


def half_frames(kind: Kind, rate: float) -> int:
    """k of a kind, in frames of a video of so many frames a second."""
    return max(2, round(HALF_S[kind] * rate))


def looks(frames: Iterable[Frame], fps: float, detector: FaceDetector, count: Count | None = None) -> Iterator[Look]:
    """What the networks see of a video, frame by frame; frames near an end, and without a face, have none.

    Args:
        frames: of a video, in order.
        fps: frames a second.
        detector: finds the face.
        count: counts the frames that are read.
    """
    step, count = Step(fps), count or Count()
    half = {kind: half_frames(kind, step.rate) for kind in KINDS}

    def some() -> Iterator[Frame]:
        for place, frame in enumerate(frames):
            count.frames += 1
            if place % step.frames == 0:
                yield frame

    for newest, ring in enumerate(rings(some(), step.rate, detector, max(half.values()) + 1)):
        count.faceless += step.frames * (ring.faces[-1] is None)
        for kind, k in half.items():
            if newest >= k and (seen := look(ring, k)) is not None:
                yield Look(place=(newest - k + k // 2) * step.frames, kind=kind, flow=seen)


def averaged(scores: Floats, k: int) -> Floats:
    """`(T,)` scores, each the mean of those up to k before and after it."""
    padded = np.pad(scores, k, mode="edge") if len(scores) else scores
    return np.convolve(padded, np.ones(2 * k + 1) / (2 * k + 1), "valid") if len(scores) else scores


def intervals(scores: Floats, kind: Kind, rate: float) -> Iterator[Interval]:
    """Intervals around the peaks of mean scores `(T,)`, in order; none where all are equal.

    Args:
        scores: one a look.
        kind: whose k is taken.
        rate: looks a second.
    """
    if not len(scores) or scores.max() <= scores.mean():
        return
    k, least = half_frames(kind, rate), scores.mean() + P * (scores.max() - scores.mean())
    peaks: list[int] = []
    for top in np.argsort(-scores, kind="stable").tolist():
        if scores[top] < least:
            break
        if all(abs(top - peak) >= k for peak in peaks) and scores[top] == scores[max(0, top - k) : top + k + 1].max():
            peaks.append(top)
    for apex in sorted(peaks):
        yield Interval(onset=max(0, apex - k), apex=apex, offset=min(len(scores) - 1, apex + k), kind=kind)


def look(ring: Ring, k: int) -> NDArray[np.float32] | None:
    """`(42, 42, 3)` from the face k before the newest to the newest; None where one of them is not there."""
    before, after = ring.faces[-1 - k], ring.faces[-1]
    if before is None or after is None or ring.anchor is None:
        return None
    moved = find_flow("dis")(before, after)
    left, right, nose = ring.anchor.landmarks[:3].astype(np.float64)
    apart = max(8.0, float(np.hypot(*(right - left))))
    x, y = np.clip(nose.round().astype(int), PATCH, SIDE - 1 - PATCH)
    moved = moved - moved[y - PATCH : y + PATCH + 1, x - PATCH : x + PATCH + 1].mean(axis=(0, 1))
    whole = np.concatenate([moved, strain(moved)[..., None]], axis=-1)
    ys, xs = np.mgrid[0:SIDE, 0:SIDE]
    for eye in (left, right):
        whole[((xs - eye[0]) / (EYE[0] * apart)) ** 2 + ((ys - eye[1]) / (EYE[1] * apart)) ** 2 <= 1] = 0
    return np.concatenate([_band(whole, left, apart, band) for band in (BROWS, MOUTH)]).astype(np.float32)


def _band(whole: Floats, origin: Floats, apart: float, band: tuple[float, float, float, float]) -> Floats:
    """`(21, 42, 3)` of a part of the face; what is outside of the picture stands still."""
    left, right, top, bottom = (apart * share for share in band)
    wide, high = (right - left) / LOOK, 2 * (bottom - top) / LOOK
    to_face = np.array(
        [[wide, 0, origin[0] + left + wide / 2 - 0.5], [0, high, origin[1] + top + high / 2 - 0.5]], np.float64
    )
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(whole, to_face, (LOOK, LOOK // 2), flags=flags))


def _batches(given: Iterable[Look]) -> Iterator[list[Look]]:
    batch: list[Look] = []
    for look in given:
        batch.append(look)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
