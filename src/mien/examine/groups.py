r"""Accuracy, UAR and recalls of groups of people, and the gap between each group and all other faces.

In: rows tested on faces that carry attributes (drawn faces: skin, glasses, age lines, pose; corpora: what they
annotate), on their own corpus or on another. Out: one `Groups` for each row. Each gap has its interval, its number of
faces, and a p that is corrected (Holm) for all gaps of all rows together. The gap of a group is its figure minus that
of all other faces whose attribute is known. Intervals and p are from the bootstrap over faces (whole subjects, where
every subject is known) and over seeds, with t; the bootstrap underestimates the variance of a small group that is
nearly all right, so the missing part is added (`statistics.estimates`). A gap in accuracy may come from a different mix
of expressions in the group. A gap in UAR does not, as it is taken over the classes that both sides have.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats, wilson
from ..errors import CompareError
from ..metrics import ratio, weighted
from ..runs import Logits
from ..statistics import GAP, SHARE, Interval, Spread, holm
from ..statistics.estimates import Estimate, Statistic, hidden_variance, mean, share, spreads, with_hidden
from ..statistics.resampling import Units, known, units
from ..words import p_words
from .tested import Tested

__all__ = ["MIN_FACES", "MIN_SUBJECTS", "BySubject", "Gap", "Group", "Groups", "by_group", "by_groups", "mirror"]

MIN_FACES = 30
"""A group is named but not judged if it, or the rest, has fewer faces than this."""
MIN_SUBJECTS = 5
"""The same limit for subjects, if they are known: one subject is not a group."""

Bools = NDArray[np.bool_]
Metric = Literal["accuracy", "uar"]
METRICS: tuple[Metric, ...] = get_args(Metric)


@dataclass(frozen=True, kw_only=True)
class Group:
    """One level of one attribute; figures are means over seeds."""

    attribute: str
    level: str
    n: int
    """Test faces."""
    subjects: int
    """Number of their subjects; 0 if not all are known."""
    accuracy: Estimate
    uar: Estimate
    recall: tuple[Estimate, ...]
    """Recall of each class; nan for one that the group lacks."""
    support: tuple[int, ...]
    """Faces of each class."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The figure of a group minus that of the rest."""

    attribute: str
    level: str
    metric: Metric
    n: int
    """Faces in the group."""
    rest: int
    """Faces in the rest."""
    spread: Spread
    interval: Interval
    """95 % interval of the gap, not corrected for the number of gaps."""
    p: float
    """Two-sided, of this gap alone."""
    p_corrected: float
    """After Holm over all gaps tested together."""
    tests: int
    """The number of these gaps; an attribute with two levels is one test."""

    @property
    def value(self) -> float:
        """The gap, a share of 1: below 0, the group is worse off."""
        return self.spread.mean

    @property
    def sentence(self) -> str:
        """The gap in words and numbers."""
        low, high = 100 * self.interval.low, 100 * self.interval.high
        significant = self.p_corrected < 1 - self.interval.level
        way = ("worse" if self.value < 0 else "better") if significant else "not told apart"
        p = p_words(self.p_corrected)
        return (
            f"{self.attribute} {self.level}: {way}; {self.metric} {100 * self.value:+.1f} points against the rest "
            f"({self.interval.level:.0%} interval {low:+.1f} to {high:+.1f}; corrected p {p}, {self.tests} gaps; "
            f"{self.n:,} and {self.rest:,} faces)"
        )


@dataclass(frozen=True, kw_only=True)
class BySubject:
    """Accuracy of every known subject, lowest first; arrays `(P,)`. It shows the range and tests no gaps."""

    subject: NDArray[np.str_]
    n: NDArray[np.int64]
    accuracy: Floats
    low: Floats
    """Wilson's 95 % interval over the subject's faces."""
    high: Floats


@dataclass(frozen=True, kw_only=True)
class Groups:
    """All groups of one network."""

    name: str
    n: int
    seeds: int
    classes: tuple[str, ...]
    groups: tuple[Group, ...]
    """By attribute and level."""
    gaps: tuple[Gap, ...]
    """Two gaps for each group: accuracy and UAR."""
    left_out: tuple[str, ...]
    """Levels that are too small to judge, with their numbers, in words."""
    subjects: BySubject | None
    """None where subjects are not known."""


@dataclass(frozen=True, kw_only=True)
class _Level:
    """A level to judge: the faces in it, and those of the rest; `(N,)`."""

    attribute: str
    level: str
    inside: Bools
    rest: Bools


