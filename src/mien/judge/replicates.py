"""Which replicates (seeds, repetitions of a cross-validation) rows have in common, so that they can be paired.

A row without randomness gives the same result for every seed, so one seed suffices. That result is paired with every
seed of another row, and adds no variance between seeds.
"""

from collections.abc import Sequence

from ..compare import Row
from ..rows import Replicate

__all__ = ["is_random", "shared", "standing_for"]


def is_random(row: Row) -> bool:
    """Whether another seed could give another result; see `Settings.random`."""
    return not row.runs or any(run.settings.random for run in row.runs)


def standing_for(row: Row, key: Replicate) -> Replicate | None:
    """The row's own replicate that is compared at `key`; None where it has none."""
    if key in row.tests:
        return key
    if is_random(row):
        return None
    return next((own for own in row.tests if own[1] == key[1]), None)


def shared(rows: Sequence[Row]) -> tuple[Replicate, ...]:
    """The replicates at which all of these rows can be compared, in the order of the first row that has randomness."""
    leading = next((row for row in rows if is_random(row)), rows[0])
    return tuple(key for key in leading.tests if all(standing_for(row, key) for row in rows))
