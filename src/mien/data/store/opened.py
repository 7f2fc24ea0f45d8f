"""Reads a store: its planes, memory-mapped or row by row, its samples, and the openings of its test part."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import map_npy
from ...errors import DataError
from ...labels import LabelSet
from ...planes import FACE, Batch, Plane
from ...reading import GivenPath, given_path, read_text, reading
from ...temporary import sweep
from ..samples import Sample, Samples, iter_rows, read_samples
from .files import HEADER_BYTES, Meta, file_of, fingerprint, read_meta, reading_store, require_file, state_of

__all__ = ["Store"]

OPENINGS = "test_openings.csv"


class Store:
    """An opened store. Its planes are memory-mapped, and data are read on request."""

    def __init__(self, path: Path, meta: Meta) -> None:
        self.path = path
        self.meta = meta
        self.labels = LabelSet(meta.labels)
        self.planes: Mapping[str, Plane] = {plane.name: plane for plane in meta.planes}
        """The planes of each sample, by name; `face` comes first."""
        self.others = meta.planes[1:]
        """The planes beside `face`."""
        self._maps = {name: self._map(plane) for name, plane in self.planes.items()}
        self._state = state_of(path / "meta.json")

    @classmethod
    def open(cls, path: GivenPath) -> "Store":
        """Open a store folder; raises `DataError` where it is not one, not whole, or its parts disagree.

        Images and samples are read once and hashed: a store whose bytes are not those that were written is refused.
        """
        path = given_path(path, "A store", DataError)
        if not path.exists():
            sweep(path.parent)  # killed while it was replaced, on a system that cannot exchange folders
        store = cls(path, read_meta(path))
        with reading_store(path):
            seen = fingerprint(path, store.planes)
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
        with reading_store(path):
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
        return file_of(self.path, name)

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
        if state_of(self.path / "meta.json") != self._state and read_meta(self.path).sha256 != self.meta.sha256:
            raise DataError(f"{self.path} was replaced while it was in use. Run this again.")
        return batch

    def _read(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        self._require(name)
        plane, path = self.planes[name], self.file(name)
        found = np.empty((len(rows), *plane.shape), plane.dtype)
        item, cuts = plane.item_bytes, np.flatnonzero(np.diff(rows) != 1) + 1
        with reading_store(path), path.open("rb") as file:
            for together, place in zip(np.split(rows, cuts), np.split(found, cuts), strict=True):
                if len(together):
                    file.seek(HEADER_BYTES + int(together[0]) * item)
                    if file.readinto(place.data) != place.nbytes:
                        raise ValueError("it ends too early")
        return found

    def _map(self, plane: Plane) -> NDArray[Any]:
        path = self.file(plane.name)
        with reading_store(path):
            require_file(path)
            return map_npy(path, plane.dtype, (self.meta.count, *plane.shape), HEADER_BYTES)

    def _require(self, name: str) -> None:
        if name not in self.planes:
            raise DataError(f"{self.path} has no plane {name!r}; it has {', '.join(self.planes)}.")

    def iter_samples(self) -> Iterator[Sample]:
        """Stream the samples in order, in flat memory; raises `DataError` at a row that is damaged."""
        path, count = self.path / "samples.csv", 0
        with reading_store(path):
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
        """The distributions of annotators' votes for `rows`, `(n, K)`; each sums to 1. None if the store has none.

        A store has none if its samples have no distributions, if every distribution is a single label, or if models
        made them.
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
                return  # whoever planted a link chose the file that would grow
            with path.open("a", encoding="utf-8", newline="") as file:
                file.write(f"{when},{run_id}\n")
        except OSError:
            return  # a store on a read-only disk: the run's own record keeps the opening

    def openings(self) -> list[tuple[str, str]]:
        """When (UTC) and by which run the test part was opened, in order."""
        path = self.path / OPENINGS
        if not path.exists():
            return []
        with reading(path, DataError, "Remove it if it cannot be restored; the records of the runs say it still."):
            lines = read_text(path).splitlines()
        return [(when, run_id) for when, _, run_id in (line.partition(",") for line in lines)]
