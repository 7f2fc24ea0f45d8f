"""Optical strain (Shreve 2011, FG): how much the skin is stretched, compressed and sheared, wherever it moves."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["strain"]


def strain(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(H, W)` from a flow `(H, W, 2)` of u to the right and v down: `sqrt(u_x² + v_y² + ½ (u_y + v_x)²)`.

    It is the Frobenius norm of the symmetric part of the gradient, per pixel and without a unit; a translation has
    none and a small rotation has next to none. In circulation are ¼ in place of ½, swapped axes, and `½ (u_y² + v_x²)`.

    >>> stretched = np.zeros((5, 5, 2), np.float32)
    >>> stretched[..., 0] = 0.1 * np.arange(5)
    >>> float(strain(stretched)[2, 2].round(3))
    0.1
    """
    u_y, u_x = np.gradient(flow[..., 0])
    v_y, v_x = np.gradient(flow[..., 1])
    return np.asarray(np.sqrt(u_x**2 + v_y**2 + 0.5 * (u_y + v_x) ** 2), dtype=np.float32)