@dataclass(frozen=True, kw_only=True)
class _Faces:
    """The test faces of one network, and which seeds got them right."""

    test: Logits
    right: NDArray[np.float32]
    """`(S, N)`."""
    subjects: NDArray[np.str_] | None
    """None unless all are known."""

    def people(self, mask: Bools) -> int:
        """Subjects among these faces; 0 where not known."""
        return 0 if self.subjects is None else len(np.unique(self.subjects[mask]))

    def units(self, mask: Bools) -> Units:
        """The independent units among these faces."""
        return units(int(mask.sum()), None if self.subjects is None else self.subjects[mask])

    def by_class(self, mask: Bools, among: Bools) -> list[Bools]:
        """These faces split by the classes that `among` has too."""
        labels = self.test.labels
        return [mask & (labels == label) for label in np.intersect1d(labels[mask], labels[among])]

    def hidden(self, masks: Sequence[Bools]) -> float:
        """The part of the variance that the bootstrap misses, for the mean of these masks' accuracies."""
        each = [hidden_variance(self.right[:, mask].mean(), self.units(mask).count) for mask in masks]
        return float(sum(each) / max(len(each), 1) ** 2)


def by_groups(rows: Sequence[Tested], rng: np.random.Generator, **options: int) -> tuple[Groups, ...]:
    """`by_group` for each row, all of one corpus, whose test samples carry attributes or subjects.

    All gaps of all rows are corrected together. Options are those of `by_group`. Empty where nothing is known.
    """
    state = int(rng.integers(2**63))
    found = [by_group(row.name, row.tests, row.classes, np.random.default_rng(state), **options) for row in rows]
    return _corrected([groups for groups in found if groups.groups or groups.subjects or groups.left_out])


def by_group(
    name: str,
    tests: Sequence[Logits],
    classes: tuple[str, ...],
    rng: np.random.Generator,
    *,
    draws: int = 2000,
) -> Groups:
    """Figures and gaps of every group of one network.

    Args:
        name: of the network.
        tests: its logits on test, one a seed, all of the same samples.
        classes: names of the classes.
        rng: of the bootstrap.
        draws: of the bootstrap.

    Raises:
        CompareError: the samples differ between seeds.
    """
    first = tests[0]
    if any(not np.array_equal(first.ids, other.ids) for other in tests):
        raise CompareError(f"The seeds of {name} were tested on different samples, so groups cannot be compared.")
    faces = _Faces(
        test=first,
        right=np.stack([test.logits.argmax(axis=1) == test.labels for test in tests]).astype(np.float32),
        subjects=known(first.subjects),
    )
    levels, left_out = _levels(faces)
    size = 4 + len(classes)
    figures: list[Spread] = []
    if levels:
        statistic = _statistic(faces, levels, len(classes))
        figures = spreads(statistic, len(first.ids), rng, subjects=faces.subjects, draws=draws)
    own = [(level, figures[size * i : size * (i + 1)]) for i, level in enumerate(levels)]
    one = Groups(
        name=name,
        n=len(first.ids),
        seeds=len(tests),
        classes=classes,
        groups=tuple(_group(faces, level, row[:-2]) for level, row in own),
        gaps=tuple(
            _gap(faces, level, metric, figure)
            for level, row in own
            for metric, figure in zip(METRICS, row[-2:], strict=True)
        ),
        left_out=left_out,
        subjects=_by_subject(faces),
    )
    return _corrected([one])[0]


def _levels(faces: _Faces) -> tuple[list[_Level], tuple[str, ...]]:
    """The levels large enough to judge, and the others in words; an empty text means not known."""
    found, small = [], []
    for attribute, column in faces.test.groups.items():
        known = column != ""
        for level in sorted(set(column[known].tolist()), key=_natural):
            inside = column == level
            rest = known & ~inside
            people = [faces.people(side) for side in (inside, rest)]
            few = faces.subjects is not None and min(people) < MIN_SUBJECTS
            if few or min(inside.sum(), rest.sum()) < MIN_FACES:
                who = f" of {people[0]} subjects" if people[0] else ""
                small.append(f"{attribute} {level}: {inside.sum()} faces{who}, {rest.sum()} in the rest")
            else:
                found.append(_Level(attribute=attribute, level=level, inside=inside, rest=rest))
    return found, tuple(small)


def _statistic(faces: _Faces, levels: Sequence[_Level], k: int) -> Statistic:
    """For each level: accuracy, UAR, K recalls, and the gaps of accuracy and UAR to the rest."""
    labels = faces.test.labels
    masks = [mask for level in levels for mask in (level.inside, level.rest)]
    cells = np.zeros((len(labels), len(masks), k), np.float32)
    for index, mask in enumerate(masks):
        cells[mask, index, labels[mask]] = 1
    support = cells.reshape(len(labels), -1)
    correct = [support * right[:, None] for right in faces.right]

    def figures(counts: NDArray[np.float32]) -> Floats:
        n, *each = ((counts @ c).astype(np.float64).reshape(len(counts), -1, 2, k) for c in (support, *correct))
        return np.stack([_of_counts(hits, n) for hits in each], axis=1)

    return figures


