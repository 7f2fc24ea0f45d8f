r"""Wrong labels: their number, the doubtful ones, their cost, and the agreement of networks with annotators' votes.

Four questions, each answered from saved logits.

- `find_issues`: confident learning (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068; the cleanlab package) takes
  probabilities of faces that were not trained on and estimates how many labels are wrong and which. It is only as good
  as the network: at an accuracy of 60 % it reports many correct labels as wrong. Look at the gallery.
- `noise_curves`: accuracy against the share of training labels that were replaced (`data.label_noise`).
- `agreement`: a network against the distribution of votes \(q\) (FER+). With \(\hat y\) its answer, p its
  probabilities: majority accuracy \([q_{\hat y} = \max q]\), mass \(q_{\hat y}\), cross-entropy
  \(-\sum q \log p\), and the divergence \(KL(q\|p) = -\sum q \log p - H(q)\), in nats.
"""

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats, log_softmax, softmax
from ..compare import Row
from ..errors import CompareError, MissingExtra
from ..runs import Logits, Run
from ..statistics import GAP, SHARE, Interval, Spread, holm
from ..statistics.estimates import Estimate, Statistic, mean, one_spread, share, spreads
from ..statistics.intervals import FROM_0
from ..statistics.resampling import known, replicate, units
from ..statistics.tests import paired_spread
from .tested import Tested

__all__ = [
    "Agreement",
    "LabelIssues",
    "NoisePoint",
    "OutOfSample",
    "agreement",
    "agreements",
    "find_issues",
    "noise_curves",
    "out_of_sample",
]

ISSUE_DRAWS = 200
TRUSTED = 0.65
"""The lowest agreement with the labels at which labels are judged. Even if every label is right, calibrated networks
consider 17 % wrong at an agreement of 66 %, 31 % at 55 %, and 9 % at 75 % (`tests/test_labelnoise.py`).
"""
NOISE = "data.label_noise"


@dataclass(frozen=True, kw_only=True)
class OutOfSample:
    """Probabilities of faces by runs that were not trained on them."""

    ids: NDArray[np.int64]
    """`(n,)` rows of the store, ascending."""
    labels: NDArray[np.int64]
    """`(n,)`."""
    probs: Floats
    """`(n, K)`, mean over all runs that had the face in valid or test."""
    subjects: NDArray[np.str_]
    """`(n,)`; empty texts where unknown."""
    classes: tuple[str, ...]
    runs: tuple[str, ...]
    """Ids of these runs."""


@dataclass(frozen=True, kw_only=True)
class LabelIssues:
    """Labels that confident learning takes to be wrong; arrays `(m,)`, the most doubtful label first."""

    ids: NDArray[np.int64]
    given: NDArray[np.int64]
    """The corpus's label."""
    suggested: NDArray[np.int64]
    """The class that the networks find likeliest."""
    given_probability: Floats
    suggested_probability: Floats
    n: int
    """Number of examined faces."""
    classes: tuple[str, ...]
    share: Estimate
    """Estimated share of wrong labels. The interval is over faces (subjects): it covers these networks' estimate for
    all faces. That is the true share only if the networks hardly err (`docs/protocols.md`).
    """
    joint: Floats
    """`(K, K)`, sums to 1: row is the given label, column the estimated true one."""
    joint_low: Floats
    """`(K, K)`, the lower end of each cell's interval, computed like that of `share`."""
    joint_high: Floats
    accuracy: float
    """Accuracy of these probabilities against the given labels: the quality of the estimate depends on it."""
    runs: tuple[str, ...]
    single: tuple[str, ...] = ()
    """Classes with one face, whose label is not doubted."""

    @property
    def weak(self) -> bool:
        """Whether the networks agree with too few labels to judge them. Most doubts are then mistakes of the
        networks.
        """
        return self.accuracy < TRUSTED


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """One network against annotators' votes, over faces (subjects) and seeds."""

    name: str
    n: int
    seeds: int
    majority: Estimate
    """Share of predictions for which no other class has more votes; ties count as right."""
    mass: Estimate
    """Mean share of votes for the network's answer."""
    ceiling: Estimate
    """Mean share of votes for the class with the most votes: the upper limit of `mass`."""
    cross_entropy: Estimate
    divergence: Estimate
    entropy: Estimate
    """Entropy of the votes: the lower limit of the cross-entropy."""


@dataclass(frozen=True, kw_only=True)
class NoisePoint:
    """One network trained with one share of replaced labels; the test labels are the corpus's own."""

    name: str
    """Of the row."""
    curve: str
    """Name of the network with its other factors; the points of one curve share it."""
    noise: float
    metric: str
    spread: Spread
    interval: Interval
    drop: Spread | None
    """The metric minus that without noise, paired by seed; None for the point without noise."""
    drop_interval: Interval | None
    p_corrected: float
    """Of the drop, Holm over all points of all curves; nan where there is none."""
    train_accuracy: Floats
    """`(E,)` accuracy on the noisy training labels by epoch, mean over seeds."""
    valid_accuracy: Floats
    """`(E,)` accuracy on valid, whose labels are the corpus's own."""


