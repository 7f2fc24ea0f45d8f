"""What was measured of a run, kept in its folder as arrays, and found again row by row.

In: arrays under the names of a measurement's fields. Out: one `.npz` a measurement, written whole or not at all. A
file that another version of the measurement wrote counts as nothing measured.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..atomic import new_file
from ..compare import Row
from ..errors import BROKEN_ARCHIVE, RunError
from ..runs import Run

__all__ = ["Replicate", "read_arrays", "whole_rows", "write_arrays"]

Replicate = tuple[int, int]
"""Seed and repetition of a cross-validation."""
Measured = TypeVar("Measured")


def write_arrays(path: Path, suite: int, arrays: Mapping[str, Any]) -> None:
    """Write `arrays` with the version of the measurement, `suite`."""
    with new_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, suite=np.array(suite), **arrays)


def read_arrays(path: Path, suite: int, keys: Sequence[str], command: str) -> dict[str, Any] | None:
    """The arrays under `keys`; None where nothing was measured, or with another `suite`.

    Raises `RunError`, which names the `command` to run again, where the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {key: file[key] for key in keys} if int(file["suite"]) == suite else None
    except BROKEN_ARCHIVE as error:
        raise RunError(f"{path} is damaged ({error}). Remove it and run `{command}` again.") from None


def whole_rows(
    rows: Sequence[Row], load: Callable[[Run], Measured | None], pool: Callable[[Sequence[Measured]], Measured]
) -> dict[str, dict[Replicate, Measured]]:
    """What `load` finds of each row, by its name and replicate, the folds of a cross-validation made one by `pool`.

    Rows and replicates that are not measured whole are left out.
    """
    found: dict[str, dict[Replicate, Measured]] = {}
    for row in rows:
        for replicate, runs in row.replicates.items():
            parts = [part for run in runs if (part := load(run)) is not None]
            if len(parts) == row.folds:
                found.setdefault(row.name, {})[replicate] = pool(parts)
    return found
