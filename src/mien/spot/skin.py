"""How the skin of a face has moved since an anchor frame, measured from the grey levels themselves; faster and finer
than dense flow where movements are a fraction of a pixel.

The head comes first: points beside eyes and mouth are followed (Lucas, Kanade 1981), an affine map is fitted to them
robustly, and the frame is cut again by it. What is left is small, so grey levels differ from the anchor's by the
gradient times the movement. The movement is a sum of smooth bumps at nodes of the face, solved for at once from all
pixels of the skin (ridge regression; Bayesian, with normal noise and movements). Light that gets brighter, and what
bends like a nodding head, are solved for beside it and left out. The eyes are no skin: they are described by a few
grey levels, which tell blinks and looks.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..faces import FaceDetector
from ..faces.anchor import SIDE, Anchor, Track
from ..video import Frame

__all__ = ["EYES", "HEAD", "NODES", "ROW", "Skin", "bumps", "follow"]

Floats = NDArray[np.floating[Any]]
STEP, BUMP = 0.35, 0.25
"""Between nodes, and the standard deviation of a bump; in distances of the eyes, as all places of the face."""
NOISE, MOVES_PX = 3.0, 0.1
"""Standard deviations before a frame is seen: of a grey level, and of a bump's height in pixels."""
BLUR_PX = 1.0
HEAD, EYES = 6, 12
"""Numbers that describe the head (an affine map) and the eyes (2 x 3 cells of each)."""
ROUNDS, LOOSE_PX = 5, 0.35
"""Of the robust fit: its rounds, and the pixels from which a point counts less and less."""
MOST_HEAD_PX, FAR_S = 12.0, 0.5
"""A new anchor frame where the head is further away than this for so long, in pixels of a face 128 pixels wide."""
ANCHOR_S, LONGEST_S = 60.0, 120.0
"""A new anchor frame after so long, once the skin is at rest; and at the latest."""
QUIET_PX = 0.3
OVERLAP_S = 0.5
SEEK_S = 0.2
"""A face that was lost is looked for so often."""


def _nodes() -> Floats:
    across, down = np.meshgrid(np.arange(-0.9, 0.91, STEP), np.arange(-0.6, 1.55, STEP))
    inside = (across / 0.95) ** 2 + ((down - 0.45) / 1.15) ** 2 <= 1
    return np.stack([across[inside], down[inside]], axis=1)


NODES: Floats = _nodes()
"""`(N, 2)` right and down from the middle between the eyes, in distances of the eyes."""


ROW = 2 * len(NODES) + HEAD + EYES
"""Numbers of a reading: heights of the bumps in pixels of a face 128 pixels wide, of each node right, then down; the
affine map of the head in pixels at the edge of the face; grey levels of the eyes. All are 0 in the anchor frame."""


