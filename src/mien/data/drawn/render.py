"""From a painted face to a photograph: light, background, blur and the grain of the sensor; and the masks of AUs.

In: identity, intensities (2, 13), view, a stream of chance. Out: an RGB picture (S, S, 3) uint8, and for each pixel
the set of AUs that moved it (S, S) uint16. Whole-number arithmetic throughout.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.anatomy import ANATOMY
from mien.data.drawn.chance import Chance
from mien.data.drawn.expression import AUS
from mien.data.drawn.geometry import GRID, View, moved_by
from mien.data.drawn.identity import Colour, Identity, mix
from mien.data.drawn.paint import box_blur, paint_face, paint_shade

__all__ = ["Scenery", "draw_masks", "draw_scenery", "grainy", "light_face", "photograph"]


_COVERED = 128
"""A pixel counts as moved when more than this many 255ths of it were swept."""


@dataclass(frozen=True, kw_only=True)
class Scenery:
    """Everything in a photograph except the face and its pose."""

    light: tuple[int, int]
    """Increase of the light over a unit to the image's right and downwards, in 256ths."""
    gain: int
    """Exposure in 256ths."""
    background: tuple[Colour, Colour]
    blobs: tuple[tuple[int, int, int, Colour], ...]
    """(x, y, radius in 256ths of the picture, colour) of things out of focus."""
    soft: bool
    """Whether the picture is a little out of focus."""
    grain: int
    """Strength of the sensor's noise, 0 to 24."""


def _any_colour(chance: Chance) -> Colour:
    level = 50 + chance.below(150)
    return (level + chance.below(50), level + chance.below(50), level + chance.below(50))


def draw_scenery(chance: Chance) -> Scenery:
    """Some light, some background."""
    first = mix(_any_colour(chance), (128, 128, 128), 20)
    blobs = tuple(
        (chance.below(256), chance.below(256), 20 + chance.below(60), mix(first, _any_colour(chance), 60))
        for _ in range(chance.below(4))
    )
    return Scenery(
        light=(int(56 * chance.spread()), int(26 * chance.spread()) - 14),
        gain=236 + chance.below(60),
        background=(first, mix(first, _any_colour(chance), 50)),
        blobs=blobs,
        soft=chance.often(25),
        grain=chance.choose((0, 4, 8, 12, 18)),
    )


