"""One answer over all networks: does a setting help? Its effect is averaged over the networks that have it both ways.

A grid of three networks, each without and with dropout, asks one question and has three pairs of rows. Each pair alone
may be too noisy to answer. So the difference is taken for each network, seed and redrawn face, and averaged over the
networks: paired by seed and by face. The answer is about the mean over *these* networks. That another network would
behave like them is not said, and what the setting does to each stands beside the mean.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..calibration import Floats
from ..config import NetworkSettings
from ..rows import NAME, Replicate, level_words
from ..statistics import Verdict, spread
from ..statistics.verdicts import corrected, verdict_of
from .folds import Folds, FoldTest, fold_test, folds_of, resampled
from .pairs import Pair, together
from .redrawn import Redrawn
from .select import predictions

__all__ = ["Contrast", "contrasts"]

OFF = (0, False, "none", ())
Two = tuple[Redrawn, Redrawn]
"""A network with the setting, and without it."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """What one level of a setting changes against its reference, over several networks."""

    key: str
    """The setting, such as `model.dropout`."""
    level: Any
    reference: Any
    """mien's default where some row has it, else the first level of the recipe."""
    pair: Pair
    """Level minus reference, the mean over the networks; Holm over all contrasts of this metric."""
    each: tuple[Pair, ...]
    """The same of each network alone, not corrected; `Pair.a` is the row with the level."""

    @property
    def question(self) -> str:
        """`Does dropout help?`; of a setting that is never off, `Is lr 0.01 better than lr 0.001?`."""
        if self.reference in OFF:
            return f"Does {self.key.split('.')[1].replace('_', ' ')} help?"
        return f"Is {self.pair.a} better than {self.pair.b}?"

    @property
    def networks(self) -> str:
        """`3 networks`, or `4 pairs of rows` where networks come several times."""
        names = [pair.a.split(",")[0] for pair in self.each]
        return f"{len(names)} networks" if len(set(names)) == len(names) else f"{len(names)} pairs of rows"

    @property
    def answer(self) -> str:
        """What this data says: `yes`, `no, it harms` or `this data cannot tell`."""
        if self.pair.better is None:
            return "this data cannot tell"
        return "yes" if self.pair.better == self.pair.a else "no, it is worse"


def contrasts(
    rows: Sequence[Redrawn], factors: Sequence[str], metric: str, *, total: int, by_subject: bool
) -> list[Contrast]:
    """Every level of every factor but the network against its reference, where two or more pairs of rows have both.

    Args:
        rows: on the same draws of the same faces.
        factors: dotted settings that tell the rows apart.
        metric: one of `redrawn.TESTED`.
        total: how many faces, or subjects, were drawn.
        by_subject: whether whole subjects were drawn.
    """
    able = [row for row in rows if np.isfinite(row.metrics[metric][0]).all()]
    asked = [one for key in factors if key != NAME for one in _questions(able, key)]
    judge = _Judge(metric=metric, total=total, by_subject=by_subject)
    verdicts = corrected([judge.verdict(one.pairs, one.shared, one.names) for one in asked])
    pooled = together(verdicts, [judge.over_folds(one.pairs, len(asked)) for one in asked])
    return [
        Contrast(
            key=one.key,
            level=one.level,
            reference=one.reference,
            pair=pair,
            each=tuple(judge.alone(two, one.shared) for two in one.pairs),
        )
        for one, pair in zip(asked, pooled, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class _Question:
    """One level against its reference, and the pairs of rows that are alike but for it."""

    key: str
    level: Any
    reference: Any
    pairs: tuple[Two, ...]
    shared: tuple[Replicate, ...]
    """The seeds that all of these rows have."""

    @property
    def names(self) -> tuple[str, str]:
        return level_words(self.key, self.level), level_words(self.key, self.reference)


def _questions(rows: Sequence[Redrawn], key: str) -> Iterator[_Question]:
    levels = list(dict.fromkeys(row.row.factors[key] for row in rows))
    default = NetworkSettings().flat()[key]
    reference = default if default in levels else levels[0] if levels else None
    by_others: dict[tuple[Any, ...], dict[Any, Redrawn]] = {}
    for row in rows:
        others = tuple(value for name, value in row.row.factors.items() if name != key)
        by_others.setdefault(others, {})[row.row.factors[key]] = row
    for level in levels:
        pairs = tuple((own[level], own[reference]) for own in by_others.values() if {level, reference} <= own.keys())
        tests = [row.row.tests for two in pairs for row in two]
        shared = tuple(one for one in tests[0] if all(one in test for test in tests)) if tests else ()
        if level != reference and len(pairs) > 1 and shared:
            yield _Question(key=key, level=level, reference=reference, pairs=pairs, shared=shared)


@dataclass(frozen=True, kw_only=True)
class _Judge:
    """Verdicts on differences by one metric, over one or several networks."""

    metric: str
    total: int
    by_subject: bool

    def verdict(self, pairs: Sequence[Two], shared: Sequence[Replicate], names: tuple[str, str]) -> Verdict:
        """Of the difference of each draw and seed `(1 + B, S)`, averaged over the networks."""
        each = [a.seeds(self.metric, shared) - b.seeds(self.metric, shared) for a, b in pairs]
        difference: Floats = np.mean(each, axis=0)
        return verdict_of(
            spread(difference[0], difference[1:], self.total),
            difference[0],
            np.random.default_rng(0),
            names=names,
            metric=self.metric,
            n=len(predictions(pairs[0][0].row)[0].labels),
            split=None,
            by_subject=self.by_subject,
        )

    def over_folds(self, pairs: Sequence[Two], tests: int) -> FoldTest | None:
        """Of k-fold cross-validations the corrected resampled t of the mean; None of others, or of unlike folds."""
        if not all(resampled(row.row) for two in pairs for row in two):
            return None
        sides = [[folds_of(two[side].row, (self.metric,)) for two in pairs] for side in (0, 1)]
        if len({one.keys for side in sides for one in side}) > 1:
            return None
        level, reference = (self._mean_folds(side) for side in sides)
        return fold_test(level, reference, self.metric, pairs=tests)

    def alone(self, two: Two, shared: Sequence[Replicate]) -> Pair:
        """The same of one network."""
        verdict = self.verdict([two], shared, (two[0].name, two[1].name))
        return together([verdict], [self.over_folds([two], 1)])[0]

    def _mean_folds(self, rows: Sequence[Folds]) -> Folds:
        mean: Floats = np.mean([row.scores[self.metric] for row in rows], axis=0)
        train, test = (math.fsum(getattr(row, part) for row in rows) / len(rows) for part in ("train", "test"))
        return Folds(scores={self.metric: mean}, keys=rows[0].keys, train=train, test=test)
