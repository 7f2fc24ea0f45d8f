"""Movements that rise and fall again, as intervals: from displacements of regions over time to expressions.

In: displacements `(T, R, 2)` in pixels of a face 128 pixels wide, and the frame rate. Out: intervals. The face at rest
is the running median of its displacements, so a slow drift counts as rest. An expression rises above the noise of the
video, has its apex at the highest point, and begins and ends where it has fallen to a share of that. Up to half a
second it is a micro-expression. Movements of the mouth alone that follow each other fast are speech, and no expression.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..metrics.spotting import Interval
from .movement import MOUTH, REGIONS
from .rest import rest, smoothed

__all__ = ["PulseOptions", "find_pulses", "score"]

Floats = NDArray[np.floating[Any]]
STRONGEST = 3
"""Regions whose movements make the score: few muscles act in a faint expression."""
SMALLEST_NOISE = 0.02
"""Pixels. A drawn video without noise has none."""
SPEECH_PEAKS, SPEECH_GAP_S = 3, 0.7
"""As many pulses of the mouth, each this near the next, are speech."""
APART_S, TAIL = 0.2, 0.5
"""A rise this near a higher one, and of less than this share of its height, belongs to it."""
QUIET = 1.0
"""Times the noise, above rest: lower than this an expression is not followed to its ends."""
TO_SIGMA = 1.4826
"""From the median absolute deviation to the standard deviation of a normal distribution."""


@dataclass(frozen=True, kw_only=True)
class PulseOptions:
    """The definition of an expression. Raises `ConfigError` if a number is out of its range."""

    threshold: float = 6.0
    """How many times the noise of the video the movement is at least; 1 to 100."""
    least_px: float = 0.25
    """And how many pixels of a face 128 pixels wide; 0 to 20."""
    edge: float = 0.1
    """Share of the apex's height at which an expression begins and ends; 0.02 to 0.9."""
    micro_s: float = 0.5
    """The longest micro-expression, in seconds; 0.1 to 2."""
    shortest_s: float = 0.08
    """What is shorter is a flicker; 0 to 1."""
    longest_s: float = 4.0
    """What is longer is a change of the face at rest; 0.5 to 60."""
    rest_s: float = 6.0
    """Of the running median; 1 to 60."""
    smooth_s: float = 0.03
    """Standard deviation of the smoothing over time; 0 to 1."""

    def __post_init__(self) -> None:
        ranges = {
            "threshold": (1, 100),
            "least_px": (0, 20),
            "edge": (0.02, 0.9),
            "micro_s": (0.1, 2),
            "shortest_s": (0, 1),
            "longest_s": (0.5, 60),
            "rest_s": (1, 60),
            "smooth_s": (0, 1),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} is {low:g} to {high:g}; got {value:g}.")


def score(moved: Floats, fps: float, options: PulseOptions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far the face is from rest in each frame: `(T,)` over all regions and `(T, R)` in each, in pixels.

    Args:
        moved: `(T, R, 2)` displacements; nan in frames without a face.
        fps: frames a second.
    """
    smooth = smoothed(_filled(moved).reshape(len(moved), -1), options.smooth_s * fps)
    off = (smooth - rest(smooth, fps, options.rest_s)).reshape(moved.shape)
    each = np.hypot(off[..., 0], off[..., 1])
    each[np.isnan(moved).any(axis=(1, 2))] = 0.0
    strongest = np.sort(each, axis=1)[:, -STRONGEST:]
    return np.sqrt((strongest**2).mean(axis=1)), each


def find_pulses(moved: Floats, fps: float, options: PulseOptions | None = None) -> list[Interval]:
    """The expressions in a video, in order; see the module.

    Args:
        moved: `(T, R, 2)` displacements of the regions of `movement.REGIONS`, pixels; nan in frames without a face.
        fps: frames a second.
    """
    options = options or PulseOptions()
    if len(moved) < 3:
        return []
    total, each = score(moved, fps, options)
    noise = _noise(total)
    least = max(options.least_px, options.threshold * noise)
    spans = _spans(total, noise, least, options.edge, round(APART_S * fps))
    kept = [span for span in spans if options.shortest_s <= (span[2] - span[0] + 1) / fps <= options.longest_s]
    speech = _speech(kept, each, fps)
    return [
        Interval(onset=a, apex=b, offset=c, kind="micro" if (c - a + 1) / fps <= options.micro_s else "macro")
        for place, (a, b, c) in enumerate(kept)
        if place not in speech
    ]


def _filled(moved: Floats) -> Floats:
    """Frames without a face keep the last displacement, so that no step is seen where the face comes back."""
    known = ~np.isnan(moved).any(axis=(1, 2))
    if not known.any():
        return np.zeros_like(moved)
    last = np.maximum.accumulate(np.where(known, np.arange(len(moved)), -1))
    return np.asarray(moved[np.where(last < 0, np.flatnonzero(known)[0], last)])


def _noise(total: NDArray[np.float64]) -> float:
    """Standard deviation of the score of a face at rest, as its lower half has it."""
    middle = float(np.median(total))
    return max(SMALLEST_NOISE, TO_SIGMA * float(np.median(np.abs(total[total <= middle] - middle))))


def _spans(
    total: NDArray[np.float64], noise: float, least: float, edge: float, apart: int
) -> list[tuple[int, int, int]]:
    """Onset, apex and offset of what rises to `least`, in order; the highest claims its frames first.

    A lower one within `apart` frames of a claimed one, and of less than half its height, is the tail of that.
    """
    level = float(np.median(total))
    claimed: list[tuple[int, int, int]] = []
    free = np.ones(len(total), dtype=bool)
    heights = np.where(total >= least, total, 0.0)
    while (apex := int((heights * free).argmax())) or heights[0] * free[0]:
        if heights[apex] * free[apex] <= 0:
            break
        low = level + max(edge * (total[apex] - level), QUIET * noise)
        onset, offset = apex, apex
        while onset > 0 and free[onset - 1] and low < total[onset - 1] <= total[apex]:
            onset -= 1
        while offset + 1 < len(total) and free[offset + 1] and low < total[offset + 1] <= total[apex]:
            offset += 1
        free[onset : offset + 1] = False
        near = [c for c in claimed if onset - c[2] <= apart and c[0] - offset <= apart]
        if not any(total[apex] - level < TAIL * (total[c[1]] - level) for c in near):
            claimed.append((onset, apex, offset))
    return sorted(claimed)


def _speech(spans: Sequence[tuple[int, int, int]], each: NDArray[np.float64], fps: float) -> set[int]:
    """Positions of pulses of the mouth alone that stand in a row of `SPEECH_PEAKS` or more."""
    names = list(REGIONS)
    mouth = np.array([name in MOUTH for name in names])
    alone = [
        place for place, (_, apex, _) in enumerate(spans) if each[apex, mouth].max() > 2 * each[apex, ~mouth].max()
    ]
    found: set[int] = set()
    row: list[int] = []
    for place in alone:
        if row and (spans[place][0] - spans[row[-1]][2]) / fps > SPEECH_GAP_S:
            row = []
        row.append(place)
        if len(row) >= SPEECH_PEAKS:
            found.update(row)
    return found
