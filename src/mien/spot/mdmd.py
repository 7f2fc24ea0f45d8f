"""Main directional maximal difference (MDMD; Wang 2017, "A main directional maximal difference analysis for spotting
facial movements from long-term videos"), the field's baseline for spotting.

A frame is compared with those k before and k after it. Where its face moves and comes back, the flow from before to the
frame is longer than that from before to after. In each of 6 × 6 blocks, of the pixels that flow in the block's main
direction, the difference of both lengths counts: the mean of its top third. The mean of the top third of the blocks is
the frame's feature, and its contrast is what it has more than its neighbours at a distance of k - 1. Frames whose
contrast exceeds `mean + p (max - mean)` are spotted; runs of them of a known length are intervals.

Half the length of an expression stands for k: 0.4 s for micro-, 1.3 s for macro-expressions. Lengths that are kept are
those of He 2020 (arXiv:1911.01519): 7 to 16 frames of 30 a second for micro-, more for macro-expressions.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..faces import FaceDetector
from ..metrics.spotting import Interval, Kind
from ..video import Frame
from .ring import rings

__all__ = ["contrasts", "feature", "runs", "spot_mdmd"]

HALF_S: dict[Kind, float] = {"micro": 0.4, "macro": 1.3}
LENGTHS_S: dict[Kind, tuple[float, float]] = {"micro": (7 / 30, 16 / 30), "macro": (17 / 30, 4.0)}
BLOCKS, DIRECTIONS, TOP = 6, 4, 3
P = 0.01
"""Of the threshold, as published."""
Floats = NDArray[np.floating[Any]]


def spot_mdmd(
    frames: Iterable[Frame], fps: float, detector: FaceDetector
) -> tuple[list[Interval], NDArray[np.float32], int]:
    """Intervals, the larger of both contrasts of each frame, and how many frames had no face.

    Args:
        frames: of a video, in order; as many as the longest distance needs are kept as small grey faces.
        fps: frames a second.
        detector: finds the face.
    """
    half = {kind: max(2, round(seconds * fps)) for kind, seconds in HALF_S.items()}
    features: dict[Kind, list[float]] = {kind: [0.0] * k for kind, k in half.items()}
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    count = faceless = 0
    for ring in rings(frames, fps, detector, 2 * max(half.values()) + 1):
        count += 1
        faceless += ring.faces[-1] is None
        for kind, k in half.items():
            if count > 2 * k:
                features[kind].append(_feature_of(ring.faces, k, flow))
    intervals: list[Interval] = []
    shown = np.zeros(count)
    for kind, k in half.items():
        own = np.array((features[kind] + [0.0] * count)[:count])
        contrast = contrasts(own, k)
        shown = np.maximum(shown, contrast)
        low, high = (seconds * fps for seconds in LENGTHS_S[kind])
        intervals += [one for one in runs(contrast, kind) if low <= one.length + 0.5 and one.length - 0.5 <= high]
    return sorted(intervals, key=lambda one: one.onset), shown.astype(np.float32), faceless


def feature(first: Floats, second: Floats) -> float:
    """The feature of a frame from the flow to it and the flow past it, each `(H, W, 2)` from the frame before both."""
    length = np.hypot(first[..., 0], first[..., 1])
    difference = np.abs(length - np.hypot(second[..., 0], second[..., 1]))
    direction = (np.arctan2(first[..., 1], first[..., 0]) // (2 * np.pi / DIRECTIONS)).astype(np.int64) % DIRECTIONS
    blocks = []
    for rows in np.array_split(np.arange(first.shape[0]), BLOCKS):
        for columns in np.array_split(np.arange(first.shape[1]), BLOCKS):
            block = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            main = np.bincount(direction[block].ravel(), minlength=DIRECTIONS).argmax()
            blocks.append(_top(difference[block][direction[block] == main]))
    return _top(np.array(blocks))


def contrasts(features: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """`(T,)`: what each frame has more than the mean of those k - 1 before and after it, never below 0."""
    padded = np.pad(features, k - 1, mode="edge")
    beside = (padded[: len(features)] + padded[2 * (k - 1) :]) / 2
    return np.maximum(features - beside, 0.0)


def runs(contrast: NDArray[np.float64], kind: Kind) -> Iterator[Interval]:
    """Runs of frames above the threshold; none in a video in which nothing moves."""
    if not contrast.any():
        return
    above = contrast > contrast.mean() + P * (contrast.max() - contrast.mean())
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8))).reshape(-1, 2)
    for start, stop in edges.tolist():
        apex = start + int(contrast[start:stop].argmax())
        yield Interval(onset=start, apex=apex, offset=stop - 1, kind=kind)


def _feature_of(faces: deque[NDArray[np.uint8] | None], k: int, flow: cv2.DISOpticalFlow) -> float:
    """Of the frame k before the newest; 0 where one of the three has no face."""
    before, here, after = faces[-1 - 2 * k], faces[-1 - k], faces[-1]
    if before is None or here is None or after is None:
        return 0.0
    first = np.asarray(flow.calc(before, here, None), np.float32)  # type: ignore[call-overload]
    second = np.asarray(flow.calc(before, after, None), np.float32)  # type: ignore[call-overload]
    return feature(first, second)


def _top(values: Floats) -> float:
    """The mean of the top third; 0 of nothing."""
    if not len(values):
        return 0.0
    return float(np.sort(values)[-max(1, len(values) // TOP) :].mean())
