"""Damage to faces, in five severities (Hendrycks & Dietterich 2019, arXiv:1903.12261, adapted to face crops).

In: uint8 `(N, H, W, C)`, a severity 1 to 5, a random generator. Out: uint8 of the same shape. Pure functions of
numpy and OpenCV. Noise, blur, jpeg, contrast and brightness take the severities of the authors' 64-pixel suite
(Tiny ImageNet-C). Lengths are shares of the image's side, so that the damage is equal at 48 and at 96 pixels. Noise and
jpeg act on pixels, as in a sensor and an encoder. Occlusion, rotation, shift, scale and low resolution are this
project's own: they model a camera and a face detector.

The random part (noise, direction) is drawn before the severity is applied. So with equal generators, a higher severity
is a stronger version of the same damage.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats
from ..errors import ConfigError

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption", "corrupt"]

Images = NDArray[np.uint8]
T = TypeVar("T")
Corruption = Callable[[Images, int, np.random.Generator], Images]

SEVERITIES = (1, 2, 3, 4, 5)
GREY = 128

NOISE = (0.04, 0.08, 0.12, 0.15, 0.18)
"""Standard deviation, as a share of the range."""
BLUR = tuple(sigma / 64 for sigma in (0.5, 0.75, 1.0, 1.25, 1.5))
"""Standard deviation, as a share of the side."""
JPEG = (65, 58, 50, 40, 25)
"""Quality."""
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
"""Share of the contrast that remains."""
BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Added or taken away, as a share of the range."""
EYES = ((0.5, 0.12), (0.6, 0.16), (0.7, 0.20), (0.8, 0.24), (0.9, 0.28))
MOUTH = ((0.3, 0.10), (0.4, 0.15), (0.5, 0.20), (0.6, 0.25), (0.7, 0.30))
"""Width and height of the bar, as shares of the side."""
EYE_LEVEL, MOUTH_LEVEL = 0.415, 0.78
"""Height of the bar's middle from the top: between FER2013's mean face (eyes .36) and drawn faces (.47)."""
ROTATION = (5.0, 10.0, 15.0, 20.0, 30.0)
"""Degrees, to either side."""
SHIFT = (0.03, 0.06, 0.09, 0.12, 0.18)
"""Share of the side, in any direction."""
SCALE = (1.05, 1.1, 1.2, 1.3, 1.45)
"""Factor, larger or smaller."""
LOW_RESOLUTION = (0.75, 0.6, 0.5, 0.375, 0.25)
"""Share of the side that is left."""