def out_of_sample(runs: Sequence[Run]) -> OutOfSample:
    """Valid and test of finished runs of one store, each face averaged over the runs that did not train on it.

    For a holdout these are the faces outside train; for a cross-validation, all. Runs with injected noise are left out
    if there are others. Raises `CompareError` if runs have different data, or none is finished.
    """
    finished = [run for run in runs if run.finished and not run.settings.JOINS]  # members speak for themselves
    done = [run for run in finished if not run.settings.data.label_noise] or finished
    if not done:
        raise CompareError("No run is finished, so there are no probabilities to doubt labels by.")
    if len({run.data.fingerprint for run in done}) > 1:
        raise CompareError("The runs are of different data. Give the runs of one store at a time.")
    parts = [run.logits(part) for run in done for part in ("valid", "test")]
    ids, first, index = np.unique(np.concatenate([p.ids for p in parts]), return_index=True, return_inverse=True)
    probs = np.zeros((len(ids), len(done[0].data.labels)))
    np.add.at(probs, index, np.concatenate([softmax(p.logits) for p in parts]))
    return OutOfSample(
        ids=ids,
        labels=np.concatenate([p.labels for p in parts])[first],
        probs=probs / np.bincount(index)[:, None],
        subjects=np.concatenate([p.subjects for p in parts])[first],
        classes=done[0].data.labels,
        runs=tuple(run.id for run in done),
    )


def find_issues(seen: OutOfSample, rng: np.random.Generator, level: float = 0.95) -> LabelIssues:
    """The labels that are probably wrong by confident learning, and the estimate of their share. The label of a class
    with one face is not doubted; `single` names such classes.

    Raises `MissingExtra` without cleanlab, `CompareError` if a class has no face or too few to be redrawn.
    """
    try:
        from cleanlab.count import estimate_joint
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise MissingExtra("Finding wrong labels", "report") from None
    if len(np.unique(seen.labels)) < len(seen.classes):
        raise CompareError("A class has no face outside the training part, so its labels cannot be doubted.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "May not flag all label issues")  # of a class with one face: `single` says so
        order = find_label_issues(seen.labels, seen.probs, return_indices_ranked_by="self_confidence", n_jobs=1)
    suggested = seen.probs.argmax(axis=1)
    order = order[suggested[order] != seen.labels[order]]
    joint = np.asarray(estimate_joint(seen.labels, seen.probs))
    redrawn, n = _redrawn_joints(seen, rng), len(seen.ids)
    drawn_units = units(n, known(seen.subjects))

    def shared(value: float, draws: Floats) -> Estimate:
        return share(one_spread(np.array([value]), draws[:, None], drawn_units), n, level)

    cells = [
        shared(value, draws) for value, draws in zip(joint.ravel(), redrawn.reshape(len(redrawn), -1).T, strict=True)
    ]
    return LabelIssues(
        ids=seen.ids[order],
        given=seen.labels[order],
        suggested=suggested[order],
        given_probability=seen.probs[order, seen.labels[order]],
        suggested_probability=seen.probs[order, suggested[order]],
        n=n,
        classes=seen.classes,
        share=shared(1 - float(np.trace(joint)), 1 - np.trace(redrawn, axis1=1, axis2=2)),
        joint=joint,
        joint_low=np.reshape([cell.interval.low for cell in cells], joint.shape),
        joint_high=np.reshape([cell.interval.high for cell in cells], joint.shape),
        accuracy=float((suggested == seen.labels).mean()),
        runs=seen.runs,
        single=tuple(np.array(seen.classes)[np.bincount(seen.labels) == 1].tolist()),
    )


def _redrawn_joints(seen: OutOfSample, rng: np.random.Generator) -> Floats:
    """The joint `(B, K, K)` over redrawn faces, or subjects where all are known."""
    from cleanlab.count import estimate_joint

    index = (
        np.unique(seen.subjects, return_inverse=True)[1] if (seen.subjects != "").all() else np.arange(len(seen.ids))
    )
    members = np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1])
    drawn = []
    for _ in range(ISSUE_DRAWS):
        rows = np.concatenate([members[unit] for unit in rng.integers(len(members), size=len(members))])
        if len(np.unique(seen.labels[rows])) == len(seen.classes):
            drawn.append(np.asarray(estimate_joint(seen.labels[rows], seen.probs[rows])))
    if not drawn:
        raise CompareError(
            "Some classes have so few faces outside the training part that their labels cannot be doubted."
        )
    return np.stack(drawn)


def agreements(rows: Sequence[Tested], rng: np.random.Generator) -> tuple[Agreement, ...]:
    """`agreement` for each row that was tested on faces with votes, all on the same draws."""
    state = int(rng.integers(2**63))
    return tuple(
        agreement(row.name, row.tests, row.votes, np.random.default_rng(state)) for row in rows if row.votes is not None
    )


