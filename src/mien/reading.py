"""Reads files safely: every file is measured before it is loaded, and checked against a type. An error names the file.

In: a file and its expected type, a frozen dataclass whose fields carry their ranges (`Count`, `Share`). Out: a value of
that type. Any fault of the file becomes one error with four parts: the file, what was seen, what was expected, and the
remedy. `reading` makes that error; all other functions here raise inside it.

    with reading(path, RunError, "Remove it, and run the same command again."):
        record = from_json(read_bytes(path), Record)

Nothing is unpickled and nothing is evaluated. Arrays are read by `mien.arrays`. Paths and numbers from callers in
Python pass through `given_path`, `given_number` and `given_count`, so that a wrong type is a sentence too.
"""

import csv
import errno
import io
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from .errors import ConfigError, MienError
from .shown import brief, first_line

__all__ = [
    "LONGEST_TEXT",
    "Count",
    "Fingerprint",
    "GivenPath",
    "Measure",
    "Number",
    "Positive",
    "Share",
    "Text",
    "from_json",
    "from_toml",
    "given_count",
    "given_number",
    "given_path",
    "open_file",
    "read_bytes",
    "read_rows",
    "read_text",
    "reading",
]

LARGEST = 16 << 20
"""Most bytes of a text file that mien reads whole; its own files are far smaller."""
LONGEST_TEXT = 1024
"""Most characters of one subject, source, group or class name: a column of N texts takes N times the longest."""
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EBADF, errno.EINVAL)
"""Errors of the system for a path at which there is nothing; reading it later gives the better sentence."""
DEEPEST = 100
"""Greatest depth of nested tables and lists in one TOML text."""

Count = Annotated[int, Meta(ge=0, lt=1 << 53)]
"""A number of things, 0 and up; any reader of JSON holds it exactly."""
Positive = Annotated[int, Meta(ge=1, lt=1 << 53)]
Number = Annotated[float, Meta(gt=-1e300, lt=1e300)]
"""Any finite number."""
Measure = Annotated[float, Meta(ge=0, lt=1e300)]
"""An amount of time, memory or speed."""
Share = Annotated[float, Meta(ge=0, le=1)]
Fingerprint = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""A sha256. Names of files are made of it, so it must be nothing else."""
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
GivenPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""A path as a caller may give it."""

T = TypeVar("T")


def given_number(value: Any, name: str, most: float) -> float:
    """The given value as a number from 0 to `most`; raises `ConfigError` that names it as `name`."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.integer | np.floating)
        or not 0 <= value <= most
    ):
        raise ConfigError(f"{name} is a number, 0 to {most:,.10g}; got {brief(value)}.")
    return float(value)


def given_count(value: Any, name: str, least: int, most: int) -> int:
    """The given value as a whole number from `least` to `most`; raises `ConfigError` that names it as `name`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ConfigError(f"{name} is a whole number, {least} to {most:,}; got {brief(value)}.")
    return int(value)


def given_path(value: object, what: str, error: type[MienError]) -> Path:
    """The given value, also bytes, as a `Path`; raises `error` if it is not a path. `what` is "A store"."""
    try:
        path = Path(os.fsdecode(value))  # type: ignore[arg-type]
        if "\0" in os.fspath(path):
            raise ValueError("a NUL")
        os.fsencode(path)
    except Exception as failure:  # a foreign class's own __fspath__ may raise whatever it likes
        reason = f" ({first_line(failure)})" if isinstance(failure, ValueError) else ""
        raise error(f"{what} is given by its path, a text or a Path; got {brief(value)}{reason}.") from None
    try:
        path.stat()
    except OSError as failure:
        if failure.errno not in NOT_THERE:  # a name that is too long, a folder that may not be searched
            raise error(f"{what} cannot be at {brief(os.fspath(path))} ({failure.strerror}).") from None
    return path


@contextmanager
def reading(what: object, error: type[MienError], remedy: str) -> Iterator[None]:
    """Surrounds all reading of the file `what`: any failure becomes an `error` that names it and ends with `remedy`.

    No list of the errors of damaged files is complete (the standard library's zip reader alone raises nine kinds), so
    every error counts as damage here. Keep the body small.
    """
    try:
        yield
    except error:
        raise
    except OSError as failure:
        raise error(f"{what} cannot be read ({failure.strerror or first_line(failure)}). {remedy}") from None
    except Exception as failure:
        raise error(f"{what} is damaged ({_reason(failure)}). {remedy}") from None


