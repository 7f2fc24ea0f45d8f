"""From a picture and a face in it to the uint8 crop that a network sees. It is the only crop function.

`prepare` (training) and `Predictor` (prediction) both call `crop`, so a network sees the same crops in both. The
`CropSpec` travels from the store through the run into the model file.

Landmarks are only used to level the eyes. A network trained on ready crops (FER2013: tilts of 6 degrees, standard
deviation) knows level faces at the scale of a detector's box. Scale and centre stay the box's: the distance of the eyes
shrinks as a head turns, that of eyes and mouth grows as a jaw drops, and a crop that undid the latter would hide an
action unit.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError
from .planes import FACE, Plane

__all__ = ["GREY", "CropSpec", "crop"]

GREY = np.array([299, 587, 114], dtype=np.uint32)
"""ITU-R BT.601 luma weights in thousandths, for RGB to grey."""

EYES_APART = 0.12
"""Eyes closer than this share of the box are those of a profile; their line gives no tilt."""


@dataclass(frozen=True, kw_only=True)
class CropSpec:
    """Size, colours and margin of a crop."""

    size: int = 48
    """Side of the square crop in pixels, 8 to 1024."""
    channels: int = 3
    """3 for RGB, 1 for grey."""
    margin: float = 0.0
    """Border added on each side of a face's box, as a share of the box's longer side, -0.4 to 1."""

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 1024:
            raise ConfigError(f"A crop's size is 8 to 1024 pixels; got {self.size}.")
        if self.channels not in (1, 3):
            raise ConfigError(f"A crop has 1 channel (grey) or 3 (RGB); got {self.channels}.")
        if not -0.4 <= self.margin <= 1:
            raise ConfigError(f"A crop's margin is -0.4 to 1; got {self.margin}.")

    @property
    def plane(self) -> Plane:
        """The plane of such crops."""
        return Plane(name=FACE, kind="image", shape=(self.size, self.size, self.channels), dtype="uint8")


def crop(
    picture: NDArray[np.uint8],
    spec: CropSpec,
    box: tuple[float, float, float, float] | None = None,
    landmarks: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """Cut the face out of a picture and bring it to the size and colours of `spec`.

    Args:
        picture: `(H, W)` grey or `(H, W, 3)` RGB, uint8.
        spec: size, channels and margin of the crop.
        box: x, y, width, height of the face in pixels. None, or a box that is exactly the whole picture, takes the
            picture as a ready-made crop: no margin, no levelling.
        landmarks: `(5, 2)` x, y in pixels, the eyes first, as `mien.faces.Face` has them; the picture is turned about
            the middle of the box until the eyes are level. None, or eyes too close together to tell, turns nothing.

    Returns:
        `(size, size, channels)` uint8. Where the box leaves the picture, the border pixels are repeated.
    """
    if box is None or box == (0, 0, picture.shape[1], picture.shape[0]):
        return _resize(_colours(picture, spec.channels), spec.size)
    tilt = 0.0 if landmarks is None else _tilt(landmarks, max(box[2:]))
    face = _turn(picture, box, spec.margin, tilt) if tilt else _cut(picture, box, spec.margin)
    return _resize(_colours(face, spec.channels), spec.size)


def _square(box: tuple[float, float, float, float], margin: float) -> tuple[int, int, int]:
    """Left, top and side of the square to cut, whole pixels."""
    x, y, width, height = box
    side = max(1, round(max(width, height) * (1 + 2 * margin)))
    return round(x + (width - side) / 2), round(y + (height - side) / 2), side


def _cut(picture: NDArray[np.uint8], box: tuple[float, float, float, float], margin: float) -> NDArray[np.uint8]:
    left, top, side = _square(box, margin)
    columns = np.arange(left, left + side).clip(0, picture.shape[1] - 1)
    rows = np.arange(top, top + side).clip(0, picture.shape[0] - 1)
    face: NDArray[np.uint8] = picture[rows[:, None], columns]
    return face


def _tilt(landmarks: NDArray[np.float32], side: float) -> float:
    """Angle between the line of the eyes and the horizontal, in degrees, clockwise as seen; 0 if it is unknown."""
    across, down = (landmarks[1] - landmarks[0]).tolist()
    return math.degrees(math.atan2(down, across)) if math.hypot(across, down) >= EYES_APART * side else 0.0


def _turn(
    picture: NDArray[np.uint8], box: tuple[float, float, float, float], margin: float, tilt: float
) -> NDArray[np.uint8]:
    """`_cut` of the picture turned by `tilt` degrees about the middle of the square, in one interpolation."""
    left, top, side = _square(box, margin)
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((left + middle, top + middle), tilt, 1.0)
    matrix[:, 2] -= (left, top)
    turned = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, dtype=np.uint8)


def _colours(face: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    if face.ndim == 2:
        face = face[..., None]
    if face.shape[2] == channels:
        return face
    if channels == 3:
        return np.repeat(face, 3, axis=2)
    return ((face @ GREY + 500) // 1000).astype(np.uint8)[..., None]


def _resize(face: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    height, width = face.shape[:2]
    if (height, width) == (size, size):
        return np.ascontiguousarray(face)
    shrinks = height > size or width > size
    resized = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized.reshape(size, size, face.shape[2]), dtype=np.uint8)
