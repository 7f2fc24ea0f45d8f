"""The samples table of a store, `samples.csv`: one row for each image, read as columns or as a stream, and checked in
both cases.

In: the file, the number of its classes and rows. Out: `Samples` (columns) or `Sample` by `Sample`. A label outside the
label set, an unknown split, votes that do not sum to 1 and a number that is not finite are refused as damage, so code
that uses the table need not check again.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..reading import LONGEST_TEXT
from ..shown import first_line

__all__ = ["SPLITS", "Sample", "Samples", "columns_of", "header", "iter_rows", "read_samples"]

SPLITS = ("train", "valid", "test")
SOFT, GROUP, AU = "soft:", "group:", "au:"
FIXED = ("label", "split", "subject", "source")
OFF = 1e-3
"""Tolerance of the sum of a distribution: its values are written with six digits."""
TOGETHER = 4096
"""Rows of the table that become arrays together."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """All data of one image in a store, except its pixels."""

    label: int
    """Position of the class in the store's label set."""
    split: str
    """train, valid or test."""
    source: str
    """Where it came from: a path inside the corpus, with `:line` for a row of a table."""
    subject: str = ""
    """The subject, if the corpus names it; else empty."""
    soft: tuple[float, ...] = ()
    """A distribution over the classes (sums to 1), where the corpus has one; else empty."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Attributes for subgroup reports, such as `skin` or `glasses`."""
    aus: Mapping[int, float] = field(default_factory=dict)
    """Intensity (0 to 1) of each action unit, where known."""

    def check(self, classes: int) -> None:
        """Raise `ValueError` for values that no store may hold, both in writing and in reading."""
        if not 0 <= self.label < classes:
            raise ValueError(f"label {self.label} is outside 0..{classes - 1}")
        if self.split not in SPLITS:
            raise ValueError(f"the split is {first_line(self.split)!r}, expected one of {', '.join(SPLITS)}")
        if len(self.soft) not in (0, classes):
            raise ValueError(f"{len(self.soft)} soft labels; all samples have one a class, or none")
        if self.soft and not (min(self.soft) >= 0 and abs(sum(self.soft) - 1) <= OFF):
            raise ValueError("the soft labels are no shares that sum to 1")
        if not all(map(math.isfinite, self.aus.values())):
            raise ValueError("the intensity of an action unit is not a finite number")
        for text in (self.subject, self.source, *self.groups.values()):
            if len(text) > LONGEST_TEXT:
                raise ValueError(f"a text of {len(text):,} letters, expected at most {LONGEST_TEXT:,}")


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The samples table as columns of N entries."""

    label: NDArray[np.int64]
    split: NDArray[np.str_]
    source: NDArray[np.str_]
    subject: NDArray[np.str_]
    soft: NDArray[np.float32] | None
    """`(N, K)`, rows sum to 1, or None."""
    groups: Mapping[str, NDArray[np.str_]]
    aus: Mapping[int, NDArray[np.float32]]


def columns_of(classes: Sequence[str], groups: Sequence[str], aus: Sequence[int], *, soft: bool) -> list[str]:
    """The header of the table."""
    return [
        *FIXED,
        *(f"{SOFT}{name}" for name in (classes if soft else ())),
        *(f"{GROUP}{name}" for name in groups),
        *(f"{AU}{au}" for au in aus),
    ]


def header(path: Path, classes: Sequence[str]) -> list[str]:
    """The column names; raises `ValueError` where they are not those of a store with these classes."""
    with path.open(newline="", encoding="utf-8") as file:
        names = next(_lines(file), (0, []))[1]
    soft = [name.removeprefix(SOFT) for name in names if name.startswith(SOFT)]
    groups = [name.removeprefix(GROUP) for name in names if name.startswith(GROUP)]
    aus = [int(name.removeprefix(AU)) for name in names if name.startswith(AU)]
    if names != columns_of(classes, groups, aus, soft=bool(soft)) or len(set(names)) != len(names):
        raise ValueError(f"its columns are {first_line(names)}, expected {', '.join(FIXED)}, then soft:, group:, au:")
    return names


def iter_rows(path: Path, classes: Sequence[str]) -> Iterator[tuple[int, Sample]]:
    """Stream (number of the line, sample) in flat memory; raises `ValueError` at a line that does not fit."""
    names = header(path, classes)
    with path.open(newline="", encoding="utf-8") as file:
        lines = _lines(file)
        next(lines)
        for number, cells in lines:
            try:
                sample = _sample(dict(zip(names, _as_many(cells, names), strict=True)))
                sample.check(len(classes))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
            yield number, sample


def read_samples(path: Path, classes: Sequence[str], count: int) -> Samples:
    """Read the whole table; raises `ValueError` where it does not fit, with the line where that is known.

    Some thousand rows at a time become arrays: as texts of Python's own a million rows take half a gigabyte.
    """
    names = header(path, classes)
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    seen = 0
    with path.open(newline="", encoding="utf-8") as file:
        lines = _lines(file)
        next(lines)
        while rows := [_as_many(cells, names, number) for number, cells in islice(lines, TOGETHER)]:
            seen += len(rows)
            for name, cells in zip(names, zip(*rows, strict=True), strict=True):
                parts[name].append(_column(name, cells))
    if seen != count:
        raise ValueError(f"{seen} rows where meta.json says {count}")
    return _checked(_samples({name: np.concatenate(parts.pop(name)) for name in names}), len(classes))


def _lines(file: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(file, strict=True)
    for cells in reader:
        yield reader.line_num, cells


def _as_many(cells: list[str], names: Sequence[str], number: int | None = None) -> list[str]:
    if len(cells) != len(names):
        where = f"line {number}: " if number else ""
        raise ValueError(f"{where}{len(cells)} cells, expected {len(names)}")
    return cells


def _sample(row: Mapping[str, str]) -> Sample:
    return Sample(
        label=int(row["label"]),
        split=row["split"],
        source=row["source"],
        subject=row["subject"],
        soft=tuple(float(cell) for name, cell in row.items() if name.startswith(SOFT)),
        groups={n.removeprefix(GROUP): cell for n, cell in row.items() if n.startswith(GROUP)},
        aus={int(n.removeprefix(AU)): float(cell) for n, cell in row.items() if n.startswith(AU)},
    )


def _column(name: str, cells: Sequence[str]) -> NDArray[Any]:
    if name == "label":
        return np.array(cells, dtype=np.int64)
    return np.array(cells, dtype=np.float32) if name.startswith((SOFT, AU)) else _texts(cells)


def _samples(columns: Mapping[str, NDArray[Any]]) -> Samples:
    soft = [column for name, column in columns.items() if name.startswith(SOFT)]
    return Samples(
        label=columns["label"],
        split=columns["split"],
        source=columns["source"],
        subject=columns["subject"],
        soft=np.stack(soft, axis=1) if soft else None,
        groups={name.removeprefix(GROUP): column for name, column in columns.items() if name.startswith(GROUP)},
        aus={int(name.removeprefix(AU)): column for name, column in columns.items() if name.startswith(AU)},
    )


def _texts(cells: Sequence[str]) -> NDArray[np.str_]:
    longest = max(map(len, cells))
    if longest > LONGEST_TEXT:
        raise ValueError(f"a text of {longest:,} letters, expected at most {LONGEST_TEXT:,}")
    return np.array(cells)


def _checked(samples: Samples, classes: int) -> Samples:
    """The checks of `Sample.check`, for all rows at once."""
    _check_rows("label", (samples.label < 0) | (samples.label >= classes), f"is outside 0..{classes - 1}")
    _check_rows("split", ~np.isin(samples.split, SPLITS), f"is none of {', '.join(SPLITS)}")
    if samples.soft is not None:
        shares = (samples.soft >= 0).all(axis=1) & (abs(samples.soft.sum(axis=1) - 1) <= OFF)
        _check_rows("the soft labels", ~shares, "are no shares that sum to 1")
    for au, column in samples.aus.items():
        _check_rows(f"{AU}{au}", ~np.isfinite(column), "is not a finite number")
    return samples


def _check_rows(name: str, wrong: NDArray[np.bool_], why: str) -> None:
    if wrong.any():
        raise ValueError(f"row {int(wrong.argmax()) + 1}: {name} {why}")
