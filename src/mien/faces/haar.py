"""Haar cascades (Viola, Jones 2001; Lienhart, Maydt 2002) as `opencv-python-headless` 4.x ships them.

It needs no further package, finds upright frontal faces, and gives no landmarks. In: (H, W, 3) RGB. Out: faces; the
score follows from the number of windows that agreed.
"""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import MissingExtra
from .face import Face, clear, ordered, shrink

__all__ = ["HaarDetector"]

CASCADE = "haarcascade_frontalface_default.xml"
STEP = 1.1
NEIGHBOURS = 5
SMALLEST = 20
"""Pixels, after shrinking."""
TO_FACE = 1.03
"""Ratio of the side of FER2013's crops to that of the cascade's box: that corpus was cut with such a cascade."""
HALF_SURE = 15.0
"""Windows that make a score of one half."""
SURE = 0.35
"""Faces with a lower score, fewer than nine windows, are left out; docs/faces.md gives the effect."""


class HaarDetector:
    """The cascade for frontal faces."""

    name = "haar"

    def __init__(self, *, side: int = 640, sure: float = SURE, smallest: float = 0.0) -> None:
        """Read the cascade.

        Args:
            side: pictures longer than so many pixels are shrunk to it.
            sure: faces of a lower score are left out.
            smallest: faces whose box has fewer pixels a side are left out.

        Raises `MissingExtra` if OpenCV has no cascades.
        """
        self._side, self._sure, self._smallest = side, sure, smallest
        self._own = threading.local()  # a cascade keeps its scratch memory in the object
        self._cascade()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads the cascade itself."""
        return partial(HaarDetector, side=self._side, sure=self._sure, smallest=self._smallest), ()

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        """See `FaceDetector.detect`; landmarks are None."""
        small, scale = shrink(picture, self._side)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        if min(grey.shape) < SMALLEST:
            return []
        boxes, counts = self._cascade().detectMultiScale2(
            grey, scaleFactor=STEP, minNeighbors=NEIGHBOURS, minSize=(SMALLEST, SMALLEST)
        )
        found = [_face(box / scale, float(n)) for box, n in zip(np.array(boxes), np.array(counts), strict=True)]
        return ordered(clear(found, self._sure, self._smallest))

    def _cascade(self) -> Any:
        """The cascade that this thread has read."""
        if not hasattr(self._own, "cascade"):
            path = Path(str(cv2.__file__)).parent / "data" / CASCADE
            cascade = cv2.CascadeClassifier(str(path)) if path.is_file() else None
            if cascade is None or cascade.empty():
                raise MissingExtra("Finding faces with this OpenCV, which ships no Haar cascades,", "faces")
            self._own.cascade = cascade
        return self._own.cascade


def _face(box: NDArray[np.float64], windows: float) -> Face:
    x, y, width, height = box.tolist()
    side = TO_FACE * max(width, height)
    square = (x + (width - side) / 2, y + (height - side) / 2, side, side)
    return Face(box=square, score=windows / (windows + HALF_SURE))
