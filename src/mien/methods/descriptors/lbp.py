"""Local binary patterns (Ojala et al. 2002; of faces, Ahonen et al. 2006): which neighbours of a pixel are brighter.

Each pixel is one of the uniform patterns, with its direction, or another. A face is a grid of their histograms; the
root of the shares makes a linear classifier compare them by Hellinger's distance.
"""

import numpy as np
from numpy.typing import NDArray
from skimage.feature import local_binary_pattern

from ...config import FeaturesTable
from ...errors import ConfigError

__all__ = ["lbp"]


def lbp(face: NDArray[np.uint8], settings: FeaturesTable) -> NDArray[np.float32]:
    """`(grid² · (points · (points − 1) + 3),)`; raises `ConfigError` for a face of fewer pixels a side than the grid
    has parts."""
    points, grid = settings.lbp_points, settings.lbp_grid
    if min(face.shape) < grid:
        raise ConfigError(
            f"features.lbp_grid {grid} needs faces of at least {grid} px; these have {min(face.shape)} px. Lower it."
        )
    bins = points * (points - 1) + 3
    patterns = local_binary_pattern(face, points, settings.lbp_radius, method="nri_uniform")  # type: ignore[no-untyped-call]
    codes = patterns.astype(np.int64)
    down, across = (np.arange(side) * grid // side for side in face.shape)
    part = down[:, None] * grid + across
    counts = np.bincount((part * bins + codes).ravel(), minlength=grid * grid * bins).reshape(-1, bins)
    shares: NDArray[np.float32] = np.sqrt(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32).ravel()
    return shares
