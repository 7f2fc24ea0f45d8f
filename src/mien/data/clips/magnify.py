"""Eulerian magnification (Wu 2012, SIGGRAPH): small movements of a clip are made larger before their flow is computed.

A band of temporal frequencies is taken out of every pixel, at a coarser scale so that noise stays out, and is added
back `amount` times. The band is the difference of two first-order low-pass filters, as in the paper's real-time form.
"""

import math
from collections.abc import Collection, Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["magnified"]

BAND_HZ = (0.5, 8.0)
"""Micro-expressions rise and fall within 1/25 to 1/2 second."""
BLUR_PX = 2.0


def magnified(
    frames: Iterable[NDArray[np.uint8]], fps: float, amount: float, start: int, wanted: Collection[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The wanted frames, magnified, each with its place.

    Args:
        frames: `(H, W)` grey, from place `start` on; read once.
        fps: frames a second.
        amount: how many times the band is added.
        start: place of the first frame.
        wanted: places to give.
    """
    slow, fast = (1 - math.exp(-2 * math.pi * hz / fps) for hz in BAND_HZ)
    low = high = np.empty(0, np.float32)
    for place, frame in enumerate(frames, start):
        soft = np.asarray(cv2.GaussianBlur(frame.astype(np.float32), (0, 0), BLUR_PX), np.float32)
        low = low + slow * (soft - low) if low.size else soft
        high = high + fast * (soft - high) if high.size else soft
        if place in wanted:
            yield place, np.asarray(np.rint(frame + amount * (high - low)).clip(0, 255), np.uint8)
