"""FER2013 (Goodfellow et al. 2013, arXiv:1307.0414): 48×48 grey faces in seven classes.

Three layouts are read:

- `fer2013.csv` with the columns emotion, pixels and Usage, or `icml_face_data.csv` with emotion, Usage and pixels.
- A folder that holds one of these files.
- The folder release: `train/<class>/*` and `test/<class>/*`.

The splits are those of the challenge: Training is train, PublicTest is valid and PrivateTest is test. In a release
without PrivateTest, PublicTest is the test. The option `--public-test` overrides this.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import BadSample, DataError
from . import folder
from .protocol import Corpus, Entry, ReadOptions
from .tables import Row, count_lines, table

__all__ = ["CLASSES", "LICENCE", "find_table", "read", "table_entry", "usage_splits"]

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
LICENCE = "FER2013 comes without a licence that allows passing the pictures on; for research only."
TABLES = ("fer2013.csv", "icml_face_data.csv", "fer2013/fer2013.csv")
SIDE = 48


def read(root: Path, options: ReadOptions) -> Corpus:
    """Read FER2013 from a CSV file, a folder that holds one, or the folder release."""
    path = find_table(root)
    if path is None:
        return _read_folders(root, options)
    count, found = count_lines(path, b"PrivateTest")
    splits, note = usage_splits(bool(found), options)
    rows = table(path, ("emotion", "usage", "pixels"))
    return Corpus(
        name="fer2013",
        classes=CLASSES,
        licence=LICENCE,
        count=max(0, count - 1),
        entries=_entries(rows, splits),
        notes=(note,),
    )


def find_table(root: Path) -> Path | None:
    """The CSV file of FER2013 at `root` (the file itself or a folder with it), or None."""
    if root.is_file():
        return root
    return next((root / name for name in TABLES if (root / name).is_file()), None)


def usage_splits(has_private: bool, options: ReadOptions) -> tuple[dict[str, str], str]:
    """The split of each Usage, and the sentence about it for `meta.json`."""
    public = options.public_test or ("valid" if has_private else "test")
    why = "--public-test" if options.public_test else f"{'with' if has_private else 'no'} PrivateTest in the release"
    note = f"Training is train, PublicTest is {public} ({why}), PrivateTest is test."
    return {"Training": "train", "PublicTest": public, "PrivateTest": "test"}, note


def table_entry(row: Row, splits: dict[str, str]) -> Entry | BadSample:
    """The entry of one row. Its pixels are parsed later, in a thread."""
    code, usage = row.cells["emotion"], row.cells["usage"]
    if code not in CODES:
        return BadSample(row.where, f"the label is {code!r}, expected 0 to {len(CLASSES) - 1}")
    if usage not in splits:
        return BadSample(row.where, f"the Usage is {usage!r}, expected one of {', '.join(splits)}")
    load = partial(parse_pixels, row.cells["pixels"], row.where)
    return Entry(label=CODES[code], split=splits[usage], source=row.where, load=load)


def parse_pixels(text: str, where: str) -> NDArray[np.uint8]:
    """`(48, 48)` uint8 from 2304 numbers 0 to 255 with spaces between; raises `BadSample`."""
    data = text.encode()
    if strange := data.translate(None, b"0123456789 "):
        raise BadSample(where, f"the pixels hold {strange[:8].decode(errors='replace')!r}, expected numbers")
    values = np.fromstring(data, dtype=np.int64, sep=" ")
    if len(values) != SIDE * SIDE:
        raise BadSample(where, f"{len(values)} pixels, expected {SIDE * SIDE} ({SIDE}×{SIDE})")
    if values.max() > 255:
        raise BadSample(where, f"a pixel of {values.max()}, expected 0 to 255")
    return values.astype(np.uint8).reshape(SIDE, SIDE)


CODES = {str(code): code for code in range(len(CLASSES))}


def _entries(rows: Iterator[Row | BadSample], splits: dict[str, str]) -> Iterator[Entry | BadSample]:
    for row in rows:
        yield row if isinstance(row, BadSample) else table_entry(row, splits)


def _read_folders(root: Path, options: ReadOptions) -> Corpus:
    if not (root / "train").is_dir():
        raise DataError(
            f"{root} holds neither {TABLES[0]} nor {TABLES[1]} nor the folders train/ and test/ of FER2013."
        )
    tree = folder.scan(root)
    has_private = any(name.startswith("PrivateTest") for _, _, name in folder.files(tree))
    splits, note = usage_splits(has_private, options)
    return folder.corpus(
        tree,
        name="fer2013",
        licence=LICENCE,
        notes=(note,),
        split_of=lambda split, name: splits.get(name.split("_")[0], split),
    )
