"""Expressions as swells that stand out from all else that a face does in its own video (matched filtering).

Speech, nods, blinks and noise go on all the time; an expression is rare. So the covariance of the skin's movements is
estimated from the video itself, robustly, and movements are measured in its terms: what a face does all the time
counts little. Two searches:

- macro: a movement many times the noise, followed to its ends along its own direction.
- micro: filters of the form of a swell of 0.2 to 0.45 s, against what stands beside it in time. Peaks are candidates.
  A logistic judge weighs seven facts of a candidate: its height, how much of it muscles of the face could do, whether
  head or eyes moved with it, its form in time, whether the same movement comes again nearby, and how much goes on
  around it.

The judge's weights were fitted on drawn films with distractors (`benchmarks/spotting.py --fit`), never on real ones.
A video is read in windows of about a minute, so memory is flat.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..faces import FaceDetector
from ..metrics.spotting import Interval, Kind
from ..video import Frame
from .rest import rest, smoothed
from .skin import EYES, HEAD, NODES, ROW, bumps, follow

__all__ = [
    "FACTS",
    "WEIGHTS",
    "Candidate",
    "Series",
    "candidates",
    "expressions",
    "macro_expressions",
    "spot_matched",
    "windows",
]

Floats = NDArray[np.floating[Any]]
Span = tuple[int, int, int]
"""Onset, apex and offset, rows of a series."""
FASTEST = 50.0
"""Readings a second at most; of more, the mean of several is taken."""
CORE_S, MARGIN_S = 60.0, 6.0
"""A window is a core, and a margin before and after it."""
REST_S = 6.0
FEWEST = 12
"""Readings of a window that has anything in it."""
# noise
KEPT, ROUNDS, SHRINK, LEAST_PX = 0.85, 5, 0.05, 1e-3
"""Share of the readings that count as usual; rounds; how far the covariance is drawn to equal movements; a floor."""
# macro-expressions
MACRO_KEPT, MACRO_Z, MACRO_S, SMOOTH_S, STEADY_S = 0.75, 7.0, 0.6, 0.03, 0.1
EDGE = 0.3
TO_ENDS = 1 / (1 - 0.363)
"""A swell `3 s² - 2 s³` is at 0.3 of its height at s = 0.363; from there to its ends."""
JOIN_S, LONGEST_S = 0.1, 4.0
# micro-expressions
SWELLS_S = (0.2, 0.3, 0.45)
LENGTHS_S = (0.2, 0.25, 0.3, 0.37, 0.45, 0.52)
LEAST_Z, APART_S, NEAR_S = 1.05, 0.2, 1.5
FACTS = ("height", "muscles", "head", "eyes", "form", "again", "around")
WEIGHTS = (3.27, 2.88, -0.27, -0.41, 21.87, -3.74, -5.22, -21.89)
"""Of the facts, and what is added."""
LEAST_SURE = 0.3
MUSCLES: tuple[tuple[float, float, float, float, float], ...] = (
    (0.2, -0.38, 0.2, 0, -1),  # inner brow, up and down
    (0.2, -0.38, 0.2, -1, 0),  # inner brow, together
    (0.65, -0.38, 0.22, 0, -1),  # outer brow
    (0.55, 0.45, 0.25, 0, -1),  # cheek
    (0.2, 0.45, 0.2, 0, -1),  # side of the nose
    (0.2, 0.95, 0.15, 0, -1),  # upper lip
    (0.4, 1.1, 0.2, 0, -1),  # corner of the mouth, up and down
    (0.4, 1.1, 0.2, 1, 0),  # corner of the mouth, out and in
)
"""Where the face's muscles pull the skin: place (right and down from between the eyes, in their distance), reach, and
direction; both sides do the same. What the jaw does is not among them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Readings of a window, one a row."""

    rate: float
    """Rows a second."""
    skin: Floats
    """`(T, 2 N)`; of each node right, then down."""
    head: Floats
    eyes: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """What may be a micro-expression; places are rows of its series."""

    onset: int
    apex: int
    offset: int
    facts: Floats
    """`(7,)`, see `FACTS`."""

    @property
    def sure(self) -> float:
        """The judge's probability, 0 to 1."""
        return 1 / (1 + math.exp(-float(self.facts @ WEIGHTS[:-1]) - WEIGHTS[-1]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """A part of a video, with what is beside it."""

    series: Series
    first: int
    """The row of the video that the series begins with."""
    own: range
    """The rows of the video that no other window has as its own."""
    fold: int
    """Frames a row."""
    frames: int
    """Of the video so far."""
    faceless: int
    """Of these, without a face."""


def spot_matched(
    frames: Iterable[Frame], fps: float, detector: FaceDetector
) -> tuple[list[Interval], NDArray[np.float32], int]:
    """Intervals; how far the skin is from rest in each frame, in pixels; and how many frames had no face.

    Args:
        frames: of a video, in order; readings of about a minute are kept.
        fps: frames a second.
        detector: finds the face.
    """
    found: list[Interval] = []
    scores: list[NDArray[np.float32]] = []
    count = faceless = 0
    for window in windows(follow(frames, fps, detector), fps):
        height = _height(window.series)[window.own.start - window.first : window.own.stop - window.first]
        scores.append(np.repeat(height.astype(np.float32), window.fold))
        found += [one for one in _intervals(window) if not found or one.onset > found[-1].offset]
        count, faceless = window.frames, window.faceless
    return found, np.concatenate([*scores, np.zeros(0, np.float32)])[:count], faceless


def windows(readings: Iterable[Floats], fps: float) -> Iterator[Window]:
    """A video in parts of `CORE_S`, each with `MARGIN_S` after it and at least as much before; the last has the rest.

    Frames without a face keep the reading before them, so that no step is seen where the face comes back.
    """
    fold = max(1, int(fps // FASTEST))
    rate = fps / fold
    core, margin = round(CORE_S * rate), round(MARGIN_S * rate)
    rows = deque[NDArray[np.float32]](maxlen=core + 2 * margin)
    part: list[NDArray[np.float32]] = []
    frames = faceless = count = done = 0

    def window(until: int) -> Window:
        values = np.array(rows, np.float64)
        skin, head, eyes = np.split(values, [ROW - HEAD - EYES, ROW - EYES], axis=1)
        return Window(
            series=Series(rate=rate, skin=skin, head=head, eyes=eyes),
            first=count - len(rows),
            own=range(done, until),
            fold=fold,
            frames=frames,
            faceless=faceless,
        )

    row = np.zeros(ROW, np.float32)
    for reading in readings:
        frames += 1
        if np.isnan(reading).any():
            faceless += 1
        else:
            row = reading.astype(np.float32)
        part.append(row)
        if len(part) == fold:
            rows.append(np.mean(part, axis=0))
            part.clear()
            count += 1
            if count - done >= core + margin:
                yield window(count - margin)
                done = count - margin
    if part:
        rows.append(np.mean(part, axis=0))
        count += 1
    if count > done:
        yield window(count)


def _intervals(window: Window) -> Iterator[Interval]:
    """The expressions whose apex is among a window's own rows, in frames of the video."""
    for one in expressions(window.series):
        if window.first + one[1] in window.own:
            middle = window.fold // 2
            onset, apex, offset = (
                min((window.first + place) * window.fold + middle, window.frames - 1) for place in one
            )
            kind: Kind = "macro" if (one[2] - one[0] + 1) / window.series.rate > MACRO_S else "micro"
            yield Interval(onset=onset, apex=apex, offset=offset, kind=kind)


def expressions(series: Series) -> list[Span]:
    """Onset, apex and offset of all expressions in a window, in order, none over another."""
    if len(series.skin) < FEWEST:
        return []
    macro = macro_expressions(series)
    able = [one for one in candidates(series, macro) if one.sure >= LEAST_SURE]
    kept: list[Span] = list(macro)
    for one in sorted(able, key=lambda one: -one.sure):
        if all(one.onset > other[2] or one.offset < other[0] for other in kept):
            kept.append((one.onset, one.apex, one.offset))
    return sorted(kept)


def macro_expressions(series: Series) -> list[Span]:
    """Onset, apex and offset of what rises far above the noise for longer than `MACRO_S`, in order."""
    rate, found = series.rate, []
    smooth = smoothed(series.skin, SMOOTH_S * rate)
    usual = _Usual(smooth - rest(smooth, rate, REST_S), MACRO_KEPT)
    steady = _mean_over(usual.length, round(STEADY_S * rate))
    free = np.ones(len(steady), dtype=bool)
    while (steady * free).max() >= MACRO_Z:
        top = int((steady * free).argmax())
        onset, apex, offset = _ends(usual, top, round(STEADY_S * rate))
        found.append((onset, apex, offset, float(steady[top])))
        gap = round(0.15 * rate)
        free[max(0, onset - gap) : offset + gap + 1] = False
        free[top] = False
    joined: list[tuple[int, int, int, float]] = []
    for one in sorted(found):
        last = joined[-1] if joined else None
        if last and one[0] - last[2] <= JOIN_S * rate and one[2] - last[0] < LONGEST_S * rate:
            apex = last[1] if last[3] > one[3] else one[1]
            joined[-1] = (last[0], apex, max(last[2], one[2]), max(last[3], one[3]))
        else:
            joined.append(one)
    return [(a, b, c) for a, b, c, _ in joined if MACRO_S < (c - a + 1) / rate <= LONGEST_S]


def _ends(usual: "_Usual", top: int, width: int) -> Span:
    """From a peak along its direction to where the movement has fallen to `EDGE`, and on to where it began."""
    half = width // 2
    way = usual.white[max(0, top - half) : top + half + 1].mean(axis=0)
    along = _mean_over(usual.white @ (way / max(1e-12, float(np.linalg.norm(way)))), width)
    low, high = EDGE * along[top], 1.3 * along[top]
    first = last = top
    while first > 0 and low < along[first - 1] <= high:
        first -= 1
    while last + 1 < len(along) and low < along[last + 1] <= high:
        last += 1
    apex = first + int(along[first : last + 1].argmax())
    onset, offset = round(apex - (apex - first + 0.5) * TO_ENDS), round(apex + (last - apex + 0.5) * TO_ENDS)
    return max(0, onset), apex, min(len(along) - 1, offset)


def candidates(series: Series, macro: Iterable[Span]) -> Iterator[Candidate]:
    """Peaks of the swell filters outside of macro-expressions, in order."""
    rate, skin = series.rate, series.skin
    tuned = [_Tuned(series, max(3, round(seconds * rate))) for seconds in SWELLS_S]
    heights = np.array([each.height for each in tuned])
    highest = heights.max(axis=0)
    taken = np.zeros(len(skin), dtype=bool)
    for onset, _, offset in macro:
        taken[max(0, onset - round(0.1 * rate)) : offset + round(0.1 * rate) + 1] = True
    apart = round(APART_S * rate)
    for top in np.flatnonzero((highest > LEAST_Z) & ~taken).tolist():
        if highest[top] == highest[max(0, top - apart) : top + apart + 1].max():
            own = tuned[int(heights[:, top].argmax())]
            second = highest[max(0, top - round(rate)) : top + round(rate) + 1]
            facts = np.append(own.facts(top, skin, rate), math.log(second.mean()))
            middle, length = _fitted(skin @ own.direction(top), top, own.frames, rate)
            onset, offset = max(0, middle - length // 2), min(len(skin) - 1, middle - length // 2 + length)
            yield Candidate(onset=onset, apex=min(max(middle, onset), offset), offset=offset, facts=facts)


class _Usual:
    """What a series usually does: its mean and covariance, robustly."""

    def __init__(self, values: Floats, kept: float) -> None:
        usual = (values**2).sum(axis=1)
        usual = usual <= np.quantile(usual, kept)
        count = values.shape[1]
        off = np.zeros(len(values))
        for _ in range(ROUNDS + 1):
            mean = values[usual].mean(axis=0)
            spread = np.cov(values[usual].T)
            spread += (SHRINK * np.trace(spread) / count + LEAST_PX**2) * np.eye(count)
            self.whiten: Floats = np.linalg.inv(np.linalg.cholesky(spread)).T
            self.white: Floats = (values - mean) @ self.whiten
            off = (self.white**2).sum(axis=1)
            usual = off <= np.quantile(off, kept)
        middle = math.sqrt(max(1e-12, float(np.median(off))))
        self.white = self.white / middle
        self.length: Floats = np.sqrt(off) / middle
        """1 in the middle frame."""


class _Tuned:
    """A series seen through the filter of one length."""

    def __init__(self, series: Series, frames: int) -> None:
        self.frames, self.kernel = frames, _kernel(frames)
        self._usual = _Usual(_filtered(series.skin, self.kernel), KEPT)
        self._head, self._eyes = (_loudness(_filtered(each, self.kernel)) for each in (series.head, series.eyes))
        self.height: Floats = self._usual.length.copy()
        edge = frames // 2 + 1
        self.height[:edge] = self.height[-edge:] = 0.0
        across, _ = np.linalg.qr(self._usual.whiten.T @ _muscles())
        share = ((self._usual.white @ across) ** 2).sum(axis=1)
        self._muscles = np.sqrt(share / max(1e-12, float(np.median(share))))

    def direction(self, top: int) -> Floats:
        """`(2 N,)` in which the skin moves at a peak, in terms of what is usual."""
        white = self._usual.white[top]
        return np.asarray(self._usual.whiten @ (white / np.linalg.norm(white)))

    def facts(self, top: int, skin: Floats, rate: float) -> Floats:
        """The first six of `FACTS`."""
        white, frames = self._usual.white, self.frames
        first, last = max(0, top - 2 * frames), min(len(skin), top + 2 * frames + 1)
        along = skin[first:last] @ self.direction(top)
        again = white @ (white[top] / np.linalg.norm(white[top]))
        again[max(0, top - frames) : top + frames + 1] = 0.0
        near = round(NEAR_S * rate)
        return np.array(
            [
                math.log(self.height[top]),
                math.log(self._muscles[top] + 0.1),
                math.log(self._head[top] + 0.3),
                math.log(self._eyes[top] + 0.3),
                _likeness(along, _swell(np.arange(first, last) - top, frames)),
                float(again[max(0, top - near) : top + near].max()) / self.height[top],
            ]
        )


def _fitted(along: Floats, top: int, frames: int, rate: float) -> tuple[int, int]:
    """The middle and the length of the swell that fits a movement best, near a peak."""
    best = (-math.inf, top, frames)
    for length in sorted({max(3, round(seconds * rate)) for seconds in LENGTHS_S}):
        kernel = _kernel(length)
        padded = np.pad(along, length, mode="edge")
        for middle in range(max(0, top - frames // 2), min(len(along), top + frames // 2 + 1)):
            best = max(best, (float(padded[middle : middle + 2 * length + 1] @ kernel), middle, length))
    return best[1], best[2]


def _swell(places: NDArray[np.int_], frames: int) -> Floats:
    """0 to 1 and back to 0 within `frames` around 0."""
    part = np.clip(1 - np.abs(places) / (frames / 2), 0, 1)
    return np.asarray(part * part * (3 - 2 * part))


def _kernel(frames: int) -> Floats:
    """`(2 frames + 1,)` a swell against its surroundings: sum 0, length 1."""
    kernel = _swell(np.arange(-frames, frames + 1), frames)
    around = kernel == 0
    kernel[around] -= kernel.sum() / around.sum()
    return np.asarray(kernel / np.linalg.norm(kernel))


def _filtered(values: Floats, kernel: Floats) -> Floats:
    half = len(kernel) // 2
    padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1)


def _loudness(values: Floats) -> Floats:
    """`(T,)` mean square of columns, each by its own usual size."""
    usual = np.maximum(np.median(np.abs(values), axis=0), 1e-6)
    return np.asarray(((values / usual) ** 2).mean(axis=1))


def _likeness(one: Floats, other: Floats) -> float:
    """Correlation; of a movement, its values less their median are taken."""
    one, other = one - one.mean(), other - other.mean()
    return float(one @ other / max(1e-12, float(np.linalg.norm(one) * np.linalg.norm(other))))


def _mean_over(values: Floats, width: int) -> Floats:
    width = max(1, min(width, len(values)))
    return np.convolve(values, np.ones(width) / width, "same")


def _height(series: Series) -> Floats:
    """`(T,)` how far the three nodes that have moved most are from rest, in pixels."""
    heights = (series.skin - rest(series.skin, series.rate, REST_S)).reshape(len(series.skin), -1, 2)
    moved = np.einsum("nm,tmc->tnc", bumps(NODES), heights)
    length = np.sort((moved**2).sum(axis=-1), axis=1)[:, -3:]
    return np.asarray(np.sqrt(length.mean(axis=1)))


def _muscles() -> Floats:
    """`(2 N, 8)` heights of bumps for a pull of each muscle, on both sides."""
    swell = bumps(NODES)
    pulls = []
    for right, down, reach, x, y in MUSCLES:
        field = np.zeros(NODES.shape)
        for side in (1, -1):
            near = np.exp(-((NODES - (side * right, down)) ** 2).sum(axis=1) / (2 * reach**2))
            field += near[:, None] * (side * x, y)
        pulls.append(np.linalg.solve(swell.T @ swell + 1e-2 * np.eye(len(NODES)), swell.T @ field).ravel())
    return np.stack(pulls, axis=1)