def _background(scenery: Scenery, size: int) -> NDArray[np.uint8]:
    """(S, S, 3): a gradient from top to bottom, with blobs out of focus."""
    ends = np.array(scenery.background, dtype=np.int32)
    row = np.arange(size, dtype=np.int32)[:, None]
    column = (ends[0] * (size - row) + ends[1] * row) // size
    image = np.repeat(column[:, None, :], size, axis=1).astype(np.uint8)
    for x, y, radius, colour in scenery.blobs:
        reach = max(1, size * radius // 256)
        cx, cy = size * x // 256, size * y // 256
        near = reach * 5 // 12
        ring = [(reach, -near), (reach, near), (near, reach), (-near, reach)]
        outline = np.array([(cx + px, cy + py) for px, py in ring + [(-px, -py) for px, py in ring]], dtype=np.int32)
        cv2.fillPoly(image, [outline], colour, cv2.LINE_AA)
    return box_blur(image, max(1, size // 10)) if scenery.blobs else image


def _light(scenery: Scenery, view: View, size: int) -> NDArray[np.int32]:
    """(S, S) light on a head that curves away, 256 where it is even."""
    steps = np.arange(size, dtype=np.int32) * GRID
    u = ((steps - view.middle[0]) * 256 // view.unit)[None, :]
    v = ((steps - view.middle[1]) * 256 // view.unit)[:, None] - 30
    slope = (scenery.light[0] * u + scenery.light[1] * v) >> 8
    light: NDArray[np.int32] = np.clip(scenery.gain + slope - ((u * u * 3 + v * v) >> 12), 110, 350)
    return light


def light_face(
    who: Identity, points: NDArray[np.int32], intensities: NDArray[np.float64], view: View, scenery: Scenery, size: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The lit face: colours times cover (S, S, 3) up to 255 * 1020 / 1020, and cover (S, S, 1) up to 1020."""
    layer = paint_face(points, who, view.unit, size)
    side = 1 if scenery.light[0] > 0 else -1
    exposed = paint_shade(points, who, intensities, view.unit, size, side) * (224 + 8 * who.tone) >> 8
    shade = exposed * _light(scenery, view, size)
    colours = np.minimum((layer[..., :3] * (shade[..., None] >> 4)) >> 12, layer[..., 3:])
    return colours, layer[..., 3:]


def grainy(image: NDArray[np.int32], scenery: Scenery, chance: Chance) -> NDArray[np.uint8]:
    """A picture (H, W, 3) of the sensor: with noise, and out of focus if the scenery is."""
    if scenery.soft:
        image = (image[:, :-1] + image[:, 1:]) >> 1
        image = np.concatenate([image[:, :1], image], axis=1)
        image = (image[:-1] + image[1:]) >> 1
        image = np.concatenate([image[:1], image])
    if scenery.grain:
        image = image + ((chance.grain(*image.shape) * scenery.grain) >> 8)
    return np.clip(image, 0, 255).astype(np.uint8)


def photograph(
    who: Identity, points: NDArray[np.int32], intensities: NDArray[np.float64], view: View, scenery: Scenery, size: int
) -> NDArray[np.int32]:
    """The picture (S, S, 3) in 0..255 before the sensor."""
    colours, cover = light_face(who, points, intensities, view, scenery, size)
    behind = _background(scenery, size).astype(np.int32)
    return (colours * 255 + behind * (1020 - cover)) // 1020


def draw_masks(
    points: NDArray[np.int32], intensities: NDArray[np.float64], view: View, size: int
) -> NDArray[np.uint16]:
    """(S, S) with bit i set where AUS[i] moved the pixel: what its curves swept on their way, and their lines."""
    masks = np.zeros((size, size), dtype=np.uint16)
    for row, au in enumerate(AUS):
        if intensities[:, row].any():
            motion = ANATOMY.motions[au]
            after = points[motion.rows]
            swept = _sweep(after - moved_by(row, intensities, view), after, motion.curves, size)
            masks |= swept.astype(np.uint16) << np.uint16(row)
    return masks


def _sweep(
    before: NDArray[np.int32], after: NDArray[np.int32], curves: tuple[slice, ...], size: int
) -> NDArray[np.uint8]:
    """(S, S) 1 where curves passed on their way, and where they lay: a line is about a pixel wide."""
    swept = np.zeros((size, size), dtype=np.uint8)
    outlines = []
    for curve in curves:
        for part in _moving(before[curve], after[curve]):
            old, new = before[curve][part], after[curve][part]
            # Anti-aliased, then cut: the rounding of OpenCV's plain outlines changed between its versions 4.9 and 4.14.
            cv2.fillPoly(swept, [np.concatenate([old, new[::-1]])], 255, cv2.LINE_AA, 5)
            outlines += [old, new]
    cv2.polylines(swept, outlines, False, 255, 1, cv2.LINE_AA, 5)
    moved: NDArray[np.uint8] = (swept > _COVERED).astype(np.uint8)
    return moved


def _moving(before: NDArray[np.int32], after: NDArray[np.int32]) -> list[slice]:
    """The stretches of a curve that an AU moves; all of one that it lets appear where it lies, such as a wrinkle."""
    moves = (before != after).any(axis=1)
    if not moves.any():
        return [slice(None)]
    near = np.flatnonzero(moves | np.append(moves[1:], False) | np.append(False, moves[:-1]))
    return [slice(run[0], run[-1] + 1) for run in np.split(near, np.flatnonzero(np.diff(near) > 1) + 1)]
