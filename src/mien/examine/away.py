"""Predictions of runs on the test parts of other corpora, kept in the run folders.

In: finished runs and other stores. Out: a file `across-<store>.npz` for each run and store, and its content, `Kept`.
Each run opens a foreign test part once, and that store's log records it. Subjects, groups and votes of the faces are
kept with the logits, so that the store is not needed again. Labels are in the run's classes.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, read_npz
from ..atomic import new_file
from ..calibration import Floats
from ..classifier import fitted, logits_of
from ..compare import Row
from ..crop import CropSpec
from ..data.store import Store
from ..errors import DataError, LabelError, RunError
from ..familiar import count_copies
from ..labels import LabelSet, canonical_name
from ..planes import FACE
from ..reading import Count, Fingerprint, Text, from_json, reading
from ..runs import GROUP, LOGITS, DataFacts, Logits, Run
from .kept import unless_damaged
from .tested import Tested, among, votes_among

__all__ = ["Kept", "as_tested", "check_stores", "class_index", "keep_tests", "kept_tests", "was_tested_elsewhere"]

PREFIX = "across-"
VOTES = "votes"
"""Name of the array of votes, `(n, 0)` if the store has none. The first versions did not keep votes."""
KEPT = LOGITS | {"store": Array("U", ""), VOTES: Array("f8", "n V", optional=True)}
"""Kept besides the logits: facts of the store (`Facts` as JSON) and the annotators' votes."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One run on the test part of another store."""

    logits: Logits
    """The predictions, with the subjects and groups of that store; labels are in the run's classes."""
    votes: Floats | None
    """`(n, K)`, shares of annotators' votes for each class of that store, where it has them."""
    copies: int | None
    """Number of pictures that the run may have been trained on; None if that is not known."""
    fingerprint: str
    corpus: str
    labels: tuple[str, ...]
    """The store's classes, all of them."""
    crop: CropSpec
    described: bool
    """Whether existing groups and votes were kept; the first versions kept only logits."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is kept of the store itself."""

    fingerprint: Fingerprint
    corpus: Text
    labels: tuple[Text, ...]
    crop: CropSpec
    copies: Count | None

    def __post_init__(self) -> None:
        LabelSet(self.labels)


Tests = Mapping[str, Sequence[Kept]]
"""By fingerprint of the tested store, one a run."""


def check_stores(data: DataFacts, stores: Sequence[Store]) -> None:
    """Raise, as `across` does, where networks trained on `data` cannot be tested on one of the stores."""
    for store in stores:
        if store.meta.sha256 != data.fingerprint:
            _test_rows(store, class_index(data.labels, store.meta.labels, store.path))


def keep_tests(
    runs: Sequence[Run], stores: Sequence[Store], report: Callable[[Run, Store], None] | None = None
) -> None:
    """Test finished runs on the stores that are not their own, and keep their predictions. Raises the errors of
    `across`.
    """
    for data in {run.data.fingerprint: run.data for run in runs}.values():
        check_stores(data, stores)
    for run in runs:
        for store in stores:
            if report:
                report(run, store)
            if store.meta.sha256 != run.data.fingerprint:
                _test(run, store)


def was_tested_elsewhere(run: Run) -> bool:
    """Whether a run was tested on another corpus than its own."""
    return any(run.path.glob(f"{PREFIX}*.npz"))


def kept_tests(row: Row, only: Collection[str] | None = None, damaged: list[str] | None = None) -> Tests:
    """The corpora that all runs of a row were tested on; `damaged` as in `kept.whole_rows`."""
    found: dict[str, list[Kept]] = {}
    for run in row.runs:
        for path in sorted(run.path.glob(f"{PREFIX}*.npz")):
            tested = unless_damaged(partial(_load, path, run), damaged)
            if tested and (only is None or tested.fingerprint in only):
                found.setdefault(tested.fingerprint, []).append(tested)
    return {key: tests for key, tests in found.items() if len(tests) == len(row.runs)}


def class_index(labels: Sequence[str], others: Sequence[str], name: object) -> tuple[int | None, ...]:
    """The network's class for each class of another store; None for one it does not know."""
    known = LabelSet(tuple(canonical_name(label) for label in labels))
    index = known.translate(tuple(others), drop=tuple(others)).index
    if sum(i is not None for i in index) < 2:
        raise LabelError(
            f"{name} ({', '.join(others)}) shares fewer than two classes with the networks ({', '.join(labels)}), so "
            "they cannot be tested on it."
        )
    return index


