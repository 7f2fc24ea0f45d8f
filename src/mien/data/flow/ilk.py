"""Iterative Lucas-Kanade (Le Besnerais 2005, ICIP), by scikit-image."""

import numpy as np
from numpy.typing import NDArray
from skimage.registration import optical_flow_ilk

__all__ = ["flow"]


def flow(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.float32]:
    """See `mien.data.flow`."""
    first, second = before.astype(np.float32) / 255, after.astype(np.float32) / 255
    down, right = optical_flow_ilk(first, second, radius=7)  # type: ignore[no-untyped-call]
    return np.stack([right, down], axis=-1).astype(np.float32)
