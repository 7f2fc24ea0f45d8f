r"""Robustness: a network's accuracy on damaged faces (Hendrycks & Dietterich 2019, arXiv:1903.12261, sec. 4).

In: a finished run. Out: `robustness.npz` in its folder, the prediction for each of the same test faces under each
corruption and severity, so that every figure below has an interval and every comparison is paired.

With \(E_{s,c}^f\) the error of network f under corruption c at severity s, and b the baseline network,

\[CE_c^f = \frac{\sum_s E_{s,c}^f}{\sum_s E_{s,c}^b}, \qquad
\text{relative } CE_c^f = \frac{\sum_s (E_{s,c}^f - E_\text{clean}^f)}{\sum_s (E_{s,c}^b - E_\text{clean}^b)},\]

and mCE and relative mCE are their means over the corruptions. mCE compares errors on damaged faces; relative mCE
compares the losses caused by damage. Both are computed for each seed and then averaged. A ratio whose denominator may
be 0 has no meaningful interval. So relative mCE uses only corruptions under which the baseline clearly loses accuracy:
in every seed by at least `CLEAR` standard errors (over faces) of its loss.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..calibration import Floats
from ..compare import Row
from ..errors import CompareError
from ..metrics import ratio, weighted
from ..planes import FACE
from ..runs import Run
from ..statistics.estimates import Estimate, Statistic, mean, share, spreads
from ..statistics.intervals import FROM_0, SHARE
from ..statistics.resampling import known
from .corruptions import CORRUPTIONS, SEVERITIES
from .damaging import Robustness, damaged, predicted, stratified_faces, undamaged
from .kept import Replicate, read_arrays, whole_rows, write_arrays

__all__ = ["FILE", "LIMIT", "Damage", "load", "measure", "measured_rows", "pick_baseline", "save", "summarise"]

FILE = "robustness.npz"
LIMIT = 1000
CLEAR = 4.0
SUITE = 1
"""Version of the corruptions. Raise it when a severity changes; older measurements are then repeated."""
KEPT = {
    "ids": Array("i8", "n"),
    "labels": Array("i8", "n"),
    "subjects": Array("U", "n"),
    "clean": Array("u1", "n"),
    "predicted": Array("u1", f"C {len(SEVERITIES)} n"),
    "corruptions": Array("U", "C"),
}


Named = tuple[str, Sequence[Robustness]]


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One network (a row of a comparison) under the whole suite, means over its seeds."""

    name: str
    baseline: str
    corruptions: tuple[str, ...]
    n: int
    """Test faces."""
    seeds: int
    clean: Estimate
    """Accuracy on the faces as they are."""
    accuracy: tuple[tuple[Estimate, ...], ...]
    """`[corruption][severity - 1]`."""
    by_corruption: tuple[Estimate, ...]
    """Accuracy of each corruption over its five severities."""
    corrupted: Estimate
    """Accuracy over all corruptions and severities."""
    ce: tuple[Estimate, ...]
    """Corruption error relative to the baseline, of each corruption; 1 is the baseline's, lower is better."""
    mce: Estimate
    """Mean corruption error; 1 is the baseline's."""
    relative_mce: Estimate
    """Relative mean corruption error, over `relative_over`; nan if that is empty."""
    relative_over: tuple[str, ...]
    """The corruptions under which the baseline clearly loses accuracy."""


def load(run: Run) -> Robustness | None:
    """The complete measurement of a run; None if there is none, or if it is incomplete or of another version."""
    found = _read(run)
    return found if found and found.corruptions == tuple(CORRUPTIONS) else None


def _read(run: Run) -> Robustness | None:
    """The measurement so far, complete or not; corruptions are in order."""
    content = read_arrays(run.path / FILE, SUITE, KEPT, "mien robustness")
    if content is None:
        return None
    names = tuple(content.pop("corruptions").tolist())
    return Robustness(**content, corruptions=names)


