"""Finds the pictures and the flow of an `.npz` file, and streams both so that memory stays flat.

`find` looks at names, types and shapes before it reads any data. `flow` is flow. `images` holds pictures if it is
uint8. It holds flow if the user says so, or if it has floats of which some are negative, which pictures never are.
`samples` gives the picture and the flow of one sample after the other.
"""

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Header, read_header
from ...errors import BadSample, DataError
from ...media import MAX_SIDE
from ...planes import Batch
from ...reading import reading
from .flows import STRETCHED, from_file, is_flow, last, shown
from .protocol import Load, ReadOptions

__all__ = ["REMEDY", "Stored", "find", "notes", "samples"]

MOST_PIXELS = 1 << 21
"""Of one picture, about 1400 × 1400: a window of them waits in memory to be cut."""
MOST_ROWS = 5_000_000
"""Each costs a few hundred bytes, beside its picture."""
REMEDY = "Write it again with numpy.savez, without pickled objects."
EXPECTED = "floats or uint8 (N, H, W, 2 to 8), 8 to 1024 pixels a side"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Which arrays of the file hold pictures and flow."""

    count: int
    pictures: tuple[str, Header] | None
    flow: tuple[str, Header] | None


def find(archive: zipfile.ZipFile, root: Path, options: ReadOptions) -> Stored:
    """Find pictures and flow by names, types and shapes, which are measured before anything is read."""
    names = archive.namelist()
    if not {"images.npy", "flow.npy"} & set(names) or "labels.npy" not in names:
        raise DataError(f"{root} holds {names[:12]}, but needs images.npy (or flow.npy) and labels.npy.")
    headers = {}
    for name in ("images", "flow"):
        if f"{name}.npy" in names:
            with archive.open(f"{name}.npy") as file:
                headers[name] = read_header(file)
    images, flow = headers.get("images"), headers.get("flow")
    if images and flow is None and is_flow(images) and (options.as_flow or _is_signed(root, images)):
        images, flow, name = None, images, "images"
    else:
        name = "flow"
    if options.as_flow and flow is None:
        raise DataError(f"{root} has images {images}, which cannot be flow; expected {EXPECTED}.")
    first = images or flow
    assert first is not None
    stored = Stored(
        count=first.shape[0],
        pictures=("images", images) if images else None,
        flow=(name, flow) if flow else None,
    )
    _check_stored(stored, root)
    return stored


def _is_signed(root: Path, images: Header) -> bool:
    """Whether the array `images` has negative values, which pictures never have."""
    if images.dtype.kind != "f":
        return False
    return any(bool((item < 0).any()) for item in _items(root, "images", images))


def _check_stored(stored: Stored, root: Path) -> None:
    for name, header in filter(None, (stored.pictures, stored.flow)):
        shape = header.shape
        if name == "images" and stored.pictures:
            hint = " Flow that has no negative values needs --as-flow." if is_flow(header) else ""
            good = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
            if header.dtype != np.uint8 or not good or not all(1 <= side <= MAX_SIDE for side in shape[1:3]):
                raise DataError(f"{root} has images {header}; expected uint8 (N, H, W) or (N, H, W, 1 or 3).{hint}")
        elif not is_flow(header):
            raise DataError(f"{root} has flow {header}; expected {EXPECTED}.")
        if header.fortran:
            raise DataError(f"{root} has {name} in column order; write them again through numpy.ascontiguousarray.")
        if (name == "images" and shape[1] * shape[2] > MOST_PIXELS) or shape[0] > MOST_ROWS:
            raise DataError(
                f"{root} has {name} {header}; expected at most {MOST_ROWS:,} of {MOST_PIXELS:,} pixels each. Larger "
                "ones are imported from files: --corpus folder or csv."
            )
        if shape[0] != stored.count:
            raise DataError(f"{root} has {stored.count} images, but {name} {header}.")


def notes(stored: Stored) -> Iterator[str]:
    if stored.flow is None:
        return
    name, header = stored.flow
    yield f"The plane flow is the array {name}, {header}: u, v, then what the file adds; its scale is the file's own."
    if header.dtype == np.uint8:
        yield STRETCHED
    if stored.pictures is None:
        yield "The file has no faces: the plane face shows the flow, 128 for 0, all samples on one scale."


def samples(root: Path, stored: Stored) -> Iterator[tuple[Load, Callable[[], Batch] | None]]:
    """For each sample a function that loads its picture and, if the file has flow, one that loads its plane."""
    if stored.flow is None:
        assert stored.pictures
        yield from ((partial(_same, picture), None) for picture in _items(root, *stored.pictures))
        return
    name, header = stored.flow
    shape = last(header.shape)[1:]
    pictures = _items(root, *stored.pictures) if stored.pictures else None
    peak = np.zeros(1) if pictures else _peak(root, name, header)
    for row, item in enumerate(_items(root, name, header)):
        flow = partial(from_file, item, shape, f"{root.name}:{row}")
        picture = partial(_same, next(pictures)) if pictures else partial(_shown, flow, peak)
        yield picture, partial(_planes, flow)


def _same(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture


def _shown(flow: Callable[[], NDArray[np.float32]], peak: NDArray[np.float64]) -> NDArray[np.uint8]:
    return shown(flow(), peak)


def _planes(flow: Callable[[], NDArray[np.float32]]) -> Batch:
    return {"flow": flow()}


def _peak(root: Path, name: str, header: Header) -> NDArray[np.float64]:
    """The largest absolute value of each channel over all samples. Values that are not finite are ignored."""
    shape = last(header.shape)[1:]
    peak = np.zeros(shape[2])
    for item in _items(root, name, header):
        with suppress(BadSample):
            peak = np.maximum(peak, np.abs(from_file(item, shape, "")).max(axis=(0, 1)))
    return peak


def _items(root: Path, name: str, header: Header) -> Iterator[NDArray[Any]]:
    """The items of a large array, one by one."""
    shape = header.shape
    size = math.prod(shape[1:]) * header.dtype.itemsize
    with reading(root, DataError, REMEDY), zipfile.ZipFile(root) as archive, archive.open(f"{name}.npy") as file:
        read_header(file)
        for row in range(shape[0]):
            data = file.read(size)
            if len(data) < size:
                raise DataError(f"{root.name} ends in image {row} of {shape[0]}: the file is truncated.")
            yield np.frombuffer(data, header.dtype).reshape(shape[1:])
        if file.read(1):
            raise ValueError(f"{name} holds more than the {shape[0]} that it declares")
