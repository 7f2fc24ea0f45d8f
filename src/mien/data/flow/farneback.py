"""Polynomial expansion (Farnebäck 2003, SCIA), by OpenCV."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["flow"]


def flow(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
    """See `mien.data.flow`."""
    found = cv2.calcOpticalFlowFarneback(  # type: ignore[call-overload]
        before,
        after,
        None,
        pyr_scale=0.5,
        levels=4,
        winsize=13,
        iterations=5,
        poly_n=7,
        poly_sigma=1.5,
        flags=0,
    )
    return np.asarray(found, dtype=np.float32)
