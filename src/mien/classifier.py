"""The interface of every classifier: its classes, the planes that it takes, and logits for them.

A model file (`mien.bundle.Bundle`) is a `Classifier`. So is the result of a run (`mien.methods.Method.load`): a
network, a classical method, an ensemble. Code that measures on faces (damage, other corpora, groups, calibration) takes
any `Classifier`.

In: planes of some samples, by name `(n, *shape)`. Out: logits, float32 `(n, K)`.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .crop import CropSpec, crop
from .data.store import Store
from .errors import DataError
from .planes import FACE, Batch, Plane

__all__ = ["Classifier", "fitted", "logits_of"]

CHUNK = 1024
"""Number of samples that are read and resized together, so that memory does not grow with the store."""


class Classifier(Protocol):
    """A fitted classifier of any origin."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The K class names; the position is the column of the logits."""

    @property
    def takes(self) -> tuple[Plane, ...]:
        """The planes that it needs of each sample."""

    def logits(self, batch: Batch, /) -> NDArray[np.float32]:
        """Logits `(n, K)` of samples; `batch` holds each plane of `takes`, `(n, *shape)`."""


def fitted(batch: Batch, takes: Sequence[Plane]) -> Batch:
    """The planes that a classifier takes.

    Faces are brought to its size and colours, and points are scaled with them. Raises `DataError` if a plane is
    missing, or if a plane other than the face has another shape.
    """
    return {plane.name: _fitted(batch, plane, _growth(batch, takes)) for plane in takes}


def _growth(batch: Batch, takes: Sequence[Plane]) -> float:
    """The factor by which faces are enlarged for the classifier."""
    face = next((plane for plane in takes if plane.name == FACE), None)
    return face.shape[0] / batch[FACE].shape[1] if face and FACE in batch else 1.0


def _fitted(batch: Batch, plane: Plane, growth: float) -> NDArray[np.generic]:
    if plane.name not in batch:
        raise DataError(f"The classifier takes the plane {plane.name}; these samples have {', '.join(batch)}.")
    array = batch[plane.name]
    if array.shape[1:] == plane.shape:
        return array if plane.kind != "points" or growth == 1 else (array + array.dtype.type(0.5)) * growth - 0.5
    if plane.name != FACE:
        raise DataError(f"The classifier takes {plane.name} of {plane}; these samples have {array.shape[1:]}.")
    spec = CropSpec(size=plane.shape[0], channels=plane.shape[2])
    return np.array([crop(face, spec) for face in array], np.uint8).reshape(-1, *plane.shape)


def logits_of(classifier: Classifier, store: Store, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The logits of a classifier for these rows of a store, `(n, K)`.

    Raises `DataError` if the store cannot be read, or lacks a plane that the classifier takes.
    """
    names = [plane.name for plane in classifier.takes]
    chunks = np.split(rows, range(CHUNK, len(rows), CHUNK))
    return np.concatenate([classifier.logits(fitted(store.read(chunk, names), classifier.takes)) for chunk in chunks])
