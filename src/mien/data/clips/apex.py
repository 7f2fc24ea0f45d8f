"""The apex of a clip that does not give one: the turn from rise to fall that fits the movement of its skin best.

The skin is measured in each frame (`mien.spot.skin`: head, light and eyes are out of it), in terms of its noise from
frame to frame. A movement that is at rest at onset and offset rises to the apex and falls from it; for each frame that
may be the apex, such a swell is held against all directions that the skin moves in, without its mean and its drift. The
apex is where the swell explains most. So what trembles and what drifts counts little, and a mouth that speaks through
the clip less than what goes with the clip's own course.
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
"""Frames in which a rise can be told from a fall; of fewer, the apex is the frame furthest from the onset."""
SHRINK, LEAST_PX = 0.2, 1e-4
"""How far the covariance of the noise is drawn to equal noise, and a floor."""


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
    """The row of `(T, D)` at which a movement turns from rise to fall."""
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
    """`(count,)` from 0 to 1 at the apex and back."""
    frames = np.arange(count)
    part = np.minimum(frames / apex, (count - 1 - frames) / (count - 1 - apex))
    return np.asarray(part * part * (3 - 2 * part))


def _whitened(moved: Floats) -> Floats:
    """The movement in terms of the noise of its steps."""
    steps, columns = np.diff(moved, axis=0), moved.shape[1]
    noise = steps.T @ steps / (2 * len(steps))
    noise += (SHRINK * np.trace(noise) / columns + LEAST_PX**2) * np.eye(columns)
    return np.asarray(moved @ np.linalg.inv(np.linalg.cholesky(noise)).T)
