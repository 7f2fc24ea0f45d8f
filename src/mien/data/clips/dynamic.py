"""The dynamic image (Bilen 2016, CVPR): one picture that ranks the frames of a clip, by approximate rank pooling."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["dynamic_image", "weights"]


def weights(count: int) -> NDArray[np.float64]:
    """`(T,)` the weights of T frames: `2(T - t + 1) - (T + 1)(H_T - H_(t-1))` with harmonic numbers H.

    >>> weights(2).tolist()
    [-0.5, 0.5]
    """
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, count + 1))])
    t = np.arange(1, count + 1)
    return np.asarray(2 * (count - t + 1) - (count + 1) * (harmonic[count] - harmonic[t - 1]))


def dynamic_image(frames: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """`(H, W)` from grey frames `(H, W)`; 128 where nothing changes, scaled by the largest change."""
    seen = np.stack(list(frames)).astype(np.float64)
    pooled = np.tensordot(weights(len(seen)), seen, axes=1)
    largest = np.abs(pooled).max()
    return np.asarray(np.rint(128 + 127 * pooled / largest) if largest > 1e-9 else np.full(pooled.shape, 128), np.uint8)
