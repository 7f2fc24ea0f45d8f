"""Descriptors: a face becomes a vector of numbers by a rule that nobody trained. A new one is a file and a line below.

A function of this package takes one grey face `(H, W)` uint8 and the table of settings, and gives a vector. Faces of
one size give vectors of one length.
"""

from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from ...config import FeaturesTable

__all__ = ["DESCRIPTORS", "Descriptor", "describe", "grey"]

Descriptor = Callable[[NDArray[np.uint8], FeaturesTable], NDArray[np.float32]]

DESCRIPTORS = {"hog": "hog:hog", "lbp": "lbp:lbp", "pixels": "pixels:pixels"}
"""By name in `features.descriptor`, where `+` joins several: `module:function` of this package."""
WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue in grey (ITU-R BT.601)."""


def describe(images: NDArray[np.uint8], settings: FeaturesTable) -> NDArray[np.float32]:
    """Vectors `(n, D)` of faces `(n, H, W, C)`.

    Raises `ConfigError` for faces that are too small for the settings.
    """
    parts = [_find(name) for name in settings.descriptor.split("+")]
    return np.array([np.concatenate([part(face, settings) for part in parts]) for face in grey(images)], np.float32)


def grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey faces `(n, H, W)` of faces `(n, H, W, C)`; of other than three channels the mean."""
    if images.shape[-1] == 1:
        return images[..., 0]
    weights = WEIGHTS if images.shape[-1] == len(WEIGHTS) else np.full(images.shape[-1], 1 / images.shape[-1])
    return np.rint(images @ weights).astype(np.uint8)


def _find(name: str) -> Descriptor:
    module, _, function = DESCRIPTORS[name].partition(":")
    found: Descriptor = getattr(import_module(f"{__name__}.{module}"), function)
    return found
