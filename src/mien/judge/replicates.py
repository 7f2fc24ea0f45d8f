"""The training seeds, and repetitions of a cross-validation, that rows have in common, so that they can be paired.

A row without randomness gives the same result for every seed, so one seed suffices. That result is paired with every
seed of another row, and adds no variance between seeds. An ensemble of several seeds of each member is compared with
the mean of the same seeds of another row.
"""

import math
from collections.abc import Sequence

from ..compare import Row
from ..config import EnsembleSettings
from ..rows import Replicate

__all__ = ["Block", "is_random", "shared", "standing_for"]

Block = tuple[tuple[int, ...], int]
"""Training seeds that stand side by side, and a repetition of a cross-validation."""


def is_random(row: Row) -> bool:
    """Whether another seed could give another result; see `Settings.random`."""
    return not row.runs or any(run.settings.random for run in row.runs)


def standing_for(row: Row, block: Block) -> tuple[Replicate, ...]:
    """The row's own replicates, whose mean is compared at a block of seeds; empty where one of them is missing."""
    seeds, repeat = block
    if is_random(row):
        own = tuple(dict.fromkeys((seed // _span(row), repeat) for seed in seeds))
    else:
        own = tuple(key for key in row.tests if key[1] == repeat)[:1]
    return own if all(key in row.tests for key in own) else ()


def shared(rows: Sequence[Row]) -> tuple[Block, ...]:
    """The blocks at which all of these rows can be compared, in the order of the first row that has randomness."""
    random = [row for row in rows if is_random(row)]
    leading, size = (random or rows)[0], math.lcm(*map(_span, random))
    firsts = dict.fromkeys((seed * _span(leading) // size * size, repeat) for seed, repeat in leading.tests)
    blocks = [(tuple(range(first, first + size)), repeat) for first, repeat in firsts]
    return tuple(block for block in blocks if all(standing_for(row, block) for row in rows))


def _span(row: Row) -> int:
    """The number of training seeds behind one replicate."""
    settings = row.runs[0].settings if row.runs else None
    return settings.ensemble.seeds if isinstance(settings, EnsembleSettings) else 1
