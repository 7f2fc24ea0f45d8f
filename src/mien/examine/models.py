"""Model files as rows of a comparison: the classes that they share with a store, and their predictions for its faces.

In: opened model files and a labelled store. Out: `ModelRow`s, all of the same faces. A model predicts among the classes
that the store and all models have, matched by name. Faces of other classes are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..bundle import Bundle
from ..card import Card
from ..classifier import logits_of
from ..compare import NAME, Row
from ..data.store import SPLITS, Store
from ..errors import BundleError, CompareError, DataError, LabelError
from ..runs import Logits
from .away import class_index
from .kept import Replicate

__all__ = ["ALL", "ONE", "PARTS", "Common", "ModelRow", "answered", "common_classes", "faces_of", "open_models"]

ALL = "all"
PARTS = ("test", "valid", ALL, "train")
"""The parts of a store that may be judged."""
ONE: Replicate = (0, 0)
"""The key of the only replicate of a model file."""


@dataclass(frozen=True, kw_only=True)
class ModelRow(Row):
    """One model file: a row of a comparison whose predictions are not in run folders."""

    card: Card
    path: Path
    answers: Logits
    """Predictions for the evaluated faces, among the common classes."""
    columns: tuple[int, ...]
    """Columns of the model's own logits for the common classes, in their order."""

    @cached_property
    def tests(self) -> dict[Replicate, Logits]:
        """Its predictions, under the key of the one replicate."""
        return {ONE: self.answers}


def open_models(names: Sequence[str], *, threads: int = 0) -> dict[str, Bundle]:
    """Model files by the names under which they are shown: `default`, `mine.onnx`, or a path where names are alike.

    Raises `BundleError` if one cannot be opened, `CompareError` if two are the same model.
    """
    bundles = [Bundle.open(name, threads=threads) for name in names]
    by_hash: dict[str, str] = {}
    for name, bundle in zip(names, bundles, strict=True):
        if bundle.card.sha256 in by_hash:
            raise CompareError(f"{by_hash[bundle.card.sha256]} and {name} are the same model. Give it once.")
        by_hash[bundle.card.sha256] = name
    short = [Path(name).name for name in names]
    shown = [name if short.count(last) > 1 else last for name, last in zip(names, short, strict=True)]
    return dict(zip(shown, bundles, strict=True))


@dataclass(frozen=True, kw_only=True)
class Common:
    """The classes that a store and all models have, in the store's order."""

    of_store: tuple[int, ...]
    """Their positions in the store's labels."""
    of_model: Mapping[str, tuple[int, ...]]
    """Their columns in each model's logits, by the model's name."""


def common_classes(models: Mapping[str, Bundle], store: Store) -> Common:
    """Match classes by name and synonym; raises `LabelError` if fewer than two are shared."""
    found = {name: class_index(bundle.labels, store.meta.labels, store.path) for name, bundle in models.items()}
    shared = [k for k in range(len(store.labels)) if all(index[k] is not None for index in found.values())]
    if len(shared) < 2:
        listed = "; ".join(f"{name}: {', '.join(bundle.labels)}" for name, bundle in models.items())
        raise LabelError(
            f"{store.path} ({', '.join(store.meta.labels)}) and these models share fewer than two classes ({listed}). "
            "Evaluate them one by one."
        )
    columns = {name: tuple(i for k in shared if (i := index[k]) is not None) for name, index in found.items()}
    return Common(of_store=tuple(shared), of_model=columns)


def faces_of(store: Store, part: str, common: Common) -> Logits:
    """The faces of the part whose class is common, with their labels, subjects and groups; no logits yet."""
    rows = np.arange(len(store)) if part == ALL else store.rows(part)
    if not len(rows):
        there = ", ".join(f"{split} {len(store.rows(split)):,}" for split in SPLITS if len(store.rows(split)))
        raise DataError(f"{store.path} has no {part} part ({there}). Pass --split {ALL}, or one of these.")
    place = np.full(len(store.labels), -1)
    place[list(common.of_store)] = np.arange(len(common.of_store))
    labels = place[store.samples.label[rows]]
    rows, labels = rows[labels >= 0], labels[labels >= 0]
    if not len(rows):
        raise DataError(f"No face of the {part} part of {store.path} has a class that the models know.")
    samples = store.samples
    return Logits(
        ids=rows,
        labels=labels,
        logits=np.empty((len(rows), 0), np.float32),
        subjects=samples.subject[rows],
        groups={name: column[rows] for name, column in samples.groups.items()},
    )


def answered(name: str, bundle: Bundle, store: Store, faces: Logits, common: Common) -> ModelRow:
    """The row of a model with predictions for these faces. Raises `BundleError` if they are NaN or infinite."""
    columns = common.of_model[name]
    logits = logits_of(bundle, store, faces.ids)[:, list(columns)]
    wrong = int((~np.isfinite(logits).all(axis=1)).sum())
    if wrong:
        raise BundleError(
            f"{name} gives NaN or infinity for {wrong} of {len(logits)} faces, so it cannot be evaluated."
        )
    return ModelRow(
        factors={NAME: name},
        runs=(),
        card=bundle.card,
        path=bundle.path,
        answers=replace(faces, logits=logits),
        columns=columns,
    )
