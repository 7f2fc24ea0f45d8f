"""Pictures of the corpus for the page: examples of each class, and the most confident mistakes.

In: the store that the runs were trained on, if it is still there and the same. Out: PNGs as data URIs. Nothing
here is reached under `--no-faces`.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..calibration import softmax
from ..data.store import Store
from .figures.evidence import Shown

__all__ = ["Picture", "PictureRow", "examples", "mistakes", "picture_uri"]

EXAMPLES = 8
MISTAKES = 10
MOST_GALLERIES = 6
LARGEST = 64
"""Pictures larger than this are shrunk to it, in pixels a side, so that the page stays small."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture with its description."""

    uri: str
    text: str
    """Also its description for those who cannot see it."""
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class PictureRow:
    """Pictures under one title."""

    title: str
    pictures: tuple[Picture, ...]


def examples(store: Store) -> list[PictureRow]:
    """The first training faces of each class, of as many subjects as there are."""
    rows = store.rows("train")
    labels, subjects = store.samples.label[rows], store.samples.subject[rows]
    found = []
    for k, name in enumerate(store.meta.labels):
        own = rows[labels == k]
        _, firsts = np.unique(subjects[labels == k], return_index=True)
        order = np.concatenate([np.sort(firsts), np.setdiff1d(np.arange(len(own)), firsts)]).astype(np.int64)
        chosen = own[order[:EXAMPLES]]
        pictures = tuple(Picture(uri=picture_uri(store.images[row]), text=f"A face labelled {name}") for row in chosen)
        found.append(PictureRow(title=name, pictures=pictures))
    return found


def mistakes(store: Store, shown: Sequence[Shown]) -> list[PictureRow]:
    """For each row, the most accurate first, the wrongly predicted test faces with the highest probability."""
    ranked = sorted(shown, key=lambda item: -item.accuracy)[:MOST_GALLERIES]
    return [PictureRow(title=item.name, pictures=_wrong(store, item)) for item in ranked]


def _wrong(store: Store, item: Shown) -> tuple[Picture, ...]:
    test, names = item.tests[0], store.meta.labels
    probs = softmax(test.logits)
    said, sure = probs.argmax(axis=1), probs.max(axis=1)
    wrong = np.flatnonzero(said != test.labels)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    return tuple(
        Picture(
            uri=picture_uri(store.images[test.ids[i]]),
            text=f"Labelled {names[test.labels[i]]}, called {names[said[i]]} with {_sure(sure[i])}",
            caption=f"{names[test.labels[i]]} → {names[said[i]]}, {_sure(sure[i])}",
        )
        for i in worst
    )


def _sure(probability: float) -> str:
    return "> 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"


def picture_uri(image: NDArray[np.uint8]) -> str:
    """A PNG of `(H, W, C)` uint8, RGB or grey; of other channel counts the first is shown."""
    picture: NDArray[Any] = image if image.shape[2] in (1, 3) else image[:, :, :1]
    if picture.shape[2] == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    if max(picture.shape[:2]) > LARGEST:
        picture = cv2.resize(picture, (LARGEST, LARGEST), interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".png", picture)
    return "data:image/png;base64," + base64.b64encode(content.tobytes()).decode()
