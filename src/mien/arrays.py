"""The only reader of `.npy` and `.npz` files. It reads and checks the header before it allocates memory.

In: a file, and the expected type and axes of each array, as in `Array("f4", "n K")`. An axis is a name or a number; a
name has one size in all arrays of a file. Out: the arrays. It refuses a header that declares more than the file holds,
and an archive that unpacks to far more than its own size. Nothing is unpickled.

All functions raise `ValueError`, or the errors of `zipfile`, for a file that does not fit: call them inside `reading`.
"""

import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .reading import LONGEST_TEXT

__all__ = ["Array", "Header", "map_npy", "read_header", "read_items", "read_npz"]

MOST_BYTES = 256 << 20
"""Most bytes to which an archive may unpack, unless its own size on disk is larger."""
LONGEST_ENTRY = 1 << 16
"""Most characters of a text that is the only item of its array, such as facts in JSON."""
KINDS = {"U": "text", "f4": "float32", "f8": "float64", "i8": "int64", "u1": "uint8", "u2": "uint16", "b1": "bool"}


@dataclass(frozen=True)
class Array:
    """The expected type and shape of an array."""

    kind: str
    """A key of `KINDS`; numpy's name of the type."""
    axes: str
    """A name or a number for each axis, separated by spaces: "n K", "3 2 n". Empty for a single value."""
    optional: bool = False
    """Whether the file may lack it."""


@dataclass(frozen=True)
class Header:
    """The type and shape that a file declares for its array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    """Whether the array is stored column by column."""
    offset: int
    """Bytes before the first item."""

    @property
    def bytes(self) -> int:
        """Bytes of all items; a header may declare more than any machine has."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def read_header(file: IO[bytes]) -> Header:
    """Read the header of an array at the start of a file; raises `ValueError` if it is not one that mien reads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            version = npy.read_magic(file)
            reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
            shape, fortran, dtype = reader(file)
    except Exception as error:  # numpy parses it as Python: its own errors, those of the parser, MemoryError
        raise ValueError(f"its header is not one of an array ({type(error).__name__})") from None
    if dtype.hasobject or dtype.subdtype or dtype.names or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"it holds {str(dtype)[:80]}; expected an array of numbers or texts")
    return Header(shape, dtype, bool(fortran), file.tell())


def read_items(file: IO[bytes], header: Header) -> NDArray[Any]:
    """Read exactly the items that follow a header."""
    content = bytearray(file.read(header.bytes))
    if len(content) < header.bytes or file.read(1):
        seen = "fewer" if len(content) < header.bytes else "more"
        raise ValueError(f"it holds {seen} bytes than {header}")
    flat = np.frombuffer(content, header.dtype)
    _check_texts(flat)
    return flat.reshape(header.shape[::-1]).T if header.fortran else flat.reshape(header.shape)


def read_npz(path: Path, wanted: Mapping[str, Array], **sizes: int) -> dict[str, NDArray[Any]]:
    """Read the `wanted` arrays of an `.npz`. A name that ends in `*` means all names with this beginning.

    Args:
        path: the file.
        wanted: expected type and shape of each array, by name; other arrays of the file are ignored.
        sizes: known sizes of axes, by name.
    """
    most, found = max(MOST_BYTES, path.stat().st_size), {}
    with zipfile.ZipFile(path) as archive:
        for name, expected in _named(archive, wanted):
            with archive.open(f"{name}.npy") as file:
                header = read_header(file)
                _check(name, header, expected, sizes)
                most -= header.bytes
                if most < 0:
                    raise ValueError(f"{name} is {header}, far larger than the file")
                found[name] = read_items(file, header)
    return found


def map_npy(path: Path, dtype: str, shape: tuple[int, ...], offset: int) -> NDArray[Any]:
    """Map an `.npy` of this type and shape into memory, read-only; its items begin at `offset`.

    Raises `ValueError` if the file has another type or shape.
    """
    with path.open("rb") as file:
        header = read_header(file)
    if header.shape != shape or header.dtype != np.dtype(dtype) or header.fortran:
        raise ValueError(f"it holds {header}, expected {np.dtype(dtype)} {shape}")
    if (path.stat().st_size, header.offset) != (offset + header.bytes, offset):
        raise ValueError(f"it has {path.stat().st_size:,} bytes, expected {offset + header.bytes:,}")
    return np.memmap(path, header.dtype, mode="r", offset=offset, shape=shape)


def _named(archive: zipfile.ZipFile, wanted: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """The arrays to read, each with its expected type and shape; raises `ValueError` if one is missing."""
    names = dict.fromkeys(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))
    for wish, expected in wanted.items():
        if wish.endswith("*"):
            yield from ((name, expected) for name in names if name.startswith(wish[:-1]))
        elif wish in names:
            yield wish, expected
        elif not expected.optional:
            raise ValueError(f"it has no array {wish}")


def _check(name: str, header: Header, expected: Array, sizes: dict[str, int]) -> None:
    """Raise `ValueError` for another type or shape. The first use of an axis's name sets its size."""
    axes = expected.axes.split()
    fits = header.dtype.kind == "U" if expected.kind == "U" else header.dtype == np.dtype(expected.kind)
    if fits and len(header.shape) == len(axes):
        named = dict(zip(axes, header.shape, strict=True)) | sizes
        known = tuple(int(axis) if axis.isdecimal() else named[axis] for axis in axes)
        if known == header.shape and _letters(header) <= (LONGEST_TEXT if axes else LONGEST_ENTRY):
            sizes |= {axis: size for axis, size in zip(axes, header.shape, strict=True) if not axis.isdecimal()}
            return
    expected_axes = ", ".join(str(sizes.get(axis, axis)) for axis in axes)
    raise ValueError(f"{name} is {header}, expected {KINDS[expected.kind]} ({expected_axes})")


def _letters(header: Header) -> int:
    return header.dtype.itemsize // 4 if header.dtype.kind == "U" else 0


def _check_texts(flat: NDArray[Any]) -> None:
    """Raise `ValueError` for code points that are not characters: they would fail wherever the text is used."""
    if flat.dtype.kind == "U" and flat.size:
        codes = flat.view(flat.dtype.byteorder.replace("|", "=") + "u4")
        if (codes > 0x10FFFF).any() or ((codes >= 0xD800) & (codes < 0xE000)).any():
            raise ValueError("a text in it holds what is no letter")
