"""The last faces of a video, all cut by the transform of the newest anchor, so that any two of them can be compared."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..faces import FaceDetector
from ..faces.anchor import SIDE, Anchor, Track
from ..video import Frame

__all__ = ["Ring", "rings"]

ANCHOR_S = 1.0
"""A new anchor frame after so long."""


@dataclass(kw_only=True, eq=False)
class Ring:
    """The faces up to one frame."""

    faces: deque[NDArray[np.uint8] | None]
    """`(SIDE, SIDE)` grey each, the newest last; None for frames without a face."""
    anchor: Anchor | None = None
    """By which they are cut."""


def rings(frames: Iterable[Frame], fps: float, detector: FaceDetector, size: int) -> Iterator[Ring]:
    """The last `size` faces at each frame. It is one ring that changes: what should stay has to be copied.

    Args:
        frames: of a video, in order.
        fps: frames a second.
        detector: finds the face.
        size: of how many frames the faces are kept.
    """
    track, ring = Track(detector), Ring(faces=deque(maxlen=size))
    for index, frame in enumerate(frames):
        if ring.anchor is None or index % max(1, round(ANCHOR_S * fps)) == 0:
            new = track.anchor(frame.picture)
            if ring.anchor and new:
                _move(ring.faces, ring.anchor, new)
            ring.anchor = new
        ring.faces.append(ring.anchor.cut(frame.picture) if ring.anchor else None)
        yield ring


def _move(faces: deque[NDArray[np.uint8] | None], old: Anchor, new: Anchor) -> None:
    """Cut faces by the new anchor's transform."""
    whole = [np.vstack([anchor.transform, [0.0, 0.0, 1.0]]) for anchor in (old, new)]
    step = (whole[1] @ np.linalg.inv(whole[0]))[:2]
    for place, grey in enumerate(faces):
        if grey is not None:
            faces[place] = np.asarray(
                cv2.warpAffine(grey, step, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8
            )
