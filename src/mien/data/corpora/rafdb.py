"""RAF-DB, the basic set (Li, Deng, Du 2017): 15,339 faces in seven classes, with an official train / test split.

Two layouts are read:

- The official tree: labels in `basic/EmoLabel/list_patition_label.txt`, pictures `basic/Image/aligned/*_aligned.jpg`.
  If `basic/Annotation/manual/*_manu_attri.txt` is there, gender, race and age become groups.
- The repacked tree: `train/1..7/*` and `test/1..7/*`, possibly below `DATASET/`. If `train_labels.csv` and
  `test_labels.csv` are there, the folders are checked against them.

The codes are 1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger, 7 neutral.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...errors import BadSample, DataError
from . import folder
from .pictures import inside, load_picture, require_folder
from .protocol import Corpus, Entry, ReadOptions
from .tables import bounded, count_lines, table

__all__ = ["CLASSES", "read"]

CLASSES = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
CODES = {str(code): code - 1 for code in range(1, len(CLASSES) + 1)}
LICENCE = "RAF-DB: non-commercial research only, on request from its authors; pictures must not be passed on."
LABELS = Path("EmoLabel/list_patition_label.txt")
"""The official name, with its missing letter."""
MANUAL = Path("Annotation/manual")
"""Of each picture: five lines of landmarks, then one line each with the codes of the attributes below."""
MOST_BYTES = 1 << 16
"""Of the annotation of one picture; RAF-DB's have some hundred."""
LANDMARK_LINES = 5
ATTRIBUTES = {
    "gender": ("male", "female", "unsure"),
    "race": ("caucasian", "african-american", "asian"),
    "age": ("0-3", "4-19", "20-39", "40-69", "70+"),
}
"""As the annotators saw it, in the authors' words and order of codes."""


def read(root: Path, options: ReadOptions) -> Corpus:
    """Read the official tree (at its root or at `basic/`) or the re-packed one."""
    require_folder(root, "rafdb")
    official = next((path for path in (root / "basic", root) if (path / "Image").is_dir()), None)
    if official is not None:
        return _official(official)
    packed = next((path for path in (root, root / "DATASET") if (path / "train").is_dir()), None)
    if packed is None:
        raise DataError(f"{root} holds neither basic/Image (official RAF-DB) nor train/1..7 and test/1..7.")
    return _packed(packed)


def _official(root: Path) -> Corpus:
    labels, faces = root / LABELS, root / "Image" / "aligned"
    if not labels.is_file():
        raise DataError(f"The label file {labels} is missing; RAF-DB's labels are in {LABELS.as_posix()}.")
    if not faces.is_dir():
        raise DataError(f"{faces} is missing; unpack RAF-DB's aligned.zip into basic/Image.")
    return Corpus(
        name="rafdb",
        classes=CLASSES,
        licence=LICENCE,
        count=count_lines(labels)[0],
        entries=_listed(root, labels),
        notes=(
            "The official split: train_* is train, test_* is test.",
            *(["Gender, race and age are what annotators saw."] if (root / MANUAL).is_dir() else []),
        ),
    )


def _listed(root: Path, labels: Path) -> Iterator[Entry | BadSample]:
    with labels.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(bounded(labels, file), start=1):
            if line.strip():
                yield _listed_entry(root, line.split(), f"{labels.name}:{number}")


def _listed_entry(root: Path, words: list[str], where: str) -> Entry | BadSample:
    if len(words) != 2:
        return BadSample(where, f"{len(words)} words, expected a file name and a code")
    name, code = words
    split = name.split("_")[0]
    if code not in CODES:
        return BadSample(where, f"the label is {code!r}, expected 1 to {len(CLASSES)}")
    if split not in ("train", "test"):
        return BadSample(where, f"the name {name!r} begins with neither train_ nor test_")
    source = f"Image/aligned/{name.rpartition('.')[0]}_aligned.jpg"
    try:
        path = inside(root, source, where)
        groups = _attributes(root, name.rpartition(".")[0])
    except BadSample as bad:
        return bad
    load = partial(load_picture, path, f"{where}: {source}")
    return Entry(label=CODES[code], split=split, source=source, load=load, groups=groups)


def _attributes(root: Path, stem: str) -> dict[str, str]:
    """Gender, race and age of a picture: empty texts if it has no annotation, and {} if no picture has one."""
    if not (root / MANUAL).is_dir():
        return {}
    name = f"{stem}_manu_attri.txt"
    path = inside(root, (MANUAL / name).as_posix(), name)
    if not path.is_file():
        return dict.fromkeys(ATTRIBUTES, "")
    if path.stat().st_size > MOST_BYTES:
        raise BadSample(name, f"{path.stat().st_size:,} bytes, expected at most {MOST_BYTES:,}")
    codes = path.read_text(encoding="utf-8", errors="replace").split("\n")[LANDMARK_LINES:]
    codes = [code.strip() for code in codes if code.strip()]
    if len(codes) != len(ATTRIBUTES):
        raise BadSample(name, f"{len(codes)} lines after the landmarks, expected {', '.join(ATTRIBUTES)}")
    for code, (attribute, levels) in zip(codes, ATTRIBUTES.items(), strict=True):
        if code not in map(str, range(len(levels))):
            raise BadSample(name, f"{attribute} is {code!r}, expected 0 to {len(levels) - 1}")
    return {name: levels[int(code)] for code, (name, levels) in zip(codes, ATTRIBUTES.items(), strict=True)}


def _packed(root: Path) -> Corpus:
    tree = folder.scan(root)
    strange = sorted(set(tree.classes) - set(CODES))
    if strange:
        raise DataError(f"{root} holds the folders {strange[:12]}; RAF-DB's are 1 to {len(CLASSES)}.")
    found = folder.corpus(
        tree,
        name="rafdb",
        licence=LICENCE,
        notes=("The official split, as the folders train/ and test/ have it.",),
        class_of=lambda name: CLASSES[CODES[name]],
    )
    codes = _codes(root)
    if not codes:
        return found
    checked = (_check(entry, codes, found.classes) for entry in found.entries)
    return replace(found, entries=checked, notes=(*found.notes, "Folders were checked against the tables of labels."))


def _codes(root: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """(split, file name) -> (where, code) from the optional tables beside the folders."""
    codes = {}
    for split in ("train", "test"):
        path = root / f"{split}_labels.csv"
        for row in table(path, ("image", "label")) if path.is_file() else ():
            if isinstance(row, BadSample):
                raise row
            codes[split, row.cells["image"]] = (row.where, row.cells["label"])
    return codes


def _check(
    entry: Entry | BadSample, codes: dict[tuple[str, str], tuple[str, str]], classes: tuple[str, ...]
) -> Entry | BadSample:
    if isinstance(entry, BadSample):
        return entry
    where, code = codes.get((entry.split, entry.source.rpartition("/")[2]), ("", ""))
    if where and (code not in CODES or CLASSES[CODES[code]] != classes[entry.label]):
        return BadSample(where, f"the label is {code!r}, but the picture is {entry.source}")
    return entry