def noise(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Gaussian noise, on each channel of its own."""
    sigma = 255 * _level(NOISE, severity)
    return _bytes(images + sigma * rng.standard_normal(images.shape, dtype=np.float32))


def blur(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Gaussian blur: a lens out of focus."""
    sigma = _level(BLUR, severity) * images.shape[1]
    return _each(images, lambda face: cv2.GaussianBlur(face, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def jpeg(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """JPEG compression; the last bit depends on the version of the encoder."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, _level(JPEG, severity)]

    def squeeze(face: Images) -> NDArray[Any]:
        _, content = cv2.imencode(".jpg", np.ascontiguousarray(face[..., ::-1]), quality)
        return np.asarray(cv2.imdecode(content, cv2.IMREAD_UNCHANGED)).reshape(face.shape)[..., ::-1]

    return _each(images, squeeze)


def contrast(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Less contrast, around the mean of each picture and channel."""
    mean = images.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    return _bytes(mean + (images - mean) * np.float32(_level(CONTRAST, severity)))


def brightness(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Half of the pictures brighter, half darker; values are clipped to the range."""
    step = 255 * _level(BRIGHTNESS, severity) * _signs(len(images), rng)
    return _bytes(images + step.astype(np.float32)[:, None, None, None])


def occluded_eyes(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """A grey bar where the eyes of an aligned face are."""
    return _bar(images, EYE_LEVEL, _level(EYES, severity))


def occluded_mouth(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """A grey bar where the mouth of an aligned face is."""
    return _bar(images, MOUTH_LEVEL, _level(MOUTH, severity))


def rotation(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Turned in the plane, half to each side."""
    return _warp(images, angles=_level(ROTATION, severity) * _signs(len(images), rng))


def shift(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Moved by one length in a random direction."""
    length = _level(SHIFT, severity) * images.shape[1]
    way = rng.uniform(0, 2 * np.pi, len(images))
    return _warp(images, moves=length * np.stack([np.cos(way), np.sin(way)], axis=1))


def scale(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """Half of the pictures larger, half smaller."""
    return _warp(images, factors=_level(SCALE, severity) ** _signs(len(images), rng))


def low_resolution(images: Images, severity: int, rng: np.random.Generator) -> Images:
    """A face of fewer pixels, brought back to size."""
    side = images.shape[1]
    small = max(1, round(_level(LOW_RESOLUTION, severity) * side))

    def shrink(face: Images) -> NDArray[Any]:
        reduced = cv2.resize(face, (small, small), interpolation=cv2.INTER_AREA)
        return cv2.resize(reduced, (side, side), interpolation=cv2.INTER_LINEAR)

    return _each(images, shrink)


CORRUPTIONS: dict[str, Corruption] = {
    "noise": noise,
    "blur": blur,
    "jpeg": jpeg,
    "contrast": contrast,
    "brightness": brightness,
    "occluded_eyes": occluded_eyes,
    "occluded_mouth": occluded_mouth,
    "rotation": rotation,
    "shift": shift,
    "scale": scale,
    "low_resolution": low_resolution,
}


def corrupt(name: str, images: Images, severity: int, seed: int = 0) -> Images:
    """Images `(N, H, W, C)` uint8, square, damaged by a corruption of `CORRUPTIONS` at severity 1 to 5.

    Equal seeds give equal damage to the same faces. Raises `ConfigError` for an unknown name, severity or kind of
    array.
    """
    if name not in CORRUPTIONS:
        raise ConfigError(f"There is no corruption {name!r}; there are {', '.join(CORRUPTIONS)}.")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2]:
        raise ConfigError(f"Corruptions take square uint8 images (N, H, H, C); got {images.dtype} {images.shape}.")
    return CORRUPTIONS[name](images, severity, np.random.default_rng([seed, *name.encode()]))


def _level(table: Sequence[T], severity: int) -> T:
    if severity not in SEVERITIES:
        raise ConfigError(f"A severity is 1 to {len(SEVERITIES)}; got {severity}.")
    return table[severity - 1]


def _signs(n: int, rng: np.random.Generator) -> Floats:
    """One of −1 and 1 for each picture, equally often."""
    return np.asarray(rng.permutation(np.resize([-1.0, 1.0], n)))


def _bytes(values: NDArray[np.float32]) -> Images:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _each(images: Images, change: Callable[[Images], NDArray[Any]]) -> Images:
    """`change` face by face; OpenCV drops the axis of a single channel, so it is put back."""
    changed = np.empty_like(images)
    for row, face in enumerate(images):
        changed[row] = change(face).reshape(face.shape)
    return changed


def _bar(images: Images, level: float, size: tuple[float, float]) -> Images:
    side, (width, height) = images.shape[1], size
    covered = images.copy()
    rows = slice(round((level - height / 2) * side), round((level + height / 2) * side))
    columns = slice(round((1 - width) / 2 * side), round((1 + width) / 2 * side))
    covered[:, rows, columns] = GREY
    return covered


def _warp(
    images: Images,
    angles: Floats | None = None,
    moves: Floats | None = None,
    factors: Floats | None = None,
) -> Images:
    """Turn (degrees), scale and move (pixels) each face about its centre; border pixels are repeated."""
    n, side = images.shape[:2]
    centre = ((side - 1) / 2, (side - 1) / 2)
    turned = np.zeros(n) if angles is None else angles
    scaled = np.ones(n) if factors is None else factors
    moved = np.zeros((n, 2)) if moves is None else moves
    changed = np.empty_like(images)
    for row, face in enumerate(images):
        matrix = cv2.getRotationMatrix2D(centre, float(turned[row]), float(scaled[row]))
        matrix[:, 2] += moved[row]
        warped = cv2.warpAffine(face, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
        changed[row] = warped.reshape(face.shape)
    return changed
