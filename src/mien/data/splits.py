"""Divides the samples of a store into train, valid (which chooses the epoch) and test.

`holdout` keeps the corpus's own splits; `kfold`, `group-kfold`, `loso` (leave one subject out) and `hde` (leave one
corpus of a composite out, by the group `corpus`) divide all samples, whatever their split, and each fold is the test
once. If there is no valid split, a stratified part of train becomes it. Samples of one subject stay together, and so do
exact copies of one image, so that no part repeats what was trained on. There are two exceptions. A corpus's own splits
are kept as they are; `mien data audit` checks them. Under `loso` and `hde`, copies of a test image are left out of
train. The test part comes sealed: only `mien.stages` opens it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..config import DataSettings
from ..errors import DataError
from ..metrics import absent_words
from ..planes import FACE, Batch
from .deal import deal
from .store import Store

__all__ = ["Fold", "Part", "SealedPart", "divide", "fold_count", "untested_words"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Samples of a store that may be read."""

    store: Store
    rows: NDArray[np.int64]
    """Rows of the store, ascending: also the sample ids in a run's logits."""
    given: NDArray[np.int64] | None = None
    """`(n,)` labels to train on in place of the store's (injected noise), or None."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> NDArray[np.int64]:
        """`(n,)` class indices."""
        return self.store.samples.label[self.rows] if self.given is None else self.given

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

    def read(self, planes: Sequence[str] = (FACE,)) -> Batch:
        """Planes of all samples, `(n, *shape)` each, read into memory."""
        return self.store.read(self.rows, planes)


class SealedPart:
    """The test part. It has a size and no content until `open` is called."""

    def __init__(self, part: Part) -> None:
        self.__part = part

    def __len__(self) -> int:
        return len(self.__part)

    def open(self) -> Part:
        """The samples. For `mien.stages` alone, after the weights are chosen."""
        return self.__part


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One division of a store into the three parts."""

    train: Part
    valid: Part
    test: SealedPart


def divide(store: Store, settings: DataSettings) -> Fold:
    """Train, valid and test of `settings.protocol`, for the fold and repetition that `settings` names.

    Raises `DataError` where a part would be empty or the protocol needs subjects that the store lacks.
    """
    if settings.protocol == "holdout":
        train, valid, test = (store.rows(split) for split in ("train", "valid", "test"))
    elif store.meta.taught:
        raise DataError(
            f"{store.path} holds predictions of models that were trained on every fold, so data.protocol "
            f"{settings.protocol} would test on faces that its teachers were trained on. Set data.protocol to holdout, "
            "or use the store that it was taught from."
        )
    else:
        tests = _tests(store, settings)
        if settings.fold >= len(tests):
            raise DataError(
                f"data.fold is {settings.fold}; {settings.protocol} of {store.path} has {len(tests)} folds."
            )
        test, valid = tests[settings.fold], np.array([], dtype=np.int64)
        train = _without_copies(store, np.setdiff1d(np.arange(len(store)), test), test)
    for name, rows in (("train", train), ("test", test)):
        if len(rows) == 0:
            raise DataError(f"{store.path} has no {name} split. Give it one, or set data.protocol to cross-validate.")
    if len(valid) == 0:
        train, valid = _carve(store, train, settings)
    train = _limited(store.samples.label[train], train, settings)
    return Fold(
        train=Part(store=store, rows=train, given=_noisy(store, train, settings)),
        valid=Part(store=store, rows=valid),
        test=SealedPart(Part(store=store, rows=test)),
    )


def fold_count(store: Store, settings: DataSettings) -> int:
    """How many folds the protocol has on this store; 1 for `holdout`."""
    return 1 if settings.protocol == "holdout" else len(_tests(store, settings))


def untested_words(store: Store, settings: DataSettings | None = None) -> str:
    """A sentence that names the classes without test faces and those that averages are over. Empty if all have test
    faces.

    Without `settings` the test is the store's own test split, or all of its faces where it has none.
    """
    rows = store.rows("test") if settings is None or settings.protocol == "holdout" else np.array([], np.int64)
    labels = store.samples.label[rows] if len(rows) else store.samples.label
    return absent_words(store.meta.labels, np.bincount(labels, minlength=len(store.labels)))


def _tests(store: Store, settings: DataSettings) -> tuple[NDArray[np.int64], ...]:
    return _folds(store, settings.protocol, settings.folds, settings.split_seed + settings.repeat)


@lru_cache(maxsize=16)  # a large store takes a quarter of a minute, and a grid asks for every cell
def _folds(store: Store, protocol: str, folds: int, seed: int) -> tuple[NDArray[np.int64], ...]:
    """The test rows of each fold. Copies of one image are never in two folds; nor are subjects, if grouped."""
    from sklearn.model_selection import LeaveOneGroupOut

    rows, subjects = np.arange(len(store)), store.samples.subject
    if protocol == "hde":
        return _by_corpus(store)
    if protocol != "kfold" and (subjects == "").any():
        raise DataError(
            f"data.protocol {protocol} needs the subject of every sample; {(subjects == '').sum()} of "
            f"{len(store)} in {store.path} have none. Use kfold, or import the subjects."
        )
    try:
        if protocol == "loso":
            return tuple(test for _, test in LeaveOneGroupOut().split(rows, groups=subjects))
        groups = _groups(store, rows) if protocol == "group-kfold" else _pixels(store, rows)
        fold_of = deal(store.samples.label, groups, folds, seed)
        return tuple(np.flatnonzero(fold_of == fold) for fold in range(folds))
    except ValueError as error:
        raise DataError(f"Cannot divide {store.path} by {protocol} into folds: {error}") from None


