"""Any corpus as arrays: one `.npz` with images, labels and, if wanted, class_names, subjects, split, soft.

In: `images` uint8 `(N, H, W)` or `(N, H, W, 1 or 3)` RGB, `labels` `(N,)` class names or codes into `class_names`
`(K,)`, `subjects` `(N,)`, `split` `(N,)` names or codes (0 train, 1 valid, 2 test; where 2 never occurs, 1 is the
test), `soft` `(N, K)` votes in the order of `class_names`. Out: a `Corpus`. Pictures are read one by one from
the archive, so that it may be larger than memory; the other arrays are read whole. Nothing is unpickled.
"""

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import MOST_BYTES, read_header, read_items
from ...errors import BadSample, DataError
from ...media import MAX_SIDE
from ...reading import LONGEST_TEXT, reading
from .folder import SPLIT_NAMES
from .protocol import Corpus, Entry, ReadOptions

__all__ = ["read"]

SMALL = ("labels", "class_names", "subjects", "split", "soft")
MOST_PIXELS = 1 << 21
"""Of one picture, about 1400 × 1400: a window of them waits in memory to be cut."""
MOST_CLASSES = 1000
MOST_ROWS = 5_000_000
"""Each costs a few hundred bytes, beside its picture."""
REMEDY = "Write it again with numpy.savez, without pickled objects."


def read(root: Path, options: ReadOptions) -> Corpus:
    """Read an `.npz` file."""
    if not root.is_file():
        raise DataError(f"{root} is not a file; the npz corpus is one .npz file.")
    with reading(root, DataError, REMEDY), zipfile.ZipFile(root) as archive:
        shape = _images_shape(archive, root)
        arrays = _small(archive)
    if shape[0] == 0:
        raise DataError(f"{root} holds zero images.")
    classes, labels = _labels(root, arrays, shape[0])
    splits, note = _splits(root, arrays, shape[0])
    return Corpus(
        name="npz",
        classes=classes,
        licence="The licence of these arrays was not stated.",
        count=shape[0],
        entries=_entries(root, shape, labels, splits, arrays, len(classes)),
        notes=(note,),
    )


def _images_shape(archive: zipfile.ZipFile, root: Path) -> tuple[int, ...]:
    names = archive.namelist()
    if "images.npy" not in names or "labels.npy" not in names:
        raise DataError(f"{root} holds {names[:12]}, but needs images.npy and labels.npy.")
    with archive.open("images.npy") as file:
        header = read_header(file)
    shape = header.shape
    good = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
    if header.dtype != np.uint8 or not good or not all(1 <= side <= MAX_SIDE for side in shape[1:3]):
        raise DataError(f"{root} has images {header}; expected uint8 (N, H, W) or (N, H, W, 1 or 3).")
    if header.fortran:
        raise DataError(f"{root} has images in column order; write them again through numpy.ascontiguousarray.")
    if shape[1] * shape[2] > MOST_PIXELS or shape[0] > MOST_ROWS:
        raise DataError(
            f"{root} has images {header}; expected at most {MOST_ROWS:,} of {MOST_PIXELS:,} pixels each. Larger ones "
            "are imported from files: --corpus folder or csv."
        )
    return shape


def _small(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """The arrays that are read whole, within a limit on all of them together."""
    found, left = {}, MOST_BYTES
    for name in SMALL:
        if f"{name}.npy" not in archive.namelist():
            continue
        with archive.open(f"{name}.npy") as file:
            header = read_header(file)
            left -= header.bytes
            letters = header.dtype.itemsize // 4 if header.dtype.kind == "U" else 0
            if left < 0 or letters > LONGEST_TEXT:
                raise ValueError(
                    f"{name} is {header}; expected texts of at most {LONGEST_TEXT} letters, and at most "
                    f"{MOST_BYTES >> 20} MB beside the images"
                )
            found[name] = read_items(file, header)
    return found


def _labels(root: Path, arrays: dict[str, NDArray[Any]], count: int) -> tuple[tuple[str, ...], list[int | str]]:
    """Class names and, a sample, its code, or what was found where that is no code."""
    labels = arrays["labels"]
    if labels.shape != (count,):
        raise DataError(f"{root} has {count} images, but labels of shape {labels.shape}.")
    if labels.dtype.kind == "U":
        names = tuple(sorted(set(labels.tolist())))
        if len(names) > MOST_CLASSES:
            raise DataError(f"{root} has {len(names):,} different labels; expected at most {MOST_CLASSES:,}.")
        codes = {name: code for code, name in enumerate(names)}
        return names, [codes[label] for label in labels.tolist()]
    if labels.dtype.kind not in "iu" or "class_names" not in arrays:
        raise DataError(f"{root} has labels of {labels.dtype}; expected names, or codes with an array class_names.")
    names = tuple(str(name) for name in arrays["class_names"].ravel()[: MOST_CLASSES + 1].tolist())
    if len(names) > MOST_CLASSES:
        raise DataError(f"{root} has more than {MOST_CLASSES:,} class_names.")
    return names, [code if 0 <= code < len(names) else f"{code}" for code in labels.tolist()]


def _splits(root: Path, arrays: dict[str, NDArray[Any]], count: int) -> tuple[list[str], str]:
    if "split" not in arrays:
        return ["train"] * count, "The arrays have no splits: every picture is train."
    found = arrays["split"]
    if found.shape != (count,):
        raise DataError(f"{root} has {count} images, but a split of shape {found.shape}.")
    if found.dtype.kind == "U":
        return [SPLIT_NAMES.get(name.lower(), name) for name in found.tolist()], "The split is that of the arrays."
    names = {0: "train", 1: "valid" if (found == 2).any() else "test", 2: "test"}
    note = f"The split is that of the arrays: 0 is train, 1 is {names[1]}, 2 is test."
    return [names.get(code, str(code)) for code in found.tolist()], note


def _entries(
    root: Path,
    shape: tuple[int, ...],
    labels: list[int | str],
    splits: list[str],
    arrays: dict[str, NDArray[Any]],
    classes: int,
) -> Iterator[Entry | BadSample]:
    subjects, soft = arrays.get("subjects"), arrays.get("soft")
    for name, column, expected in (("subjects", subjects, (shape[0],)), ("soft", soft, (shape[0], classes))):
        if column is not None and column.shape != expected:
            raise DataError(f"{root} has {name} of shape {column.shape}; expected {expected}.")
    for row, picture in enumerate(_pictures(root, shape)):
        where, label = f"{root.name}:{row}", labels[row]
        if isinstance(label, str):
            yield BadSample(where, f"the label is {label}, expected 0 to {classes - 1}")
        elif splits[row] not in SPLIT_NAMES.values():
            yield BadSample(where, f"the split is {splits[row]!r}, expected train, valid or test, or 0, 1, 2")
        else:
            yield Entry(
                label=label,
                split=splits[row],
                source=where,
                load=partial(_same, picture),
                subject="" if subjects is None else str(subjects[row]),
                votes=() if soft is None else tuple(float(vote) for vote in soft[row]),
            )


def _same(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture


def _pictures(root: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    size = int(np.prod(shape[1:], dtype=np.int64))
    with reading(root, DataError, REMEDY), zipfile.ZipFile(root) as archive, archive.open("images.npy") as file:
        read_header(file)
        for row in range(shape[0]):
            data = file.read(size)
            if len(data) < size:
                raise DataError(f"{root.name} ends in image {row} of {shape[0]}: the file is truncated.")
            yield np.frombuffer(data, np.uint8).reshape(shape[1:])
        if file.read(1):
            raise ValueError(f"images holds more than the {shape[0]} images that it declares")
