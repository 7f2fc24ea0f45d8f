"""Dense inverse search (Kroeger 2016, ECCV, arXiv:1603.03590), by OpenCV, with a strong variational refinement.

Frames are blurred by a pixel first, and patches are matched down to full size: between two drawn faces this errs less
than OpenCV's presets do (docs/benchmarks.md has the table).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["flow"]

BLUR_PX = 1.0
SMOOTHNESS = 60.0
"""Weight of a smooth field in the refinement; OpenCV's preset has 20."""
ROUNDS = 20


def flow(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
    """See `mien.data.flow`."""
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    method.setFinestScale(0)
    method.setVariationalRefinementAlpha(SMOOTHNESS)
    method.setVariationalRefinementIterations(ROUNDS)
    soft = [cv2.GaussianBlur(frame, (0, 0), BLUR_PX) for frame in (before, after)]
    return np.asarray(method.calc(*soft, None), dtype=np.float32)  # type: ignore[call-overload]
