"""Contact sheets: rows of drawn faces as one picture.

In: rows of faces, such as seven expressions of eight subjects. Out: an RGB picture, its rows named at the left.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.expression import PROTOTYPES
from mien.data.drawn.faces import Face, draw_face

__all__ = ["contact_sheet", "sheet_faces"]

_MARGIN = 96


def sheet_faces(*, seed: int = 5, size: int = 96, columns: int = 8) -> list[list[Face]]:
    """A row for each expression, each of the same subjects."""
    return [
        [
            draw_face(subject, name, seed=seed, index=row * columns + subject, size=size, sensor=False)
            for subject in range(columns)
        ]
        for row, name in enumerate(PROTOTYPES)
    ]


def contact_sheet(rows: Sequence[Sequence[Face]]) -> NDArray[np.uint8]:
    """Rows of faces as one picture (H, W, 3) RGB, with the label of its first face at the left of each row."""
    strips = []
    for row in rows:
        strip = np.concatenate([face.image for face in row], axis=1)
        margin = np.full((len(strip), _MARGIN, 3), 255, dtype=np.uint8)
        at = (6, len(strip) // 2 + 4)
        cv2.putText(margin, row[0].label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
        strips.append(np.concatenate([margin, strip], axis=1))
    return np.concatenate(strips)
