"""A drawn face in two planes with different information: the face without its mouth, and the mouth as numbers.

In: a drawn `Face`. Out: the planes `face` and `numbers`. Neither plane determines the expression. The three numbers do
not tell fear from surprise, disgust from sadness, or anger from neutral; these differ above the mouth. So a test can
measure what the fusion of both gains over either.
"""

import numpy as np

from mien.data.drawn.expression import AUS
from mien.data.drawn.faces import Face
from mien.planes import FACE, Batch, Plane

__all__ = ["mouth_apart", "mouth_plane"]

MOUTH = (12, 15, 26)
"""The corners of the mouth up and down, and the jaw."""
NUMBERS = "numbers"
NOSE, COVER = 2, 128
"""The landmark above which the face stays, and the grey below it."""


def mouth_plane() -> Plane:
    """The plane of intensities, in the order of `MOUTH`."""
    return Plane(name=NUMBERS, kind="numbers", shape=(len(MOUTH),), dtype="float32")


def mouth_apart(face: Face) -> Batch:
    """The face `(S, S, 3)` uint8, grey below the tip of its nose; the intensities `(3,)` float32, in [0, 1]."""
    image = face.image.copy()
    image[max(0, round(float(face.landmarks[NOSE, 1]))) :] = COVER
    return {FACE: image, NUMBERS: np.array([face.aus[AUS.index(unit)] for unit in MOUTH], np.float32)}
