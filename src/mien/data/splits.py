"""Which samples train, which choose the epoch, and which judge.

`holdout` keeps the corpus's own test split and, where it has none, carves a stratified validation part from
train. Samples of one subject stay together, and so do exact copies of one image, so that a validation
part never repeats what was trained on. The test part comes sealed: only `mien.evaluate` opens it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config import DataSettings
from ..errors import DataError
from .store import Store

__all__ = ["Fold", "Part", "SealedPart", "holdout"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Samples of a store that may be looked at."""

    store: Store
    rows: NDArray[np.int64]
    """Rows of the store, ascending: also the sample ids in a run's logits."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """`(n,)` class indices."""
        return self.store.samples.label[self.rows]

    @property
    def soft(self) -> NDArray[np.float32] | None:
        """`(n, K)` distributions, or None."""
        return None if self.store.samples.soft is None else self.store.samples.soft[self.rows]

    @property
    def subjects(self) -> NDArray[np.str_]:
        """`(n,)` subjects; empty texts where unknown."""
        return self.store.samples.subject[self.rows]

    @property
    def groups(self) -> Mapping[str, NDArray[np.str_]]:
        """Attribute columns of `(n,)` texts."""
        return {name: column[self.rows] for name, column in self.store.samples.groups.items()}

    def images(self) -> NDArray[np.uint8]:
        """`(n, H, W, C)` uint8, read into memory."""
        return np.ascontiguousarray(self.store.images[self.rows])


class SealedPart:
    """The test part. It has a size and no content until `open` is called."""

    def __init__(self, part: Part) -> None:
        self.__part = part

    def __len__(self) -> int:
        return len(self.__part)

    def open(self) -> Part:
        """The samples. For `mien.evaluate` alone, after the weights are chosen."""
        return self.__part


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One division of a store into the three parts."""

    train: Part
    valid: Part
    test: SealedPart


def holdout(store: Store, settings: DataSettings) -> Fold:
    """The corpus's own splits, with a validation part carved from train where there is none.

    Raises `DataError` where a part would be empty.
    """
    train, valid, test = (store.rows(split) for split in ("train", "valid", "test"))
    for name, rows in (("train", train), ("test", test)):
        if len(rows) == 0:
            raise DataError(f"{store.path} has no {name} split. Prepare it from a corpus with train and test samples.")
    if len(valid) == 0:
        train, valid = _carve(store, train, settings)
    train = _limited(store.samples.label[train], train, settings)
    return Fold(
        train=Part(store=store, rows=train),
        valid=Part(store=store, rows=valid),
        test=SealedPart(Part(store=store, rows=test)),
    )


def _carve(store: Store, rows: NDArray[np.int64], settings: DataSettings) -> tuple[NDArray[np.int64], ...]:
    """Move whole groups to valid, class by class, until each class has given its share."""
    labels, groups = store.samples.label[rows], _groups(store, rows)
    rng = np.random.default_rng(settings.split_seed)
    wanted = np.round(np.bincount(labels, minlength=len(store.labels)) * settings.valid_fraction).astype(int)
    members = _members(groups)
    chosen = np.zeros(len(rows), dtype=bool)
    for group in rng.permutation(len(members)):
        counts = np.bincount(labels[members[group]], minlength=len(wanted))
        if (counts <= wanted).all():
            chosen[members[group]] = True
            wanted -= counts
    if not chosen.any() or chosen.all():
        raise DataError(
            f"Cannot carve {settings.valid_fraction:.0%} of {len(rows)} training samples in {len(members)} "
            f"groups (subjects, or copies of one image) off {store.path}. Give it a valid split, or change data.valid_fraction."
        )
    return rows[~chosen], rows[chosen]


def _groups(store: Store, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    """Who must stay together: the subject where known, else the exact pixels."""
    subjects = store.samples.subject[rows]
    pixels = [hashlib.sha256(store.images[row].tobytes()).hexdigest() for row in rows[subjects == ""]]
    groups = subjects.astype("U64")
    groups[subjects == ""] = pixels
    return groups


def _members(groups: NDArray[np.str_]) -> list[NDArray[np.int64]]:
    _, inverse = np.unique(groups, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(inverse[order])) + 1)


def _limited(labels: NDArray[np.int64], rows: NDArray[np.int64], settings: DataSettings) -> NDArray[np.int64]:
    """At most `train_limit` rows: each class keeps its share, rounded by largest remainder."""
    if not 0 < settings.train_limit < len(rows):
        return rows
    exact = np.bincount(labels) * settings.train_limit / len(rows)
    keep = np.floor(exact).astype(int)
    keep[np.argsort(keep - exact)[: settings.train_limit - keep.sum()]] += 1
    order = np.random.default_rng(settings.split_seed).permutation(len(rows))
    chosen = [order[labels[order] == label][:count] for label, count in enumerate(keep)]
    kept: NDArray[np.int64] = rows[np.sort(np.concatenate(chosen))]
    return kept
