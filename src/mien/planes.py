"""Planes: the parts of a sample, and how each kind of plane is mirrored.

A still face has one plane, `face`. A micro-expression also has the flow between two of its frames; a second modality
adds landmarks or a row of numbers. The kind of a plane determines the effect of a change of the picture on it. So a
mirrored face, its mirrored flow and its mirrored landmarks remain consistent.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["FACE", "MOVED", "PICTURES", "Batch", "Plane", "mirrored", "one_by_one", "partners", "side_of"]

FACE = "face"
"""The plane that every store has: the crop."""
MOVED = "moved"
"""The plane of drawn faces that holds which pixels each action unit moved."""
NAME = re.compile("[a-z][a-z0-9_]{0,31}")
PICTURES = ("image", "flow")
"""Kinds that have pixels; the others are values."""
AXES = {"image": (2, 3), "flow": (3,), "points": (2,), "numbers": (1,)}
"""Numbers of axes that a kind may have."""
DTYPES = ("uint8", "uint16", "int16", "int64", "float32")
MOST_BYTES = 1 << 26
"""Most bytes of a plane of one sample."""

Batch = Mapping[str, NDArray[Any]]
"""Some samples: for each plane an array `(n, *shape)`."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One part of every sample of a store. Raises `ValueError` if its fields do not fit together."""

    name: str
    """Up to 32 lower-case letters, digits and `_`: the file is `planes/NAME.npy`."""
    kind: Literal["image", "flow", "points", "numbers"]
    """image `(H, W, C)` or `(H, W)`; flow `(H, W, C)`, of which channel 0 is u, to the right, and channel 1 is v, down;
    points `(P, 2)`, x and y in pixels of the face; numbers `(D,)`. A point or number that is not known is NaN."""
    shape: tuple[int, ...]
    """Shape of one sample."""
    dtype: str
    """numpy's name of the type, one of `DTYPES`."""
    pairs: tuple[tuple[int, int], ...] = ()
    """For points: the pairs that a mirror exchanges, such as the two eyes."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"a plane is called {self.name[:40]!r}, expected up to 32 of a-z, 0-9 and _")
        if self.dtype not in DTYPES:
            raise ValueError(f"the plane {self.name} is of {self.dtype[:40]!r}, expected one of {', '.join(DTYPES)}")
        if len(self.shape) not in AXES[self.kind] or min(self.shape) < 1 or self.item_bytes > MOST_BYTES:
            raise ValueError(f"the plane {self.name} cannot be {self.shape} as {self.kind}")
        if (self.kind == "points" and self.shape[1] != 2) or (self.kind == "flow" and self.shape[2] < 2):
            raise ValueError(f"the plane {self.name} cannot be {self.shape} as {self.kind}")
        points = range(self.shape[0] if self.kind == "points" else 0)
        if not all(place in points for pair in self.pairs for place in pair):
            raise ValueError(f"the plane {self.name} has no points {self.pairs}")

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"

    @property
    def item_bytes(self) -> int:
        """Bytes of one sample."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def fits(self, array: NDArray[Any]) -> bool:
        """Whether an array is this plane of one sample."""
        return array.shape == self.shape and array.dtype == np.dtype(self.dtype)


def one_by_one(batch: Batch) -> Iterator[Batch]:
    """The samples of a batch, each as its planes `(*shape)`."""
    for arrays in zip(*batch.values(), strict=True):
        yield dict(zip(batch, arrays, strict=True))


def mirrored(plane: Plane, batch: NDArray[Any], side: int) -> NDArray[Any]:
    """A plane `(n, *shape)` of mirrored samples: left becomes right. `side` is the width of the face in pixels.

    >>> points = Plane(name="eyes", kind="points", shape=(2, 2), dtype="float32", pairs=((0, 1),))
    >>> mirrored(points, np.array([[[3.0, 5.0], [40.0, 6.0]]]), 48).tolist()
    [[[7.0, 6.0], [44.0, 5.0]]]
    """
    if plane.kind == "numbers":
        return batch
    if plane.kind == "points":
        turned = batch[:, partners(plane)].copy()
        turned[..., 0] = side - 1 - turned[..., 0]
        return turned
    turned = np.flip(batch, axis=2)
    if plane.kind == "flow":
        turned = turned.copy()
        turned[..., 0] *= -1
    return turned


def side_of(planes: Sequence[Plane]) -> int:
    """The side in pixels of the first of these planes that has pixels; 0 where none has."""
    return next((plane.shape[0] for plane in planes if plane.kind in PICTURES), 0)


def partners(plane: Plane) -> list[int]:
    """The point that takes the place of each in a mirror."""
    places = list(range(plane.shape[0]))
    for left, right in plane.pairs:
        places[left], places[right] = right, left
    return places
