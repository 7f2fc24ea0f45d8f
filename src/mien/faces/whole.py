"""No detector: the picture is a ready-made crop, as in FER2013 or a store."""

import numpy as np
from numpy.typing import NDArray

from .face import Face, shrink

__all__ = ["WholePicture"]


class WholePicture:
    """The whole picture as the one face."""

    name = "none"

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """One face: the whole picture, score 1."""
        shrink(picture, max(picture.shape))
        height, width = picture.shape[:2]
        return [Face(box=(0.0, 0.0, float(width), float(height)), score=1.0)]
