"""Classifies each expression that was spotted in a video, by its flow from onset to apex and a model of flow.

In: the frames of a video, read again, the found intervals, and a model file whose card says how flow is computed
(`mien.movement`). Out: for each interval its class with calibrated probabilities. At any length of a video, only the
frames of the current intervals are in memory.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle
from .card import Card
from .data.clips.clip import Clip
from .data.clips.motion import BACK, FLOW, MotionOptions, motion
from .errors import BadSample, BundleError
from .faces import FaceDetector
from .metrics.spotting import Interval
from .planes import FACE
from .predict import UNCERTAIN
from .video import Frame

__all__ = ["Named", "fps_words", "name_intervals", "options_of"]

MADE = {FACE, FLOW, BACK}
"""Planes that a model may take: those that an interval alone determines."""
FAR = 1.5
"""If the frame rate differs from that of the training clips by more than this factor, a warning is given."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """One interval with its class."""

    interval: Interval
    """`label` is the class, or "uncertain"."""
    confidence: float
    """The probability of the likeliest class, 0 to 1."""
    probs: Mapping[str, float]
    """Of each class; empty where no flow could be measured."""
    failure: str = ""
    """Why there is none, such as a face that was not found again at the onset."""


def options_of(bundle: Bundle) -> MotionOptions:
    """The options by which clips become the planes that a model takes.

    Raises `BundleError` where it is no model of clips, or its card does not say how its flow was computed.
    """
    card = bundle.card
    flow = next((plane for plane in card.forms if plane.name == FLOW), None)
    if flow is None:
        raise BundleError(
            f"{bundle.path} takes {', '.join(card.planes)}, and the class of a movement needs a model of flow. Train "
            "one on a store of clips with model.plane=flow."
        )
    if card.movement is None:
        raise BundleError(
            f"{bundle.path} was trained on flow that others computed, and its card cannot say how. Train it on a store "
            "that `mien data prepare` made from clips."
        )
    if strange := sorted(set(card.planes) - MADE):
        raise BundleError(f"{bundle.path} also takes {', '.join(strange)}, which no interval of a video gives.")
    return MotionOptions(
        flow=card.movement.flow,
        size=flow.shape[0],
        steady=card.movement.steady,
        stretch=card.movement.stretch,
        magnify=card.movement.magnify,
        halves=BACK in card.planes,
        crop=card.crop,
    )


def fps_words(card: Card, fps: float) -> str:
    """A sentence where a video's frames a second are far from those that the model was trained on; else empty."""
    movement = card.movement
    if movement is None or movement.slowest_fps / FAR <= fps <= movement.fastest_fps * FAR:
        return ""
    return f"It has {fps:g} frames a second; the model was trained on clips of {movement.fps_words}."


def name_intervals(
    frames: Iterable[Frame],
    fps: float,
    intervals: Sequence[Interval],
    bundle: Bundle,
    detector: FaceDetector,
    min_confidence: float = 0.0,
) -> list[Named]:
    """The class of each interval of a video, in the order given.

    Args:
        frames: of the video, from its first, in order; they are read once.
        fps: frames a second.
        intervals: as `mien.spot.spotter.spot` gives them.
        bundle: a model of flow.
        detector: finds the face in the onset frame.
        min_confidence: below it the class is "uncertain".

    Raises `BundleError` where the model cannot label movements.
    """
    options, found = options_of(bundle), dict[int, Named]()
    for number, clip in _clips(frames, fps, intervals, whole=bool(options.magnify)):
        try:
            planes = motion(clip, detector, options)
        except BadSample as bad:
            found[number] = Named(interval=intervals[number], confidence=0.0, probs={}, failure=str(bad))
            continue
        batch = {plane.name: planes[plane.name][None] for plane in bundle.takes}
        found[number] = _named(intervals[number], bundle.probs(batch)[0], bundle.labels, min_confidence)
    late = "the video ended before it"
    return [
        found.get(number) or Named(interval=interval, confidence=0.0, probs={}, failure=late)
        for number, interval in enumerate(intervals)
    ]


def _named(interval: Interval, probs: NDArray[np.float64], labels: Sequence[str], min_confidence: float) -> Named:
    best = float(probs.max())
    label = labels[int(probs.argmax())] if best >= min_confidence else UNCERTAIN
    return Named(
        interval=replace(interval, label=label), confidence=best, probs=dict(zip(labels, probs.tolist(), strict=True))
    )


def _clips(
    frames: Iterable[Frame], fps: float, intervals: Sequence[Interval], *, whole: bool
) -> Iterator[tuple[int, Clip]]:
    """Each interval as a clip of the frames that are needed of it, once the last of them was read."""
    waiting = sorted(range(len(intervals)), key=lambda number: intervals[number].onset, reverse=True)
    open_: dict[int, dict[int, NDArray[np.uint8]]] = {}
    for frame in frames:
        while waiting and intervals[waiting[-1]].onset <= frame.index:
            open_[waiting.pop()] = {}
        for number, kept in list(open_.items()):
            interval = intervals[number]
            if whole or frame.index in (interval.onset, interval.apex, interval.offset):
                kept[frame.index] = frame.picture
            if frame.index >= interval.offset:
                yield number, _clip(interval, open_.pop(number), fps)
        if not (waiting or open_):
            return


class _Kept:
    """Some frames of a video by their place; those between were not needed and are not there."""

    def __init__(self, kept: Mapping[int, NDArray[np.uint8]], first: int, last: int) -> None:
        self._kept, self._first, self._count = kept, first, last - first + 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int, /) -> NDArray[np.uint8]:
        return self._kept[self._first + place]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[place] for place in range(len(self)))


def _clip(interval: Interval, kept: Mapping[int, NDArray[np.uint8]], fps: float) -> Clip:
    onset, offset = interval.onset, interval.offset
    return Clip(
        name=f"frames {onset} to {offset}",
        subject="",
        label="",
        frames=_Kept(kept, onset, offset),
        onset=0,
        apex=None if interval.apex is None else interval.apex - onset,
        offset=offset - onset,
        fps=fps,
    )
