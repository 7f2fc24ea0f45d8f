"""Predictions of any classifier for damaged faces, under each corruption and severity.

In: a `mien.classifier.Classifier` and faces. Out: `Robustness`, extended corruption by corruption, so that a caller who
saves it can resume. `robustness` computes figures from the predictions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier, fitted
from ..planes import FACE
from ..runs import Logits
from .corruptions import CORRUPTIONS, SEVERITIES, Images, corrupt

__all__ = ["STEPS", "Robustness", "damaged", "predicted", "stratified_faces", "undamaged"]

STEPS = len(CORRUPTIONS) * len(SEVERITIES)
"""Number of predictions of the whole suite, without that of the undamaged faces."""
Classes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """Predictions of one trained network for damaged test faces."""

    ids: NDArray[np.int64]
    """`(n,)` rows of the store, ascending."""
    labels: NDArray[np.int64]
    """`(n,)`."""
    subjects: NDArray[np.str_]
    """`(n,)`; empty texts where unknown."""
    clean: NDArray[np.uint8]
    """`(n,)` predictions for the faces as they are."""
    predicted: NDArray[np.uint8]
    """`(C, 5, n)` predictions by corruption and severity."""
    corruptions: tuple[str, ...]
    """The C names."""

    @property
    def correct(self) -> NDArray[np.bool_]:
        """`(C, 5, n)`: which predictions are right."""
        return np.asarray(self.predicted == self.labels)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """`(n, 1 + C·5)`: which are wrong; the clean faces come first."""
        flat = (self.predicted != self.labels).reshape(-1, len(self.labels))
        return np.concatenate([(self.clean != self.labels)[None], flat]).T


def stratified_faces(labels: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Positions `(min(n, limit),)` of a stratified sample of faces; the same for equal labels `(n,)` and limit.

    Every k-th of the faces, shuffled and sorted by class: each class keeps its share to within one face.
    """
    n = len(labels)
    if limit >= n:
        return np.arange(n)
    order = np.random.default_rng(0).permutation(n)
    order = order[np.argsort(labels[order], kind="stable")]
    return np.sort(order[np.arange(limit) * n // limit])


def undamaged(test: Logits, picked: NDArray[np.int64], clean: Classes) -> Robustness:
    """The start of a measurement: the `picked` positions of a part, and the predictions for these faces without
    damage.
    """
    return Robustness(
        ids=test.ids[picked],
        labels=test.labels[picked],
        subjects=test.subjects[picked],
        clean=clean,
        predicted=np.empty((0, len(SEVERITIES), len(picked)), np.uint8),
        corruptions=(),
    )


def damaged(
    classifier: Classifier,
    faces: Images,
    start: Robustness,
    report: Callable[[int], None] | None = None,
    columns: Sequence[int] | None = None,
) -> Iterator[Robustness]:
    """Yield the measurement with one more corruption each time, from `start` to the end of the suite.

    Args:
        classifier: gives the predictions.
        faces: `(n, H, W, C)` uint8, those of `start`, without damage. They are damaged before they are resized for the
        classifier, so that classifiers of different sizes get the same damage.
        start: the measurement so far.
        report: called after each of the `STEPS` predictions.
        columns: the columns of the logits that count, in the order of the labels; None takes all.
    """
    measured = start
    for name in tuple(CORRUPTIONS)[len(start.corruptions) :]:
        found = []
        for severity in SEVERITIES:
            found.append(predicted(classifier, corrupt(name, faces, severity), columns))
            if report:
                report(1)
        grown = np.concatenate([measured.predicted, np.stack(found)[None]])
        measured = replace(measured, predicted=grown, corruptions=(*measured.corruptions, name))
        yield measured


def predicted(classifier: Classifier, faces: Images, columns: Sequence[int] | None = None) -> Classes:
    """The likeliest class of each face, `(n,)`, among these `columns` of the logits."""
    logits = classifier.logits(fitted({FACE: faces}, classifier.takes))
    return np.asarray((logits if columns is None else logits[:, list(columns)]).argmax(axis=1), np.uint8)
