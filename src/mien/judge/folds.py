r"""Two rows over the folds of a cross-validation: the corrected resampled t-test (Nadeau & Bengio 2003).

Folds share training faces, so their differences are not independent, and the plain t-test is far too sure. The
corrected one takes the variance of the mean of J differences as \((1/J + n_\mathrm{test}/n_\mathrm{train})\,s^2\);
repetitions count as further folds (Bouckaert & Frank 2004), seeds on one fold are averaged first. It tests whether
*newly trained* networks would differ, which the pooled predictions of one cross-validation cannot show.

Leave-one-subject-out has no such test: a fold is one person, often without every class. There the pooled
predictions are compared, whole subjects redrawn.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..calibration import Floats
from ..compare import Row
from ..metrics import METRICS, Scores, scores
from ..rows import Replicate
from ..statistics import Interval, corrected_resampled_t
from ..statistics.power import smallest
from .replicates import Block, standing_for

__all__ = ["FoldTest", "Folds", "RowFolds", "fold_test", "resampled"]

MOST_REPEATS = 100


@dataclass(frozen=True, kw_only=True)
class Folds:
    """One row's scores of each fold, `(J,)` by metric, in the order of (repetition, fold); means over seeds."""

    scores: Mapping[str, Floats]
    keys: tuple[tuple[int, int], ...]
    """(repetition, fold) of each."""
    train: float
    """Mean number of training faces of a fold."""
    test: float
    """Mean number of test faces of a fold."""


@dataclass(frozen=True, kw_only=True)
class FoldTest:
    """The test of one pair; a difference is first minus second."""

    effect: float
    interval: Interval
    t: float
    p: float
    folds: int
    """J, all repetitions together."""
    repeats_needed: int | None
    """Repetitions of the cross-validation needed to detect a difference as large as this; None if 100 do not
    suffice.
    """


def resampled(row: Row) -> bool:
    """Whether the row comes from a cross-validation to which this test applies."""
    return row.folds > 1 and row.runs[0].settings.data.protocol in ("kfold", "group-kfold")


@dataclass(frozen=True, kw_only=True)
class RowFolds:
    """The scores of every fold of a row, computed once for all of its pairs."""

    row: Row
    scores: Mapping[tuple[Replicate, int], Scores]
    """By replicate and fold."""
    sizes: tuple[float, float]
    """Mean numbers of training and of test faces of a fold."""

    @classmethod
    def of(cls, row: Row) -> "RowFolds":
        """The scores of the row's complete replicates."""
        found, sizes = {}, []
        for replicate, runs in row.replicates.items():
            for run in runs:
                test = run.logits("test")
                found[replicate, run.settings.data.fold] = scores(test.logits, test.labels)
                sizes.append((run.data.counts["train"], len(test.labels)))
        train, tested = np.mean(sizes, axis=0).tolist()
        return cls(row=row, scores=found, sizes=(train, tested))

    def over(self, blocks: Iterable[Block]) -> Folds:
        """The folds of the replicates that are compared at these blocks of seeds, seeds of one fold averaged."""
        own = {key for block in blocks for key in standing_for(self.row, block)}
        found: dict[tuple[int, int], list[Scores]] = defaultdict(list)
        for (replicate, fold), seen in self.scores.items():
            if replicate in own:
                found[replicate[1], fold].append(seen)
        folds = tuple(sorted(found))
        return Folds(
            scores={
                one.key: np.array([np.mean([seen.values[one.key] for seen in found[fold]]) for fold in folds])
                for one in METRICS
            },
            keys=folds,
            train=self.sizes[0],
            test=self.sizes[1],
        )


def fold_test(a: Folds, b: Folds, metric: str, *, pairs: int = 1, level: float = 0.95) -> FoldTest | None:
    """Compare two rows by a metric; `pairs` is the number of tests that share the level when planning.

    None if the folds differ, are fewer than two, or have an undefined score.
    """
    if a.keys != b.keys or len(a.keys) < 2:
        return None
    differences = a.scores[metric] - b.scores[metric]
    if not np.isfinite(differences).all():
        return None
    count, ratio = len(differences), a.test / a.train
    t, p = corrected_resampled_t(differences, round(a.train), round(a.test))
    deviation, effect = float(differences.std(ddof=1)), float(differences.mean())
    half = float(stats.t.ppf((1 + level) / 2, count - 1)) * math.sqrt(1 / count + ratio) * deviation
    method = f"corrected resampled t over {count} folds"
    return FoldTest(
        effect=effect,
        interval=Interval(low=effect - half, high=effect + half, level=level, method=method),
        t=t,
        p=p,
        folds=count,
        repeats_needed=_repeats(effect, deviation, ratio, len({fold for _, fold in a.keys}), (1 - level) / pairs),
    )


def _repeats(effect: float, deviation: float, ratio: float, folds: int, alpha: float, power: float = 0.8) -> int | None:
    if effect == 0 or deviation == 0:
        return None

    def enough(repeats: int) -> bool:
        count = repeats * folds
        shift = abs(effect) / deviation / math.sqrt(1 / count + ratio)
        return bool(stats.nct.sf(stats.t.isf(alpha / 2, count - 1), count - 1, shift) >= power)

    return smallest(enough, 1, MOST_REPEATS)