class Skin:
    """Readings against one anchor; see `ROW`."""

    def __init__(self, anchor: Anchor) -> None:
        self._grey, self._landmarks = anchor.grey, anchor.landmarks.astype(np.float64)
        left, right = self._landmarks[:2]
        self._apart, self._middle = max(8.0, float(np.hypot(*(right - left)))), (left + right) / 2
        self._light = max(1.0, float(anchor.grey.mean()))
        self._soft = cv2.GaussianBlur(anchor.grey, (0, 0), BLUR_PX).astype(np.float32)
        self._mask = self._skin_pixels()
        self._solve = self._solver()
        self._points = self._steady_points()
        self._terms = _terms(self._points)
        self._eyes = self._eyes_of(anchor.grey)

    def of(self, grey: NDArray[np.uint8]) -> Floats:
        """`(ROW,)` what a face `(SIDE, SIDE)`, cut by the anchor's transform, has done since the anchor frame."""
        grey = np.asarray(cv2.convertScaleAbs(grey, alpha=self._light / max(1.0, float(grey.mean()))), np.uint8)
        head = self._head(grey)
        still = _steadied(grey, head)
        soft = cv2.GaussianBlur(still, (0, 0), BLUR_PX).astype(np.float32)
        skin = (self._solve @ (self._soft[self._mask] - soft[self._mask])).reshape(2, -1).T
        return np.concatenate([skin.ravel(), head.ravel(), self._eyes_of(still) - self._eyes]).astype(np.float64)

    def _places(self) -> tuple[Floats, Floats]:
        """`(SIDE, SIDE)` each: where pixels are in the face."""
        ys, xs = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
        return (xs - self._middle[0]) / self._apart, (ys - self._middle[1]) / self._apart

    def _skin_pixels(self) -> NDArray[np.bool_]:
        across, down = self._places()
        inside = across**2 + ((down - 0.45) / 1.25) ** 2 <= 1
        for x, y in (self._landmarks[:2] - self._middle) / self._apart:
            inside &= ((across - x) / 0.36) ** 2 + ((down - y) / 0.2) ** 2 > 1
        inside[:4] = inside[-4:] = False
        inside[:, :4] = inside[:, -4:] = False
        return np.asarray(inside)

    def _solver(self) -> NDArray[np.float32]:
        """`(2 N, pixels)`: from what the grey levels lack to the heights of the bumps, right first."""
        right, down = (cv2.Sobel(self._soft, cv2.CV_32F, *way)[self._mask] / 8 for way in ((1, 0), (0, 1)))
        at = np.stack([place[self._mask] for place in self._places()], axis=1)
        swell = bumps(at)
        ys, xs = ((axis - SIDE / 2) / (SIDE / 2) for axis in np.nonzero(self._mask))
        level = self._soft[self._mask] / (SIDE / 2)
        head = [g * t for t in (np.ones_like(xs), xs, ys) for g in (right, down)]
        bent = [right * xs * xs + down * xs * ys, right * xs * ys + down * ys * ys]
        bent += [down * xs * xs, down * ys * ys, right * ys * ys]
        light = [np.ones_like(xs), level, xs, ys, xs * level, ys * level]
        beside = np.stack([*head, *bent, *light], axis=1)
        every = np.concatenate([beside, swell * right[:, None], swell * down[:, None]], axis=1).astype(np.float64)
        stiff = np.full(every.shape[1], 1e-3)
        stiff[beside.shape[1] :] += (NOISE / MOVES_PX) ** 2
        solved = np.linalg.solve(every.T @ every + np.diag(stiff), every.T)
        return np.asarray(solved[beside.shape[1] :], np.float32)

    def _steady_points(self) -> NDArray[np.float32]:
        """Points `(P, 2)` in pixels, on a grid over the face without eyes and mouth."""
        across, down = np.meshgrid(np.arange(-0.9, 0.91, 0.15), np.arange(-0.55, 0.75, 1 / 6))
        eyes = (np.abs(down) < 0.25) & (np.abs(across) < 0.95)
        inside = ((across / 0.98) ** 2 + ((down - 0.45) / 1.2) ** 2 <= 1) & ~eyes
        points = np.stack([across[inside], down[inside]], axis=1) * self._apart + self._middle
        return np.asarray(points[((points > 6) & (points < SIDE - 7)).all(axis=1)], np.float32)

    def _head(self, grey: NDArray[np.uint8]) -> Floats:
        """`(3, 2)` an affine map, fitted with Huber's weights to the points that could be followed."""
        head: Floats = np.zeros((3, 2))
        if len(self._points) < 6:
            return head
        found, known, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
            self._grey,
            grey,
            self._points,
            None,
            winSize=(15, 15),
            maxLevel=2,
            criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.01),
            minEigThreshold=1e-4,
        )
        sure = known[:, 0] > 0
        terms, seen = self._terms[sure], (found - self._points)[sure].astype(np.float64)
        weights = np.ones(len(seen))
        for _ in range(ROUNDS):
            weighted = terms * weights[:, None]
            head = np.linalg.solve(weighted.T @ terms + 1e-6 * np.eye(3), weighted.T @ seen)
            off = np.hypot(*(seen - terms @ head).T)
            weights = np.minimum(1.0, LOOSE_PX / np.maximum(off, 1e-9)) ** 2
        return np.asarray(head)

    def _eyes_of(self, grey: NDArray[np.uint8]) -> Floats:
        """`(EYES,)` mean grey levels of 2 rows of 3 cells, of the eye on the picture's left first."""
        wide, high = 0.3 * self._apart, 0.18 * self._apart
        cells = []
        for x, y in self._landmarks[:2]:
            rows = slice(max(0, int(y - high)), max(2, int(y + high) + 1))
            part = grey[rows, max(0, int(x - wide)) : max(3, int(x + wide) + 1)]
            cells.append(cv2.resize(part, (3, 2), interpolation=cv2.INTER_AREA).ravel() if part.size else np.zeros(6))
        return np.concatenate(cells).astype(np.float64)


