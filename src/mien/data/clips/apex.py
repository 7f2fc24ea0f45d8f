"""Finds the apex of a clip that does not state it: the turn from rise to fall that fits the movement of the skin best.

The movement of the skin is measured in each frame, without head movement, light and eyes (`mien.spot.skin`), in units
of its noise from frame to frame. A movement that is at rest at onset and offset rises to the apex and falls from it;
for each possible apex, such a rise and fall is compared with the movement of the skin in all directions, without its
mean and its drift. The apex is the frame whose rise and fall explains most. So tremor and drift count little, and so
does a mouth that speaks throughout the clip.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...faces.anchor import Anchor
from ...spot.skin import NODES, Skin
from .clip import Clip

__all__ = ["find_apex"]

Floats = NDArray[np.floating[Any]]
FEWEST = 6
"""Fewest frames in which a rise can be told from a fall. With fewer, the apex is the frame that differs most from
the onset.
"""
SHRINK, LEAST_PX = 0.2, 1e-4
"""Shrinkage of the noise covariance towards equal noise, and a lower bound."""


def find_apex(clip: Clip, anchor: Anchor) -> int:
    """The place of the apex in `clip.frames`, after the onset and up to the offset.

    Args:
        clip: its frames from onset to offset are decoded one after the other.
        anchor: the face of the onset frame.
    """
    skin, places = Skin(anchor), range(clip.onset, clip.offset + 1)
    moved = np.array([skin.of(anchor.cut(clip.frames[place]))[: 2 * len(NODES)] for place in places])
    if len(moved) < FEWEST:
        return places[1 + int((moved[1:] ** 2).sum(axis=1).argmax())]
    return places[_turn(moved)]


def _turn(moved: Floats) -> int:
    """The row of a movement `(T, D)` at which it turns from rise to fall."""
    count = len(moved)
    apexes = np.arange(2, count - 2)
    courses = np.stack([_swell(count, apex) for apex in apexes.tolist()], axis=1)[
        1:
    ]  # the onset is the frame measured against
    beside = np.stack([np.ones(count - 1), np.linspace(-1, 1, count - 1)], axis=1)
    across, _ = np.linalg.qr(beside)
    courses, seen = (each - across @ (across.T @ each) for each in (courses, _whitened(moved)[1:]))
    explained = ((courses.T @ seen) ** 2).sum(axis=1) / (courses**2).sum(axis=0)
    return int(apexes[explained.argmax()])


def _swell(count: int, apex: int) -> Floats:
    """`(count,)` values that rise from 0 to 1 at the apex and fall back to 0."""
    frames = np.arange(count)
    part = np.minimum(frames / apex, (count - 1 - frames) / (count - 1 - apex))
    return np.asarray(part * part * (3 - 2 * part))


def _whitened(moved: Floats) -> Floats:
    """The movement in units of the noise of its steps."""
    steps, columns = np.diff(moved, axis=0), moved.shape[1]
    noise = steps.T @ steps / (2 * len(steps))
    noise += (SHRINK * np.trace(noise) / columns + LEAST_PX**2) * np.eye(columns)
    return np.asarray(moved @ np.linalg.inv(np.linalg.cholesky(noise)).T)
