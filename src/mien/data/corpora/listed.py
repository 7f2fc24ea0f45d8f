"""A table of pictures: a CSV file with the columns path and label, and optionally subject, split, box and group:NAME.

The input is the CSV file, or a folder that holds exactly one. The columns are:

- path: relative to the folder of the table, and inside it.
- label: the name of a class. The classes of the corpus are the labels that occur, sorted.
- split: train, valid or test. Without this column every picture is train.
- box: "x y width height" of the face, in pixels.
"""

import math
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ...errors import BadSample, DataError
from .folder import SPLIT_NAMES
from .pictures import inside, load_picture
from .protocol import Corpus, Entry, ReadOptions
from .tables import Row, header, table

__all__ = ["read"]

REQUIRED = ("path", "label")
GROUP = "group:"
MAX_CLASSES = 1000


def read(root: Path, options: ReadOptions) -> Corpus:
    """Read a table of paths and labels."""
    path = _table(root)
    names, count = _classes(path)
    splits = () if "split" in header(path) else ("The table has no splits: every picture is train.",)
    return Corpus(
        name="csv",
        classes=names,
        licence="The licence of this table of pictures was not stated.",
        count=count,
        entries=_entries(path, {name: code for code, name in enumerate(names)}),
        notes=splits,
    )


def _table(root: Path) -> Path:
    if root.is_file():
        return root
    found = sorted(root.glob("*.csv")) if root.is_dir() else []
    if len(found) != 1:
        raise DataError(f"{root} is not a CSV file, nor a folder with exactly one ({len(found)} found).")
    return found[0]


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


def _entries(path: Path, codes: dict[str, int]) -> Iterator[Entry | BadSample]:
    for row in table(path, REQUIRED):
        if isinstance(row, BadSample):
            yield row
            continue
        try:
            yield _entry(path.parent, row, codes)
        except BadSample as bad:
            yield bad


def _entry(folder: Path, row: Row, codes: dict[str, int]) -> Entry:
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
    )


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