def measure(run: Run, *, limit: int = LIMIT, report: Callable[[int], None] | None = None) -> Robustness:
    """Predict up to `limit` damaged test faces of a finished run, and keep it in its folder.

    Faces and damage are the same for all runs of one test part. Earlier measurements of these faces are read, not
    repeated. Every corruption is saved when it is done, so an interrupted measurement resumes there. `report` is called
    with the number of `STEPS` just finished. The run has opened this test part before, and nothing is chosen by it.
    Raises `RunError` for a run that is not finished, `DataError` if its store no longer exists.
    """
    test = run.logits("test")
    picked = stratified_faces(test.labels, limit)
    measured = _so_far(run, test.ids[picked])
    done = len(measured.corruptions) if measured else 0
    if report and done:
        report(done * len(SEVERITIES))
    if measured and done == len(CORRUPTIONS):
        return measured
    from ..methods import find_method

    trained, images = find_method(run.settings).load(run), run.fold().train.store.read(test.ids[picked])[FACE]
    measured = measured or undamaged(test, picked, predicted(trained, images))
    for grown in damaged(trained, images, measured, report):
        save(run, grown)
        measured = grown
    return measured


def _so_far(run: Run, ids: NDArray[np.int64]) -> Robustness | None:
    """The measurement of these faces, complete or not, if it can be continued."""
    saved = _read(run)
    if saved is None or not np.array_equal(saved.ids, ids):
        return None
    return saved if saved.corruptions == tuple(CORRUPTIONS)[: len(saved.corruptions)] else None


def save(run: Run, measured: Robustness) -> None:
    """Write `robustness.npz` into the run's folder."""
    write_arrays(run, FILE, SUITE, {key: getattr(measured, key) for key in KEPT})


def measured_rows(rows: Sequence[Row], damaged: list[str] | None = None) -> dict[str, dict[Replicate, Robustness]]:
    """What was measured of each row, by its name and replicate; see `kept.whole_rows`."""
    return whole_rows(rows, load, _pooled, damaged)


def pick_baseline(names: Sequence[str], wanted: str | None) -> str:
    """Name of the baseline, whose mCE is 1: the requested network, or the first. Raises `CompareError` if it is
    unknown.
    """
    if wanted is not None and wanted not in names:
        raise CompareError(f"There is no network {wanted!r} to be the baseline; there are: {'; '.join(names)}.")
    return wanted or names[0]


def _pooled(parts: Sequence[Robustness]) -> Robustness:
    columns = {
        key: np.concatenate([getattr(part, key) for part in parts], axis=-1)
        for key in ("ids", "labels", "subjects", "clean", "predicted")
    }
    return Robustness(**columns, corruptions=parts[0].corruptions)


def summarise(
    measured: Mapping[str, Mapping[Replicate, Robustness]],
    rng: np.random.Generator,
    baseline: str | None = None,
    level: float = 0.95,
) -> tuple[Damage, ...]:
    """Accuracy under each corruption and mCE of each network, over faces (by subject where known) and seeds.

    Args:
        measured: by network and replicate, all on the same faces; see `measured_rows`.
        rng: of the bootstrap; all networks see the same draws.
        baseline: the network whose mCE is 1; None takes the first.
        level: of the intervals.

    Raises:
        CompareError: the baseline is unknown, the networks share no replicate, or the faces differ.
    """
    if not measured:
        raise CompareError("Nothing was measured under damage yet. Run `mien robustness RUNS` first.")
    base = pick_baseline(list(measured), baseline)
    shared = sorted(set.intersection(*(set(runs) for runs in measured.values())))
    if not shared:
        raise CompareError("No seed was measured for all networks, so errors cannot be paired. Measure all runs.")
    paired = {name: [runs[replicate] for replicate in shared] for name, runs in measured.items()}
    _check_same(paired)
    state = int(rng.integers(2**63))
    clear = _clear_losses(paired[base], np.random.default_rng(state))
    return tuple(
        _damage((name, runs), (base, paired[base]), clear, np.random.default_rng(state), level)
        for name, runs in paired.items()
    )


