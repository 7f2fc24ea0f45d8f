"""The store: a corpus as one folder that any part of mien opens in a millisecond.

    planes/face.npy     uint8 (N, H, W, C): the crops, memory-mapped
    planes/NAME.npy     what else is known of each sample, such as the flow between two frames (`mien.planes`)
    samples.csv         label, split, subject, source, then soft:<class>, group:<name>, au:<number> where known
    meta.json           label set, licence, crop, planes, counts, what was left out, sha256
    test_openings.csv   when and by which run the test part was opened; grows, and is no part of the data

It is written as a stream into a temporary folder that is renamed at the end: memory stays flat at any N,
and an interrupted import leaves nothing that opens.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..arrays import map_npy
from ..atomic import new_folder, write_json
from ..crop import CropSpec
from ..errors import DataError
from ..labels import LabelSet
from ..planes import FACE, Batch, Plane
from ..reading import Count, Fingerprint, Positive, Text, from_json, read_bytes, read_text, reading
from ..shown import first_line
from ..temporary import sweep
from ..version import __version__
from .samples import SPLITS, Sample, Samples, columns_of, iter_rows, read_samples

__all__ = ["SPLITS", "Meta", "Sample", "Samples", "Store", "StoreWriter", "create_store"]

HEADER_BYTES = 128
PLANES = "planes"
"""Folder of the arrays."""
OPENINGS = "test_openings.csv"
CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Meta:
    """`meta.json`: what the store is and where it came from."""

    corpus: Text
    labels: tuple[Text, ...]
    licence: str
    crop: CropSpec
    planes: tuple[Plane, ...]
    """What each sample is made of; `face` comes first."""
    count: Positive
    skipped: Count = 0
    """Bad samples left out by `--skip-bad`."""
    skipped_examples: tuple[str, ...] = ()
    """The first of them, with file, line and reason."""
    notes: tuple[str, ...] = ()
    """What an import or a clean-up decided, in sentences."""
    taught: bool = False
    """Whether distributions of the train split hold what models said (`mien.data.teach`)."""
    sha256: Fingerprint
    """Of planes and samples: the data fingerprint that runs and reports carry."""
    mien: str = __version__

    def __post_init__(self) -> None:
        LabelSet(self.labels)
        names = [plane.name for plane in self.planes]
        if names[:1] != [FACE] or len(set(names)) != len(names):
            raise ValueError(f"its planes are {', '.join(names)}, expected {FACE} first and each name once")
        if self.planes[0] != self.crop.plane:
            raise ValueError(f"the plane {FACE} is {self.planes[0]}, expected {self.crop.plane}")


class Store:
    """An opened store. Its planes are memory-mapped; nothing is read before it is asked for."""

    def __init__(self, path: Path, meta: Meta) -> None:
        self.path = path
        self.meta = meta
        self.labels = LabelSet(meta.labels)
        self.planes: Mapping[str, Plane] = {plane.name: plane for plane in meta.planes}
        """What each sample is made of, by name; `face` comes first."""
        self.others = meta.planes[1:]
        """The planes beside `face`."""
        self._maps = {name: self._map(plane) for name, plane in self.planes.items()}
        self._state = _state(path / "meta.json")

    @classmethod
    def open(cls, path: Path | str) -> "Store":
        """Open a store folder; raises `DataError` where it is not one, not whole, or its parts disagree.

        Images and samples are read once and hashed: a store whose bytes are not those that were written is refused.
        """
        path = Path(path)
        if not path.exists():
            sweep(path.parent)  # killed while it was replaced, on a system that cannot exchange folders
        store = cls(path, _read_meta(path))
        with _reading(path):
            seen = _fingerprint(path, store.planes)
        if seen != store.meta.sha256:
            raise DataError(
                f"{path} has changed since it was made: its planes and samples.csv have the sha256 {seen[:16]}…, "
                f"meta.json says {store.meta.sha256[:16]}…. Restore the files, or prepare the store again."
            )
        return store

    def __len__(self) -> int:
        return self.meta.count

    @cached_property
    def samples(self) -> Samples:
        """The samples table, read at first use."""
        path = self.path / "samples.csv"
        with _reading(path):
            return read_samples(path, self.meta.labels, self.meta.count)

    @property
    def images(self) -> NDArray[np.uint8]:
        """The crops, `(N, H, W, C)` uint8, memory-mapped."""
        return self.array(FACE)

    def array(self, name: str) -> NDArray[Any]:
        """A plane of all samples, `(N, *shape)`, memory-mapped; raises `DataError` where the store lacks it."""
        self._require(name)
        return self._maps[name]

    def file(self, name: str) -> Path:
        """The file of a plane."""
        return _file(self.path, name)

    def iter_images(self, batch: int = 512) -> Iterator[NDArray[np.uint8]]:
        """Stream the crops in order, `(up to batch, H, W, C)` each."""
        return (planes[FACE] for planes in self.iter_batches((FACE,), batch))

    def iter_batches(self, planes: Sequence[str], batch: int = 512) -> Iterator[Batch]:
        """Stream some planes of all samples in order, up to `batch` samples each."""
        for start in range(0, len(self), batch):
            yield self.read(np.arange(start, min(start + batch, len(self))), planes)

    def read(self, rows: NDArray[np.int64], planes: Sequence[str] = (FACE,)) -> Batch:
        """The planes of `rows`, `(n, *shape)` each, in memory of their own.

        They are read plainly, these rows alone: mapped pages would count as memory of this process. Raises `DataError`
        where they cannot be read, where the store lacks a plane, or where another store has taken this one's place.
        """
        batch = {name: self._read(name, rows) for name in planes}
        if _state(self.path / "meta.json") != self._state and _read_meta(self.path).sha256 != self.meta.sha256:
            raise DataError(f"{self.path} was replaced while it was in use. Run this again.")
        return batch

    def _read(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        self._require(name)
        plane, path = self.planes[name], self.file(name)
        found = np.empty((len(rows), *plane.shape), plane.dtype)
        item, cuts = plane.item_bytes, np.flatnonzero(np.diff(rows) != 1) + 1
        with _reading(path), path.open("rb") as file:
            for together, place in zip(np.split(rows, cuts), np.split(found, cuts), strict=True):
                if len(together):
                    file.seek(HEADER_BYTES + int(together[0]) * item)
                    if file.readinto(place.data) != place.nbytes:
                        raise ValueError("it ends too early")
        return found

    def _map(self, plane: Plane) -> NDArray[Any]:
        path = self.file(plane.name)
        with _reading(path):
            _require_file(path)
            return map_npy(path, plane.dtype, (self.meta.count, *plane.shape), HEADER_BYTES)

    def _require(self, name: str) -> None:
        if name not in self.planes:
            raise DataError(f"{self.path} has no plane {name!r}; it has {', '.join(self.planes)}.")

    def iter_samples(self) -> Iterator[Sample]:
        """Stream the samples in order, in flat memory; raises `DataError` at a row that is damaged."""
        path, count = self.path / "samples.csv", 0
        with _reading(path):
            for _, sample in iter_rows(path, self.meta.labels):
                if count == self.meta.count:
                    raise ValueError(f"more rows than the {count} of meta.json")
                yield sample
                count += 1
            if count != self.meta.count:
                raise ValueError(f"{count} rows where meta.json says {self.meta.count}")

    def rows(self, split: str) -> NDArray[np.int64]:
        """The rows of a split, ascending."""
        return np.flatnonzero(self.samples.split == split)

    def votes(self, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """What annotators say of `rows`, `(n, K)`, rows sum to 1; None where the store does not know.

        It does not where it has no distributions, where each is but a label written as one, and where models said them.
        """
        samples = self.samples
        if samples.soft is None or (self.meta.taught and (samples.split[rows] == "train").any()):
            return None
        soft = samples.soft[rows].astype(np.float64)
        return None if (soft.max(axis=1) == 1).all() else soft

    def log_opening(self, when: str, run_id: str) -> None:
        """Note in `test_openings.csv` that a run opened the test part; no part of the fingerprint."""
        try:
            path = self.path / OPENINGS
            if path.is_symlink():
                return  # whoever planted it chose the file that would grow
            with path.open("a", encoding="utf-8", newline="") as file:
                file.write(f"{when},{run_id}\n")
        except OSError:
            return  # a store on a read-only disk: the run's own record says it still

    def openings(self) -> list[tuple[str, str]]:
        """When (UTC) and by which run the test part was opened, in order."""
        path = self.path / OPENINGS
        if not path.exists():
            return []
        with reading(path, DataError, "Remove it if it cannot be restored; the records of the runs say it still."):
            lines = read_text(path).splitlines()
        return [(when, run_id) for when, _, run_id in (line.partition(",") for line in lines)]


class StoreWriter:
    """Takes samples one by one, as a stream; made by `create_store`."""

    def __init__(self, folder: Path, labels: LabelSet, crop: CropSpec, planes: Sequence[Plane] = ()) -> None:
        self.labels = labels
        self.crop = crop
        self.planes = (crop.plane, *planes)
        self.count = 0
        self.folder = folder
        """Where the store is being written; a file put here becomes part of it."""
        (folder / PLANES).mkdir()
        self._arrays = [_ArrayFile(_file(folder, plane.name), plane) for plane in self.planes]
        self._table = (folder / "samples.csv").open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._rows = csv.writer(self._table, lineterminator="\n")
        self._columns: tuple[list[str], list[int], bool] | None = None

    def add(self, sample: Sample, /, **planes: NDArray[Any]) -> None:
        """Append one sample: `face=` its crop `(H, W, C)` uint8, and by name the other planes of the store.

        The first sample fixes the columns of the table.
        """
        if planes.keys() != {plane.name for plane in self.planes}:
            expected = ", ".join(plane.name for plane in self.planes)
            raise DataError(f"{first_line(sample.source)}: it has the planes {', '.join(planes)}, expected {expected}.")
        for plane in self.planes:
            if not plane.fits(planes[plane.name]):
                seen = f"{planes[plane.name].dtype} {planes[plane.name].shape}"
                raise DataError(f"{first_line(sample.source)}: the plane {plane.name} is {seen}, expected {plane}.")
        try:
            sample.check(len(self.labels))
        except ValueError as error:
            raise DataError(f"{first_line(sample.source)}: {error}.") from None
        if self._columns is None:
            self._columns = (list(sample.groups), list(sample.aus), bool(sample.soft))
            names, numbers, soft = self._columns
            self._rows.writerow(columns_of(self.labels.names, names, numbers, soft=soft))
        groups, aus, soft = self._columns
        if len(sample.soft) != soft * len(self.labels):
            raise DataError(f"{sample.source}: {len(sample.soft)} soft labels; all samples have one a class, or none.")
        row = [sample.label, sample.split, sample.subject, sample.source]
        row += [f"{p:.6g}" for p in sample.soft] if soft else []
        row += [sample.groups.get(name, "") for name in groups]
        row += [f"{sample.aus.get(au, 0.0):.6g}" for au in aus]
        self._rows.writerow(row)
        for plane, array in zip(self.planes, self._arrays, strict=True):
            array.append(planes[plane.name])
        self.count += 1

    def close(self) -> None:
        """Close the files; the arrays get their final shapes."""
        self._table.close()
        for array in self._arrays:
            array.close()

    def finish(
        self,
        *,
        corpus: str,
        licence: str,
        notes: Sequence[str] = (),
        skipped: int = 0,
        skipped_examples: Sequence[str] = (),
        taught: bool = False,
    ) -> Meta:
        """Write `meta.json`; without it the folder is no store. Raises `DataError` where it has no image."""
        if self.count == 0:
            raise DataError(f"The {corpus} corpus gave no usable image; {skipped} were left out.")
        self.close()
        meta = Meta(
            corpus=corpus,
            labels=self.labels.names,
            licence=licence,
            crop=self.crop,
            planes=self.planes,
            count=self.count,
            skipped=skipped,
            skipped_examples=tuple(skipped_examples),
            notes=tuple(notes),
            taught=taught,
            sha256=_fingerprint(self.folder, [plane.name for plane in self.planes]),
        )
        write_json(self.folder / "meta.json", asdict(meta))
        return meta

    def finish_from(self, store: "Store", note: str, *, taught: bool = False) -> Meta:
        """Write the `meta.json` of a store that was made from another, with a sentence that says how."""
        return self.finish(
            corpus=store.meta.corpus,
            licence=store.meta.licence,
            notes=(*store.meta.notes, note),
            skipped=store.meta.skipped,
            skipped_examples=store.meta.skipped_examples,
            taught=taught or store.meta.taught,
        )


@contextmanager
def create_store(
    path: Path | str, labels: LabelSet, crop: CropSpec, *, planes: Sequence[Plane] = (), replace: bool = False
) -> Iterator[StoreWriter]:
    """Open a new store for writing; it appears at `path`, whole, when the body ends well.

    Each sample has a `face`, of the `crop`, and the further `planes`.

    Raises `DataError` where `path` exists and `replace` is false, where `replace` would remove a folder that is no
    store, and for an `OSError` on the way, such as a full disk.
    """
    path = Path(path)
    try:
        _check_target(path, replace)
        with new_folder(path, replace=replace) as folder:
            writer = StoreWriter(folder, labels, crop, planes)
            try:
                yield writer
            finally:
                writer.close()
            if not (folder / "meta.json").exists():
                raise DataError(f"The store {path} was not finished, so it was not kept.")
    except OSError as error:
        raise DataError(f"The store {path} cannot be written ({error.strerror or error}).") from None


class _ArrayFile:
    """An .npy file that grows; the header, of fixed length, gets the true shape at the end."""

    def __init__(self, path: Path, plane: Plane) -> None:
        self._file: BinaryIO = path.open("wb")
        self._plane = plane
        self._count = 0
        self._file.write(b"\0" * HEADER_BYTES)

    def append(self, item: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(item).data)
        self._count += 1

    def close(self) -> None:
        if self._file.closed:
            return
        shape = (self._count, *self._plane.shape)
        fields = {"descr": np.dtype(self._plane.dtype).str, "fortran_order": False, "shape": shape}
        text = repr(fields).ljust(HEADER_BYTES - 11) + "\n"
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little") + text.encode("latin1"))
        self._file.close()


def _check_target(path: Path, replace: bool) -> None:
    if not path.exists():
        return
    if not replace:
        raise DataError(f"{path} exists already. Choose another --out, or pass --force to replace it.")
    if not (path / "meta.json").is_file():
        raise DataError(f"{path} exists and is not a store, so --force will not replace it. Choose another --out.")


def _file(folder: Path, plane: str) -> Path:
    return folder / PLANES / f"{plane}.npy"


def _fingerprint(folder: Path, planes: Iterable[str]) -> str:
    """The sha256 of the crops, the samples and the further planes, one after the other.

    It is computed once a process and state of the files. The state is asked of the system anew each time and kept
    nowhere but in memory: a note on disk could be as wrong as the files that it vouches for.
    """
    others = sorted(_file(folder, name) for name in planes if name != FACE)
    files = (_file(folder, FACE), folder / "samples.csv", *others)
    return _hashed(files, tuple(map(_state, files)))


def _state(path: Path) -> tuple[int, ...]:
    """What tells states of a file apart: device, inode, size, times of writing and of any change; () without a file."""
    try:
        seen = path.stat()
    except OSError:
        return ()
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


@lru_cache(maxsize=64)
def _hashed(files: tuple[Path, ...], _state: object) -> str:
    digest = hashlib.sha256()
    for path in files:
        _require_file(path)
        with path.open("rb") as file:
            while block := file.read(CHUNK):
                digest.update(block)
    return digest.hexdigest()


def _require_file(path: Path) -> None:
    """Raise `ValueError` for what is there and is no file: a pipe would be waited for, and a device has no end."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")


def _reading(part: Path) -> AbstractContextManager[None]:
    """Around all that reads a part of a store: why it cannot be had becomes a sentence."""
    return reading(part, DataError, "Restore it, or prepare the store again.")


def _read_meta(path: Path) -> Meta:
    file = path / "meta.json"
    if not file.is_file():
        raise DataError(f"{path} is not a store: it has no meta.json. Make one with `mien data prepare` or `draw`.")
    with _reading(file):
        return from_json(read_bytes(file), Meta)
