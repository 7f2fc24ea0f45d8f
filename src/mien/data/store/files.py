"""The files of a store: their places, their state, their hashes, and the content of `meta.json`."""

import hashlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...crop import CropSpec
from ...errors import DataError
from ...labels import LabelSet
from ...movement import Movement
from ...planes import FACE, Plane
from ...reading import Count, Fingerprint, Positive, Text, from_json, read_bytes, reading
from ...version import __version__

__all__ = [
    "HEADER_BYTES",
    "PLANES",
    "Meta",
    "file_of",
    "fingerprint",
    "read_meta",
    "reading_store",
    "require_file",
    "state_of",
]

HEADER_BYTES = 128
"""Length of the header of a plane's file. It is fixed, so that the header can be written at the end, when the number
of samples is known.
"""
PLANES = "planes"
"""Folder of the arrays."""
CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Meta:
    """`meta.json`: the description and the origin of the store."""

    corpus: Text
    labels: tuple[Text, ...]
    licence: str
    crop: CropSpec
    planes: tuple[Plane, ...]
    """The planes of each sample; `face` comes first."""
    count: Positive
    skipped: Count = 0
    """Bad samples left out by `--skip-bad`."""
    skipped_examples: tuple[str, ...] = ()
    """The first of them, with file, line and reason."""
    notes: tuple[str, ...] = ()
    """Decisions of an import or a clean-up, in sentences."""
    movement: Movement | None = None
    """The method of the flow of its clips, if mien computed it."""
    taught: bool = False
    """Whether distributions of the train split hold predictions of models (`mien.data.teach`)."""
    sha256: Fingerprint
    """SHA-256 of planes and samples: the data fingerprint in runs and reports."""
    mien: str = __version__

    def __post_init__(self) -> None:
        LabelSet(self.labels)
        names = [plane.name for plane in self.planes]
        if names[:1] != [FACE] or len(set(names)) != len(names):
            raise ValueError(f"its planes are {', '.join(names)}, expected {FACE} first and each name once")
        if self.planes[0] != self.crop.plane:
            raise ValueError(f"the plane {FACE} is {self.planes[0]}, expected {self.crop.plane}")


def read_meta(path: Path) -> Meta:
    file = path / "meta.json"
    if not file.is_file():
        raise DataError(f"{path} is not a store: it has no meta.json. Make one with `mien data prepare` or `draw`.")
    with reading_store(file):
        return from_json(read_bytes(file), Meta)


def file_of(folder: Path, plane: str) -> Path:
    return folder / PLANES / f"{plane}.npy"


def fingerprint(folder: Path, planes: Iterable[str]) -> str:
    """The sha256 of the crops, the samples and the further planes, one after the other.

    It is computed once a process and state of the files. The state is asked of the system anew each time and kept
    nowhere but in memory: a note on disk could be as wrong as the files that it vouches for.
    """
    others = sorted(file_of(folder, name) for name in planes if name != FACE)
    files = (file_of(folder, FACE), folder / "samples.csv", *others)
    return _hashed(files, tuple(map(state_of, files)))


def state_of(path: Path) -> tuple[int, ...]:
    """Values that distinguish states of a file: device, inode, size, times of writing and of any change; () without
    a file.
    """
    try:
        seen = path.stat()
    except OSError:
        return ()
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


@lru_cache(maxsize=64)
def _hashed(files: tuple[Path, ...], _state: object) -> str:
    digest = hashlib.sha256()
    for path in files:
        require_file(path)
        with path.open("rb") as file:
            while block := file.read(CHUNK):
                digest.update(block)
    return digest.hexdigest()


def require_file(path: Path) -> None:
    """Raise `ValueError` for anything but a regular file: reading a pipe would wait, and a device has no end."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")


def reading_store(part: Path) -> AbstractContextManager[None]:
    """Surrounds all reading of a part of a store: an error becomes a sentence."""
    return reading(part, DataError, "Restore it, or prepare the store again.")
