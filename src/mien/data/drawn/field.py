"""The true movement of a drawn face between two frames, for each pixel.

In: where the points of the face are in two frames. Out: a flow and where it is known. Points are projected, so at them
the movement is exact; between them it is interpolated over the triangles of Delaunay. Inside the eyes and the mouth
things appear and vanish, glasses stay when the skin below them moves, and outside the outline of the face is hair and
background: there it is not known.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.anatomy import ANATOMY
from mien.data.drawn.geometry import GRID

__all__ = ["SKIN", "movement_field", "skin_rows"]

SKIN = (
    *("brow_top", "brow_bottom", "lid_upper", "lid_lower", "lid_crease", "fold", "bag", "ala", "nostril", "outline"),
    *("lip_top", "lip_upper", "lip_lower", "lip_bottom", "under_lip", "philtrum", "tip", "nose_base", "frown"),
    *("forehead_a", "forehead_b"),
)
"""Curves of the skin, which move with it."""


def skin_rows() -> NDArray[np.int64]:
    """(n,) which points of the face lie on its skin."""
    spans = [span for name, span in ANATOMY.spans.items() if name.split(".")[0] in SKIN]
    return np.concatenate([np.arange(span.start, span.stop) for span in spans])


def movement_field(
    before: NDArray[np.int32], after: NDArray[np.int32], size: int, glasses: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The flow (S, S, 2), u to the right and v down in pixels, and where it is known (S, S).

    Args:
        before: points (P, 2) of the face in the first frame in 1/32 pixel, as `project` gives them.
        after: in the second.
        size: side of the picture in pixels.
        glasses: whether the face wears them.
    """
    rows = skin_rows()
    places, which = np.unique(before[rows], axis=0, return_inverse=True)
    moved = np.zeros((len(places), 2))
    np.add.at(moved, which.reshape(-1), (after[rows] - before[rows]) / GRID)
    moved /= np.bincount(which.reshape(-1))[:, None]
    corners = _triangles(places)
    covered = _drawn_triangles(places[corners], size)
    start, slopes = _slopes(places[corners] / GRID, moved[corners])
    y, x = np.nonzero(covered)
    triangle = covered[y, x] - 1
    away = np.stack([x, y], axis=1) - places[corners[triangle, 0]] / GRID
    flow = np.zeros((size, size, 2), dtype=np.float32)
    flow[y, x] = start[triangle] + np.einsum("nk,nkc->nc", away, slopes[triangle])
    return flow, _known(before, size, glasses) & (covered > 0)


def _triangles(places: NDArray[np.int32]) -> NDArray[np.int64]:
    """(T, 3) rows of `places`, without slivers."""
    reach = int(np.abs(places).max()) // GRID + 8
    net = cv2.Subdiv2D((-reach, -reach, 2 * reach, 2 * reach))
    net.insert((places / GRID).astype(np.float32).tolist())
    found = np.rint(np.asarray(net.getTriangleList()).reshape(-1, 3, 2) * GRID).astype(np.int64)
    rows = {(int(x), int(y)): row for row, (x, y) in enumerate(places)}
    corners = [[rows.get((int(x), int(y)), -1) for x, y in three] for three in found]
    kept = np.array([three for three in corners if min(three) >= 0], dtype=np.int64)
    a, b, c = places[kept].astype(np.int64).swapaxes(0, 1)
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    whole: NDArray[np.int64] = kept[np.abs(area) > GRID]
    return whole


def _drawn_triangles(corners: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """(S, S): the number of the triangle, from 1, that a pixel lies in; 0 outside of all."""
    drawn = np.zeros((size, size), dtype=np.int32)
    for number, three in enumerate(corners):
        cv2.fillConvexPoly(drawn, np.ascontiguousarray(three), number + 1, cv2.LINE_8, 5)
    return drawn


def _slopes(
    corners: NDArray[np.float64], moved: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each triangle the movement (T, 2) of its first corner and how it grows (T, 2, 2) along x, y."""
    sides = corners[:, 1:] - corners[:, :1]
    slopes = np.linalg.solve(sides, moved[:, 1:] - moved[:, :1])
    return moved[:, 0], np.asarray(slopes, dtype=np.float64)


def _known(points: NDArray[np.int32], size: int, glasses: bool) -> NDArray[np.bool_]:
    """(S, S) inside the outline, outside the eyes, the mouth and the frame of the glasses."""
    inside = np.zeros((size, size), dtype=np.uint8)
    cv2.fillPoly(inside, [points[ANATOMY.spans["outline"]]], 1, cv2.LINE_8, 5)
    for upper, lower in (("lid_upper.l", "lid_lower.l"), ("lid_upper.r", "lid_lower.r"), ("lip_upper", "lip_lower")):
        gap = np.concatenate([points[ANATOMY.spans[upper]], points[ANATOMY.spans[lower]][::-1]])
        cv2.fillPoly(inside, [gap], 0, cv2.LINE_8, 5)
    if glasses:
        rims = [points[ANATOMY.spans[name]] for name in ("rim.l", "rim.r")]
        cv2.polylines(inside, rims, True, 0, 2 + size // 32, cv2.LINE_8, 5)
    return inside > 0
