"""The effect of uneven classes: each row as trained, and with the class frequencies of training removed from its
logits.

The adjustment needs no training and no choice (`mien.calibration.adjusted` with tau 1, Menon 2021), so it is shown for
every row that learnt the frequencies and whose logits are log odds; elsewhere it would correct twice, or mean nothing.
Both are judged on the same redrawn faces, so the difference is paired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..calibration import adjusted
from ..config import EnsembleSettings
from ..errors import RunError
from ..methods.ensemble import members_of
from ..rows import Replicate, Row, pooled
from ..runs import Logits, Run
from ..statistics import Interval, spread
from ..statistics.intervals import GAP
from ..statistics.resampling import units
from .paired import LEVEL
from .redrawn import redraw
from .select import predictions

__all__ = ["UNEVEN", "Change", "Imbalance", "imbalance", "is_plain", "unevenness"]

UNEVEN = 1.5
"""Classes count as uneven if the most frequent one has at least this many times the samples of the rarest."""
REDRAWN = ("accuracy", "uar")
PLAIN = {
    "kind": ("network",),
    "loss.name": ("cross-entropy", "focal"),
    "loss.class_weights": ("none",),
    "train.sampling": ("natural", "bootstrap"),
    "boosting.rounds": (1,),
}
"""Settings of rows whose logits are adjusted. Others took the frequencies out in training, or give votes or margins."""
VOTE = "vote"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A metric of one row, before and after, as means over its replicates; `after` is NaN if nothing was adjusted."""

    before: float
    after: float
    interval: Interval | None
    """Of the difference; None where the metric is not redrawn, or nothing was adjusted."""


@dataclass(frozen=True, kw_only=True)
class Imbalance:
    """One row: `changes` by metric, of `accuracy`, `uar` and `ece`."""

    name: str
    changes: Mapping[str, Change]


class AdjustedRow(Row):
    """A row with the log shares of the training classes subtracted from its logits."""

    @cached_property
    def tests(self) -> dict[Replicate, Logits]:
        """As `Row.tests`."""
        return {key: pooled([_adjusted(run) for run in runs]) for key, runs in self.replicates.items()}


def unevenness(row: Row) -> float:
    """Training samples of the most frequent class divided by those of the rarest; 1 if not known."""
    counts = [run.data.train_labels for run in row.runs]
    return max((max(seen) / max(min(seen), 1) for seen in counts if seen), default=1.0)


def imbalance(rows: Sequence[Row], subjects: NDArray[np.str_] | None) -> tuple[Imbalance, ...]:
    """The rows of uneven classes, tested on the same faces; empty where all classes are about equally frequent."""
    uneven = [row for row in rows if unevenness(row) >= UNEVEN and all(run.data.train_labels for run in row.runs)]
    return tuple(_changes(row, subjects) for row in uneven)


def is_plain(row: Row) -> bool:
    """Whether a row learnt the frequencies of the classes, and its logits are log odds.

    An ensemble counts if its members do and its rule joins probabilities.
    """
    return all(_is_plain(run) for run in row.runs)


def _is_plain(run: Run) -> bool:
    if isinstance(run.settings, EnsembleSettings):
        try:
            return run.settings.ensemble.rule != VOTE and all(map(_is_plain, members_of(run)))
        except RunError:
            return False  # a member is gone, and nobody knows what it learnt
    own = run.settings.flat() | {"kind": run.settings.KIND}
    return all(own.get(key, values[0]) in values for key, values in PLAIN.items())


def _changes(row: Row, subjects: NDArray[np.str_] | None) -> Imbalance:
    if not is_plain(row):
        before = {key: [getattr(score, key) for score in row.scores] for key in (*REDRAWN, "ece")}
        return Imbalance(
            name=row.name,
            changes={key: Change(before=float(np.mean(b)), after=np.nan, interval=None) for key, b in before.items()},
        )
    after = AdjustedRow(**{field.name: getattr(row, field.name) for field in fields(row)})
    first, second = redraw([row, after], subjects, REDRAWN)
    total = units(len(predictions(row)[0].labels), subjects)
    found: dict[str, Change] = {}
    for key in REDRAWN:
        difference = second.metrics[key] - first.metrics[key]
        found[key] = Change(
            before=float(first.metrics[key][0].mean()),
            after=float(second.metrics[key][0].mean()),
            interval=spread(difference[0], difference[1:], total).interval(LEVEL, GAP)
            if np.isfinite(difference[0]).all()
            else None,
        )
    ece = [float(np.mean([score.ece for score in one.scores])) for one in (row, after)]
    found["ece"] = Change(before=ece[0], after=ece[1], interval=None)
    return Imbalance(name=row.name, changes=found)


def _adjusted(run: Run) -> Logits:
    test = run.logits("test")
    return replace(test, logits=adjusted(test.logits, run.data.train_labels).astype(np.float32))