def bumps(places: Floats) -> Floats:
    """`(n, N)`: how high the bump of each node is at places `(n, 2)` of the face."""
    apart = ((places[:, None] - NODES) ** 2).sum(axis=-1)
    return np.asarray(np.exp(-apart / (2 * BUMP**2)))


def follow(frames: Iterable[Frame], fps: float, detector: FaceDetector) -> Iterator[Floats]:
    """`(ROW,)` of each frame against the first anchor of the video; nan where there is no face.

    A new anchor is read beside the old one for `OVERLAP_S`, and goes on where that leaves off: the median of their
    differences is added to it.
    """
    follower = _Follower(detector, fps)
    return (follower.read(frame.picture) for frame in frames)


class _Link:
    """An anchor, and what is added to its readings."""

    def __init__(self, anchor: Anchor, base: Floats) -> None:
        self._anchor, self._skin, self.base = anchor, Skin(anchor), base

    def read(self, picture: NDArray[np.uint8]) -> Floats:
        return self.base + self._skin.of(self._anchor.cut(picture))


class _Follower:
    def __init__(self, detector: FaceDetector, fps: float) -> None:
        self._track, self._fps = Track(detector), fps
        self._here: _Link | None = None
        self._next: _Link | None = None
        self._offsets: list[Floats] = []
        self._last: Floats = np.zeros(ROW)
        self._age = self._far = 0

    def read(self, picture: NDArray[np.uint8]) -> Floats:
        self._age += 1
        if self._here is None:
            if self._age == 1 or self._age % max(1, round(SEEK_S * self._fps)) == 0:
                self._here = self._linked(picture)
            return self._last if self._here else np.full(ROW, np.nan)
        self._last = self._here.read(picture)
        if self._next:
            self._hand_over(self._next, picture)
        elif self._is_due(self._last - self._here.base):
            self._next, self._offsets = self._linked(picture), []
            self._here, self._age = (self._here, self._age) if self._next else (None, 0)
        return self._last

    def _hand_over(self, after: _Link, picture: NDArray[np.uint8]) -> None:
        self._offsets.append(self._last - after.read(picture))
        if len(self._offsets) >= OVERLAP_S * self._fps:
            after.base = after.base + np.median(self._offsets, axis=0)
            self._here, self._next = after, None
            self._age = self._far = 0

    def _is_due(self, since: Floats) -> bool:
        """Whether a new anchor is, after what has happened `since` the old one."""
        quiet = bool(np.abs(since[: 2 * len(NODES)]).max() < QUIET_PX)
        moved = np.abs(since[2 * len(NODES) : -EYES].reshape(3, 2)).sum(axis=0).max()
        self._far = self._far + 1 if moved > MOST_HEAD_PX else 0
        return self._far >= FAR_S * self._fps or self._age >= (ANCHOR_S if quiet else LONGEST_S) * self._fps

    def _linked(self, picture: NDArray[np.uint8]) -> _Link | None:
        anchor = self._track.anchor(picture)
        return _Link(anchor, self._last) if anchor else None


def _terms(points: Floats) -> Floats:
    """`(n, 3)`: what an affine map is linear in; 1 at half the side of a face."""
    at = (points.astype(np.float64) - SIDE / 2) / (SIDE / 2)
    return np.concatenate([np.ones((len(points), 1)), at], axis=1)


def _steadied(grey: NDArray[np.uint8], head: Floats) -> NDArray[np.uint8]:
    """The face without the head's movement."""
    slope = head[1:].T / (SIDE / 2)
    matrix = np.concatenate([np.eye(2) + slope, head[0][:, None] - slope.sum(axis=1)[:, None] * (SIDE / 2)], axis=1)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    still = cv2.warpAffine(grey, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(still, np.uint8)