def _clear_losses(runs: Sequence[Robustness], rng: np.random.Generator) -> NDArray[np.bool_]:
    """`(C,)`: which corruptions cost at least `CLEAR` standard errors in every run."""

    def losses(counts: NDArray[np.float32]) -> Floats:
        size = counts.sum(axis=1, dtype=np.float64)[:, None]
        errors = [counts @ run.wrong.astype(np.float32) / size for run in runs]
        means = [e[:, 1:].reshape(len(e), -1, len(SEVERITIES)).mean(axis=2) for e in errors]
        return np.concatenate([m - e[:, :1] for m, e in zip(means, errors, strict=True)], axis=1)[:, None]

    each = spreads(losses, len(runs[0].ids), rng, subjects=known(runs[0].subjects))
    clear = [loss.mean > CLEAR * np.sqrt(loss.faces) for loss in each]
    return np.asarray(np.array(clear).reshape(len(runs), -1).all(axis=0))


def _damage(own: Named, base: Named, clear: NDArray[np.bool_], rng: np.random.Generator, level: float) -> Damage:
    faces = base[1][0]
    n, kinds = len(faces.ids), len(faces.corruptions)
    figures = spreads(_figures(own[1], base[1], clear), n, rng, subjects=known(faces.subjects))
    cells = 1 + kinds * len(SEVERITIES)
    shares = [share(figure, n, level) for figure in figures[:cells]]
    accuracies = [mean(figure, level, SHARE) for figure in figures[cells : cells + kinds + 1]]
    ratios = [mean(figure, level, FROM_0) for figure in figures[cells + kinds + 1 : -1]]
    rows = np.arange(1, cells).reshape(kinds, -1)
    return Damage(
        name=own[0],
        baseline=base[0],
        corruptions=faces.corruptions,
        n=n,
        seeds=len(own[1]),
        clean=shares[0],
        accuracy=tuple(tuple(shares[cell] for cell in row) for row in rows),
        by_corruption=tuple(accuracies[:-1]),
        corrupted=accuracies[-1],
        ce=tuple(ratios[:-1]),
        mce=ratios[-1],
        relative_mce=mean(figures[-1], level),
        relative_over=tuple(np.array(faces.corruptions)[clear].tolist()),
    )


def _figures(own: Sequence[Robustness], base: Sequence[Robustness], clear: NDArray[np.bool_]) -> Statistic:
    """For each seed: accuracies (clean, each cell, each corruption, all), CE of each corruption, mCE, relative mCE."""
    pairs = [(f.wrong.astype(np.float32), b.wrong.astype(np.float32)) for f, b in zip(own, base, strict=True)]

    def figures(counts: NDArray[np.float32]) -> Floats:
        size = counts.sum(axis=1, dtype=np.float64)[:, None]
        return np.stack([_of_errors(counts @ f / size, counts @ b / size, clear) for f, b in pairs], axis=1)

    return figures


def _of_errors(own: Floats, base: Floats, clear: NDArray[np.bool_]) -> Floats:
    """The figures `(B, Q)` of the errors `(B, 1 + C·5)` of a network and of the baseline."""
    sums, base_sums = (e[:, 1:].reshape(len(e), -1, len(SEVERITIES)).sum(axis=2) for e in (own, base))
    ce = ratio(sums, base_sums)
    losses = sums - len(SEVERITIES) * own[:, :1], base_sums - len(SEVERITIES) * base[:, :1]
    relative = weighted(ratio(*losses), np.broadcast_to(clear.astype(np.int64), sums.shape))
    by_kind = 1 - sums / len(SEVERITIES)
    return np.column_stack([1 - own, by_kind, by_kind.mean(axis=1), ce, ce.mean(axis=1), relative])


def _check_same(paired: Mapping[str, Sequence[Robustness]]) -> None:
    """Raise `CompareError` unless all were measured on the same faces under the same suite."""
    everything = [(name, one) for name, runs in paired.items() for one in runs]
    first_name, first = everything[0]
    for name, one in everything[1:]:
        if one.corruptions != first.corruptions or not np.array_equal(one.ids, first.ids):
            raise CompareError(
                f"{first_name} and {name} were measured on other faces ({len(first.ids)}, {len(one.ids)}). "
                "Measure all runs with one --limit."
            )
