"""A movement over time, and where it is at rest: smoothing, and the running median."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["rest", "smoothed"]

Floats = NDArray[np.floating[Any]]
STEP_S = 0.1
"""Interval at which the face at rest is computed."""


def smoothed(values: Floats, sigma: float) -> Floats:
    """`(T, D)`, each column smoothed by a normal curve of `sigma` frames; as it was where that is below 0.3."""
    if sigma < 0.3:
        return values
    reach = math.ceil(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T], axis=1)


def rest(values: Floats, rate: float, window_s: float) -> Floats:
    """`(T, D)` the running median of each column, asked for every tenth of a second and joined by lines.

    Args:
        values: `(T, D)`.
        rate: rows a second.
        window_s: over how many seconds.
    """
    step = max(1, round(STEP_S * rate))
    coarse = values[::step]
    half = min(max(1, round(window_s / 2 * rate / step)), len(coarse) - 1)
    padded = np.pad(coarse, ((half, half), (0, 0)), mode="reflect", reflect_type="odd")  # a drift goes on
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    medians = np.stack([np.median(window, axis=-1) for window in windows])
    frames, knots = np.arange(len(values)), np.arange(len(coarse)) * step
    return np.stack([np.interp(frames, knots, column) for column in medians.T], axis=1)
