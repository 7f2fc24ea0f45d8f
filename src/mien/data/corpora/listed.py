"""A table of pictures: a CSV file with the columns path and label, and optionally subject, split, box and group:NAME.

The input is the CSV file, or a folder that holds exactly one. The columns are:

- path: relative to the folder of the table, and inside it.
- label: the name of a class. The classes of the corpus are the labels that occur, sorted.
- split: train, valid or test. Without this column every picture is train.
- box: "x y width height" of the face, in pixels.

Columns of numbers that the user names become the plane `numbers`. An empty cell is NaN.
"""

import math
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import BadSample, DataError
from ...planes import Batch, Plane
from ...shown import first_line
from .folder import SPLIT_NAMES
from .pictures import inside, load_picture
from .protocol import Corpus, Entry, ReadOptions
from .tables import Row, header, table

__all__ = ["read"]

REQUIRED = ("path", "label")
GROUP = "group:"
MAX_CLASSES = 1000
NUMBERS = "numbers"
MOST_NUMBERS = 1000


def read(root: Path, options: ReadOptions) -> Corpus:
    """Read a table of paths and labels."""
    path = _table(root)
    columns = _columns(path, options.numbers)
    names, count = _classes(path)
    plane = Plane(name=NUMBERS, kind="numbers", shape=(len(columns),), dtype="float32") if columns else None
    said = (f"The plane {NUMBERS} has the columns {first_line(', '.join(columns))}.",) if columns else ()
    splits = () if "split" in header(path) else ("The table has no splits: every picture is train.",)
    return Corpus(
        name="csv",
        classes=names,
        licence="The licence of this table of pictures was not stated.",
        count=count,
        entries=_entries(path, {name: code for code, name in enumerate(names)}, columns),
        planes=(plane,) if plane else (),
        notes=(*splits, *said),
    )


def _table(root: Path) -> Path:
    if root.is_file():
        return root
    found = sorted(root.glob("*.csv")) if root.is_dir() else []
    if len(found) != 1:
        raise DataError(f"{root} is not a CSV file, nor a folder with exactly one ({len(found)} found).")
    return found[0]


def _columns(path: Path, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that become numbers, as the table has them; raises `DataError` for one that is not there."""
    columns, there = tuple(name.strip().lower() for name in wanted), header(path)
    for name in columns:
        if name not in there:
            raise DataError(f"{path.name} has no column {first_line(name)!r}; it has {first_line(', '.join(there))}.")
    if len(set(columns)) < len(columns) or len(columns) > MOST_NUMBERS:
        raise DataError(f"--numbers names at most {MOST_NUMBERS:,} columns, each once; got {len(columns):,}.")
    return columns


def _classes(path: Path) -> tuple[tuple[str, ...], int]:
    """The labels that occur and the number of rows. The classes must be known before rows are streamed."""
    labels, count = set[str](), 0
    for row in table(path, REQUIRED):
        count += 1
        if not isinstance(row, BadSample) and row.cells["label"]:
            labels.add(row.cells["label"])
        if len(labels) > MAX_CLASSES:
            raise DataError(f"{path.name} has more than {MAX_CLASSES} different labels; is `label` the right column?")
    if not count:
        raise DataError(f"{path.name} has no rows.")
    return tuple(sorted(labels)), count


def _entries(path: Path, codes: dict[str, int], columns: tuple[str, ...]) -> Iterator[Entry | BadSample]:
    for row in table(path, REQUIRED):
        if isinstance(row, BadSample):
            yield row
            continue
        try:
            yield _entry(path.parent, row, codes, columns)
        except BadSample as bad:
            yield bad


def _entry(folder: Path, row: Row, codes: dict[str, int], columns: tuple[str, ...]) -> Entry:
    cells = row.cells
    split = SPLIT_NAMES.get(cells.get("split", "train").lower())
    if split is None:
        raise BadSample(row.where, f"the split is {cells['split']!r}, expected train, valid or test")
    if cells["label"] not in codes:
        raise BadSample(row.where, "the label is empty")
    picture = inside(folder, cells["path"], row.where)
    return Entry(
        label=codes[cells["label"]],
        split=split,
        source=row.where,
        load=partial(load_picture, picture, f"{row.where}: {cells['path']}"),
        subject=cells.get("subject", ""),
        groups={name.removeprefix(GROUP): cell for name, cell in cells.items() if name.startswith(GROUP)},
        box=_box(cells.get("box", ""), row.where),
        planes=partial(_numbers, row, columns) if columns else None,
    )


def _numbers(row: Row, columns: tuple[str, ...]) -> Batch:
    """The plane of numbers; raises `BadSample` for a cell that holds none."""
    values = []
    for name in columns:
        try:
            values.append(float(row.cells[name] or "nan"))
        except ValueError:
            values.append(math.inf)
        if math.isinf(np.float32(values[-1])):
            raise BadSample(row.where, f"{name} is {row.cells[name]!r}, expected a number, or an empty cell")
    return {NUMBERS: np.array(values, np.float32)}


def _box(text: str, where: str) -> tuple[float, float, float, float] | None:
    if not text:
        return None
    try:
        x, y, width, height = (float(word) for word in re.split(r"[\s,;]+", text.strip("()[] ")))
    except ValueError:
        raise BadSample(where, f"the box is {text!r}, expected 'x y width height'") from None
    if not all(map(math.isfinite, (x, y, width, height))):
        raise BadSample(where, f"the box is {text!r}, expected 'x y width height'")
    return x, y, width, height
