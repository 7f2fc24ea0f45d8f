"""Arrays: one `.npz` file with pictures or flow, and their labels.

Arrays of the file, for N samples and K classes:

- `images`: uint8 `(N, H, W)`, or `(N, H, W, C)` with 1 channel or 3 (RGB). Floats are read as flow.
- `flow`: `(N, H, W, C)`, floats or uint8. It becomes the plane `flow`.
- `labels`: `(N,)`, names of classes, or codes into `class_names` `(K,)`.
- Optional: `subjects` `(N,)`, `corpus` `(N,)` names, and `soft` `(N, K)` votes in the order of `class_names`.
- Optional: `(N,)` words or numbers that the user names as attributes (`attributes`).
- Optional: `split` `(N,)`, names or codes (0 train, 1 valid, 2 test). If no sample has the code 2, then 1 is the test.

`images` is also read as flow if the user says so. Pictures and flow are read one by one, so the file may be larger than
memory. The other arrays are read whole. Nothing is unpickled.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...arrays import MOST_BYTES, read_header, read_items
from ...errors import BadSample, DataError
from ...reading import LONGEST_TEXT, reading
from .attributes import attribute, columns
from .flows import flow_plane
from .folder import SPLIT_NAMES
from .protocol import Corpus, Entry, ReadOptions
from .stored import REMEDY, Stored, find, notes, samples

__all__ = ["read"]

SMALL = ("labels", "class_names", "subjects", "corpus", "split", "soft")
MICRO = {"negative", "positive", "surprise"}
"""The classes of MEGC-2019: the label set is then their own, unless the user says another."""
MOST_CLASSES = 1000


def read(root: Path, options: ReadOptions) -> Corpus:
    """Read an `.npz` file."""
    if not root.is_file():
        raise DataError(f"{root} is not a file; the npz corpus is one .npz file.")
    asked = [attribute(text) for text in options.group]
    with reading(root, DataError, REMEDY), zipfile.ZipFile(root) as archive:
        stored = find(archive, root, options)
        arrays = _small(archive, [one.name for one in asked])
    if stored.count == 0:
        raise DataError(f"{root} holds zero images.")
    classes, labels = _labels(root, arrays, stored.count)
    splits, note = _splits(root, arrays, stored.count)
    plane = flow_plane(stored.flow[1]) if stored.flow else None
    return Corpus(
        name="npz",
        classes=classes,
        licence="The licence of these arrays was not stated.",
        count=stored.count,
        entries=_entries(
            root, stored, labels, splits, arrays, len(classes), groups=columns(asked, arrays, stored.count)
        ),
        planes=(plane,) if plane else (),
        size=max(plane.shape[:2]) if plane else None,
        labels="own" if plane or set(classes) == MICRO else None,
        notes=(note, *notes(stored)),
    )


def _small(archive: zipfile.ZipFile, attributes: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The arrays that are read whole. Their sizes are limited together."""
    found, left = {}, MOST_BYTES
    for name in dict.fromkeys((*SMALL, *attributes)):
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
    """The class names, and the code of each sample. A sample without a valid code has the value that was found."""
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
    stored: Stored,
    labels: list[int | str],
    splits: list[str],
    arrays: dict[str, NDArray[Any]],
    classes: int,
    *,
    groups: Mapping[str, Sequence[str]],
) -> Iterator[Entry | BadSample]:
    count = stored.count
    subjects, corpora, soft = arrays.get("subjects"), arrays.get("corpus"), arrays.get("soft")
    for name, expected in (("subjects", (count,)), ("corpus", (count,)), ("soft", (count, classes))):
        if name in arrays and arrays[name].shape != expected:
            raise DataError(f"{root} has {name} of shape {arrays[name].shape}; expected {expected}.")
    for row, (picture, planes) in enumerate(samples(root, stored)):
        where, label = f"{root.name}:{row}", labels[row]
        subject = "" if subjects is None else str(subjects[row])
        if isinstance(label, str):
            yield BadSample(where, f"the label is {label}, expected 0 to {classes - 1}")
        elif splits[row] not in SPLIT_NAMES.values():
            yield BadSample(where, f"the split is {splits[row]!r}, expected train, valid or test, or 0, 1, 2")
        else:
            yield Entry(
                label=label,
                split=splits[row],
                source=where,
                load=picture,
                planes=planes,
                subject=_subject(subject, "" if corpora is None else str(corpora[row])),
                groups=_groups(corpora, row) | {name: column[row] for name, column in groups.items()},
                votes=() if soft is None else tuple(float(vote) for vote in soft[row]),
            )


def _groups(corpora: NDArray[Any] | None, row: int) -> dict[str, str]:
    return {} if corpora is None else {"corpus": str(corpora[row])}


def _subject(subject: str, corpus: str) -> str:
    """The name of a subject with its corpus: the same number in two corpora is two people."""
    if not subject or not corpus or subject.startswith(f"{corpus}/"):
        return subject
    return f"{corpus}/{subject}"
