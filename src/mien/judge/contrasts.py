"""The effect of a setting, averaged over the networks that were trained with it and without it.

A grid of three networks, each without and with dropout, asks one question and has three pairs of rows. Each pair alone
may be too noisy to answer it. So the difference is computed for each network, paired by seed and by redrawn face, and
averaged over the networks. The answer holds for the mean over *these* networks, not for another network. The effect on
each network is given besides the mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..rows import NAME, level_words
from ..statistics.verdicts import corrected
from .costs import mean_cost, times
from .paired import Paired, Two
from .pairs import Pair, together
from .questions import levels, reference
from .redrawn import Redrawn
from .replicates import Block, shared

__all__ = ["Contrast", "contrasts"]

OFF = (0, False, "none", ())


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The effect of one level of a setting against its reference, over several networks."""

    key: str
    """The setting, such as `model.dropout`."""
    level: Any
    reference: Any
    """mien's default if some row has it, otherwise the first level of the recipe."""
    pair: Pair
    """Level minus reference, mean over the networks; corrected by Holm over all contrasts of this metric."""
    each: tuple[Pair, ...]
    """The same of each network alone, not corrected; `Pair.a` is the row with the level."""
    seconds: tuple[float, ...]
    """Training time of each, as a multiple of the reference's; nan where it was not measured."""
    memory: tuple[float, ...]
    """The same of the peak memory of training."""

    @property
    def question(self) -> str:
        """`Does dropout help?`; for a setting that is never off, `Is lr 0.01 better than lr 0.001?`."""
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
        """The answer: `yes`, `no, it harms` or `this data cannot tell`."""
        if self.pair.better is None:
            return "this data cannot tell"
        return "yes" if self.pair.better == self.pair.a else "no, it is worse"


def contrasts(rows: Sequence[Redrawn], factors: Sequence[str], judge: Paired) -> list[Contrast]:
    """Every level of every factor but the network against its reference, where two or more pairs of rows have both.

    Args:
        rows: on the same draws of the same faces.
        factors: dotted settings that tell the rows apart.
        judge: by which metric, over which draws.
    """
    able = [row for row in rows if np.isfinite(row.metrics[judge.metric][0]).all()]
    asked = [one for key in factors if key != NAME for one in _effects(able, key)]
    verdicts = corrected([judge.verdict(one.pairs, one.shared, one.names) for one in asked])
    pooled = together(verdicts, [judge.over_folds(one.pairs, one.shared, len(asked)) for one in asked])
    return [
        Contrast(
            key=one.key,
            level=one.level,
            reference=one.reference,
            pair=pair,
            each=tuple(_alone(judge, two, one.shared) for two in one.pairs),
            seconds=tuple(_multiple(two, "train_seconds") for two in one.pairs),
            memory=tuple(_multiple(two, "train_peak_mb") for two in one.pairs),
        )
        for one, pair in zip(asked, pooled, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class _Effect:
    """One level against its reference, and the pairs of rows that differ only in it."""

    key: str
    level: Any
    reference: Any
    pairs: tuple[Two, ...]
    shared: tuple[Block, ...]
    """The blocks of seeds at which all of these rows can be compared."""

    @property
    def names(self) -> tuple[str, str]:
        return level_words(self.key, self.level), level_words(self.key, self.reference)


def _effects(rows: Sequence[Redrawn], key: str) -> Iterator[_Effect]:
    by_name, plain = {row.name: row for row in rows}, [row.row for row in rows]
    chosen, groups = reference(plain, key), levels(plain, key)
    for level in dict.fromkeys(row.factors[key] for row in plain if row.factors.get(key) is not None):
        pairs = tuple(
            (by_name[group[level].name], by_name[group[chosen].name])
            for group in groups
            if {level, chosen} <= group.keys()
        )
        keys = shared([row.row for two in pairs for row in two]) if pairs else ()
        if level != chosen and len(pairs) > 1 and keys:
            yield _Effect(key=key, level=level, reference=chosen, pairs=pairs, shared=keys)


def _alone(judge: Paired, two: Two, keys: Sequence[Block]) -> Pair:
    """The same of one network."""
    verdict = judge.verdict([two], keys, (two[0].name, two[1].name))
    return together([verdict], [judge.over_folds([two], keys, 1)])[0]


def _multiple(two: Two, cost: str) -> float:
    level, plain = (mean_cost(one.row, cost) for one in two)
    return times(level, plain)
