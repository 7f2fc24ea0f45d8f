"""Stores measurements of a run in its folder as arrays, and reads them again row by row.

In: arrays under the names of a measurement's fields. Out: one `.npz` a measurement, written whole or not at all. A file
of another version of the measurement counts as not measured.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, read_npz
from ..atomic import new_file
from ..errors import RunError
from ..reading import reading
from ..rows import Replicate, Row
from ..runs import Run

__all__ = ["Replicate", "read_arrays", "unless_damaged", "whole_rows", "write_arrays"]

Measured = TypeVar("Measured")


def write_arrays(run: Run, name: str, suite: int, arrays: Mapping[str, Any]) -> None:
    """Write `arrays` as the file `name` of the run, with the version of the measurement, `suite`.

    Raises `RunError` where the folder cannot be written.
    """
    with run.writing(), new_file(run.path / name) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, suite=np.array(suite), **arrays)


def read_arrays(path: Path, suite: int, wanted: Mapping[str, Array], command: str) -> dict[str, NDArray[Any]] | None:
    """The `wanted` arrays; None if there is no file, or if it has another `suite`.

    Raises `RunError`, which names the `command` to run again, where the file is damaged.
    """
    if not path.exists():
        return None
    with reading(path, RunError, f"Remove it and run `{command}` again."):
        if read_npz(path, {"suite": Array("i8", "")})["suite"] != suite:
            return None
        return read_npz(path, wanted)


def unless_damaged(read: Callable[[], Measured], damaged: list[str] | None) -> Measured | None:
    """The result of `read`. If the file is damaged and `damaged` is given, its message is added there and the result is
    None.
    """
    try:
        return read()
    except RunError as error:
        if damaged is None:
            raise
        damaged.append(str(error))
        return None


def whole_rows(
    rows: Sequence[Row],
    load: Callable[[Run], Measured | None],
    pool: Callable[[Sequence[Measured]], Measured],
    damaged: list[str] | None = None,
) -> dict[str, dict[Replicate, Measured]]:
    """The measurements that `load` reads for each row, by name and replicate. `pool` joins the folds of a
    cross-validation. Incomplete rows and replicates are left out. If `damaged` is given, a damaged file counts as not
    measured and its message is added there; otherwise it raises `RunError`.
    """
    found: dict[str, dict[Replicate, Measured]] = {}
    for row in rows:
        for replicate, runs in row.replicates.items():
            parts = [part for run in runs if (part := unless_damaged(partial(load, run), damaged)) is not None]
            if len(parts) == row.folds:
                found.setdefault(row.name, {})[replicate] = pool(parts)
    return found
