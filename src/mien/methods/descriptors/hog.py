"""Histograms of oriented gradients (Dalal & Triggs 2005): in which directions a face changes, cell by cell."""

import numpy as np
from numpy.typing import NDArray
from skimage.feature import hog as oriented_gradients

from ...config import FeaturesTable
from ...errors import ConfigError

__all__ = ["hog"]

BLOCK = 2
"""Cells on a side of a block, over which contrast is evened out (L2-Hys)."""


def hog(face: NDArray[np.uint8], settings: FeaturesTable) -> NDArray[np.float32]:
    """`(blocks · 4 · orientations,)`; raises `ConfigError` for a face smaller than a block."""
    cell = settings.hog_cell
    if min(face.shape) < BLOCK * cell:
        raise ConfigError(
            f"features.hog_cell {cell} needs faces of at least {BLOCK * cell} px, as a block has {BLOCK} × {BLOCK} "
            f"cells; these have {min(face.shape)} px. Lower it."
        )
    vector: NDArray[np.float32] = oriented_gradients(
        face,
        orientations=settings.hog_orientations,
        pixels_per_cell=(cell, cell),
        cells_per_block=(BLOCK, BLOCK),
        block_norm="L2-Hys",
    ).astype(np.float32)
    return vector
