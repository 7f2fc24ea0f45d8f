"""The difference of two rows, or the mean difference of several pairs, with its verdict: paired by seed and by face."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..calibration import Floats
from ..statistics import Verdict, mcnemar, spread
from ..statistics.resampling import Units
from ..statistics.tests import McNemar
from ..statistics.verdicts import right, verdict_of
from .folds import Folds, FoldTest, fold_test
from .redrawn import Redrawn
from .replicates import Block, standing_for

__all__ = ["LEVEL", "Paired", "Two"]

LEVEL = 0.95
Two = tuple[Redrawn, Redrawn]
"""A row, and the one that it is compared with."""


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Judges differences by one metric."""

    metric: str
    units: Units
    """The faces, or subjects, that were drawn."""

    def verdict(self, pairs: Sequence[Two], blocks: Sequence[Block], names: tuple[str, str]) -> Verdict:
        """The verdict on the difference of each draw and block of seeds `(1 + B, S)`, averaged over the pairs."""
        each = [a.at(self.metric, blocks) - b.at(self.metric, blocks) for a, b in pairs]
        difference: Floats = np.mean(each, axis=0)
        return verdict_of(
            spread(difference[0], difference[1:], self.units),
            difference[0],
            np.random.default_rng(0),
            names=names,
            metric=self.metric,
            n=len(next(iter(pairs[0][0].row.tests.values())).labels),
            split=_split(*pairs[0], blocks[0]) if len(pairs) == len(blocks) == 1 else None,
            by_subject=self.units.of == "subjects",
            level=LEVEL,
        )

    def over_folds(self, pairs: Sequence[Two], blocks: Sequence[Block], tests: int) -> FoldTest | None:
        """The corrected resampled t of the mean for k-fold cross-validations; None for others, or if the folds differ.

        `tests` is the number of tests that share the level when planning.
        """
        sides = [[two[side].folds for two in pairs] for side in (0, 1)]
        first, second = ([one.over(blocks) for one in side if one] for side in sides)
        if len(first) + len(second) < 2 * len(pairs) or len({one.keys for one in (*first, *second)}) > 1:
            return None
        return fold_test(self._mean(first), self._mean(second), self.metric, pairs=tests, level=LEVEL)

    def _mean(self, rows: Sequence[Folds]) -> Folds:
        mean: Floats = np.mean([row.scores[self.metric] for row in rows], axis=0)
        train, test = (math.fsum(getattr(row, part) for row in rows) / len(rows) for part in ("train", "test"))
        return Folds(scores={self.metric: mean}, keys=rows[0].keys, train=train, test=test)


def _split(a: Redrawn, b: Redrawn, block: Block) -> McNemar | None:
    """The faces on which the two rows differ; None where one of them has several replicates in the block."""
    tests = [one.row.tests[key] for one in (a, b) for key in standing_for(one.row, block)]
    return mcnemar(*(right(test.logits, test.labels) for test in tests)) if len(tests) == 2 else None
