"""Finds the apex of a clip that does not name it: the frame whose face regions have moved furthest from the onset."""

import math

import cv2
import numpy as np

from ...faces.anchor import Anchor
from ...spot.movement import Movement
from .clip import Clip

__all__ = ["find_apex"]

SMOOTH_S = 0.02
"""Standard deviation of the smoothing over time, seconds."""


def find_apex(clip: Clip, anchor: Anchor) -> int:
    """The place of the apex in `clip.frames`, after the onset and up to the offset.

    Args:
        clip: its frames from onset to offset are decoded one after the other.
        anchor: the face of the onset frame.
    """
    movement = Movement(anchor, cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM))
    places = range(clip.onset + 1, clip.offset + 1)
    moved = np.array([movement.of(anchor.cut(clip.frames[place]))[0] for place in places])
    reach = math.ceil(3 * SMOOTH_S * clip.fps)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (SMOOTH_S * clip.fps)) ** 2)
    padded = np.pad(moved.reshape(len(moved), -1), ((reach, reach), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T], axis=1)
    return places[int((smooth**2).sum(axis=1).argmax())]
