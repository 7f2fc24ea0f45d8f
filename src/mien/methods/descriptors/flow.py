"""Descriptors of flow `(H, W, C)`: channel 0 is u, to the right, channel 1 is v, down, in pixels.

    hoof      histograms of the direction of flow in parts of the face, weighed by its length (Chaudhry 2009, CVPR)
    bi-woof   those of HOOF, each weighed again by the mean optical strain of its part (Liong 2018)
    mdmo      the mean of the vectors of the main direction of each part (Liu 2016, TAC)

MDMO is published on 36 regions around landmarks; here the parts are those of a grid, as the crop is aligned.
"""

import numpy as np
from numpy.typing import NDArray

from ...config import FeaturesTable
from ...data.flow import strain
from ...errors import ConfigError

__all__ = ["bi_woof", "hoof", "mdmo", "values"]

Floats = NDArray[np.float32]


def values(flow: Floats, settings: FeaturesTable) -> Floats:
    """All numbers of a plane as they are, `(H · W · C,)`: what a ridge needs to equal a shallow network."""
    flat: Floats = flow.reshape(-1).astype(np.float32)
    return flat


def hoof(flow: Floats, settings: FeaturesTable) -> Floats:
    """`(grid² · bins,)`, shares of each part; 0 where nothing moved."""
    sums = _sums(flow, settings, np.hypot(flow[..., 0], flow[..., 1]))
    whole = sums.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(sums, whole, out=np.zeros_like(sums), where=whole > 0).astype(np.float32).ravel()
    return shares


def bi_woof(flow: Floats, settings: FeaturesTable) -> Floats:
    """`(grid² · bins,)`: HOOF of each part times its share of the strain of the face."""
    part = _parts(flow, settings.flow_grid)
    strains = np.bincount(part.ravel(), strain(flow[..., :2]).ravel().astype(np.float64), settings.flow_grid**2)
    whole = strains.sum()
    shares = strains / whole if whole > 0 else strains
    weighed: Floats = (hoof(flow, settings).reshape(len(shares), -1) * shares[:, None]).astype(np.float32).ravel()
    return weighed


def mdmo(flow: Floats, settings: FeaturesTable) -> Floats:
    """`(grid² · 2,)`: mean u and v of the vectors of the direction that most vectors of a part have."""
    lengths = np.hypot(flow[..., 0], flow[..., 1])
    counts = _sums(flow, settings, (lengths > 0).astype(np.float64))
    main = counts.argmax(axis=1)[_parts(flow, settings.flow_grid)]
    chosen = (_directions(flow, settings.flow_bins) == main) & (lengths > 0)
    n = np.maximum(counts.max(axis=1), 1)
    means = [_of_parts(flow, settings.flow_grid, flow[..., k] * chosen) / n for k in (0, 1)]
    main_means: Floats = np.stack(means, axis=1).astype(np.float32).ravel()
    return main_means


def _directions(flow: Floats, bins: int) -> NDArray[np.int64]:
    """The bin of each vector's direction, `(H, W)`: bin 0 begins to the right and bins go clockwise."""
    turns = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi) % 1
    return np.minimum((turns * bins).astype(np.int64), bins - 1)


def _parts(flow: Floats, grid: int) -> NDArray[np.int64]:
    if min(flow.shape[:2]) < grid:
        raise ConfigError(
            f"features.flow_grid {grid} needs flow of at least {grid} px; this has {min(flow.shape[:2])} px. Lower it."
        )
    down, across = (np.arange(side) * grid // side for side in flow.shape[:2])
    part: NDArray[np.int64] = down[:, None] * grid + across
    return part


def _of_parts(flow: Floats, grid: int, weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sums `(grid²,)` of weights `(H, W)`."""
    sums: NDArray[np.float64] = np.bincount(_parts(flow, grid).ravel(), weights.ravel(), grid * grid).astype(np.float64)
    return sums


def _sums(flow: Floats, settings: FeaturesTable, weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sums `(grid², bins)` of weights `(H, W)` by part and direction."""
    grid, bins = settings.flow_grid, settings.flow_bins
    place = _parts(flow, grid) * bins + _directions(flow, bins)
    sums: NDArray[np.float64] = np.bincount(place.ravel(), weights.ravel(), grid * grid * bins).astype(np.float64)
    return sums.reshape(grid * grid, bins)
