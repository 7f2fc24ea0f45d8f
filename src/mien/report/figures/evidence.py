"""The data of the figures: the shown rows, each with its look and its saved logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...compare import Row
from ...judge.select import accuracy
from ...metrics import confusion_matrix
from ...runs import Logits, Run
from .sheet import Look, looks

__all__ = ["Shown", "looked"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A row with its look."""

    row: Row
    look: Look

    @property
    def name(self) -> str:
        """The row's name."""
        return self.row.name

    @property
    def first(self) -> Run:
        """Its run of the lowest seed, which represents the row if only one run can be shown."""
        return self.row.runs[0]

    @property
    def tests(self) -> tuple[Logits, ...]:
        """Test logits, one a replicate (seed, or repetition of a cross-validation)."""
        return tuple(self.row.tests.values())

    @cached_property
    def confusions(self) -> list[NDArray[np.int64]]:
        """`(K, K)` counts of each replicate; rows are labels."""
        return [confusion_matrix(t.labels, t.logits.argmax(axis=1), t.logits.shape[1]) for t in self.tests]

    @property
    def confusion(self) -> NDArray[np.int64]:
        """`(K, K)` counts over all replicates; rows are labels."""
        total: NDArray[np.int64] = np.stack(self.confusions).sum(axis=0)
        return total

    @property
    def accuracy(self) -> float:
        """Mean over replicates."""
        return accuracy(self.row)


def looked(every: Sequence[Row], rows: Sequence[Row]) -> list[Shown]:
    """`rows` with their looks, which are given over `every` row, so that they do not change as a grid grows."""
    found = looks([(row.network, float(row.factors.get("model.dropout", 0.0))) for row in every])
    by_name = {row.name: look for row, look in zip(every, found, strict=True)}
    return [Shown(row=row, look=by_name[row.name]) for row in rows]
