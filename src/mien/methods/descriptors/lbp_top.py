"""LBP on three orthogonal planes (Zhao, Pietikäinen 2007, TPAMI): how a clip looks (XY) and how it moves (XT, YT).

Each inner pixel of a clip has three patterns: of its neighbours in its frame, in its row over time, and in its column
over time. Neighbours in time are `lbp_time` frames away, on an ellipse. A clip is a grid of histograms of uniform
patterns, over all inner frames; roots of shares, as of `lbp`. Published settings for micro-expressions are clips
interpolated to 10 frames, `lbp_radius` 1, `lbp_time` 4, `lbp_points` 4 and `lbp_grid` 5.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...config import FeaturesTable
from ...errors import ConfigError

__all__ = ["lbp_top"]

PLANES = ((0, 1), (2, 1), (2, 0))
"""Axes of a clip `(H, W, T)`: XY, XT, YT."""


def lbp_top(clip: NDArray[np.uint8], settings: FeaturesTable) -> NDArray[np.float32]:
    """`(3 · grid² · (points · (points − 1) + 3),)`, plane after plane, of a clip `(H, W, T)`.

    Raises `ConfigError` for a clip with too few pixels or frames.
    """
    radii = (settings.lbp_radius, settings.lbp_radius, settings.lbp_time)
    inner = [side - 2 * radius for side, radius in zip(clip.shape, radii, strict=True)]
    grid, points = settings.lbp_grid, settings.lbp_points
    if min(inner[:2]) < grid or inner[2] < 1:
        high, wide, frames = clip.shape
        raise ConfigError(
            f"features.lbp_grid {grid}, lbp_radius {radii[0]} and lbp_time {radii[2]} need clips of at least "
            f"{grid + 2 * radii[0]} px and {1 + 2 * radii[2]} frames; these have {min(high, wide)} px and {frames} "
            "frames. Lower them, or prepare the clips with a larger --size or --tim."
        )
    bins = points * (points - 1) + 3
    down, across = (np.arange(side) * grid // side for side in inner[:2])
    part = np.broadcast_to((down[:, None] * grid + across)[..., None], inner)
    counts = [
        np.bincount((part * bins + _codes(clip, axes, radii, points)).ravel(), minlength=grid * grid * bins)
        for axes in PLANES
    ]
    histograms = np.concatenate(counts).reshape(-1, bins)
    shares: NDArray[np.float32] = np.sqrt(histograms / histograms.sum(axis=1, keepdims=True)).astype(np.float32).ravel()
    return shares


def _codes(
    clip: NDArray[np.uint8], axes: tuple[int, int], radii: tuple[int, int, int], points: int
) -> NDArray[np.int64]:
    """The pattern of each inner pixel on one plane: `points · (points − 1) + 2` uniform ones, and another."""
    values = clip.astype(np.float32)
    centre = _shifted(values, (0, 0, 0), radii)
    pattern = np.zeros(centre.shape, np.int64)
    for point in range(points):
        angle = 2 * math.pi * point / points
        move = [0.0, 0.0, 0.0]
        move[axes[0]] = -radii[axes[0]] * math.sin(angle)
        move[axes[1]] = radii[axes[1]] * math.cos(angle)
        pattern |= (_between(values, move, radii) >= centre).astype(np.int64) << point
    return _uniform(points)[pattern]


def _between(values: NDArray[np.float32], move: list[float], radii: tuple[int, int, int]) -> NDArray[np.float32]:
    """The inner part of a clip moved by a part of a pixel, bilinearly."""
    corners: list[tuple[float, tuple[int, ...]]] = [(1.0, ())]
    for step in (round(part, 5) for part in move):
        low, share = math.floor(step), step - math.floor(step)
        ends = [(low, 1 - share), (low + 1, share)]
        corners = [(weight * part, (*at, end)) for weight, at in corners for end, part in ends if part]
    return np.asarray(sum(np.float32(weight) * _shifted(values, at, radii) for weight, at in corners), np.float32)


def _shifted(values: NDArray[np.float32], by: tuple[int, ...], radii: tuple[int, int, int]) -> NDArray[np.float32]:
    spans = (
        slice(radius + step, side - radius + step) for side, radius, step in zip(values.shape, radii, by, strict=True)
    )
    return values[tuple(spans)]


@lru_cache(maxsize=16)
def _uniform(points: int) -> NDArray[np.int64]:
    """`(2 ** points,)`: the bin of each pattern; those with more than two changes around the circle share the last."""
    patterns = np.arange(1 << points)
    turned = (patterns >> 1) | ((patterns & 1) << (points - 1))
    changes = np.array([int(pattern).bit_count() for pattern in patterns ^ turned])
    even = changes <= 2
    return np.where(even, np.cumsum(even) - 1, points * (points - 1) + 2).astype(np.int64)
