"""UF1, UAR and accuracy of predictions that were pooled over folds: of all, and of each corpus of a composite alone.

Leave-one-subject-out and leave-one-corpus-out test every clip once; a fold is a person or a corpus. Figures are those
of one confusion matrix over all folds (See et al. 2019, MEGC 2019: UF1 is the macro F1, UAR the mean recall). The mean
of each subject's own F1 is a different figure that some papers report under the same name. It is shown beside them, to
make the difference clear.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calibration import Floats
from ..metrics import SHARE, Predicted, metric, parts
from ..rows import Row
from ..runs import Logits
from ..statistics.estimates import Estimate, mean, spreads
from ..statistics.resampling import drawn_classes
from .certainty import known_subjects
from .select import predictions

__all__ = ["CORPUS", "KEYS", "Part", "PooledRow", "pooled_rows"]

PROTOCOLS = ("loso", "hde")
"""Protocols whose folds are people or corpora."""
CORPUS = "corpus"
"""The group that names the corpus of a clip in a composite."""
KEYS = ("macro_f1", "uar", "accuracy")
"""Metrics of a part; the first two are UF1 and UAR."""
DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Part:
    """One corpus of a composite, or all of them; figures are means over replicates."""

    name: str
    """Of the corpus; empty for all of them."""
    n: int
    """Clips."""
    subjects: int
    """0 where they are not known."""
    figures: dict[str, Estimate]
    """By `KEYS`, shares, with 95 % intervals over subjects (over clips where none are known) and seeds."""


@dataclass(frozen=True, kw_only=True)
class PooledRow:
    """One row."""

    row: Row
    parts: tuple[Part, ...]
    """All clips first; then each corpus, where there are several."""
    mean_of_subjects: float
    """Mean of each subject's own macro F1 over the classes in its labels, which is no figure of merit; nan if
    subjects are unknown.
    """


def pooled_rows(rows: Sequence[Row]) -> tuple[PooledRow, ...]:
    """The rows of runs with figures whose folds are people or corpora, in their order."""
    return tuple(_pooled(row) for row in rows if row.runs and row.scores and _protocol(row) in PROTOCOLS)


def _protocol(row: Row) -> str:
    return row.runs[0].settings.data.protocol


def _pooled(row: Row) -> PooledRow:
    tests = predictions(row)
    return PooledRow(row=row, parts=tuple(_parts(tests)), mean_of_subjects=_mean_of_subjects(tests))


def _parts(tests: Sequence[Logits]) -> Iterator[Part]:
    yield _part("", tests, np.ones(len(tests[0].labels), np.bool_))
    corpora = tests[0].groups.get(CORPUS, np.array([], np.str_))
    names = np.unique(corpora)
    if len(names) > 1:
        for name in names.tolist():
            yield _part(name, tests, corpora == name)


def _part(name: str, tests: Sequence[Logits], own: NDArray[np.bool_]) -> Part:
    runs = [Predicted(test.logits[own], test.labels[own]) for test in tests]
    known = known_subjects(tests[0])
    subjects = None if known is None else known[own]
    metrics = [metric(key) for key in KEYS]

    def figures(counts: NDArray[np.float32]) -> Floats:
        classes = [drawn_classes(run, counts) for run in runs]
        return np.stack([np.stack([one.function(each) for one in metrics], axis=-1) for each in classes], axis=1)

    found = spreads(figures, int(own.sum()), np.random.default_rng(0), subjects=subjects, draws=DRAWS)
    estimates = {one.key: mean(figure, bounds=SHARE) for one, figure in zip(metrics, found, strict=True)}
    people = 0 if subjects is None else len(np.unique(subjects))
    return Part(name=name, n=int(own.sum()), subjects=people, figures=estimates)


def _mean_of_subjects(tests: Sequence[Logits]) -> float:
    subjects = known_subjects(tests[0])
    if subjects is None:
        return float("nan")
    each = [one.macro_f1 for test in tests for one in parts(test.logits, test.labels, subjects).values()]
    return float(np.mean(each))
