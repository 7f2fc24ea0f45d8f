"""Drawn faces: one face with the truth about it, or a balanced corpus of them.

In: a seed, and the number of a face. Out: `Face`: picture, label, subject, AU intensities, the pixels each AU moved,
groups, landmarks, box. A face depends only on its seed and number, not on how many are drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.data.drawn.chance import Chance
from mien.data.drawn.expression import PROTOTYPES, draw_intensities, require_expression
from mien.data.drawn.geometry import View, corners, draw_view, head_box, project
from mien.data.drawn.identity import Identity, draw_identity
from mien.data.drawn.render import draw_masks, draw_scenery, grainy, photograph
from mien.errors import ConfigError
from mien.planes import MOVED, Plane

__all__ = [
    "FACES_PER_SUBJECT",
    "Face",
    "draw_face",
    "draw_faces",
    "groups_of",
    "moved_plane",
    "require_size",
    "split_of",
]

FACES_PER_SUBJECT = 8
"""Default number of faces of a subject in `draw_faces`."""

_SPLITS = ("train", "test", "valid", "train", "train", "train", "train", "test", "train", "train")
_SIZES = range(24, 513)


@dataclass(frozen=True, kw_only=True)
class Face:
    """One drawn face and the truth about it."""

    image: NDArray[np.uint8]
    """(S, S, 3) RGB."""
    au_masks: NDArray[np.uint16]
    """(S, S), bit i set where AUS[i] moved the pixel."""
    aus: NDArray[np.float32]
    """(13,) intensities in [0, 1], in the order of `AUS`: the mean of both sides."""
    label: str
    """anger, disgust, fear, happiness, neutral, sadness or surprise."""
    subject: str
    """Such as 's0042'."""
    groups: dict[str, str]
    """skin: '1' to '10' (Monk); glasses: yes, no; age_lines: none, some, many; pose: frontal, turned."""
    landmarks: NDArray[np.float32]
    """(5, 2) x, y in pixels: eye on the image's left, on its right, nose tip, mouth corner left, right."""
    box: tuple[int, int, int, int]
    """x, y, width, height of the head without hair, in pixels; may reach over the border."""


def moved_plane(size: int) -> Plane:
    """The plane of masks: bit i is set where the i-th unit of `AUS` moved the pixel."""
    return Plane(name=MOVED, kind="image", shape=(size, size), dtype="uint16")


def require_size(size: int) -> None:
    """Raise ConfigError if a picture of `size` pixels cannot be drawn."""
    if size not in _SIZES:
        raise ConfigError(f"Cannot draw a face of {size} pixels. Choose a size from {_SIZES[0]} to {_SIZES[-1]}.")


def groups_of(who: Identity, view: View) -> dict[str, str]:
    """The groups of a face, for tables of accuracy by group."""
    return {
        "skin": str(who.tone),
        "glasses": "yes" if who.glasses else "no",
        "age_lines": ("none", "some", "many")[who.age],
        "pose": "turned" if view.turned else "frontal",
    }


def draw_face(subject: int, expression: str, *, seed: int, index: int, size: int = 48, sensor: bool = True) -> Face:
    """Face number `index` of a subject, showing an expression.

    Args:
        subject: number of the subject, 0 or more; with `seed` it fixes the identity.
        expression: one of `PROTOTYPES`.
        seed: of the corpus, 0 or more.
        index: of the face; fixes intensities, pose, light, background and noise.
        size: pixels a side, 24 to 512.
        sensor: False leaves out noise and lack of focus.

    Raises:
        ConfigError: the expression is unknown or the size out of range.
    """
    require_expression(expression)
    require_size(size)
    chance = Chance(seed, 2, index)
    who = draw_identity(seed, subject)
    intensities = draw_intensities(expression, chance)
    view = draw_view(chance, size)
    scenery = draw_scenery(chance)
    points = project(who, intensities, view)
    clean = photograph(who, points, intensities, view, scenery, size)
    return Face(
        image=grainy(clean, scenery, chance) if sensor else clean.astype(np.uint8),
        au_masks=draw_masks(points, intensities, view, size),
        aus=intensities.mean(axis=0).astype(np.float32),
        label=expression,
        subject=f"s{subject:04d}",
        groups=groups_of(who, view),
        landmarks=corners(points),
        box=head_box(points),
    )


def split_of(subject: int) -> str:
    """The split a subject belongs to: of each ten subjects, 7 train, 1 valid, 2 test."""
    return _SPLITS[subject % len(_SPLITS)]


def _place_in_split(subject: int) -> int:
    """Number of earlier subjects in the split of this one."""
    split, (tens, rest) = split_of(subject), divmod(subject, len(_SPLITS))
    return tens * _SPLITS.count(split) + _SPLITS[:rest].count(split)


def draw_faces(count: int, *, seed: int = 0, size: int = 48, subjects: int | None = None) -> Iterator[tuple[str, Face]]:
    """(split, face) for `count` faces, subject after subject: 70 / 10 / 20 by subject, classes balanced in a split.

    Without `subjects` there are 8 faces a subject and face i is the same for every `count`; with `subjects`, the
    faces are shared out evenly. Three subjects are the fewest that fill all splits.

    Raises:
        ConfigError: a number is out of range.
    """
    require_size(size)
    if count < 1:
        raise ConfigError(f"Cannot draw {count} faces. Ask for 1 or more.")
    each = FACES_PER_SUBJECT if subjects is None else -(-count // max(subjects, 1))
    if subjects is not None and not 1 <= subjects <= count:
        raise ConfigError(f"Cannot share {count} faces among {subjects} subjects. Choose 1 to {count} subjects.")
    return _faces(count, seed, size, each)


def _faces(count: int, seed: int, size: int, each: int) -> Iterator[tuple[str, Face]]:
    names = tuple(PROTOTYPES)
    for index in range(count):
        subject, turn = divmod(index, each)
        name = names[(_place_in_split(subject) * each + turn) % len(names)]
        yield split_of(subject), draw_face(subject, name, seed=seed, index=index, size=size)
