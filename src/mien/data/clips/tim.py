"""The temporal interpolation model (Zhou 2011, CVPR): a clip of any length as one of T frames.

The frames of a clip lie on a curve in the space of pictures. The curve is that of the eigenvectors of a path graph,
which are cosines in time; it is fitted to the frames and read at T even times.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["interpolated"]


def interpolated(frames: Sequence[NDArray[np.uint8]], count: int) -> NDArray[np.uint8]:
    """`(H, W, count)` from N frames `(H, W)`; the first and last frame stay what they are, and so do all where N is
    `count`."""
    seen = np.stack(frames).astype(np.float64)
    n = len(seen)
    if n == 1:
        return np.repeat(seen[0][..., None], count, axis=-1).astype(np.uint8)
    mean = seen.mean(axis=0)
    order = np.arange(1, n)[None, :]

    def curve(places: NDArray[np.float64]) -> NDArray[np.float64]:
        """`(places, n - 1)` the eigenvectors of the path graph at places 0 to n - 1."""
        return np.asarray(np.cos(np.pi * order * (places[:, None] + 0.5) / n))

    fitted, *_ = np.linalg.lstsq(curve(np.arange(n, dtype=np.float64)), (seen - mean).reshape(n, -1), rcond=None)
    made = curve(np.linspace(0, n - 1, count)) @ fitted + mean.ravel()
    return np.asarray(np.rint(made).clip(0, 255), np.uint8).T.reshape(*seen.shape[1:], count)
