"""Writes a store as a stream, into a temporary folder that is moved into place at the end."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...atomic import new_folder, write_json
from ...crop import CropSpec
from ...errors import DataError
from ...labels import LabelSet
from ...movement import Movement
from ...planes import Plane
from ...reading import GivenPath, given_path
from ...shown import first_line
from ..samples import Sample, columns_of
from .files import HEADER_BYTES, PLANES, Meta, file_of, fingerprint
from .opened import Store

__all__ = ["StoreWriter", "create_store"]


class StoreWriter:
    """Takes samples one by one, as a stream; made by `create_store`."""

    def __init__(self, folder: Path, labels: LabelSet, crop: CropSpec, planes: Sequence[Plane] = ()) -> None:
        self.labels = labels
        self.crop = crop
        self.planes = (crop.plane, *planes)
        self.count = 0
        self.folder = folder
        """The temporary folder of the store; a file put here becomes part of it."""
        (folder / PLANES).mkdir()
        self._arrays = [_ArrayFile(file_of(folder, plane.name), plane) for plane in self.planes]
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
        movement: Movement | None = None,
        taught: bool = False,
    ) -> Meta:
        """Write `meta.json`; without it the folder is no store. Raises `DataError` if it has no image."""
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
            movement=movement,
            taught=taught,
            sha256=fingerprint(self.folder, [plane.name for plane in self.planes]),
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
            movement=store.meta.movement,
            taught=taught or store.meta.taught,
        )


@contextmanager
def create_store(
    path: GivenPath, labels: LabelSet, crop: CropSpec, *, planes: Sequence[Plane] = (), replace: bool = False
) -> Iterator[StoreWriter]:
    """Open a new store for writing; it appears at `path`, whole, when the body ends well.

    Each sample has a `face`, of the `crop`, and the further `planes`.

    Raises `DataError` where `path` exists and `replace` is false, where `replace` would remove a folder that is no
    store, and for an `OSError` on the way, such as a full disk.
    """
    path = given_path(path, "A store", DataError)
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