def as_tested(row: Row, kept: Sequence[Kept]) -> Tested:
    """A row on another store's test part, from the kept logits of its runs, among the classes that both have. Votes for
    other classes are removed, and the rest is divided by its sum. A face without remaining votes has zeros.
    """
    data, first = row.runs[0].data, kept[0]
    index = class_index(data.labels, first.labels, first.corpus)
    common = tuple(sorted(i for i in index if i is not None))
    return Tested(
        name=row.name,
        classes=tuple(data.labels[i] for i in common),
        tests=tuple(among(one.logits, common) for one in kept),
        votes=votes_among(first.votes, [index.index(i) for i in common]),
    )


def _test(run: Run, store: Store) -> None:
    """Keep the run's logits on the store's test part, unless a complete file is already there."""
    index = class_index(run.data.labels, store.meta.labels, store.path)
    path = run.path / f"{PREFIX}{store.meta.sha256[:12]}.npz"
    if path.exists():
        kept = _load(path, run)
        if not kept.described:
            _write(run, path, store, kept.logits, kept.copies)
        return
    _write(run, path, store, *_predict(run, store, index))


def _write(run: Run, path: Path, store: Store, logits: Logits, copies: int | None) -> None:
    samples, rows = store.samples, logits.ids
    meta = store.meta
    facts = Facts(fingerprint=meta.sha256, corpus=meta.corpus, labels=meta.labels, crop=meta.crop, copies=copies)
    arrays = {key: getattr(logits, key) for key in LOGITS if key != f"{GROUP}*"}
    arrays |= {f"{GROUP}{name}": column[rows] for name, column in samples.groups.items()}
    votes = store.votes(rows)
    arrays[VOTES] = np.empty((len(rows), 0)) if votes is None else votes
    with run.writing(), new_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, store=np.array(json.dumps(asdict(facts))), **arrays)


def _load(path: Path, run: Run) -> Kept:
    classes = len(run.data.labels)
    with reading(path, RunError, "Remove it and run `mien across` again."):
        arrays = read_npz(path, KEPT, K=classes)
        facts = from_json(str(arrays.pop("store")), Facts)
        votes = arrays.pop(VOTES, None)
        logits = Logits.from_arrays(arrays)
        logits.check(classes)
        if votes is not None and votes.size and votes.shape[1] != len(facts.labels):
            raise ValueError(f"it has votes for {votes.shape[1]} classes, expected {len(facts.labels)}")
    return Kept(
        logits=logits,
        votes=votes if votes is not None and votes.size else None,
        described=votes is not None,
        **{each.name: getattr(facts, each.name) for each in fields(facts)},
    )


def _predict(run: Run, store: Store, index: Sequence[int | None]) -> tuple[Logits, int | None]:
    """Write the opening of the foreign test part into its store's log, then open it."""
    from ..methods import find_method

    trained = find_method(run.settings).load(run)
    rows, labels = _test_rows(store, index)
    store.log_opening(datetime.now(UTC).isoformat(timespec="seconds"), run.id)
    logits = Logits(
        ids=rows,
        labels=labels,
        logits=logits_of(trained, store, rows),
        subjects=store.samples.subject[rows],
        groups={},
    )
    return logits, _copies(run, fitted(store.read(rows), [run.data.crop.plane])[FACE])


def _test_rows(store: Store, index: Sequence[int | None]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The test rows whose class is known, and their classes."""
    mapped = np.array([-1 if i is None else i for i in index], dtype=np.int64)[store.samples.label]
    rows = np.intersect1d(store.rows("test"), np.flatnonzero(mapped >= 0))
    if len(rows) == 0:
        raise DataError(f"{store.path} has no test split with classes that the networks know. Give it one.")
    return rows, mapped[rows]


def _copies(run: Run, images: NDArray[np.uint8]) -> int | None:
    """How many pictures the run may have been trained on: those that its store also has outside its own test part. None
    if the store no longer exists or has changed.
    """
    try:
        store = run.store()
    except DataError:
        return None
    if store.meta.sha256 != run.data.fingerprint:
        return None
    own_test = (store.samples.split == "test") & (run.settings.data.protocol == "holdout")
    return count_copies(store, ~own_test, iter([images]))
