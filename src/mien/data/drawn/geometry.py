"""Where the curves of a face fall in the picture: identity and action units, posed and projected.

In: an identity, intensities (2, 13), a view. Out: points (P, 2) in 1/32 pixel, whole numbers. Sines and cosines are
multiples of 1/1024 and every product stays below 2**53, so the float64 sums are exact and rounding cannot flip.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.anatomy import ANATOMY
from mien.data.drawn.chance import Chance
from mien.data.drawn.expression import AUS
from mien.data.drawn.identity import Identity

__all__ = ["GRID", "View", "corners", "draw_view", "head_box", "moved_by", "project"]

GRID = 32
"""Steps of a pixel in which points are given."""


@dataclass(frozen=True, kw_only=True)
class View:
    """How the camera sees the head: turned, then moved."""

    yaw: float
    """Sine of the turn to the image's right, a multiple of 1/256."""
    pitch: float
    """Sine of the nod downwards."""
    roll: float
    """Sine of the tilt in the plane, clockwise."""
    unit: int
    """1/32 pixels to half a head's width."""
    middle: tuple[int, int]
    """Where the point between the eyes falls, in 1/32 pixels."""

    @property
    def turned(self) -> bool:
        """Whether the head is turned or nods by more than about eight degrees."""
        return max(abs(self.yaw), abs(self.pitch)) > 0.14


def draw_view(chance: Chance, size: int) -> View:
    """A natural view for a picture of `size` pixels: mostly near frontal, rarely a good turn."""
    wide = chance.often(30)
    pixels = size * GRID
    return View(
        yaw=chance.spread(0.36 if wide else 0.12),
        pitch=chance.spread(0.22 if wide else 0.1),
        roll=chance.spread(0.2),
        unit=pixels * (78 + chance.below(14)) // 256,
        middle=(pixels * (244 + chance.below(25)) // 512, pixels * (232 + chance.below(25)) // 512),
    )


def _cosine(sine: float) -> float:
    return math.floor(1024 * math.sqrt(1 - sine * sine)) / 1024


@lru_cache(maxsize=16)
def _matrix(view: View) -> NDArray[np.float64]:
    """(3, 2) from the face's x, y, z to the picture's x, y, multiples of 1/1024."""
    cos_yaw, cos_pitch, cos_roll = _cosine(view.yaw), _cosine(view.pitch), _cosine(view.roll)
    across = (cos_yaw, 0.0, view.yaw)
    down = (-view.pitch * view.yaw, cos_pitch, view.pitch * cos_yaw)
    rows = [
        [a * cos_roll - d * view.roll for a, d in zip(across, down, strict=True)],
        [a * view.roll + d * cos_roll for a, d in zip(across, down, strict=True)],
    ]
    return np.array([[math.floor(v * 1024 + 0.5) / 1024 for v in row] for row in rows]).T


def _seen(points: NDArray[np.float64], view: View) -> NDArray[np.int64]:
    """(n, 3) in hundredths of a unit to (n, 2) in 1/32 pixel, rounded down as a whole number at the last step."""
    seen = points @ _matrix(view)
    whole: NDArray[np.int64] = np.floor(seen * (view.unit * 4)).astype(np.int64) // 400
    return whole


def project(identity: Identity, intensities: NDArray[np.float64], view: View) -> NDArray[np.int32]:
    """Points (P, 2) of all curves of `ANATOMY` in 1/32 pixel, 0 in the middle of the first pixel."""
    weights = intensities.reshape(-1)
    active = np.flatnonzero(weights)
    points = identity.rest
    if len(active):
        points = points + (weights[active] @ ANATOMY.action[active]).reshape(-1, 3)
    placed: NDArray[np.int32] = (_seen(points, view) + np.array(view.middle)).astype(np.int32)
    return placed


def moved_by(au_row: int, intensities: NDArray[np.float64], view: View) -> NDArray[np.int32]:
    """(n, 2) movement of the points of a `Motion` by the AU of this row of `AUS`, in 1/32 pixel."""
    motion = ANATOMY.motions[AUS[au_row]]
    shift: NDArray[np.int32] = _seen((intensities[:, au_row] @ motion.sides).reshape(-1, 3), view).astype(np.int32)
    return shift


def _centre(points: NDArray[np.int32], curve: str) -> NDArray[np.float64]:
    part = points[ANATOMY.spans[curve]]
    centre: NDArray[np.float64] = (part.min(axis=0) + part.max(axis=0)) / (2 * GRID)
    return centre


def corners(points: NDArray[np.int32]) -> NDArray[np.float32]:
    """(5, 2) landmarks in pixels: eye on the image's left, on its right, nose tip, mouth corners left, right."""
    mouth = points[ANATOMY.spans["lip_top"]] / GRID
    tip = points[ANATOMY.spans["tip"]][0] / GRID
    found = [_centre(points, "pupil.l"), _centre(points, "pupil.r"), tip, mouth[0], mouth[-1]]
    return np.array(found, dtype=np.float32)


def head_box(points: NDArray[np.int32]) -> tuple[int, int, int, int]:
    """x, y, width, height of the head without hair, in pixels."""
    outline = points[ANATOMY.spans["outline"]]
    left, top = (outline.min(axis=0) // GRID).tolist()
    right, bottom = (-(-outline.max(axis=0) // GRID)).tolist()
    return left, top, right - left, bottom - top
