"""The anatomy: a face as smooth curves in three dimensions that action units displace.

A parametrised face after CANDIDE-3 (Ahlberg 2001): points = mean + shape . identity + action . intensities,
then turned and projected. In: weights of an identity, intensities of the 13 action units (AUs) on either side
of the face. Out: points (P, 2) of all curves.

Units are hundredths of half a head's width; x to the image's right, y down, 0 between the eyes, z out of the
face. Tables give the half of the face on the image's right; the other half is its mirror. Action units are
those of FACS (Ekman, Friesen, Hager 2002).

All tables are whole numbers, curves are cut by Chaikin's rule (1/4, 3/4), weights are multiples of 1/256: every
sum below is exact in float64, so neither the order of additions nor fused multiplication can change a bit.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.expression import AUS
from mien.data.drawn.tables import ACTIONS, DEPTH, LOOPS, MIDDLE, PAIRED, RAISED, SHAPES

__all__ = ["ANATOMY", "SHAPE_NAMES", "Anatomy", "Curve", "Motion"]

Curve = str
"""The name of a curve: 'lip_top' across the middle, 'brow_top.l' and 'brow_top.r' for pairs."""

SHAPE_NAMES: tuple[str, ...] = tuple(SHAPES)
"""The names of the identity weights, in the order of `Anatomy.shape`."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """The points that one AU moves."""

    rows: NDArray[np.int64]
    """(n,) which points of the face."""
    sides: NDArray[np.float64]
    """(2, n * 3) their displacement at full intensity: owed to the image's left side, to its right side."""
    curves: tuple[slice, ...]
    """Position of each curve among the n points."""


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """The compiled tables: dense points of all curves and how weights displace them."""

    mean: NDArray[np.float64]
    """(P, 3) points of the mean face."""
    shape: NDArray[np.float64]
    """(K, P * 3) displacement for a weight of 1 in each identity direction."""
    action: NDArray[np.float64]
    """(2 * 13, P * 3) displacement for an AU at full intensity: the image's left side, then its right."""
    spans: dict[Curve, slice]
    """Positions of the points of a curve."""
    motions: dict[int, Motion]
    """The points that each AU moves."""


def _depth(curve: str, x: int, y: int) -> int:
    if curve in DEPTH:
        return DEPTH[curve]
    if curve == "outline":
        return max(0, y - 60) * 45 // 100
    return max(0, 85 - x * x * 85 // 10000 - y * y // 1200) + RAISED.get(curve, 0)


def _chaikin(points: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    following = np.roll(points, -1, axis=0) if closed else points[1:]
    here = points if closed else points[:-1]
    cut = np.stack([here * 3 + following, here + following * 3], axis=1) / 4
    flat = cut.reshape(-1, *points.shape[1:])
    return flat if closed else np.concatenate([points[:1], flat, points[-1:]])


def _whole(half: list[tuple[int, ...]], loop: bool) -> list[tuple[int, ...]]:
    """The left mirror and the right half of a curve across the middle, from the image's left to its right."""
    left = [(-x, *rest) for x, *rest in reversed(half)]
    return left[1:-1] + half if loop else left[:-1] + half


def _controls(curve: str) -> list[tuple[str, int, list[tuple[int, ...]], bool]]:
    """(name, side, controls as (x, y, row of the table), closed) of a curve and of its mirror."""
    table = PAIRED.get(curve) or MIDDLE[curve]
    half: list[tuple[int, ...]] = [(x, y, row) for row, (x, y) in enumerate(table)]
    closed = curve in LOOPS
    if curve in MIDDLE:
        return [(curve, 0, _whole(half, closed), closed)]
    mirror: list[tuple[int, ...]] = [(-x, y, row) for x, y, row in half]
    return [(f"{curve}.l", -1, mirror, closed), (f"{curve}.r", 1, half, closed)]


def _displaced(table: list[tuple[int, int]], controls: list[tuple[int, ...]], side: int) -> NDArray[np.float64]:
    """(2, n, 3) displacements of the controls owed to the image's left and to its right side."""
    out = np.zeros((2, len(controls), 3))
    for number, (x, _, row) in enumerate(controls):
        dx, dy = table[min(row, len(table) - 1)]
        sign = side or (x > 0) - (x < 0)
        for half, share in ((0, (1 - sign) / 2), (1, (1 + sign) / 2)):
            out[half, number] = (sign * dx * share, dy * share, 0)
    return out


def _motion(au_row: int, action: NDArray[np.float64], spans: list[slice]) -> Motion:
    """The points that the AU of this row moves, given (26, P, 3) displacements and the spans of its curves."""
    rows = np.concatenate([np.arange(span.start, span.stop) for span in spans])
    ends = np.cumsum([0] + [span.stop - span.start for span in spans]).tolist()
    return Motion(
        rows=rows,
        sides=np.stack([action[au_row][rows], action[len(AUS) + au_row][rows]]).reshape(2, -1),
        curves=tuple(slice(start, end) for start, end in pairwise(ends)),
    )


def _compile() -> Anatomy:
    mean, shape, action = [], [], []
    spans: dict[Curve, slice] = {}
    moved: dict[int, list[slice]] = {au: [] for au in AUS}
    start = 0
    for curve in (*PAIRED, *MIDDLE):
        for name, side, controls, closed in _controls(curve):
            rows = [np.array([[x, y, _depth(curve, x, y)] for x, y, _ in controls], dtype=np.float64)]
            rows += [_displaced(table.get(curve, [(0, 0)]), controls, side).sum(axis=0) for table in SHAPES.values()]
            halves = [_displaced(ACTIONS[au].get(curve, [(0, 0)]), controls, side) for au in AUS]
            rows += [half[0] for half in halves] + [half[1] for half in halves]
            stacked = np.stack(rows, axis=1)
            dense = _chaikin(_chaikin(stacked, closed), closed) if len(controls) > 2 else stacked
            mean.append(dense[:, 0])
            shape.append(dense[:, 1 : 1 + len(SHAPES)])
            action.append(dense[:, 1 + len(SHAPES) :])
            spans[name] = slice(start, start + len(dense))
            start += len(dense)
            for au in AUS:
                if curve in ACTIONS[au]:
                    moved[au].append(spans[name])
    actions = np.concatenate(action).swapaxes(0, 1)
    return Anatomy(
        mean=np.concatenate(mean),
        shape=np.concatenate(shape).swapaxes(0, 1).reshape(len(SHAPES), -1),
        action=actions.reshape(2 * len(AUS), -1),
        spans=spans,
        motions={au: _motion(row, actions, moved[au]) for row, au in enumerate(AUS)},
    )


ANATOMY = _compile()