def _by_corpus(store: Store) -> tuple[NDArray[np.int64], ...]:
    """The rows of each corpus of a composite, corpora by name (holdout-database evaluation, HDE; Yap 2018, FG)."""
    corpora = store.samples.groups.get("corpus", np.array([], np.str_))
    names = np.unique(corpora)
    if len(names) < 2:
        raise DataError(
            f"data.protocol hde leaves out one corpus at a time; {store.path} has {len(names) or 'no'} "
            f"{'corpus' if len(names) == 1 else 'corpora'} in its group corpus. Join stores with mien data join, or "
            "use loso."
        )
    return tuple(np.flatnonzero(corpora == name) for name in names)


def _without_copies(store: Store, train: NDArray[np.int64], test: NDArray[np.int64]) -> NDArray[np.int64]:
    """`train` without exact copies of test images. Under `loso` other subjects may have such copies, and under
    `hde` other corpora."""
    kept: NDArray[np.int64] = train[~np.isin(_pixels(store, train), _pixels(store, test))]
    return kept


def _noisy(store: Store, rows: NDArray[np.int64], settings: DataSettings) -> NDArray[np.int64] | None:
    """Symmetric noise: each label becomes one of the other classes with probability `label_noise`."""
    if not settings.label_noise:
        return None
    rng = np.random.default_rng([settings.split_seed, 1])
    labels, classes = store.samples.label[rows], len(store.labels)
    wrong = rng.random(len(rows)) < settings.label_noise
    return np.where(wrong, (labels + rng.integers(1, classes, len(rows))) % classes, labels)


def _carve(store: Store, rows: NDArray[np.int64], settings: DataSettings) -> tuple[NDArray[np.int64], ...]:
    """Move whole groups to valid, class by class, until each class has given its share.

    Where every group has more of a class than that, as a few subjects with many clips do, the nearest one is moved.
    """
    labels, groups = store.samples.label[rows], _groups(store, rows)
    rng = np.random.default_rng(settings.split_seed)
    wanted = np.round(np.bincount(labels, minlength=len(store.labels)) * settings.valid_fraction).astype(int)
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order, ends = np.argsort(group, kind="stable"), np.cumsum(sizes)
    chosen = np.zeros(len(rows), dtype=bool)
    for number in rng.permutation(len(sizes)):
        members = order[ends[number] - sizes[number] : ends[number]]
        counts = np.bincount(labels[members], minlength=len(wanted))
        if (counts <= wanted).all():
            chosen[members] = True
            wanted -= counts
            if not wanted.any():
                break  # no other group fits
    if not chosen.any() and len(sizes) > 1:
        table = np.zeros((len(sizes), len(wanted)), int)
        np.add.at(table, (group, labels), 1)
        chosen = group == np.abs(table - wanted).sum(axis=1).argmin()
    if not chosen.any() or chosen.all():
        raise DataError(
            f"Cannot carve {settings.valid_fraction:.0%} of {len(rows)} training samples in {len(sizes)} "
            f"groups (subjects, or copies of one image) off {store.path}. Give it more groups, or a valid split."
        )
    return rows[~chosen], rows[chosen]


def _groups(store: Store, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The group of each sample, `(n,)` numbers. One subject is one group, and so are all copies of one image.

    A group's number is the position of its name among all sorted names. Its name is the subject, or the hash of its
    pixels; if copies join several subjects, the first of their names.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    subjects, pixels = store.samples.subject[rows], _pixels(store, rows)
    if not (subjects != "").any():
        return pixels
    hashes = [digest.tobytes().hex() for digest in _digests(store)[rows[subjects == ""]]]
    subjects = subjects.astype(f"U{max(64, subjects.itemsize // 4)}" if hashes else subjects.dtype)
    subjects[subjects == ""] = hashes
    names, own = np.unique(subjects, return_inverse=True)
    images, image = np.unique(pixels, return_inverse=True)
    side = len(names) + len(images)
    links = coo_array((np.ones(len(rows)), (own, len(names) + image)), shape=(side, side))
    _, joined = connected_components(links, directed=False)
    _, first, which = np.unique(joined[: len(names)], return_index=True, return_inverse=True)
    groups: NDArray[np.int64] = first[which][own]
    return groups


def _pixels(store: Store, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """`(n,)` numbers of the images of `rows`: equal images have equal numbers, in the order of their hashes."""
    return _images(store)[rows]


@lru_cache(maxsize=4)
def _images(store: Store) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = np.unique(_digests(store).view("S32")[:, 0], return_inverse=True)[1]
    return numbers


@lru_cache(maxsize=4)
def _digests(store: Store) -> NDArray[np.uint8]:
    """`(n, 32)` SHA-256 of the pixels of each row, computed once a store."""
    digests = (hashlib.sha256(image).digest() for batch in store.iter_images() for image in batch)
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


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