def open_file(path: Path | str) -> BinaryIO:
    """Open a regular file for reading, and wait for no pipe; raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise (
            IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if stat.S_ISDIR(mode)
            else OSError(0, "not a file")
        )
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """The content of a file; raises `ValueError` if it has more than `most` bytes, `OSError` if it cannot be read."""
    with open_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return content


def read_text(path: Path, most: int = LARGEST) -> str:
    """The text of a UTF-8 file; raises `ValueError` as `read_bytes` does, and for bytes that are no UTF-8."""
    return read_bytes(path, most).decode()


def from_json(content: bytes | str, kind: type[T], *, more: bool = False) -> T:
    """Decode JSON as a value of `kind`: no other names, types or ranges than `kind` states.

    With `more`, other names are ignored. Raises `ValueError` that names the difference, or the error of a
    `__post_init__` of `kind`.
    """
    plain = msgspec.json.decode(content)
    value = msgspec.convert(plain, kind)
    if not more:
        _check_names(plain, msgspec.to_builtins(value), "$")
    return value


def from_toml(text: str, most: int) -> dict[str, Any]:
    """Decode a TOML text of at most `most` characters; raises `ValueError` with the reason if that is impossible."""
    if len(text) > most:
        raise ValueError(f"it has {len(text):,} letters, and at most {most:,} are read")
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"its lists and tables stand in each other more than {DEEPEST} deep") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # of Python, for a number of more than 4,300 digits
        raise ValueError("a number in it has more digits than can be read") from None
    _check_depth(tables)
    return tables


def read_rows(path: Path, kind: type[T]) -> list[T]:
    """Read a CSV file of mien's own: its header is the fields of `kind`, and each row is one of them.

    Raises `ValueError` with the number of the line that does not fit.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    head = next(lines, [])
    if head != names:
        raise ValueError(f"its columns are {first_line(head)}, expected {names}")
    return [_row(kind, names, cells, lines.line_num) for cells in lines]


def _row(kind: type[T], names: list[str], cells: list[str], line: int) -> T:
    if len(cells) != len(names):
        raise ValueError(f"line {line} has {len(cells)} cells, expected {len(names)}")
    try:
        return msgspec.convert(dict(zip(names, cells, strict=True)), kind, strict=False)
    except ValueError as error:
        raise ValueError(f"line {line}: {error}") from None


def _reason(failure: Exception) -> str:
    """The reason in words: some libraries only give the name of a missing entry."""
    if isinstance(failure, KeyError):
        return f"it has no {first_line(failure.args[0]) if failure.args else 'such entry'}"
    if isinstance(failure, RecursionError):
        return "its lists and tables stand in each other too deep"
    if isinstance(failure, MemoryError):
        return "it asks for more memory than there is"
    return first_line(failure).rstrip(".") or type(failure).__name__


def _check_names(seen: Any, known: Any, where: str) -> None:
    """Raise `ValueError` for a name that the decoded value does not know: a misspelt one would count as absent."""
    if isinstance(seen, Mapping) and isinstance(known, Mapping):
        for name, value in seen.items():
            if name not in known:
                raise ValueError(f"unknown name `{first_line(name)}` - at `{where}`")
            _check_names(value, known[name], f"{where}.{name}")
    elif isinstance(seen, list) and isinstance(known, list):
        for place, (value, other) in enumerate(zip(seen, known, strict=True)):
            _check_names(value, other, f"{where}[{place}]")


def _check_depth(tables: Mapping[str, Any]) -> None:
    layer: list[Any] = [tables]
    for _ in range(DEEPEST):
        layer = [inner for outer in layer for inner in (outer.values() if isinstance(outer, dict) else outer)]
        layer = [inner for inner in layer if isinstance(inner, dict | list)]
        if not layer:
            return
    raise ValueError(f"its lists and tables stand in each other more than {DEEPEST} deep")
