"""What any trained classifier answers: its classes, the crops that it takes, and logits for them.

A model file (`mien.bundle.Bundle`) is a `Classifier`, and so is the trained network of a run
(`mien.evaluate.Trained`). What is measured on faces (damage, other corpora, groups, calibration) asks a `Classifier`
and does not know which of the two it has.

In: faces of a store, uint8 `(n, H, W, C)`. Out: logits, float32 `(n, K)`.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .crop import CropSpec, crop
from .data.store import Store
from .planes import FACE

__all__ = ["Classifier", "fitted", "logits_of"]

CHUNK = 1024
"""Faces that are read, and brought to a classifier's size, together: memory does not grow with the store."""


class Classifier(Protocol):
    """A trained network, wherever it came from."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The K class names; the position is the column of the logits."""

    @property
    def crop(self) -> CropSpec:
        """Size, colours and margin of the faces that it takes."""

    def logits(self, images: NDArray[np.uint8], /) -> NDArray[np.float32]:
        """Logits `(n, K)` of crops `(n, size, size, channels)` uint8."""


def fitted(faces: NDArray[np.uint8], spec: CropSpec) -> NDArray[np.uint8]:
    """Ready crops `(n, H, W, C)` in the size and colours of `spec`; as they are where they fit."""
    if faces.shape[1:] == (spec.size, spec.size, spec.channels):
        return faces
    return np.array([crop(face, spec) for face in faces], np.uint8).reshape(-1, spec.size, spec.size, spec.channels)


def logits_of(classifier: Classifier, store: Store, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """What a classifier answers to the faces of these rows of a store, `(n, K)`.

    Raises `DataError` where the store cannot be read.
    """
    chunks = np.split(rows, range(CHUNK, len(rows), CHUNK))
    found = [classifier.logits(fitted(store.read(chunk)[FACE], classifier.crop)) for chunk in chunks]
    return np.concatenate(found)
