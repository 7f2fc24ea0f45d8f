"""The grey levels themselves, 0 to 1: what `features.components` makes eigenfaces of (Turk & Pentland 1991)."""

import numpy as np
from numpy.typing import NDArray

from ...config import FeaturesTable

__all__ = ["pixels"]


def pixels(face: NDArray[np.uint8], settings: FeaturesTable) -> NDArray[np.float32]:
    """`(H · W,)`."""
    levels: NDArray[np.float32] = np.divide(face.ravel(), 255, dtype=np.float32)
    return levels
