"""Drawn scenes: many faces in one picture with their true boxes, to measure face detectors.

In: how many faces, a seed, height and width. Out: `Scene`: picture, boxes, landmarks. Faces are of many sizes; some
are tilted, some small, some dark, some cut by the border. They may stand close, but no face hides another.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.chance import Chance
from mien.data.drawn.expression import PROTOTYPES, draw_intensities
from mien.data.drawn.faces import require_size
from mien.data.drawn.geometry import corners, draw_view, head_box, project
from mien.data.drawn.identity import draw_identity
from mien.data.drawn.paint import box_blur
from mien.data.drawn.render import draw_scenery, light_face
from mien.errors import ConfigError

__all__ = ["Scene", "draw_scene"]

_TRIES = 200


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A picture with faces and the truth about them."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    boxes: NDArray[np.float32]
    """(N, 4) x, y, width, height of each head in pixels; may reach over the border."""
    landmarks: NDArray[np.float32]
    """(N, 5, 2) x, y in pixels, in the order of `Face.landmarks`."""


def _backdrop(height: int, width: int, chance: Chance) -> NDArray[np.uint8]:
    """(H, W, 3) walls, boards and things out of focus."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = [90 + chance.below(120) for _ in range(3)]
    for _ in range(14):
        y, x = chance.below(height), chance.below(width)
        tall, wide = 8 + chance.below(height // 2), 8 + chance.below(width // 3)
        image[y : y + tall, x : x + wide] = [30 + chance.below(200) for _ in range(3)]
    return box_blur(image, 3)


def _put(
    image: NDArray[np.uint8], x: int, y: int, size: int, chance: Chance, seed: int
) -> tuple[tuple[int, int, int, int], NDArray[np.float32]]:
    """Draw a face into the square at x, y; return its box and landmarks in the picture."""
    who = draw_identity(seed, chance.below(100_000))
    intensities = draw_intensities(chance.choose(tuple(PROTOTYPES)), chance)
    view, scenery = draw_view(chance, size), draw_scenery(chance)
    if chance.often(20):
        view = replace(view, roll=chance.spread(0.5))
    if chance.often(15):
        scenery = replace(scenery, gain=130)
    points = project(who, intensities, view)
    colours, cover = light_face(who, points, intensities, view, scenery, size)
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(size, image.shape[0] - y), min(size, image.shape[1] - x)
    here = image[y + top : y + bottom, x + left : x + right]
    part = (slice(top, bottom), slice(left, right))
    here[:] = ((colours[part] * 255 + here * (1020 - cover[part])) // 1020).astype(np.uint8)
    head = head_box(points)
    return (head[0] + x, head[1] + y, head[2], head[3]), corners(points) + np.array([x, y], dtype=np.float32)


def _place(taken: list[tuple[int, int, int]], height: int, width: int, chance: Chance) -> tuple[int, int, int]:
    """x, y, size of a free square; one in eight may reach over the border by a quarter."""
    for attempt in range(_TRIES):
        largest = min(height, width) * _TRIES // (2 * (_TRIES + 3 * attempt))
        size = max(24, min(512, 24 + chance.below(max(1, largest - 24))))
        over = size // 4 if chance.often(12) else 0
        x = chance.below(max(1, width - size + 2 * over)) - over
        y = chance.below(max(1, height - size + 2 * over)) - over
        if all(x + size <= a or a + s <= x or y + size <= b or b + s <= y for a, b, s in taken):
            return x, y, size
    raise ConfigError(
        f"No room for face {len(taken) + 1} in a scene of {height} x {width} pixels. Ask for fewer faces."
    )


def draw_scene(count: int, *, seed: int, height: int, width: int) -> Scene:
    """A scene of `count` faces in a picture of `height` x `width` pixels, 24 pixels a face and more.

    Raises:
        ConfigError: the picture is below 24 pixels or has no room for so many faces.
    """
    require_size(min(height, width, 512))
    if count < 0:
        raise ConfigError(f"Cannot draw {count} faces. Ask for 0 or more.")
    chance = Chance(seed, 4)
    image = _backdrop(height, width, chance)
    taken: list[tuple[int, int, int]] = []
    boxes, landmarks = np.zeros((count, 4), dtype=np.float32), np.zeros((count, 5, 2), dtype=np.float32)
    for number in range(count):
        x, y, size = _place(taken, height, width, chance)
        taken.append((x, y, size))
        boxes[number], landmarks[number] = _put(image, x, y, size, chance, seed)
    noisy = image.astype(np.int32) + ((chance.grain(*image.shape) * 8) >> 8)
    return Scene(image=np.clip(noisy, 0, 255).astype(np.uint8), boxes=boxes, landmarks=landmarks)
