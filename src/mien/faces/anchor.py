"""The face of a clip or a video, cut out of every frame by one transform from one anchor frame to the next.

A detector's boxes and landmarks jitter from frame to frame by more than the movement of a micro-expression. So the face
is only detected in an anchor frame, and the following frames are cut by the same transform. Movement in the crops is
then movement of the face. A new anchor is taken when the head has moved away, or after some seconds, when the face is
at rest.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .face import Box, Face, FaceDetector, overlap

__all__ = ["SIDE", "Anchor", "Track"]

SIDE = 128
"""Pixels of a side of the crops."""
USUAL = np.array([[0.3, 0.33], [0.7, 0.33], [0.5, 0.58], [0.35, 0.78], [0.65, 0.78]])
"""Landmarks as shares of a box."""
MARGIN = 0.12
"""Margin around the box, as a share of its side: it includes brows, chin and the skin over which they move."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchor:
    """One frame in which the face was found."""

    grey: NDArray[np.uint8]
    """`(SIDE, SIDE)`: the face, its eyes level."""
    landmarks: NDArray[np.float32]
    """`(5, 2)` in pixels of `grey`, as `mien.faces.Face` has them."""
    transform: NDArray[np.float64]
    """`(2, 3)` from pixels of the frame to those of the crops."""
    face: Face | None = None
    """The detector's box, in pixels of the frame."""

    def cut(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same part of another frame, `(SIDE, SIDE)` grey. `picture` is RGB `(H, W, 3)` uint8."""
        return _cut(picture, self.transform)


class Track:
    """Follows the largest face of the first frame that has one."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._box: Box | None = None

    def anchor(self, picture: NDArray[np.uint8]) -> Anchor | None:
        """Find the followed face in `picture`, RGB `(H, W, 3)` uint8; None if there is none."""
        faces = self._detector.detect(picture)
        if not faces:
            return None
        face = max(faces, key=self._rank)
        self._box = face.box
        found = _usual(face.box) if face.landmarks is None else face.landmarks
        transform = _transform(face.box, found)
        landmarks = found @ transform[:, :2].T + transform[:, 2]
        return Anchor(
            grey=_cut(picture, transform), landmarks=landmarks.astype(np.float32), transform=transform, face=face
        )

    def _rank(self, face: Face) -> tuple[float, float]:
        """The followed face first, otherwise the largest."""
        return overlap(self._box, face.box) if self._box else 0.0, face.box[2] * face.box[3]


def _usual(box: Box) -> NDArray[np.float32]:
    """The usual places of eyes, nose and mouth in a box, for detectors without landmarks."""
    x, y, width, height = box
    return np.asarray(USUAL * (width, height) + (x, y), dtype=np.float32)


def _transform(box: Box, landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Turn the eyes level about the middle of the box, and scale the box with its margin to the crop."""
    across, down = (landmarks[1] - landmarks[0]).tolist()
    scale = SIDE / (max(box[2:]) * (1 + 2 * MARGIN))
    middle = box[0] + box[2] / 2, box[1] + box[3] / 2
    matrix = cv2.getRotationMatrix2D(middle, float(np.degrees(np.arctan2(down, across))), scale)
    transform = np.asarray(matrix, dtype=np.float64)
    transform[:, 2] += SIDE / 2 - np.array(middle)
    return transform


def _cut(picture: NDArray[np.uint8], transform: NDArray[np.float64]) -> NDArray[np.uint8]:
    shrinks = abs(np.linalg.det(transform[:, :2])) < 1
    flags = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    part = cv2.warpAffine(picture, transform, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