def _of_counts(hits: Floats, n: Floats) -> Floats:
    """The figures `(B, G·(4 + K))` of right faces and of faces, both `(B, G, 2, K)`: in the group, in the rest."""
    accuracy, recall, present = ratio(hits.sum(-1), n.sum(-1)), ratio(hits, n), (n > 0).astype(np.int64)
    uar = weighted(recall, present)
    gap = weighted(recall[:, :, 0] - recall[:, :, 1], present.prod(axis=2))
    figures = [accuracy[..., 0], uar[..., 0], *np.moveaxis(recall[:, :, 0], -1, 0)]
    table = np.stack([*figures, accuracy[..., 0] - accuracy[..., 1], gap], axis=-1)
    return table.reshape(len(table), -1)


def _group(faces: _Faces, level: _Level, figures: Sequence[Spread]) -> Group:
    accuracy, uar, *recalls = figures
    inside, labels = level.inside, faces.test.labels
    of_class = [inside & (labels == label) for label in range(len(recalls))]

    def shared(figure: Spread, mask: Bools) -> Estimate:
        return share(replace(figure, units=faces.units(mask)), int(mask.sum()))

    return Group(
        attribute=level.attribute,
        level=level.level,
        n=int(inside.sum()),
        subjects=faces.people(inside),
        accuracy=shared(accuracy, inside),
        uar=mean(with_hidden(uar, faces.hidden(faces.by_class(inside, inside)), faces.units(inside)), bounds=SHARE),
        recall=tuple(shared(figure, mask) for figure, mask in zip(recalls, of_class, strict=True)),
        support=tuple(int(mask.sum()) for mask in of_class),
    )


def _gap(faces: _Faces, level: _Level, metric: Metric, figure: Spread) -> Gap:
    sides = (level.inside, level.rest), (level.rest, level.inside)
    masks = [faces.by_class(*side) if metric == "uar" else [side[0]] for side in sides]
    fewer = min(faces.units(level.inside), faces.units(level.rest), key=lambda units: units.count)
    spread = with_hidden(figure, sum(faces.hidden(of_side) for of_side in masks), fewer)
    return Gap(
        attribute=level.attribute,
        level=level.level,
        metric=metric,
        n=int(level.inside.sum()),
        rest=int(level.rest.sum()),
        spread=spread,
        interval=spread.interval(bounds=GAP),
        p=spread.p,
        p_corrected=spread.p,
        tests=1,
    )


def _corrected(rows: Sequence[Groups]) -> tuple[Groups, ...]:
    """Holm over all gaps of all rows. A gap and its mirror image count as one test."""
    keys = {
        (row, gap): (row, gap.attribute, gap.metric, min(gap.level, mirror(gap, groups)))
        for row, groups in enumerate(rows)
        for gap in groups.gaps
    }
    p: dict[object, float] = {}
    for (_, gap), key in keys.items():
        if np.isfinite(gap.p):
            p.setdefault(key, gap.p)
    corrected = dict(zip(p, holm(list(p.values())).tolist(), strict=True))

    def with_corrected_p(row: int, gap: Gap) -> Gap:
        return replace(gap, p_corrected=corrected.get(keys[row, gap], np.nan), tests=len(p))

    return tuple(
        replace(groups, gaps=tuple(with_corrected_p(row, gap) for gap in groups.gaps))
        for row, groups in enumerate(rows)
    )


def mirror(gap: Gap, groups: Groups) -> str:
    """The level that makes up the whole rest of this gap, if there is one; otherwise the gap's own level."""
    others = (g.level for g in groups.groups if g.attribute == gap.attribute and g.level != gap.level)
    sizes = {g.level: g.n for g in groups.groups if g.attribute == gap.attribute}
    return next((level for level in others if sizes[level] == gap.rest), gap.level)


def _by_subject(faces: _Faces) -> BySubject | None:
    names = faces.test.subjects
    known = names != ""
    if not known.any():
        return None
    subject, index = np.unique(names[known], return_inverse=True)
    n = np.bincount(index)
    accuracy = np.bincount(index, faces.right.mean(axis=0)[known]) / n
    low, high = wilson(accuracy * n, n)
    order = np.argsort(accuracy, kind="stable")
    return BySubject(subject=subject[order], n=n[order], accuracy=accuracy[order], low=low[order], high=high[order])


def _natural(level: str) -> tuple[int, str]:
    """Numbers in their order, then words."""
    return (int(level), "") if level.isdigit() else (10**9, level)
