"""A face in a picture, and the interface of every detector.

All detectors give the same kind of box: a square as wide and as high as the crops of FER2013, from the middle of the
forehead to the chin. Each converts its own boxes to it (measured in `docs/faces.md`), so a network trained on ready
crops sees the same crops with `CropSpec.margin` 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

__all__ = ["Box", "Face", "FaceDetector", "clear", "ordered", "overlap", "shrink"]

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels."""

SAME_FACE = 0.4
"""Intersection over union from which two boxes are one face."""
INSIDE = 0.7
"""Share of the smaller box inside the larger one from which two boxes are one face."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Face:
    """One face in a picture."""

    box: Box
    """x, y, width, height in pixels of the square from mid-forehead to chin; may reach over the border."""
    score: float
    """Score of the detector, 0 to 1. It is not a probability, and scores of different detectors cannot be compared."""
    landmarks: NDArray[np.float32] | None = None
    """`(5, 2)` x, y in pixels: eye on the image's left, on its right, nose tip, mouth corner left, right."""


class FaceDetector(Protocol):
    """Finds faces in a picture. One detector may be shared between threads."""

    name: str
    """Its name for `find_detector`."""

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """The faces in an RGB picture `(H, W, 3)` uint8, from left to right, none twice.

        Raises `DataError` if the array is not such a picture.
        """
        ...


def shrink(picture: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], float]:
    """The picture with its longer side at most `side` pixels, and the factor of its coordinates (≤ 1).

    Raises `DataError` if `picture` is not `(H, W, 3)` uint8 with pixels.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise DataError(f"Faces are looked for in uint8 (H, W, 3) RGB pictures; got {picture.dtype} {picture.shape}.")
    scale = min(1.0, side / max(picture.shape[:2]))
    if scale == 1:
        return picture, 1.0
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), scale


def clear(faces: Sequence[Face], sure: float, smallest: float) -> list[Face]:
    """The faces whose score is at least `sure` and whose box has at least `smallest` pixels a side."""
    return [face for face in faces if face.score >= sure and min(face.box[2:]) >= smallest]


def ordered(faces: Sequence[Face]) -> list[Face]:
    """Faces from left to right by the box's centre.

    Of several boxes that show one face, the one with the highest score stays.

    The order does not depend on scores, which flicker from frame to frame.
    """
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if not any(_same(face.box, other.box) for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: (face.box[0] + face.box[2] / 2, face.box[1]))


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    both = _common(first, second)
    return both / (first[2] * first[3] + second[2] * second[3] - both)


def _common(first: Box, second: Box) -> float:
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    return max(0.0, width) * max(0.0, height)


def _same(first: Box, second: Box) -> bool:
    smaller = min(first[2] * first[3], second[2] * second[3])
    return overlap(first, second) > SAME_FACE or _common(first, second) > INSIDE * smaller