def agreement(name: str, tests: Sequence[Logits], votes: Floats, rng: np.random.Generator) -> Agreement:
    """A network against the votes.

    Args:
        name: of the network.
        tests: its logits on test, one a seed, all of the same samples.
        votes: `(n, K)` shares of the votes for each class, of these samples; those with 0s alone are left out.
        rng: of the bootstrap.

    Raises:
        CompareError: the samples differ between seeds.
    """
    first = tests[0]
    if any(not np.array_equal(first.ids, test.ids) for test in tests):
        raise CompareError(f"The seeds of {name} were tested on different samples, so votes cannot be averaged.")
    seen = votes.sum(axis=1) > 0
    n, each = int(seen.sum()), [_against(test, votes)[seen] for test in tests]
    majority, *others = spreads(_mean_of(each), n, rng, subjects=known(first.subjects[seen]))
    mass, ceiling = (mean(figure, bounds=SHARE) for figure in others[:2])
    cross_entropy, divergence, entropy = (mean(figure, bounds=FROM_0) for figure in others[2:])
    return Agreement(
        name=name,
        n=n,
        seeds=len(tests),
        majority=share(majority, n),
        mass=mass,
        ceiling=ceiling,
        cross_entropy=cross_entropy,
        divergence=divergence,
        entropy=entropy,
    )


def _against(test: Logits, votes: Floats) -> Floats:
    """`(N, 6)` values of each face: majority, mass, ceiling, cross-entropy, divergence, entropy."""
    mass = votes[np.arange(len(votes)), test.logits.argmax(axis=1)]
    most = votes.max(axis=1)
    cross = -(votes * log_softmax(test.logits)).sum(axis=1)
    entropy = -(votes * np.log(np.where(votes > 0, votes, 1))).sum(axis=1)
    return np.column_stack([mass >= most, mass, most, cross, cross - entropy, entropy])


def _mean_of(each: Sequence[Floats]) -> Statistic:
    """Means over redrawn faces, from the values of each face, `(N, Q)` for each seed."""

    def figures(counts: NDArray[np.float32]) -> Floats:
        weights = counts.astype(np.float64)
        size = weights.sum(axis=1, keepdims=True)
        return np.stack([weights @ values / size for values in each], axis=1)

    return figures


def noise_curves(
    rows: Sequence[Row], rng: np.random.Generator, metric: str = "accuracy", level: float = 0.95
) -> tuple[NoisePoint, ...]:
    """The rows of a grid over `data.label_noise` as curves, point by point, each with its drop against no noise.

    Empty where no row varies the noise. Seeds that a point and the one without noise share are paired.
    """
    curves: dict[str, dict[float, Row]] = {}
    for row in rows:
        if NOISE in row.factors and row.tests:
            others = {key: value for key, value in row.factors.items() if key != NOISE}
            curves.setdefault(replace(row, factors=others).name, {})[float(row.factors[NOISE])] = row
    points = [
        _point(curve, noise, by_noise, metric, rng, level)
        for curve, by_noise in curves.items()
        for noise in sorted(by_noise)
    ]
    corrected = holm([point.drop.p for point in points if point.drop])
    after = itertools.chain(corrected.tolist())
    return tuple(replace(point, p_corrected=next(after)) if point.drop else point for point in points)


def _point(
    curve: str, noise: float, rows: Mapping[float, Row], metric: str, rng: np.random.Generator, level: float
) -> NoisePoint:
    row = rows[noise]
    tests = list(row.tests.values())
    subjects = known(tests[0].subjects)
    labels, logits = tests[0].labels, np.stack([test.logits for test in tests])

    def statistic(counts: NDArray[np.float32]) -> Floats:
        return replicate(logits, labels, metric, counts)[:, :, None]

    spread = spreads(statistic, len(labels), rng, subjects=subjects)[0]
    shared = [key for key in row.tests if 0.0 in rows and key in rows[0.0].tests] if noise else []
    drop = None
    if shared:
        pairs = [np.stack([one.tests[key].logits for key in shared]) for one in (row, rows[0.0])]
        drop = paired_spread(pairs[0], pairs[1], labels, metric, rng, subjects=subjects)[0]
    histories = [run.history for run in row.runs]
    epochs = min(len(history) for history in histories)
    return NoisePoint(
        name=row.name,
        curve=curve,
        noise=noise,
        metric=metric,
        spread=spread,
        interval=spread.interval(level, SHARE),
        drop=drop,
        drop_interval=drop.interval(level, GAP) if drop else None,
        p_corrected=float("nan"),
        train_accuracy=np.mean([[e.train_accuracy for e in h[:epochs]] for h in histories], axis=0),
        valid_accuracy=np.mean([[e.valid_accuracy for e in h[:epochs]] for h in histories], axis=0),
    )
