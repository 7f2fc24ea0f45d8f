"""By how much each region of a face has moved since the anchor frame, against the whole face.

Flow from the anchor to a frame has the head's movement in it. An affine map that is fitted robustly to the flow of the
whole face takes it out: turning, nodding, drifting, coming nearer. What is left in a region is the movement of its
skin. Eyes are in no region, since blinks and looks are not expressions.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..faces.anchor import SIDE, Anchor

__all__ = ["MOUTH", "REGIONS", "Movement", "head_movement"]

Floats = NDArray[np.float64]
REGIONS: dict[str, tuple[str, float, float]] = {
    "brow_left": ("eye_left", -0.05, -0.42),
    "brow_inner_left": ("eyes", -0.22, -0.38),
    "brow_inner_right": ("eyes", 0.22, -0.38),
    "brow_right": ("eye_right", 0.05, -0.42),
    "cheek_left": ("eye_left", -0.05, 0.48),
    "cheek_right": ("eye_right", 0.05, 0.48),
    "nose_left": ("nose", -0.3, -0.1),
    "nose_right": ("nose", 0.3, -0.1),
    "mouth_left": ("mouth_left", -0.05, 0.0),
    "mouth_right": ("mouth_right", 0.05, 0.0),
    "lip_top": ("mouth", 0.0, -0.12),
    "lip_bottom": ("mouth", 0.0, 0.18),
    "chin": ("mouth", 0.0, 0.5),
}
"""Of each region the landmark, and from there right and down, as shares of the distance of the eyes."""
MOUTH = ("mouth_left", "mouth_right", "lip_top", "lip_bottom", "chin")
"""Regions that speech moves."""
HALF = 0.17
"""Half a region's side, as a share of the distance of the eyes."""
GRID = 6
"""Every so many pixels the flow is looked at to fit the head's movement."""
ROUNDS, LOOSE = 6, 0.35
"""Of the robust fit: its rounds, and the pixels from which flow counts less and less."""


class Movement:
    """Movements against one anchor."""

    def __init__(self, anchor: Anchor, flow: cv2.DISOpticalFlow) -> None:
        self._anchor, self._flow = anchor, flow
        self._windows = _windows(anchor.landmarks)
        ys, xs = np.mgrid[GRID // 2 : SIDE : GRID, GRID // 2 : SIDE : GRID]
        inside = _ellipse(xs, ys) & ~_near_eyes(xs, ys, anchor.landmarks)
        self._xs, self._ys = xs[inside], ys[inside]
        self._terms = _terms(self._xs, self._ys)

    def of(self, grey: NDArray[np.uint8]) -> tuple[Floats, float]:
        """How the regions have moved, `(R, 2)` pixels right and down, and how far the head has, in pixels."""
        flow = np.asarray(self._flow.calc(self._anchor.grey, grey, None), dtype=np.float32)  # type: ignore[call-overload]
        seen = flow[self._ys, self._xs].astype(np.float64)
        head = _fitted(self._terms, seen)
        moved = np.array([_mean(flow, window) - _at(head, window) for window in self._windows])
        return moved, float(np.abs(self._terms @ head).max())


def head_movement(flow: NDArray[np.float32], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(SIDE, SIDE, 2)`: the part of a face's flow that is the movement of the head, an affine map fitted robustly.

    Args:
        flow: `(SIDE, SIDE, 2)` between two faces that are cut by one anchor.
        landmarks: `(5, 2)` of the anchor.
    """
    ys, xs = np.mgrid[GRID // 2 : SIDE : GRID, GRID // 2 : SIDE : GRID]
    inside = _ellipse(xs, ys) & ~_near_eyes(xs, ys, landmarks)
    xs, ys = xs[inside], ys[inside]
    head = _fitted(_terms(xs, ys), flow[ys, xs].astype(np.float64))
    every = np.mgrid[0:SIDE, 0:SIDE]
    return np.asarray(_terms(every[1].ravel(), every[0].ravel()) @ head, np.float32).reshape(SIDE, SIDE, 2)


def _windows(landmarks: NDArray[np.float32]) -> list[tuple[slice, slice]]:
    """Rows and columns of each region."""
    left, right, nose, mouth_left, mouth_right = landmarks.astype(np.float64)
    named = {
        "eye_left": left,
        "eye_right": right,
        "eyes": (left + right) / 2,
        "nose": nose,
        "mouth_left": mouth_left,
        "mouth_right": mouth_right,
        "mouth": (mouth_left + mouth_right) / 2,
    }
    apart = max(8.0, float(np.hypot(*(right - left))))
    windows = []
    for name, across, down in REGIONS.values():
        x, y = (named[name] + apart * np.array([across, down])).clip(0, SIDE - 1)
        half = max(2.0, HALF * apart)
        rows = slice(max(0, round(y - half)), min(SIDE, round(y + half) + 1))
        windows.append((rows, slice(max(0, round(x - half)), min(SIDE, round(x + half) + 1))))
    return windows


def _mean(flow: NDArray[np.float32], window: tuple[slice, slice]) -> Floats:
    return np.asarray(flow[window].reshape(-1, 2).mean(axis=0), dtype=np.float64)


def _at(head: Floats, window: tuple[slice, slice]) -> Floats:
    """The head's movement in the middle of a region."""
    rows, columns = window
    xs, ys = np.array([(columns.start + columns.stop - 1) / 2]), np.array([(rows.start + rows.stop - 1) / 2])
    return np.asarray((_terms(xs, ys) @ head)[0], dtype=np.float64)


def _ellipse(xs: NDArray[np.int_], ys: NDArray[np.int_]) -> NDArray[np.bool_]:
    middle = (SIDE - 1) / 2
    return np.asarray(((xs - middle) / (0.40 * SIDE)) ** 2 + ((ys - middle) / (0.48 * SIDE)) ** 2 <= 1)


def _near_eyes(xs: NDArray[np.int_], ys: NDArray[np.int_], landmarks: NDArray[np.float32]) -> NDArray[np.bool_]:
    apart = float(np.hypot(*(landmarks[1] - landmarks[0])))
    near = [((xs - x) / (0.32 * apart)) ** 2 + ((ys - y) / (0.2 * apart)) ** 2 <= 1 for x, y in landmarks[:2]]
    return np.asarray(near[0] | near[1])


def _terms(xs: NDArray[np.number], ys: NDArray[np.number]) -> Floats:
    """`(n, 3)`: what an affine map is linear in."""
    x, y = (xs - SIDE / 2) / SIDE, (ys - SIDE / 2) / SIDE
    return np.stack([np.ones(x.shape), x, y], axis=1)


def _fitted(terms: Floats, seen: Floats) -> Floats:
    """`(3, 2)` an affine map of the flow, in which pixels that move otherwise count little (Huber's weights)."""
    weights = np.ones(len(seen))
    head: NDArray[Any] = np.zeros((3, 2))
    for _ in range(ROUNDS):
        weighted = terms * weights[:, None]
        head = np.linalg.solve(weighted.T @ terms + 1e-6 * np.eye(3), weighted.T @ seen)
        off = np.hypot(*(seen - terms @ head).T)
        weights = np.minimum(1.0, LOOSE / np.maximum(off, 1e-9)) ** 2
    return head
