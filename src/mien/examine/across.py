"""Tests networks that were trained on one corpus on the test parts of other corpora.

In: finished runs and other stores. Out: a `Matrix`, one cell a network and store, with intervals. Classes are matched
by name. A network predicts among the classes that both corpora have, and `Cell` names those left out. Each cell also
has the same networks' figure on their own test part, over the same classes, because only then can the two be compared.

The runs' predictions are kept in their folders (`away`), so `stored` makes the matrix again without the store. No
choice depends on these figures.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats
from ..compare import Row, collect
from ..crop import CropSpec
from ..data.store import Store
from ..errors import CompareError
from ..runs import Logits, Run
from ..statistics import GAP, SHARE, Interval
from ..statistics.estimates import Estimate, mean, one_spread, share
from ..statistics.resampling import Units, face_counts, known, replicate, units
from .away import Kept, class_index, keep_tests, kept_tests
from .tested import among

__all__ = ["Cell", "Matrix", "across", "adapted", "rows_by_store", "stored"]

DRAWS = 1000
NAN = float("nan")
UNKNOWN = Estimate(value=NAN, interval=Interval(low=NAN, high=NAN, level=0.95, method="undefined"))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One network, trained on one store, tested on one; figures are means over its runs."""

    network: str
    """Name of the row."""
    trained_on: str
    """Names as in `Matrix.corpora`."""
    tested_on: str
    classes: tuple[str, ...]
    """The classes that both sides have, with the network's names and in its order. Labels and predictions are among
    these.
    """
    left_out: tuple[str, ...]
    """Classes of the tested store that the network does not know; their faces are not counted."""
    unused: tuple[str, ...]
    """Classes that the network knows and the tested store lacks; their logits are not used."""
    n: int
    """Faces tested."""
    runs: int
    accuracy: Estimate
    uar: Estimate
    home_accuracy: Estimate
    """Of the same runs on their own test part, over the same classes."""
    home_uar: Estimate
    home_n: int
    change_uar: Estimate
    """UAR minus that on the network's own test part, seed by seed. It is nan for the own test part, and if folds were
    pooled.
    """
    copies: int | None
    """Number of tested pictures that are identical to one in train or valid; None if that is not known."""
    notes: tuple[str, ...]
    """How the pictures were adapted, in sentences."""

    @property
    def own(self) -> bool:
        """Whether the network is tested on the corpus it was trained on."""
        return self.trained_on == self.tested_on


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Networks by corpora."""

    corpora: tuple[str, ...]
    """Names of all stores, those of training first. If two share a name, it is followed by digits of the hash."""
    fingerprints: tuple[str, ...]
    """Of the stores, as many."""
    cells: tuple[Cell, ...]
    """Network by network, in the order of `corpora`."""

    def cell(self, network: str, trained_on: str, tested_on: str) -> Cell:
        """The cell of a network and a corpus. Raises `KeyError` if it was not tested."""
        for cell in self.cells:
            if (cell.network, cell.trained_on, cell.tested_on) == (network, trained_on, tested_on):
                return cell
        raise KeyError((network, trained_on, tested_on))


def across(
    runs: Sequence[Run],
    stores: Sequence[Store],
    rng: np.random.Generator,
    *,
    vary: Iterable[str] = (),
    report: Callable[[Run, Store], None] | None = None,
) -> Matrix:
    """Test finished `runs`, of one training store or several, on the test parts of `stores` and on their own.

    `vary` names settings that may differ between the runs of one store, as in `compare.collect`. `report` is called
    with each run and store before the test.

    Raises:
        CompareError: no run is finished, or runs of one store differ in more than `vary`.
        DataError: a store has no test part, or is not readable.
        LabelError: a store shares fewer than two classes with a network.
    """
    groups = rows_by_store(runs, vary)
    keep_tests([run for rows in groups for row in rows for run in row.runs], stores, report)
    return stored(groups, rng, only=[store.meta.sha256 for store in stores])


def rows_by_store(runs: Sequence[Run], vary: Iterable[str] = ()) -> list[tuple[Row, ...]]:
    """The rows of finished runs, by the store they were trained on; raises `CompareError` as `across` does."""
    done: dict[str, list[Run]] = {}
    for run in runs:
        if run.finished:
            done.setdefault(run.data.fingerprint, []).append(run)
    if not done:
        raise CompareError("No run is finished, so there is nothing to test on other corpora.")
    return [collect(group, tuple(vary)).rows for group in done.values()]


def stored(
    groups: Sequence[Sequence[Row]],
    rng: np.random.Generator,
    *,
    only: Collection[str] | None = None,
    damaged: list[str] | None = None,
) -> Matrix:
    """The matrix from kept predictions, for the rows of each training store. Incomplete cells are left out.

    `only` names the fingerprints of the tested stores that count; None takes all. A row without tests elsewhere has
    only the cell of its own corpus. If `damaged` is given, a damaged file counts as not tested and its message is added
    there; otherwise it raises `RunError`.
    """
    rows = [row for group in groups for row in group if row.tests]
    tests = [kept_tests(row, only, damaged) for row in rows]
    corpora = {row.runs[0].data.fingerprint: row.runs[0].data.corpus for row in rows}
    corpora |= {key: one[0].corpus for by_store in tests for key, one in by_store.items() if key not in corpora}
    names = _names(corpora)
    cells: list[Cell] = []
    for row, by_store in zip(rows, tests, strict=True):
        trained = row.runs[0].data.fingerprint
        home = _Home(row, rng)
        cells.append(_own_cell(row, names[trained], home))
        cells += [
            _cell(row, by_store[key], (names[trained], name), home, rng)
            for key, name in names.items()
            if key in by_store
        ]
    return Matrix(corpora=tuple(names.values()), fingerprints=tuple(names), cells=tuple(cells))


def _names(corpora: dict[str, str]) -> dict[str, str]:
    """Fingerprint to name, unlike each other."""
    words = list(corpora.values())
    return {key: f"{word} {key[:6]}" if words.count(word) > 1 else word for key, word in corpora.items()}


def _own_cell(row: Row, name: str, home: "_Home") -> Cell:
    classes = row.runs[0].data.labels
    own = home.among(tuple(range(len(classes))))
    return Cell(
        network=row.name,
        trained_on=name,
        tested_on=name,
        classes=classes,
        left_out=(),
        unused=(),
        n=own.n,
        runs=len(row.runs),
        accuracy=own.accuracy,
        uar=own.uar,
        home_accuracy=own.accuracy,
        home_uar=own.uar,
        home_n=own.n,
        change_uar=UNKNOWN,
        copies=None,
        notes=(),
    )


def _cell(row: Row, tested: Sequence[Kept], names: tuple[str, str], home: "_Home", rng: np.random.Generator) -> Cell:
    data, store = row.runs[0].data, tested[0]
    index = class_index(data.labels, store.labels, names[1])
    common = tuple(sorted(i for i in index if i is not None))
    away, own = _redraw([one.logits for one in tested], common, rng), home.among(common)
    return Cell(
        network=row.name,
        trained_on=names[0],
        tested_on=names[1],
        classes=tuple(data.labels[i] for i in common),
        left_out=tuple(name for name, i in zip(store.labels, index, strict=True) if i is None),
        unused=tuple(name for i, name in enumerate(data.labels) if i not in common),
        n=away.n,
        runs=len(row.runs),
        accuracy=away.accuracy,
        uar=away.uar,
        home_accuracy=own.accuracy,
        home_uar=own.uar,
        home_n=own.n,
        change_uar=_change(away, own),
        copies=store.copies,
        notes=tuple(adapted(data.crop, store.crop)),
    )


def adapted(own: CropSpec, other: CropSpec) -> Iterable[str]:
    """How faces of the crop `other` are converted for a network of the crop `own`, in sentences."""
    if own.size != other.size:
        yield f"Pictures were brought from {other.size} to {own.size} pixels."
    if own.channels != other.channels:
        yield "Grey pictures were repeated as RGB." if own.channels == 3 else "Colour pictures were made grey."
    if own.margin != other.margin:
        yield f"Faces were cut with another margin ({other.margin:g}, in training {own.margin:g})."


@dataclass(frozen=True, kw_only=True)
class _Redrawn:
    """Accuracy and UAR (last axis) of some runs on some faces, and on redrawn ones."""

    values: Floats
    """`(S, 2)`."""
    draws: Floats
    """`(B, S, 2)`."""
    n: int
    units: Units
    """The faces, or the subjects where all are known."""

    @property
    def accuracy(self) -> Estimate:
        """Mean over runs."""
        return share(one_spread(self.values[:, 0], self.draws[:, :, 0], self.units), self.n)

    @property
    def uar(self) -> Estimate:
        """Mean over runs."""
        return mean(one_spread(self.values[:, 1], self.draws[:, :, 1], self.units), bounds=SHARE)


class _Home:
    """A row on its own test part, among any of its classes, each redrawn once."""

    def __init__(self, row: Row, rng: np.random.Generator) -> None:
        self._tests = list(row.tests.values())
        self._rng = rng
        self._known: dict[tuple[int, ...], _Redrawn] = {}

    def among(self, common: tuple[int, ...]) -> _Redrawn:
        """Its figures over the faces of these classes, with these answers."""
        if common not in self._known:
            self._known[common] = _redraw(self._tests, common, self._rng)
        return self._known[common]


def _redraw(tests: Sequence[Logits], common: tuple[int, ...], rng: np.random.Generator) -> _Redrawn:
    """Figures among the `common` classes, over faces (subjects, where known)."""
    kept = [among(test, common) for test in tests]
    labels, logits = kept[0].labels, np.stack([test.logits for test in kept])
    clusters = known(kept[0].subjects)

    def figures(counts: NDArray[np.float32]) -> Floats:
        return np.stack([replicate(logits, labels, metric, counts) for metric in ("accuracy", "uar")], axis=2)

    n = len(labels)
    return _Redrawn(
        values=figures(np.ones((1, n), np.float32))[0],
        draws=np.concatenate([figures(counts) for counts in face_counts(rng, n, DRAWS, clusters)]),
        n=n,
        units=units(n, clusters),
    )


def _change(away: _Redrawn, own: _Redrawn) -> Estimate:
    """UAR on the other corpus minus UAR on the own one: faces are drawn independently, runs are the same."""
    if len(away.values) != len(own.values):
        return UNKNOWN
    values, draws = away.values[:, 1] - own.values[:, 1], away.draws[:, :, 1] - own.draws[:, :, 1]
    return mean(one_spread(values, draws, min(away.units, own.units, key=lambda units: units.count)), bounds=GAP)
