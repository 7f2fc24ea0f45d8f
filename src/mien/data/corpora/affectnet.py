"""AffectNet (Mollahosseini, Hasani, Mahoor 2017, arXiv:1708.03985): faces from the web in eight classes.

Two layouts are read:

- Arrays: `train_set/images/N.jpg` with `train_set/annotations/N_exp.npy`, and the same under `val_set/`.
- Tables: `training.csv` and `validation.csv` beside `Manually_Annotated_Images/`, with or without a header row.

The codes are 0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt. The tables also have 8
none, 9 uncertain and 10 no face. Samples with these three codes are left out and counted.

The official test set was never released. As in the literature, the validation set is therefore the test set here. The
validation part, which chooses the epoch, is carved from the training set.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ...arrays import read_header, read_items
from ...errors import BadSample, DataError
from .folder import passed_over, picture_names
from .pictures import inside, load_picture, require_folder
from .protocol import Corpus, Entry, ReadOptions
from .tables import Row, count_lines, header, table

__all__ = ["CLASSES", "read"]

CLASSES = (
    *("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt"),
    *("none", "uncertain", "no-face"),
)
NOT_EXPRESSIONS = CLASSES[8:]
CODES = {str(code): code for code in range(len(CLASSES))}
LICENCE = "AffectNet: non-commercial research only, on request from its authors; pictures must not be passed on."
NOTE = "The validation set is the test, since the official test was never released."
SETS = (("train_set", "train"), ("val_set", "test"))
TABLES = (("training.csv", "train"), ("validation.csv", "test"))
COLUMNS = (
    *("subdirectory_filepath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)
PICTURES = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images", "images", ".")
MAX_ARRAY_BYTES = 4096


def read(root: Path, options: ReadOptions) -> Corpus:
    """Read the tree of arrays or the tables."""
    require_folder(root, "affectnet")
    sets = [(root / name, split) for name, split in SETS if (root / name).is_dir()]
    tables = [(root / name, split) for name, split in TABLES if (root / name).is_file()]
    if not sets and not tables:
        raise DataError(f"{root} holds neither train_set/ and val_set/ nor training.csv and validation.csv.")
    for folder, _ in sets:
        for part in ("images", "annotations"):
            if not (folder / part).is_dir():
                raise DataError(f"{folder / part} is missing; AffectNet has images/ and annotations/ in each set.")
    count = sum(len(picture_names(folder / "images")) for folder, _ in sets) if sets else _rows(tables)
    return Corpus(
        name="affectnet",
        classes=CLASSES,
        licence=LICENCE,
        count=count,
        entries=_from_arrays(root, sets) if sets else _from_tables(root, tables),
        not_expressions=NOT_EXPRESSIONS,
        notes=(NOTE, *_passed_over(sets)),
    )


def _passed_over(sets: list[tuple[Path, str]]) -> Iterator[str]:
    for folder, _ in sets:
        if note := passed_over(folder / "images", [folder / "images"]):
            yield f"{folder.name}/images: {note}"


def _from_arrays(root: Path, sets: list[tuple[Path, str]]) -> Iterator[Entry | BadSample]:
    for folder, split in sets:
        for name in picture_names(folder / "images"):
            source = f"{folder.name}/images/{name}"
            try:
                label = _code(folder / "annotations" / f"{name.rpartition('.')[0]}_exp.npy")
                path = inside(root, source, source)
            except BadSample as bad:
                yield bad
                continue
            yield Entry(label=label, split=split, source=source, load=partial(load_picture, path, source))


def _code(path: Path) -> int:
    """The label of an `N_exp.npy` file, which holds an array of one text or one number."""
    where = f"{path.parent.parent.name}/annotations/{path.name}"
    if not path.is_file():
        raise BadSample(where, "the label file is missing")
    if path.stat().st_size > MAX_ARRAY_BYTES:
        raise BadSample(where, "not an array of one label")
    try:
        with path.open("rb") as file:
            values = read_items(file, read_header(file))
    except (OSError, ValueError):
        raise BadSample(where, "not an array that can be read") from None
    text = str(values.ravel()[0]) if values.size == 1 else f"{values.size} values"
    if text.removesuffix(".0") not in CODES:
        raise BadSample(where, f"the label is {text!r}, expected 0 to {len(CLASSES) - 1}")
    return CODES[text.removesuffix(".0")]


def _rows(tables: list[tuple[Path, str]]) -> int:
    return sum(count_lines(path)[0] - _has_header(path) for path, _ in tables)


def _has_header(path: Path) -> bool:
    return COLUMNS[0] in header(path)


def _from_tables(root: Path, tables: list[tuple[Path, str]]) -> Iterator[Entry | BadSample]:
    folder = next((root / name for name in PICTURES if (root / name).is_dir()), root)
    required = (*COLUMNS[:5], "expression")
    for path, split in tables:
        for row in table(path, required, columns=None if _has_header(path) else COLUMNS):
            yield row if isinstance(row, BadSample) else _table_entry(folder, row, split)


def _table_entry(folder: Path, row: Row, split: str) -> Entry | BadSample:
    code, source = row.cells["expression"], row.cells["subdirectory_filepath"]
    if code not in CODES:
        return BadSample(row.where, f"the label is {code!r}, expected 0 to {len(CLASSES) - 1}")
    try:
        path = inside(folder, source, row.where)
        x, y, width, height = (float(row.cells[name]) for name in COLUMNS[1:5])
    except BadSample as bad:
        return bad
    except ValueError:
        if CLASSES[CODES[code]] not in NOT_EXPRESSIONS:
            return BadSample(row.where, f"the box of the face is {[row.cells[name] for name in COLUMNS[1:5]]}")
        x = y = width = height = 0.0
    load = partial(load_picture, path, f"{row.where}: {source}")
    return Entry(label=CODES[code], split=split, source=row.where, load=load, box=(x, y, width, height))
